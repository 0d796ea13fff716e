//! Folding a batch: what its events change is asked of the projection, the rows they name are loaded together, and the changes
//! are done in memory in the order of the log, up to the event that cannot be folded, which is parked alone.
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use async_trait::async_trait;
use cairn_event_log::Recorded;
use futures::FutureExt;
use sqlx::PgConnection;

use super::parked::{self, Park};
use super::store::Store;
use super::{Changes, EngineError, ProjectError, Projection};

/// How often an event is tried before it is parked.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// What came of folding a batch.
pub(crate) enum Folded {
    /// All of it; the target stands at its end.
    Done,
    /// The target is not where the batch begins, or somebody else holds it.
    Elsewhere,
    /// All before this event of the batch, which is to blame that it goes no further.
    Poison { index: usize, error: String },
    /// Nothing: the database took the rows for wrong, and does not say whose they are.
    Refused { error: String },
}

/// The events that a projection reads of a stretch of the log.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub events: &'a [&'a Recorded],
    /// Last position of the stretch: where the checkpoint goes, even when no event of it is read.
    pub until: i64,
}

/// Where events are folded to: the live tables, or scratch copies of them.
#[async_trait]
pub(crate) trait Target: Send {
    /// Folds a batch, or what comes before an event that cannot be folded, and moves to there. With `park_first`, the first event is parked for that
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
            Folded::Refused { .. } if take > 1 => take /= 2,
            Folded::Poison { index: 0, error } | Folded::Refused { error } => {
                failures += 1;
                take = 1;
                reason = error;
                tokio::time::sleep(PAUSE * failures).await;
            }
            Folded::Poison { index, .. } => {
                rest = &rest[index..];
                take = rest.len();
                failures = 0;
            }
        }
    }
}

/// What is to be done with an event.
enum Plan<'a> {
    Fold(Changes),
    Park { key: String, reason: Option<&'a str> },
}

/// Folds events into the rows of a store, which loads what they name in the caller's transaction.
pub(crate) async fn fold_in_tx(
    (db, store): (&mut PgConnection, &mut Store),
    projection: &dyn Projection,
    events: &[&Recorded],
    park_first: Option<&str>,
) -> Result<Folded, EngineError> {
    let mut waiting = store.waiting_in_tx(db, projection.name(), events).await?;
    let (mut plans, mut stopped) = (Vec::with_capacity(events.len()), None);
    for (index, &event) in events.iter().enumerate() {
        if waiting.skipped.contains(&event.position) {
            continue;
        }
        let reason = park_first.filter(|_| index == 0);
        if reason.is_some() || !waiting.keys.is_empty() {
            let key = projection.key(event);
            if reason.is_some() || waiting.keys.contains(&key) {
                waiting.keys.insert(key.clone());
                plans.push((index, Plan::Park { key, reason }));
                continue;
            }
        }
        match plan(projection, event).await {
            Ok(mut changes) => {
                changes.want(store);
                plans.push((index, Plan::Fold(changes)));
            }
            Err(error) => {
                stopped = Some(blame(index, error)?);
                break;
            }
        }
    }
    store.still_waiting(waiting);
    store.load(db).await?;
    for (index, plan) in plans {
        match plan {
            Plan::Fold(changes) => {
                if let Err(error) = apply(changes, store) {
                    return blame(index, error);
                }
            }
            Plan::Park { key, reason } => {
                let (projection, event) = (projection.name(), &events[index]);
                let park = Park { projection, event, key: &key, error: reason };
                parked::park_in_tx(db, park).await?;
            }
        }
    }
    Ok(stopped.unwrap_or(Folded::Done))
}

/// What an event changes. A panic in a projection is the event's fault, like any other error it causes.
pub(crate) async fn plan(
    projection: &dyn Projection,
    event: &Recorded,
) -> Result<Changes, ProjectError> {
    event.check()?;
    let mut changes = Changes::default();
    let outcome = AssertUnwindSafe(projection.project(event, &mut changes)).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(panicked(&*panic))).map(|()| changes)
}

/// Does what an event changes, or nothing of it.
pub(crate) fn apply(changes: Changes, store: &mut Store) -> Result<(), ProjectError> {
    let outcome = catch_unwind(AssertUnwindSafe(|| changes.apply(store)));
    outcome.unwrap_or_else(|panic| {
        store.undo();
        Err(panicked(&*panic))
    })
}

fn panicked(panic: &(dyn Any + Send)) -> ProjectError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    ProjectError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
}

/// An event is blamed for what it caused; anything else passes and is the batch's trouble.
fn blame(index: usize, error: ProjectError) -> Result<Folded, EngineError> {
    match error {
        error if error.is_poison() => Ok(Folded::Poison { index, error: error.to_string() }),
        ProjectError::Database(error) => Err(error.into()),
        ProjectError::Event(error) => Err(error.into()),
        ProjectError::Inconsistent(error) | ProjectError::Panicked(error) => {
            Ok(Folded::Poison { index, error })
        }
    }
}

/// Where the rows stand after a fold: at the end of the batch, right before the event to blame, or nowhere new.
pub(crate) fn reached(folded: &Folded, Batch { events, until }: Batch<'_>) -> Option<i64> {
    match folded {
        Folded::Done => Some(until),
        Folded::Poison { index, .. } => Some(events[index.checked_sub(1)?].position),
        Folded::Elsewhere | Folded::Refused { .. } => None,
    }
}

/// Writes what a store holds, unless the database takes the rows for wrong.
pub(crate) async fn flush_in_tx(
    (db, store): (&mut PgConnection, &mut Store),
    folded: Folded,
) -> Result<Folded, EngineError> {
    judge(store.flush(db).await, folded)
}

/// The same of what the last loads did not ask for, which is then let go of.
pub(crate) async fn shed_in_tx(
    (db, store): (&mut PgConnection, &mut Store),
    loads: u32,
) -> Result<Folded, EngineError> {
    judge(store.shed(db, loads).await, Folded::Done)
}

/// Rows that the database takes for wrong are refused; anything else that it says is a fault.
fn judge(written: Result<(), sqlx::Error>, folded: Folded) -> Result<Folded, EngineError> {
    let Err(error) = written else { return Ok(folded) };
    match ProjectError::from(error) {
        error if error.is_poison() => Ok(Folded::Refused { error: error.to_string() }),
        ProjectError::Database(error) => Err(error.into()),
        other => Ok(Folded::Refused { error: other.to_string() }),
    }
}
