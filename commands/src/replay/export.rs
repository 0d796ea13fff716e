//! A slice of the log as lines of a golden log, with what is personal masked.
//!
//! A stream without its beginning cannot be folded, so a slice has whole streams: of each stream that it touches, every event
//! up to its end.
use std::collections::BTreeSet;

use cairn_event_log::LogSource;
use serde::Serialize;
use serde_json::Value;

use super::mask::Masks;
use super::stones::Stone;
use super::{At, ReplayError, fold, stones};

const PAGE: i64 = 5_000;

/// Which part of the log. Streams are in it when an event of theirs fits everything that is said.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// One of these streams, by type and id; any when there is none.
    pub streams: Vec<(String, String)>,
    /// Set in motion by this request.
    pub correlation_id: Option<String>,
    /// At or after this position.
    pub from: Option<i64>,
    /// Up to and including this point.
    pub to: At,
}

/// One event as a golden log keeps it. Who caused it is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ExportedEvent {
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: Value,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// How many events.
    pub events: u64,
    /// Of how many streams.
    pub streams: usize,
    /// The last position that was looked at.
    pub to: i64,
}

/// Hands every event of a slice to `write`, in the log's order.
///
/// # Errors
/// [`ReplayError::Nothing`] when the slice is empty; what `write` says.
pub async fn export(
    source: &impl LogSource,
    slice: &Slice,
    masks: &Masks,
    mut write: impl FnMut(&ExportedEvent) -> std::io::Result<()> + Send,
) -> Result<Exported, ReplayError> {
    let mut reading = stones::reading(source).await?;
    let to = stones::position(&mut reading, slice.to).await?;
    let mut streams = BTreeSet::new();
    let mut after = slice.from.map_or(0, |from| (from - 1).max(0));
    loop {
        let page = stones::page(&mut reading, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        let fits = page.into_iter().filter(|stone| stone.position <= to && slice.has(stone));
        streams.extend(fits.map(|stone| (stone.aggregate_type, stone.aggregate_id)));
        if after >= to {
            break;
        }
    }
    if streams.is_empty() {
        return Err(ReplayError::Nothing);
    }
    let mut exported = Exported { events: 0, streams: streams.len(), to };
    let mut after = 0;
    while after < to {
        let page = stones::page(&mut reading, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for stone in page.into_iter().filter(|stone| stone.position <= to) {
            let stream = (stone.aggregate_type, stone.aggregate_id);
            if streams.contains(&stream) {
                exported.events += 1;
                let (aggregate_type, aggregate_id) = stream;
                let mut event = ExportedEvent {
                    aggregate_type,
                    aggregate_id,
                    sequence: stone.sequence,
                    event_type: stone.event_type,
                    event_version: stone.event_version,
                    payload: stone.payload,
                };
                let known = fold::find(&event.aggregate_type);
                masks.payload(&mut event.payload, known.map_or(|_| None, |known| known.text));
                write(&event)?;
            }
        }
    }
    Ok(exported)
}

impl Slice {
    fn has(&self, stone: &Stone) -> bool {
        let named = |(kind, id): &(String, String)| {
            (kind, id) == (&stone.aggregate_type, &stone.aggregate_id)
        };
        let correlation = stone.metadata.get("correlation_id").and_then(Value::as_str);
        let wanted = self.correlation_id.as_deref();
        (self.streams.is_empty() || self.streams.iter().any(named))
            && (wanted.is_none() || correlation == wanted)
    }
}
