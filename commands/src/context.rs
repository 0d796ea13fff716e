//! What comes with a command, what it needs, and how it ends.
use std::sync::Arc;

use cairn_core::OrganisationId;
use cairn_event_log::{LogError, Metadata};

use crate::executor::Executor;
use crate::ports::{Clock, IdSource};

/// Who asks, under which id, and as part of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandContext {
    /// From the client's idempotency key, or derived by a process manager. Executes at most once, for ever.
    pub command_id: String,
    /// Hash of what was asked; the same id with another hash is refused.
    pub body_hash: [u8; 32],
    /// An API key, an operator, or a process.
    pub actor: String,
    /// On whose behalf.
    pub organisation_id: Option<OrganisationId>,
    /// Shared by everything that one request sets in motion.
    pub correlation_id: String,
    /// The command or event that this one follows from.
    pub causation_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// IP address, `cli`, or process name.
    pub origin: Option<String>,
}

impl CommandContext {
    /// Of what a server does by itself, under an id that is used once: nobody asked for it, so there is no body to compare.
    #[must_use]
    pub fn by_itself(actor: &str, command_id: String) -> Self {
        Self {
            correlation_id: command_id.clone(),
            command_id,
            body_hash: [0; 32],
            actor: actor.to_owned(),
            organisation_id: None,
            causation_id: None,
            traceparent: None,
            origin: None,
        }
    }

    /// What is written with every event of the command.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata {
            actor: self.actor.clone(),
            organisation_id: self.organisation_id.map(|id| id.to_string()),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            command_id: self.command_id.clone(),
            traceparent: self.traceparent.clone(),
            origin: self.origin.clone(),
        }
    }
}

/// How an accepted command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Position of its last event, or head of the log when it had none.
    pub position: i64,
    /// The stream it was for.
    pub aggregate_id: String,
    /// Events in the stream right after it.
    pub sequence: i64,
    /// What the caller is told; of the first execution when this is a repeat.
    pub result: serde_json::Value,
    /// Whether this is the stored answer of an earlier execution.
    pub replayed: bool,
}

/// Why a command did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// A business answer, stored with the command id: a repeat gets the same.
    #[error("{message}")]
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
        /// Whether this is the stored answer of an earlier execution.
        replayed: bool,
    },
    /// The command id was used before for something else.
    #[error("the idempotency key was used before for another request")]
    KeyReused,
    /// Others kept changing the stream; nothing was written.
    #[error("the stream is too busy; try again")]
    Conflict,
    /// The database is down or overloaded; nothing was written.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It may have been executed. Ask again with the same command id to find out.
    #[error("the outcome is in doubt, ask again with the same key: {0}")]
    InDoubt(String),
    /// A fault of ours; nothing was written.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<LogError> for ExecuteError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(cause) => Self::Unavailable(cause),
            LogError::InDoubt(cause) => Self::InDoubt(cause),
            fault @ (LogError::Rejected { .. }
            | LogError::Corrupt(_)
            | LogError::Newer { .. }
            | LogError::Segment { .. }
            | LogError::Carrier(_)
            | LogError::Database(_)) => Self::Internal(fault.to_string()),
        }
    }
}

/// What every handler takes.
#[derive(Clone)]
pub struct Commands {
    /// Runs decisions.
    pub executor: Executor,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes the bits of new ids.
    pub ids: Arc<dyn IdSource>,
    /// Whose tax a customer pays who has not said where it is: a jurisdiction, if any.
    pub home_jurisdiction: Option<String>,
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").field("executor", &self.executor).finish_non_exhaustive()
    }
}
