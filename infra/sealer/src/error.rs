//! Why nothing is sealed, published or verified.
use std::io;
use std::path::PathBuf;

use cairn_event_log::LogError;
use cairn_seal::{KeyError, MalformedBlock};

use crate::StoreError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The database.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The published file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The object store.
    #[error("the object store: {0}")]
    Store(#[from] StoreError),
    /// A position has no event, so nothing after it is sealed.
    #[error(
        "position {0} has no event: nothing from there on is sealed; `cairn audit verify` tells more"
    )]
    Gap(i64),
    /// What was published is not what the table says: nothing more is sealed.
    #[error(
        "{copy} and the table `log_seals` disagree about block {number}: {why}; nothing more is sealed, `cairn audit verify` tells more"
    )]
    Disagrees {
        /// Which copy.
        copy: String,
        /// Number of the block.
        number: u64,
        /// In which way.
        why: String,
    },
    /// The last block is signed by a key that comes after ours, or that we do not know.
    #[error(
        "block {number} is signed by the key {key_id}, and this process has no key that comes after it: copy the current seal.pem and seal.pub.pem here"
    )]
    KeyOutOfDate {
        /// Number of the block.
        number: u64,
        /// Its key.
        key_id: String,
    },
    /// A stored block that cannot be read.
    #[error("block {number} of the table cannot be read: {why}")]
    Malformed {
        /// Number of the block.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// A task of ours broke off.
    #[error("broken off: {0}")]
    Broken(String),
}

impl From<sqlx::Error> for SealError {
    fn from(error: sqlx::Error) -> Self {
        LogError::reading(&error).into()
    }
}

impl From<MalformedBlock> for SealError {
    fn from(error: MalformedBlock) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<tokio::task::JoinError> for SealError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Broken(error.to_string())
    }
}
