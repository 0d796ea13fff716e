//! Neighbours: whoever is called outside. Each has a breaker, so that one that does not answer is left alone for a while, and a
//! bulkhead, so that one that is slow does not take every hand.
//!
//! | file | holds |
//! |---|---|
//! | `breaker` | when a neighbour is left alone and when it is tried again: pure, time comes in |
//! | `neighbour` | one neighbour: breaker, places and figures around a call |
//! | `neighbourhood` | all of them, by kind and name |
mod breaker;
mod neighbour;
mod neighbourhood;

pub use breaker::{Breaker, BreakerConfig, Pass, State};
pub use neighbour::{Neighbour, Unasked};
pub use neighbourhood::{Kind, Neighbourhood, Now, Standing};
