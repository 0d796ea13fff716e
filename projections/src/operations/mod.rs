//! Views of who did what, and of what waits for a person.
pub mod audit;
pub mod feature_flags;
pub mod inbox;
pub mod inbox_reads;
pub mod interventions;
