//! Why nothing is archived, verified or brought back.
use cairn_event_log::LogError;
use cairn_sealer::{SealError, StoreError};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The seals.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The object store.
    #[error("the archive: {0}")]
    Store(#[from] StoreError),
    /// Another process is at it.
    #[error("another run is under way; it holds the archive until it ends")]
    Busy,
    /// What stands in the archive, or in the log, is not what was sealed: nothing is let go, nothing comes back.
    #[error("{object}: position {position}: {why}; nothing was moved")]
    Differs {
        /// The object in the archive.
        object: String,
        /// The first position that is wrong.
        position: i64,
        /// In which way.
        why: String,
    },
    /// No segment of this number has any event's bulk.
    #[error("no event has its bulk in a segment {0}: `cairn archive status` lists those there are")]
    Unknown(i64),
    /// A task of ours broke off.
    #[error("broken off: {0}")]
    Broken(String),
}

impl From<sqlx::Error> for ArchiveError {
    fn from(error: sqlx::Error) -> Self {
        LogError::reading(&error).into()
    }
}

impl From<tokio::task::JoinError> for ArchiveError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Broken(error.to_string())
    }
}
