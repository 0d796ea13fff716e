//! Real Linux nodes on one machine, for tests and the demo.
//!
//! A node is a network namespace with a veth pair, and a tree of processes with its own mounts, process ids, host name and IPC:
//! `/etc`, `/var`, `/home`, `/run` and `/tmp` are private, everything else is read-only, and a real OpenSSH server listens on an
//! address that only this machine reaches (198.18.0.0/15, the benchmark range). The machine's own accounts stay untouched.
//!
//! Needs root. Several run in parallel. What a crashed run left behind is removed at the next start.
//! Blocking by design: from async code use `spawn_blocking`.
mod availability;
mod cgroups;
mod error;
mod faults;
mod helper;
mod node;
mod relay;
mod slot;
mod tool;

pub use availability::{available_or_skip, is_available};
pub use error::TestbedError;
pub use faults::Step;
pub use helper::helper_binary;
pub use node::{Invitation, NamespaceNode, NodeConfig};
pub use relay::Relay;
pub use tool::Said;
