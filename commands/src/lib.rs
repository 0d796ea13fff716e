//! What acts: the executor, one module per context, process managers and their effects.
mod context;
mod executor;
pub mod ports;
pub mod replay;
mod streams;
pub mod webhooks;

pub use context::{CommandContext, Commands, ExecuteError, Executed};
pub use executor::Executor;
