//! What holds of every request, whatever it is about: where it comes from, how often, in which version, upon what was seen, and
//! what its answer says to browsers.
pub mod client;
pub mod conditions;
pub mod dated;
pub mod headers;
pub mod precise;
pub mod preview;
pub mod rate;
pub mod session;
