//! Replay: the log folded again, from its first event, by nothing but the domain.
//!
//! - [`state()`]`(pool, "wallet", id, At::Time(t))`: one stream as it stood at a position or an instant.
//! - [`verify()`]`(pool)`: every stream of the whole log, compared with the books and the snapshots that were written live.
//!
//! Both only read, each in one transaction of its own that sees one moment of the database.
mod books;
mod fold;
mod report;
mod stones;
mod verify;

use std::str::FromStr;

use cairn_core::Timestamp;
use serde_json::json;
use sqlx::PgPool;

pub use report::{Difference, VerifyReport};
pub(crate) use stones::{instant, timestamp};
pub use verify::{verify, verify_in_pages};

/// Up to where a stream is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    /// All of it.
    #[default]
    Head,
    /// Up to and including a position of the log.
    Position(i64),
    /// Up to and including what was recorded by an instant.
    Time(Timestamp),
}

impl FromStr for At {
    type Err = String;

    /// `head`, a position, or an RFC 3339 instant.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "head" {
            return Ok(Self::Head);
        }
        let position = text.parse().map(Self::Position);
        position.or_else(|_| text.parse().map(Self::Time)).map_err(|_| {
            format!("'{text}' is neither a position nor an instant such as 2026-01-31T09:00:00Z")
        })
    }
}

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

/// Every type of aggregate that can be folded.
#[must_use]
pub fn types() -> Vec<&'static str> {
    fold::TYPES.iter().map(|(name, _)| *name).collect()
}

/// One stream, folded up to a point of the log: `{"aggregate_type", "aggregate_id", "sequence", "position",
/// "recorded_at", "state"}`.
///
/// # Errors
/// [`ReplayError`]; an unknown type and a stream without events are told apart.
pub async fn state(
    pool: &PgPool,
    aggregate_type: &str,
    aggregate_id: &str,
    at: At,
) -> Result<serde_json::Value, ReplayError> {
    let mut folded = fold::start(aggregate_type)
        .ok_or_else(|| ReplayError::UnknownType(aggregate_type.to_owned(), types().join(", ")))?;
    let mut last = None;
    for stone in stones::of_stream(pool, (aggregate_type, aggregate_id), at).await? {
        let corrupt = |message| ReplayError::Corrupt { position: stone.position, message };
        folded.add(&stone).map_err(corrupt)?;
        last = Some(stone);
    }
    let missing = || ReplayError::NotFound(aggregate_type.to_owned(), aggregate_id.to_owned());
    let last = last.ok_or_else(missing)?;
    Ok(json!({
        "aggregate_type": aggregate_type,
        "aggregate_id": aggregate_id,
        "sequence": last.sequence,
        "position": last.position,
        "recorded_at": last.recorded_at(),
        "state": folded.state(),
    }))
}
