//! A private PostgreSQL cluster out of the system's own server binaries.
//!
//! With no `DATABASE_URL`, Cairn runs on a cluster of its own. This crate makes it on first use,
//! finds its data again afterwards, and promises that nothing a crash leaves behind (a stale pid
//! file, a dead socket, an orphaned server) stands in the way of the next start.
//!
//! - It listens on a unix socket only, in a directory nobody else may enter.
//! - As root it runs the server as the owner of the data, `postgres` or `nobody`, because
//!   PostgreSQL refuses root.
//! - Several processes may hold one directory at a time: the first starts the server, the others
//!   join it, and whoever leaves last stops it. A killed process counts as having left.
//!
//! Blocking by design: from async code call it in `spawn_blocking`.
mod account;
mod binaries;
mod cluster;
mod error;
mod home;
mod process;
mod server;

pub use binaries::find_binaries;
pub use cluster::{Cluster, ClusterConfig};
pub use error::ClusterError;
