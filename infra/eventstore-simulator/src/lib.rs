//! Speaks the part of EventStoreDB's gRPC protocol that the log uses, from memory, and hangs up on request.
//!
//! It is no EventStoreDB: what it forgets at its end is gone, it leads a cluster of one, and it knows only the calls that Cairn
//! makes. It makes the client's code run, over a real connection, where there is no server.
mod book;
mod faults;
mod prompt;
mod server;
mod service;
mod wire;

pub use faults::Faults;
pub use server::Simulator;
