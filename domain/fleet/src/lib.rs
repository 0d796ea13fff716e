//! The fleet context: nodes, how they are trusted, and what of them is reserved.
pub mod node;
mod reservations;

pub use node::{
    HostKey, Link, Node, NodeCommand, NodeError, NodeEvent, NodeFacts, NodeLifecycle, Policy,
    Reservation, ReservationStatus,
};
