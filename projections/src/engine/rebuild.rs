//! Rebuilding a view from the log while it is read.
//!
//! A generation of rows is built beside the live one and remembers how far it is, so that a rebuild that was killed goes on
//! where it was. Then one transaction takes the lease, folds what is missing up to where the live rows stand, and exchanges
//! what differs: readers see the old rows until it commits and the new ones after, and the position never goes back.
use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::EventLog;
use futures::future::join_all;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::build::{self, Pace};
use super::feed::Feed;
use super::generation::{self, Building};
use super::preflight::Preflight;
use super::reading::{Reading, look_ahead};
use super::swap;
use super::verify::TableComparison;
use super::{EngineError, Projection, checkpoint, scratch};

/// How long the rows that a rebuild replaced go on following the log.
pub(crate) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RebuildProgress {
    /// Folded so far.
    pub position: i64,
    /// Where the log ended when last looked at.
    pub head: i64,
    /// Positions of the log per second, since this rebuild began.
    pub events_per_second: f64,
    /// Seconds to the head at this rate, when there is one.
    pub eta_seconds: Option<f64>,
}

/// How to rebuild.
#[derive(Clone)]
pub struct Rebuild {
    /// Positions that each worker folds in one transaction, if it does not take seconds.
    pub batch: i64,
    /// Rows that all workers together hold in memory at most before they write some and let go of them. This, not the length of the
    /// log, bounds memory.
    pub rows_max: usize,
    /// Connections that fold beside each other, where the view allows it.
    pub workers: usize,
    /// At most so many events per second; `None` is as many as there can be.
    pub events_per_second_max: Option<u32>,
    /// Builds and compares, and leaves the live rows as they are.
    pub dry_run: bool,
    /// Drops what an earlier rebuild left instead of going on with it.
    pub anew: bool,
    /// How long the replaced rows go on following the log; zero drops them at once.
    pub keep: Duration,
    /// Stops it between batches; what is built stays, and the next rebuild goes on with it.
    pub token: CancellationToken,
    /// Told what does not decode, before the first of it is folded; when all does, at the end.
    pub preflight: Arc<dyn Fn(&Preflight) + Send + Sync>,
    /// Stops when something does not decode, before anything is folded; otherwise it is parked with what is about the same.
    pub strict: bool,
    /// Told after every batch.
    pub progress: Arc<dyn Fn(RebuildProgress) + Send + Sync>,
}

impl Default for Rebuild {
    fn default() -> Self {
        Self {
            batch: 1_000_000,
            rows_max: 50_000,
            workers: 1,
            events_per_second_max: None,
            dry_run: false,
            anew: false,
            keep: KEEP,
            token: CancellationToken::new(),
            preflight: Arc::new(|_| ()),
            strict: false,
            progress: Arc::new(|_| ()),
        }
    }
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The projection.
    pub name: String,
    /// Version of the new rows.
    pub version: i32,
    /// Where the new rows stand in the log.
    pub position: i64,
    /// Where an earlier rebuild had left off, when this one went on with it.
    pub resumed_from: Option<i64>,
    /// Rows of the view as built, over all its tables.
    pub rows: u64,
    /// Rows that the live view had otherwise, had not, or had too many.
    pub differing: u64,
    /// Per table, after a dry run.
    pub tables: Vec<TableComparison>,
    /// Whether the new rows are read now; `false` after a dry run.
    pub swapped: bool,
    /// Events parked by the rebuild.
    pub parked: u64,
    /// What did not decode.
    pub preflight: Preflight,
}

/// Folds views anew beside each other, by one reading of the log. What becomes of each is its own: one that fails holds up no other.
pub(crate) async fn rebuild(
    log: &EventLog,
    views: Vec<(Arc<dyn Projection>, Rebuild)>,
) -> Vec<Result<Rebuilt, EngineError>> {
    let begun = views.iter().map(|(projection, options)| begin(log, &**projection, options));
    let begun = join_all(begun).await;
    let (mut feed, mut work) = (Feed::default(), JoinSet::new());
    let mut done: Vec<_> = views.iter().map(|_| None).collect();
    for (index, ((projection, options), begun)) in views.into_iter().zip(begun).enumerate() {
        match begun {
            Ok(begun) => {
                let seat = feed.seat(log, &*projection, begun.building.position());
                let log = log.clone();
                work.spawn(async move {
                    let (name, Begun { lock, building, told }) = (projection.name(), begun);
                    let reading = Reading { log, seat, options: &options, told };
                    let rebuilt = build_and_swap(&projection, reading, building).await;
                    release(lock, name).await;
                    (index, rebuilt)
                });
            }
            Err(error) => done[index] = Some(Err(error)),
        }
    }
    let reader = feed.begin(log);
    let mut stopped = None;
    while let Some(ended) = work.join_next().await {
        match ended {
            Ok((index, rebuilt)) => done[index] = Some(rebuilt),
            Err(error) => stopped = Some(error.to_string()),
        }
    }
    drop(reader);
    let lost = || EngineError::Stopped(stopped.clone().unwrap_or_default());
    done.into_iter().map(|done| done.unwrap_or_else(|| Err(lost()))).collect()
}

