//! What holds of every request, whatever it is about: where it comes from, how often, and upon what was seen.
pub mod client;
pub mod conditions;
pub mod rate;
