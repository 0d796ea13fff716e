//! One stream, event by event: who caused each, and what it changed in the state.
use cairn_core::Timestamp;
use cairn_event_log::LogSource;
use serde::Serialize;
use serde_json::Value;

use super::diff::{Change, changes};
use super::stones::Stone;
use super::{At, ReplayError, fold, stones, types};

/// One event and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// Place in the log.
    pub position: i64,
    /// Place in the stream.
    pub sequence: i64,
    /// When it was appended.
    pub recorded_at: Timestamp,
    /// Wire name.
    pub event_type: String,
    /// Version it is stored in.
    pub event_version: String,
    /// Who did it.
    pub actor: String,
    /// From where.
    pub origin: Option<String>,
    /// The command that decided it.
    pub command_id: String,
    /// Shared by all that one request set in motion.
    pub correlation_id: String,
    /// What it follows from.
    pub causation_id: Option<String>,
    /// What it changed in the state.
    pub changes: Vec<Change>,
}

/// One place that differs between two points, and the event that changed it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetChange {
    /// See [`Change::path`].
    pub path: String,
    /// At the earlier point.
    pub before: Value,
    /// At the later one.
    pub after: Value,
    /// Position of the event.
    pub position: i64,
    /// Its wire name.
    pub event_type: String,
}

/// A stream between two points of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamDiff {
    /// Type of the stream.
    pub aggregate_type: String,
    /// Its id.
    pub aggregate_id: String,
    /// The earlier point.
    pub from: i64,
    /// The later point.
    pub to: i64,
    /// What differs.
    pub changes: Vec<NetChange>,
    /// The events between them.
    pub events: Vec<TimelineEntry>,
}

/// Every event of a stream up to a point, oldest first.
///
/// # Errors
/// [`ReplayError`].
pub async fn timeline(
    source: &impl LogSource,
    aggregate_type: &str,
    aggregate_id: &str,
    at: At,
) -> Result<Vec<TimelineEntry>, ReplayError> {
    Ok(walk(source, (aggregate_type, aggregate_id), at)
        .await?
        .0
        .into_iter()
        .map(|(e, _)| e)
        .collect())
}

/// What differs in a stream between two points, and the events that did it. A stream that begins between them differs from nothing.
///
/// # Errors
/// [`ReplayError`].
pub async fn diff(
    source: &impl LogSource,
    aggregate_type: &str,
    aggregate_id: &str,
    (from, to): (At, At),
) -> Result<StreamDiff, ReplayError> {
    let mut reading = stones::reading(source).await?;
    let from = stones::position(&mut reading, from).await?;
    let to = stones::position(&mut reading, to).await?;
    drop(reading);
    let (all, fresh) = walk(source, (aggregate_type, aggregate_id), At::Position(to)).await?;
    let earlier = all.iter().rev().find(|(event, _)| event.position <= from);
    let before = earlier.map_or(fresh, |(_, state)| state.clone());
    let after = all.last().map_or(Value::Null, |(_, state)| state.clone());
    let events: Vec<_> =
        all.into_iter().map(|(event, _)| event).filter(|e| e.position > from).collect();
    let net = changes(&before, &after).into_iter().filter_map(|Change { path, before, after }| {
        let touches = |change: &Change| change.touches(&path);
        let event = events.iter().rev().find(|event| event.changes.iter().any(touches))?;
        let (position, event_type) = (event.position, event.event_type.clone());
        Some(NetChange { path, before, after, position, event_type })
    });
    Ok(StreamDiff {
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        from,
        to,
        changes: net.collect(),
        events,
    })
}

type Walked = (Vec<(TimelineEntry, Value)>, Value);

/// The events of a stream with the state after each, and the state before all.
async fn walk(
    source: &impl LogSource,
    (aggregate_type, aggregate_id): (&str, &str),
    at: At,
) -> Result<Walked, ReplayError> {
    let mut folded = fold::start(aggregate_type)
        .ok_or_else(|| ReplayError::UnknownType(aggregate_type.to_owned(), types().join(", ")))?;
    let fresh = folded.state();
    let mut state = fresh.clone();
    let mut walked = vec![];
    let mut reading = stones::reading(source).await?;
    for stone in stones::of_stream(&mut reading, (aggregate_type, aggregate_id), at).await? {
        let corrupt = |message| ReplayError::Corrupt { position: stone.position, message };
        folded.add(&stone).map_err(corrupt)?;
        let after = folded.state();
        let entry = entry(stone, changes(&state, &after));
        walked.push((entry, after.clone()));
        state = after;
    }
    if walked.is_empty() {
        return Err(ReplayError::NotFound(aggregate_type.to_owned(), aggregate_id.to_owned()));
    }
    Ok((walked, fresh))
}

fn entry(stone: Stone, changes: Vec<Change>) -> TimelineEntry {
    let said = |name: &str| stone.metadata.get(name).and_then(Value::as_str).map(str::to_owned);
    TimelineEntry {
        position: stone.position,
        sequence: stone.sequence,
        recorded_at: stone.recorded_at(),
        actor: said("actor").unwrap_or_default(),
        origin: said("origin"),
        correlation_id: said("correlation_id").unwrap_or_default(),
        causation_id: said("causation_id"),
        event_type: stone.event_type,
        event_version: stone.event_version,
        command_id: stone.command_id,
        changes,
    }
}
