//! The verbs of `cairn-node` on a real node. Skipped, aloud, where this machine cannot run one.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests too")]
mod claims;
mod escapes;
mod faults;
mod inventory;
mod repeats;
mod support;
mod suspend;
