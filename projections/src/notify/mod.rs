//! Views of who is told what happens.
pub mod endpoints;