/// A rebuild that may go on: nobody else rebuilds the view, and there is a generation to fold into.
struct Begun {
    lock: PgConnection,
    building: Building,
    told: Option<Preflight>,
}

async fn begin(
    log: &EventLog,
    projection: &dyn Projection,
    options: &Rebuild,
) -> Result<Begun, EngineError> {
    let name = projection.name();
    let stored = checkpoint::read_or_create(log.pool(), projection).await?;
    let known = projection.version();
    if stored.version > known {
        return Err(EngineError::Newer { name: name.to_owned(), stored: stored.version, known });
    }
    let lock = claim(log, name).await?;
    tracing::info!(projection = name, version = known, "rebuild begins");
    match open(log, projection, options).await {
        Ok((building, told)) => Ok(Begun { lock, building, told }),
        Err(error) => {
            release(lock, name).await;
            Err(error)
        }
    }
}

/// The generation to fold into. What does not decode is told before it is made when somebody would stop for it, and when some of the log
/// was folded by a rebuild before.
async fn open(
    log: &EventLog,
    projection: &dyn Projection,
    options: &Rebuild,
) -> Result<(Building, Option<Preflight>), EngineError> {
    let mut told = None;
    if options.strict {
        told = Some(look_ahead(log, projection, 0, options).await?);
    }
    let workers = if projection.splits_by_key() { options.workers.max(1) } else { 1 };
    let anew = options.anew || options.dry_run;
    let building = generation::open(log, projection, workers, anew).await?;
    if told.is_none() && building.resumed {
        told = Some(look_ahead(log, projection, 0, options).await?);
    }
    Ok((building, told))
}

/// The lock ends with its connection, but the server may take a moment to notice.
pub(crate) async fn release(mut lock: PgConnection, name: &str) {
    let unlock = sqlx::query!("SELECT pg_advisory_unlock_all() AS unlocked");
    if let Err(error) = unlock.fetch_one(&mut lock).await {
        tracing::debug!(projection = name, %error, "the lock of the rebuild goes with its connection");
    }
    drop(lock.close().await);
}

/// The right to rebuild or to roll back a view, for as long as the connection lives.
pub(crate) async fn claim(log: &EventLog, name: &str) -> Result<PgConnection, EngineError> {
    let mut lock = scratch::connect(log).await?;
    let free = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('cairn rebuild ' || $1, 0)) AS "free!""#,
        name,
    );
    if free.fetch_one(&mut lock).await? {
        Ok(lock)
    } else {
        Err(EngineError::AlreadyRebuilding(name.to_owned()))
    }
}

async fn build_and_swap(
    projection: &Arc<dyn Projection>,
    mut reading: Reading<'_>,
    mut building: Building,
) -> Result<Rebuilt, EngineError> {
    let (log, options) = (reading.log.clone(), reading.options);
    let resumed_from = building.resumed.then(|| building.position());
    let mut pace = Pace::begin(building.position(), options);
    catch_up(&mut reading, projection, &mut building, &mut pace).await?;
    swap::settle(&log, &**projection).await?;
    // What came while the tables were looked over is folded by all workers, and the little that is left under the lease.
    catch_up(&mut reading, projection, &mut building, &mut pace).await?;
    building.hands.clear();
    let preflight = reading.done();
    let mut rebuilt = if options.dry_run {
        swap::compare(&log, &**projection, &building, options).await?
    } else {
        swap::swap(&log, &**projection, &building, options).await?
    };
    (rebuilt.resumed_from, rebuilt.preflight) = (resumed_from, preflight);
    pace.tell(rebuilt.position, rebuilt.position);
    let (name, position, rows) = (projection.name(), rebuilt.position, rebuilt.rows);
    let swapped = rebuilt.swapped;
    tracing::info!(projection = name, position, rows, swapped, "rebuilt");
    Ok(rebuilt)
}

async fn catch_up(
    reading: &mut Reading<'_>,
    projection: &Arc<dyn Projection>,
    building: &mut Building,
    pace: &mut Pace<'_>,
) -> Result<(), EngineError> {
    let log = &reading.log;
    let head = if pace.options.dry_run {
        // Compared at the place of the live rows, which only grows.
        let live = checkpoint::read(log.pool(), projection.name()).await?;
        live.map_or(0, |live| live.position)
    } else {
        log.head().await?
    };
    // A bridled rebuild takes a second's worth at a time.
    let most = pace.options.events_per_second_max.map_or(i64::MAX, |most| i64::from(most.max(1)));
    let batch = pace.options.batch.clamp(1, most);
    while building.position() < head {
        build::step(reading, projection, (building, head), (batch, pace.options.rows_max)).await?;
        pace.tell(building.position(), head);
        if pace.options.token.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        pace.hold_back(building.position()).await;
    }
    Ok(())
}
