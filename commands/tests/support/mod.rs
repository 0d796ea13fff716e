//! A world for process tests: scripted ports, a clock that is set by hand, faults at named points, and a driver of virtual time.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by several test crates; a broken test world is a failed test"
)]
mod beside;
pub mod clock;
pub mod faults;
pub mod harness;
pub mod letters;
pub mod matrix;
mod money;
pub mod nodes;
pub mod papers;
pub mod provider;
pub mod react;
pub mod stories;
pub mod table;
