//! Folding a stretch of the log into the generation that is being built, by several workers beside each other.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cairn_event_log::{EventLog, Recorded};
use futures::future::try_join_all;
use tokio::time::Instant;

use super::advance::{Batch, advance};
use super::checkpoint::Checkpoint;
use super::generation::{Building, worker};
use super::rebuild::{Rebuild, RebuildProgress};
use super::room::Room;
use super::rows::Rows;
use super::{EngineError, Projection};

/// Folds one more stretch. Each worker has its own keys, connection and checkpoint; whoever was ahead when an earlier rebuild
/// was killed skips what it has.
pub(crate) async fn step(
    log: &EventLog,
    projection: &Arc<dyn Projection>,
    (building, head): (&mut Building, i64),
    batch: i64,
) -> Result<(), EngineError> {
    let after = building.position();
    let count = building.workers.len();
    let until = head.min(after + batch * i64::try_from(count).unwrap_or(1));
    let types = projection.interest().types();
    let events = log.read_types((after, until), types.as_deref()).await?;
    let shares = shares(&**projection, events, count);
    let folds = shares.into_iter().zip(&mut building.workers).enumerate();
    let folds = folds.map(|(index, (events, position))| {
        let (log, name) = (log.clone(), worker(projection.name(), index));
        async move {
            let first = events.partition_point(|event| event.position <= *position);
            let version = projection.version();
            let checkpoint = Checkpoint { version, position: *position };
            if *position >= until {
                return Ok(());
            }
            let mut rows = Rows { log, room: Room::Building, name, checkpoint };
            let batch = Batch { events: &events[first..], until };
            if !advance(&mut rows, &**projection, batch).await? {
                return Err(EngineError::TakenOver(projection.name().to_owned()));
            }
            *position = until;
            Ok(())
        }
    });
    try_join_all(folds).await.map(drop)
}

/// Events of one key go to one worker, in order. The same key has the same worker in every run of the same program.
fn shares(
    projection: &dyn Projection,
    events: Vec<Recorded>,
    workers: usize,
) -> Vec<Vec<Recorded>> {
    if workers <= 1 {
        return vec![events];
    }
    let mut shares: Vec<Vec<Recorded>> = (0..workers).map(|_| vec![]).collect();
    for event in events {
        let share = share_of(&projection.key(&event), workers);
        shares[share].push(event);
    }
    shares
}

/// Which of so many shares a key falls into.
pub(crate) fn share_of(key: &str, shares: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let shares = u64::try_from(shares.max(1)).unwrap_or(1);
    usize::try_from(hasher.finish() % shares).unwrap_or(0)
}

/// How fast a rebuild goes, how fast it may, and who is told.
pub(crate) struct Pace<'o> {
    pub options: &'o Rebuild,
    since: Instant,
    from: i64,
}

impl<'o> Pace<'o> {
    pub(crate) fn begin(from: i64, options: &'o Rebuild) -> Self {
        Self { options, since: Instant::now(), from }
    }

    pub(crate) fn tell(&self, position: i64, head: i64) {
        let count = |events: i64| f64::from(i32::try_from(events).unwrap_or(i32::MAX));
        let seconds = self.since.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { count(position - self.from) / seconds } else { 0.0 };
        let eta_seconds = (rate > 0.0).then(|| count((head - position).max(0)) / rate);
        (self.options.progress)(RebuildProgress {
            position,
            head: head.max(position),
            events_per_second: rate,
            eta_seconds,
        });
    }

    /// Waits until so many events were allowed, or until it is cancelled.
    pub(crate) async fn hold_back(&self, position: i64) {
        let Some(most) = self.options.events_per_second_max else { return };
        let folded = u32::try_from(position - self.from).unwrap_or(u32::MAX);
        let due = self.since
            + std::time::Duration::from_secs_f64(f64::from(folded) / f64::from(most.max(1)));
        tokio::select! {
            () = self.options.token.cancelled() => {}
            () = tokio::time::sleep_until(due) => {}
        }
    }
}
