//! Replay: the log folded again, from its first event, by nothing but the domain.
//!
//! - [`state()`]`(pool, "wallet", id, At::Time(t))`: one stream as it stood at a position or an instant.
//! - [`verify()`]`(pool)`: every stream of the whole log, compared with the books and the snapshots that were written live.
//!
//! Both only read, each in one transaction of its own that sees one moment of the database.
mod books;
mod fold;
mod report;
mod state;
mod stones;
mod verify;

pub use report::{Difference, VerifyReport};
pub use state::{At, state, types};
pub use verify::{verify, verify_in_pages};

pub(crate) use stones::{instant, timestamp};

/// Why a replay has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No aggregate has this name.
    #[error("'{0}' is no type of aggregate; there are {1}")]
    UnknownType(String, String),
    /// The stream has no event by then.
    #[error("there is no {0} {1} at that point of the log")]
    NotFound(String, String),
    /// A stored event is not what it must be.
    #[error("position {position}: {message}")]
    Corrupt {
        /// Where.
        position: i64,
        /// What is wrong with it.
        message: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
