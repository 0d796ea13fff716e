//! What can go wrong with the log, sorted by the caller's only question: what now?
use sqlx::Error as Sqlx;

/// Why the log did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The database cannot be reached or is out of resources. Nothing was written.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The connection was lost after the request was sent: it may have been committed. Ask again with the same command id.
    #[error("the connection to the database was lost and the outcome is in doubt: {0}")]
    InDoubt(String),
    /// A constraint of the database refused the request, so a decision was wrong. Nothing was written.
    #[error("the database refused the request by {constraint}: {message}")]
    Rejected {
        /// Name of the constraint, or the SQL state.
        constraint: String,
        /// What the database said.
        message: String,
    },
    /// Stored data is not what it must be.
    #[error("the log holds what cannot be read: {0}")]
    Corrupt(String),
    /// Code later than this wrote an event: this one must neither read nor skip it. Whoever runs the later code can.
    #[error(
        "position {position}: {event_type} version {version} was written by a newer version of Cairn; this one knows {known}"
    )]
    Newer {
        /// Its place in the log.
        position: i64,
        /// Its wire name.
        event_type: String,
        /// Its version.
        version: u32,
        /// The latest version that this code knows.
        known: u32,
    },
    /// The bulk of an event was moved to the archive and is not to be had from there. It must not be skipped.
    #[error("segment {segment} of the archive, which position {position} is in: {why}")]
    Segment {
        /// Number of the segment.
        segment: i64,
        /// The first position that was wanted from it.
        position: i64,
        /// What is wrong with it.
        why: String,
    },
    /// The database and the system that is to carry the log do not have the same log. Nothing was written.
    #[error("the log cannot be carried so: {0}")]
    Carrier(String),
    /// Any other answer of the database, for example a missing table. Nothing was written.
    #[error("the database refused: {0}")]
    Database(String),
}

impl LogError {
    /// Whether the same request may succeed later as it is, nothing but time having passed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::InDoubt(_))
    }

    /// As whoever asks sees it who wrote nothing himself.
    pub(crate) fn not_in_doubt(self) -> Self {
        match self {
            Self::InDoubt(cause) => Self::Unavailable(cause),
            other => other,
        }
    }

    /// Of a statement that only reads, or of getting a connection: nothing can be in doubt.
    #[must_use]
    pub fn reading(error: &Sqlx) -> Self {
        match (error, Self::writing(error).not_in_doubt()) {
            // A query that does not fit what it reads, or a value that cannot be sent: a fault of ours.
            (Sqlx::RowNotFound | Sqlx::TypeNotFound { .. } | Sqlx::Encode(_), _) => {
                Self::Database(error.to_string())
            }
            (_, other) => other,
        }
    }

    /// Of a statement that writes and commits by itself.
    pub(crate) fn writing(error: &Sqlx) -> Self {
        match error {
            Sqlx::Database(answer) => Self::answered(answer.as_ref()),
            Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::Tls(_) | Sqlx::Configuration(_) => {
                Self::Unavailable(error.to_string())
            }
            Sqlx::ColumnDecode { .. } | Sqlx::Decode(_) | Sqlx::ColumnNotFound(_) => {
                Self::Corrupt(error.to_string())
            }
            // An Io or protocol error, or a crashed worker: the statement may have arrived and been committed.
            _ => Self::InDoubt(error.to_string()),
        }
    }

    fn answered(answer: &dyn sqlx::error::DatabaseError) -> Self {
        let message = answer.message().to_owned();
        let code = answer.code().unwrap_or_default().into_owned();
        let fatal = answer
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some_and(|pg| pg.severity().is_fatal());
        match code.get(..2).unwrap_or_default() {
            // The session ended, perhaps between its commit and its answer.
            _ if fatal => Self::InDoubt(message),
            "57" if code != "57014" => Self::InDoubt(message),
            // Cancelled by a timeout, locks, deadlocks, resources, connections, a standby that was not promoted yet.
            "57" | "55" | "40" | "53" | "08" | "25" => Self::Unavailable(message),
            "23" | "P0" | "22" => {
                let constraint = answer.constraint().map_or(code, str::to_owned);
                Self::Rejected { constraint, message }
            }
            _ => Self::Database(format!("{message} ({code})")),
        }
    }
}

/// Severities that end the session.
trait Severity {
    fn is_fatal(&self) -> bool;
}

impl Severity for sqlx::postgres::PgSeverity {
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal | Self::Panic)
    }
}
