//! Folding a stretch of the log into the generation that is being built: several workers fold beside each other.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::feed::Page;
use super::generation::Building;
use super::reading::Reading;
use super::rebuild::{Rebuild, RebuildProgress};
use super::worker::{Share, Worker};
use super::{EngineError, Projection};

/// Pages that are dealt ahead of a worker.
const AHEAD: usize = 4;
/// A stretch ends here at the latest, so that little is lost when the rebuild is killed, and whoever watches it sees it move.
const STRETCH: Duration = Duration::from_secs(5);

/// Folds one more stretch. Each worker has its own keys, connection and checkpoint; whoever was ahead when an earlier rebuild
/// was killed skips what it has.
pub(crate) async fn step(
    reading: &mut Reading<'_>,
    projection: &Arc<dyn Projection>,
    (building, head): (&mut Building, i64),
    (batch, rows_max): (i64, usize),
) -> Result<(), EngineError> {
    let after = building.position();
    let until = head.min(after + batch * i64::try_from(building.workers.len()).unwrap_or(1));
    let rows_max = rows_max / building.workers.len().max(1);
    let careful = after < building.careful_until;
    let (mut shares, mut work) = (vec![], JoinSet::new());
    let hands = std::mem::take(&mut building.hands);
    for (index, hand) in hands.into_iter().enumerate() {
        let (share, rx) = mpsc::channel(AHEAD);
        let (log, projection) = (reading.log.clone(), Arc::clone(projection));
        let position = building.workers[index];
        let worker = Worker { log, projection, index, position, hand, rows_max, careful };
        work.spawn(async move { (index, worker.work(rx).await) });
        shares.push(share);
    }
    let mut folded: Vec<_> = building.workers.iter().map(|_| None).collect();
    let deal = deal(reading, &**projection, (after, until), shares);
    let gather = async {
        while let Some(ended) = work.join_next().await {
            let (index, worked) = ended.map_err(stopped)?;
            folded[index] = Some(worked);
        }
        Ok::<_, EngineError>(())
    };
    let (dealt, gathered) = tokio::join!(deal, gather);
    gathered?;
    for (position, worked) in building.workers.iter_mut().zip(folded.into_iter().flatten()) {
        let worked = worked?;
        *position = worked.position;
        building.hands.push(worked.hand);
        if worked.refused {
            building.careful_until = until;
        }
    }
    dealt
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn stopped(error: JoinError) -> EngineError {
    EngineError::Stopped(error.to_string())
}

/// Gives each worker its share of a stretch, page by page. A worker that is gone says itself why.
async fn deal(
    reading: &mut Reading<'_>,
    projection: &dyn Projection,
    (mut after, until): (i64, i64),
    workers: Vec<mpsc::Sender<Share>>,
) -> Result<(), EngineError> {
    let since = Instant::now();
    while after < until && since.elapsed() < STRETCH {
        let page = reading.page(projection, (after, until)).await?;
        after = page.until.min(until);
        let mine = shares(reading, projection, &page, workers.len());
        for (worker, events) in workers.iter().zip(mine) {
            let share = Share { page: Arc::clone(&page), events, until: after };
            if worker.send(share).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Events of one key go to one worker, in order. The same key has the same worker in every run of the same program.
fn shares(
    reading: &Reading<'_>,
    projection: &dyn Projection,
    page: &Page,
    workers: usize,
) -> Vec<Vec<usize>> {
    let mut shares = vec![vec![]; workers];
    for (index, event) in page.events.iter().enumerate() {
        if !reading.seat.wants(event) {
            continue;
        }
        let alone = workers <= 1;
        let share = if alone { 0 } else { share_of(&projection.key(event), workers) };
        shares[share].push(index);
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
