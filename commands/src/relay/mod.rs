//! The relay: tells outsiders of the log, by public events sent to a topic, at least once and in order per key.
//!
//! It reads the log by position and has a checkpoint of its own, which moves only when everything up to it has been
//! acknowledged, and only under the token of its lease. One process leads per topic; any number stand by.
//!
//! | what happens | what the relay does |
//! |---|---|
//! | the brokers are away | waits and tries, for ever; what is in flight is bounded |
//! | a producer breaks | a new one, from the checkpoint: repeats, no loss, no other order |
//! | an event will never go (too large, unreadable) | stays before it, says so, looks again later; never passes over it |
//! | the lease is lost | stops sending; its checkpoint is refused |
//! | a view is rebuilt | nothing |
mod place;
mod run;
mod status;
mod verify;

pub use run::{Relay, RelayConfig};
pub use status::{RelayStatus, checkpoints, status};
pub use verify::{RelayError, Report, verify};
