//! Why a replay has no answer.

/// Why a replay has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No aggregate has this name.
    #[error("'{0}' is no type of aggregate; there are {1}")]
    UnknownType(String, String),
    /// The stream has no event by then.
    #[error("there is no {0} {1} at that point of the log")]
    NotFound(String, String),
    /// The log has no such position.
    #[error(
        "the log has no position {position}: it goes from 0, before its first event, to {head}"
    )]
    Beyond {
        /// What was asked for.
        position: i64,
        /// Its last.
        head: i64,
    },
    /// A stored event is not what it must be.
    #[error("position {position}: {message}")]
    Corrupt {
        /// Where.
        position: i64,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing is in the slice.
    #[error("no event of the log is in that slice")]
    Nothing,
    /// What was exported could not be written.
    #[error(transparent)]
    Write(#[from] std::io::Error),
    /// The bulk of an event is in the archive and is not to be had from there.
    #[error(transparent)]
    Log(#[from] cairn_event_log::LogError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
