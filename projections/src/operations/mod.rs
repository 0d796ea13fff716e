//! Views of who did what, and of what waits for a person.
pub mod audit;
pub mod interventions;
