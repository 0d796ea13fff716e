//! The log's contract over a cluster of EventStoreDB, through the vendor's client.
//!
//! The cluster promises: an append at an expected revision is all or nothing, and one of two wins; what was acknowledged is
//! durable; `$all` has one order. It knows no command ids, no transaction over two streams and no books. `append.rs` has what is
//! made of that, ADR 0021 what it costs.
mod append;
mod client;
mod log;
mod read;
mod wire;

pub use log::{EventStoreLog, check_url};
