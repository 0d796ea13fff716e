//! The adapter against real nodes: a network namespace, private mounts and OpenSSH. Skipped, aloud, where there can be none.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests too")]
mod admission;
mod lifecycle;
mod limits;
mod resizing;
mod support;
mod wire;
