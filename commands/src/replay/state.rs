//! One stream, folded up to a point of the log.
use std::str::FromStr;

use cairn_core::Timestamp;
use cairn_event_log::LogSource;
use serde_json::json;

use super::{ReplayError, fold, stones};

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

/// Every type of aggregate that can be folded.
#[must_use]
pub fn types() -> Vec<&'static str> {
    fold::TYPES.iter().map(|found| found.name).collect()
}

/// The last position at a point of the log: 0 before its first event.
///
/// # Errors
/// [`ReplayError::Beyond`] when the log does not reach so far.
pub async fn position(source: &impl LogSource, at: At) -> Result<i64, ReplayError> {
    stones::position(&mut *stones::reading(source).await?, at).await
}

/// Ids of streams of a type, at most `limit`, in no order.
///
/// # Errors
/// [`ReplayError::Database`].
pub async fn ids(
    source: &impl LogSource,
    aggregate_type: &str,
    limit: i64,
) -> Result<Vec<String>, ReplayError> {
    let ids = sqlx::query_scalar!(
        "SELECT aggregate_id FROM events WHERE aggregate_type = $1 AND sequence = 1 LIMIT $2",
        aggregate_type,
        limit
    );
    Ok(ids.fetch_all(&mut *stones::reading(source).await?).await?)
}

/// One stream, folded up to a point of the log: `{"aggregate_type", "aggregate_id", "sequence", "position",
/// "recorded_at", "state"}`.
///
/// # Errors
/// [`ReplayError`]; an unknown type and a stream without events are told apart.
pub async fn state(
    source: &impl LogSource,
    aggregate_type: &str,
    aggregate_id: &str,
    at: At,
) -> Result<serde_json::Value, ReplayError> {
    let mut folded = fold::start(aggregate_type)
        .ok_or_else(|| ReplayError::UnknownType(aggregate_type.to_owned(), types().join(", ")))?;
    let mut last = None;
    let mut transaction = stones::reading(source).await?;
    let stones = stones::of_stream(&mut transaction, (aggregate_type, aggregate_id), at).await?;
    for stone in stones {
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
