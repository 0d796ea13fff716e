//! The verbs of `cairn-node` on a real node. Skipped, aloud, where this machine cannot run one.
mod faults;
mod repeats;
mod support;
