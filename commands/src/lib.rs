//! What acts: the executor, one module per context, process managers and their effects.
mod answers;
pub mod catalog;
pub mod compute;
mod context;
pub mod effects;
mod executor;
mod expected;
pub mod finance;
pub mod fleet;
pub mod identity;
pub mod neighbours;
pub mod notify;
pub mod operations;
pub mod payments;
pub mod ports;
pub mod privacy;
pub mod processes;
pub mod public;
pub mod relay;
pub mod replay;
mod streams;
pub mod webhooks;

pub use context::{CommandContext, Commands, ExecuteError, Executed};
pub use effects::Effects;
pub use executor::{Executor, MADE_BY};
pub use expected::{Expected, PRECONDITION_FAILED};
pub use privacy::Personal;
