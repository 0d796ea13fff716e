//! Exit codes and the errors behind them.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed for another reason |
//! | 2 | wrong usage: unknown command, option, or malformed id; a configuration that is wrong |
//! | 3 | refused: a business rule says no; the code says which |
//! | 4 | not found |
//! | 5 | unavailable: the database or another part cannot be reached; try again |
//! | 6 | in doubt: it may have happened; the same command with the same key will tell |
//! | 7 | differs: a verification, reconciliation or comparison found something |
use std::process::ExitCode;

use cairn_commands::ExecuteError;
use cairn_commands::ports::{FailureKind, PortError};
use cairn_event_log::LogError;
use cairn_projections::QueryError;
use serde::Serialize;

use crate::config::ConfigErrors;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Failed for another reason.
    Failure = 1,
    /// Wrong usage.
    Usage = 2,
    /// A business rule says no.
    Refused = 3,
    /// There is no such thing.
    NotFound = 4,
    /// A part cannot be reached.
    Unavailable = 5,
    /// It may have happened.
    InDoubt = 6,
    /// A comparison found something.
    Differs = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} ({code})")]
pub struct CliError {
    /// How the process exits.
    pub exit: Exit,
    /// Stable code, see `docs/errors/`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl CliError {
    /// An error.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into() }
    }

    /// A wrong argument.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(Exit::NotFound, "not_found", format!("there is no {what} {id}"))
    }

    /// Something went wrong that no rule foresaw.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, "failure", message)
    }
}

impl From<ExecuteError> for CliError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused { code, message, .. } => {
                let missing = code.starts_with("unknown_");
                let exit = if missing { Exit::NotFound } else { Exit::Refused };
                Self::new(exit, &code, message)
            }
            ExecuteError::KeyReused => {
                Self::new(Exit::Refused, "idempotency_key_reused", "the key has another wish")
            }
            ExecuteError::Conflict => {
                Self::new(Exit::Unavailable, "conflict", "too many changes at once; try again")
            }
            ExecuteError::Unavailable(m) => Self::new(Exit::Unavailable, "database_unavailable", m),
            ExecuteError::InDoubt(m) => Self::new(Exit::InDoubt, "outcome_in_doubt", m),
            ExecuteError::Internal(m) => Self::failure(m),
        }
    }
}

impl From<sqlx::Error> for CliError {
    fn from(error: sqlx::Error) -> Self {
        LogError::reading(&error).into()
    }
}

impl From<LogError> for CliError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Segment { .. } => {
                Self::new(Exit::Differs, "archive_differs", error.to_string())
            }
            LogError::Carrier(_) => Self::new(Exit::Failure, "log_mismatch", error.to_string()),
            error => ExecuteError::from(error).into(),
        }
    }
}

impl From<QueryError> for CliError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadCursor(_) => Self::usage(error.to_string()),
            QueryError::Database(error) => error.into(),
        }
    }
}

impl From<PortError> for CliError {
    fn from(error: PortError) -> Self {
        let exit = match error.kind {
            FailureKind::Transient => Exit::Unavailable,
            FailureKind::Refused => Exit::Refused,
            FailureKind::Permanent | FailureKind::Untrusted => Exit::Failure,
        };
        Self::new(exit, &error.code, error.message)
    }
}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(Exit::Usage, "config_invalid", errors.to_string())
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::failure(error.to_string())
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::failure(error.to_string())
    }
}
