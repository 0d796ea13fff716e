//! Folding a batch: all of it in one transaction, or up to the event that cannot be folded, which is parked alone.
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use cairn_event_log::Recorded;
use futures::FutureExt;
use sqlx::PgConnection;

use super::parked::{self, Park};
use super::{EngineError, ProjectError, Projection};

/// How often an event is tried before it is parked.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// What came of folding a batch in one transaction.
pub(crate) enum Folded {
    /// Committed; the target stands at the last event.
    Done,
    /// The target is not where the batch begins, or somebody else holds it.
    Elsewhere,
    /// Nothing was written: this event of the batch is to blame.
    Poison { index: usize, error: String },
}

/// The events that a projection reads of a stretch of the log.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub events: &'a [Recorded],
    /// Last position of the stretch: where the checkpoint goes, even when no event of it is read.
    pub until: i64,
}

/// Where events are folded to: the live tables, or scratch copies of them.
#[async_trait]
pub(crate) trait Target: Send {
    /// Folds a batch and moves the checkpoint in one transaction. With `park_first`, the first event is parked for that
    /// reason instead of folded.
    async fn fold(
        &mut self,
        projection: &dyn Projection,
        batch: Batch<'_>,
        park_first: Option<&str>,
    ) -> Result<Folded, EngineError>;
}

/// Folds a batch to the end, parking what cannot be folded. `false`: the target turned out to be elsewhere.
pub(crate) async fn advance<T: Target>(
    target: &mut T,
    projection: &dyn Projection,
    Batch { events, until }: Batch<'_>,
) -> Result<bool, EngineError> {
    let (mut rest, mut take) = (events, events.len());
    let (mut failures, mut reason) = (0, String::new());
    loop {
        let whole = take == rest.len();
        let until = if whole { until } else { rest[take - 1].position };
        let park_first = (failures >= ATTEMPTS).then_some(reason.as_str());
        let batch = Batch { events: &rest[..take], until };
        match target.fold(projection, batch, park_first).await? {
            Folded::Done if whole => return Ok(true),
            Folded::Done => {
                rest = &rest[take..];
                take = rest.len();
                failures = 0;
            }
            Folded::Elsewhere => return Ok(false),
            Folded::Poison { index: 0, error } => {
                failures += 1;
                take = 1;
                reason = error;
                tokio::time::sleep(PAUSE * failures).await;
            }
            Folded::Poison { index, .. } => take = index,
        }
    }
}

/// Folds events in the caller's transaction; the caller rolls it back on [`Folded::Poison`].
pub(crate) async fn fold_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    events: &[Recorded],
    park_first: Option<&str>,
) -> Result<Folded, EngineError> {
    let mut waiting = parked::waiting_in_tx(db, projection.name(), events).await?;
    for (index, event) in events.iter().enumerate() {
        if waiting.skipped.contains(&event.position) {
            continue;
        }
        let key = projection.key(event);
        let reason = park_first.filter(|_| index == 0);
        if reason.is_some() || waiting.keys.contains(&key) {
            let park = Park { projection: projection.name(), event, key: &key, error: reason };
            parked::park_in_tx(db, park).await?;
            waiting.keys.insert(key);
            continue;
        }
        match project_caught(db, projection, event).await {
            Ok(()) => {}
            Err(error) if error.is_poison() => {
                return Ok(Folded::Poison { index, error: error.to_string() });
            }
            Err(ProjectError::Database(error)) => return Err(error.into()),
            Err(ProjectError::Event(error)) => return Err(error.into()),
            Err(ProjectError::Inconsistent(error) | ProjectError::Panicked(error)) => {
                return Ok(Folded::Poison { index, error });
            }
        }
    }
    Ok(Folded::Done)
}

/// A panic in a projection is the event's fault, like any other error it causes.
pub(crate) async fn project_caught(
    db: &mut PgConnection,
    projection: &dyn Projection,
    event: &Recorded,
) -> Result<(), ProjectError> {
    event.check()?;
    let outcome = AssertUnwindSafe(projection.project(db, event)).catch_unwind().await;
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(ProjectError::Panicked(text.unwrap_or_else(|| "no message".to_owned())))
    })
}
