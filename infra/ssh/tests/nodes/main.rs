//! The adapter against real nodes: a network namespace, private mounts and OpenSSH. Skipped, aloud, where there can be none.
mod admission;
mod lifecycle;
mod limits;
mod support;
