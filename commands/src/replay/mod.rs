//! Replay: the log folded again, from its first event, by nothing but the domain.
//!
//! - [`state()`]`(log, "wallet", id, At::Time(t))`: one stream as it stood at a position or an instant.
//! - [`timeline()`]`(log, "wallet", id, At::Head)`: its events, each with who caused it and what it changed in the state.
//! - [`diff()`]`(log, "wallet", id, (from, to))`: what differs between two points, and which event did it.
//! - [`export()`]`(log, &slice, &masks, write)`: whole streams as lines of a golden log, with what is personal masked.
//! - [`verify()`]`(log)`: every stream of the whole log, compared with the books and the snapshots that were written live.
//! - [`BooksVerifier`]: the books alone, followed while they are written.
//! - [`what_if()`]`(log, personal, &decisions)`: every decision made again by today's code, and the ones that would be others.
//!
//! All only read, each in one read-only transaction of its own that sees one moment of the database.
mod books;
mod books_verifier;
mod diff;
mod export;
pub(crate) mod fold;
mod inverse;
mod inverse_finance;
mod inverse_identity;
mod inverse_ledger;
mod mask;
mod report;
mod state;
pub(crate) mod stones;
mod timeline;
mod verify;
mod what_if;

pub use books_verifier::{BooksVerifier, IN_THE_BOOKS, VerifiedBooks};
pub use diff::{Change, changes};
pub use export::{Exported, ExportedEvent, Slice, export};
pub use mask::Masks;
pub use report::{Difference, VerifyReport};
pub use state::{At, ids, position, state, types};
pub use timeline::{NetChange, StreamDiff, TimelineEntry, diff, timeline};
pub use verify::{verify, verify_in_pages};
pub use what_if::{Decisions, OtherDecision, Refused, TypeAgain, WhatIf};
pub use what_if::{what_if, what_if_in_pages};

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
