//! What the measurements share.
pub mod plot;
