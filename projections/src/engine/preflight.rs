//! What of the log cannot be read, said before anybody folds any of it.
use cairn_event_log::{EventLog, Recorded};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{EngineError, Projection};
use crate::decode;

/// Most events that are described; all are counted.
const DESCRIBED_MAX: usize = 100;
const PAGE: i64 = 5_000;

/// An event that does not decode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The projection that reads it.
    pub projection: String,
    /// Its place in the log.
    pub position: i64,
    /// Its wire name.
    pub event_type: String,
    /// What it is about: this is parked with it.
    pub key: String,
    /// What is wrong with it.
    pub error: String,
}

/// What of the log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Preflight {
    /// Events that do not decode, of the types that the view reads.
    pub found: u64,
    /// The first hundred of them.
    pub events: Vec<Unreadable>,
}

/// Decodes every event that a projection reads after one position and up to another. A skipped one is known and is not listed again.
pub(crate) async fn preflight(
    log: &EventLog,
    projection: &dyn Projection,
    (mut position, until): (i64, i64),
    token: &CancellationToken,
) -> Result<Preflight, EngineError> {
    let (name, types) = (projection.name(), projection.interest().types());
    let skipped = sqlx::query_scalar!(
        "SELECT position FROM projection_parked WHERE projection = $1 AND skipped_at IS NOT NULL",
        name
    );
    let skipped = skipped.fetch_all(log.pool()).await?;
    let mut found = Preflight::default();
    while position < until {
        if token.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let last = until.min(position + PAGE);
        for event in log.read_types((position, last), types.as_deref()).await? {
            if let Err(error) = decode::check(&event)
                && !skipped.contains(&event.position)
            {
                found.add(projection, &event, error.to_string());
            }
        }
        position = last;
    }
    if let Some(first) = found.events.first() {
        let (position, error) = (first.position, &first.error);
        tracing::warn!(projection = name, events = found.found, position, error, "do not decode");
    }
    Ok(found)
}

impl Preflight {
    fn add(&mut self, projection: &dyn Projection, event: &Recorded, error: String) {
        self.found += 1;
        if self.events.len() < DESCRIBED_MAX {
            self.events.push(Unreadable {
                projection: projection.name().to_owned(),
                position: event.position,
                event_type: event.event_type.clone(),
                key: projection.key(event),
                error,
            });
        }
    }
}
