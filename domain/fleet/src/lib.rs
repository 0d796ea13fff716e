//! The fleet context: nodes, how they are trusted, and what of them is reserved.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
mod enrolment;
mod events;
pub mod evidence;
mod facts;
pub mod health;
pub mod inventory;
pub mod node;
mod reservations;
mod silences;

pub use events::NodeEvent;
pub use evidence::{Beat, Fault};
pub use facts::{HostKey, NodeFacts};
pub use health::{Health, Usage};
pub use inventory::{Comparison, Finding, FindingKind, LogSays};
pub use node::{Link, Node, NodeCommand, NodeError, NodeLifecycle, Policy};
pub use reservations::{Reservation, ReservationStatus};
pub use silences::{LateProof, LateUsage, Proven, Silence};
