//! The neighbours that ports lead to: each call goes through a breaker and a bulkhead (`cairn_neighbours`), whoever makes it.
//!
//! | neighbour | one for |
//! |---|---|
//! | `payments` | the provider |
//! | `mail` | the server |
//! | `node` | each node: a dead one does not close the way to the others |
//! | `topic` | the brokers |
//! | `object_store` | the store of archive and seals |
//! | `carrier` | the cluster that carries the log |
//!
//! Endpoints of customers have their own (`crate::notify`): what is owed to each waits by itself.
mod around;
mod guarded;
mod standing;

pub use around::{NeighbourConfig, Neighbours};
pub use standing::{Told, tell, told};
