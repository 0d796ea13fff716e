//! `cairn-bench rebuild`: a log folded anew into balances and allocations, beside a bare scan of the same rows.
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cairn_cluster::Cluster;
use cairn_event_log::{EventLog, MIGRATOR};
use cairn_projections::compute::allocations::{self, Allocations};
use cairn_projections::ledger::balances::{self, Balances};
use cairn_projections::{Projection, Projector, Rebuild, RebuildProgress};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

use crate::mixed::{COLUMNS, Mixed};
use crate::stage::say;
use crate::{Failure, Output};

/// What to fold.
#[derive(Debug, clap::Args)]
pub struct RebuildArgs {
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Events of the longest log.
    #[arg(long, default_value_t = 5_000_000)]
    events: i64,
    /// Parts of it that are measured first, as divisors.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 4])]
    parts: Vec<i64>,
    /// Workers of each view.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Rows that each view holds in memory at most; fewer show with a short log what memory a long one needs.
    #[arg(long, default_value_t = Rebuild::default().rows_max)]
    rows: usize,
    /// Where a plot of time against length is written.
    #[arg(long)]
    pub plot: Option<PathBuf>,
    /// Where the cluster is made, to be removed afterwards; a directory on the disk that you want to measure.
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

/// One length of the log.
#[derive(Debug, Serialize)]
pub struct Length {
    pub events: i64,
    /// Rows of both views.
    pub rows: u64,
    /// Read in order by one statement, each payload decoded from JSON.
    pub scan_seconds: f64,
    /// Read, decoded, folded and written, by both views beside each other.
    pub fold_seconds: f64,
    /// The same, compared with the rows that are read and exchanged.
    pub rebuild_seconds: f64,
    /// Most memory that this process held while it rebuilt.
    pub peak_memory_bytes: Option<u64>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Rebuilds {
    pub server: String,
    pub workers: usize,
    pub rows_max: usize,
    pub payload_bytes: f64,
    pub lengths: Vec<Length>,
}

pub async fn run(cluster: &Cluster, args: &RebuildArgs) -> Result<Rebuilds, Failure> {
    cluster.create_database("rebuild")?;
    let options = PgConnectOptions::from_str(&cluster.url("rebuild"))?;
    let owner = PgPoolOptions::new().max_connections(2).connect_with(options.clone()).await?;
    MIGRATOR.run(&owner).await?;
    let (mut mixed, mut lengths, mut there) = (Mixed::new(), vec![], 0);
    let parts = args.parts.iter().map(|part| args.events / part.max(&1));
    for events in parts.chain([args.events]) {
        write(&owner, &mut mixed, (there, events)).await?;
        there = events;
        say(&format!("{events} events"));
        let scan_seconds = scan(&owner, events).await?;
        let log = EventLog::connect(options.clone(), 8).await?;
        let length = rebuild(&owner, &log, (events, scan_seconds), args).await?;
        log.close().await;
        lengths.push(length);
    }
    let bytes = "SELECT avg(length(payload::text))::float8 FROM events WHERE position <= 10000";
    let payload_bytes = sqlx::query_scalar(bytes).fetch_one(&owner).await?;
    let server = sqlx::query_scalar("SHOW server_version").fetch_one(&owner).await?;
    owner.close().await;
    let (workers, rows_max) = (args.workers, args.rows);
    Ok(Rebuilds { server, workers, rows_max, payload_bytes, lengths })
}

/// Makes the log longer. The events go straight into the table of this private cluster, as an append would have put them.
async fn write(owner: &PgPool, mixed: &mut Mixed, (from, to): (i64, i64)) -> Result<(), Failure> {
    const CHUNK: i64 = 20_000;
    say(&format!("writing events up to {to}"));
    let mut at = from;
    while at < to {
        let count = CHUNK.min(to - at);
        let lines = mixed.lines(count)?;
        let mut db = owner.acquire().await?;
        let mut copy = db.copy_in_raw(&format!("COPY events ({COLUMNS}) FROM STDIN")).await?;
        copy.send(lines.into_bytes()).await?;
        copy.finish().await?;
        at += count;
    }
    let head = "UPDATE log_head SET position = $1, recorded_at = now()";
    sqlx::query(head).bind(to).execute(owner).await?;
    for settle in ["VACUUM (ANALYZE) events", "CHECKPOINT"] {
        owner.execute(settle).await?;
    }
    Ok(())
}

/// What any reader that keeps the order must do.
async fn scan(owner: &PgPool, events: i64) -> Result<f64, Failure> {
    let started = Instant::now();
    let rows =
        "SELECT position, event_type, payload FROM events WHERE position > 0 ORDER BY position";
    let mut rows = sqlx::query_as::<_, (i64, String, Value)>(rows).fetch(owner);
    let mut last = 0;
    while let Some((position, event_type, payload)) = rows.try_next().await? {
        if payload.get("type").and_then(Value::as_str) != Some(&event_type) {
            return Err(format!("position {position} does not say what it is").into());
        }
        last = position;
    }
    if last != events {
        return Err(format!("the scan ended at {last} instead of {events}").into());
    }
    Ok(started.elapsed().as_secs_f64())
}

async fn rebuild(
    owner: &PgPool,
    log: &EventLog,
    (events, scan_seconds): (i64, f64),
    args: &RebuildArgs,
) -> Result<Length, Failure> {
    let views: [&dyn Projection; 2] = [&Balances, &Allocations];
    for table in views.iter().flat_map(|view| view.tables()).chain(&["projection_checkpoints"]) {
        owner.execute(format!("TRUNCATE {table}").as_str()).await?;
    }
    let projector = Projector::new(log.clone(), vec![Box::new(Balances), Box::new(Allocations)]);
    let started = Instant::now();
    let options = |reached: &Arc<OnceLock<Duration>>| {
        let reached = Arc::clone(reached);
        let progress = Arc::new(move |at: RebuildProgress| {
            if at.position >= events {
                reached.get_or_init(|| started.elapsed());
            }
        });
        let (workers, rows_max, keep) = (args.workers, args.rows, Duration::ZERO);
        Rebuild { workers, rows_max, anew: true, keep, progress, ..Rebuild::default() }
    };
    let reached = [Arc::new(OnceLock::new()), Arc::new(OnceLock::new())];
    forget_peak();
    let (first, second) = (options(&reached[0]), options(&reached[1]));
    let views = [(balances::NAME, first), (allocations::NAME, second)];
    let views = views.into_iter().map(|(name, options)| (name.to_owned(), options));
    let rebuilt = projector.rebuild_all(views.collect()).await;
    let rebuilt = rebuilt.into_iter().collect::<Result<Vec<_>, _>>()?;
    let rebuild_seconds = started.elapsed().as_secs_f64();
    let peak_memory_bytes = peak();
    for rebuilt in &rebuilt {
        if rebuilt.position != events || rebuilt.parked > 0 || rebuilt.rows == 0 {
            return Err(format!("not what was to be measured: {rebuilt:?}").into());
        }
    }
    let folded = reached.iter().filter_map(|reached| reached.get()).max();
    let fold_seconds = folded.ok_or("no end was told")?.as_secs_f64();
    let rows = rebuilt.iter().map(|rebuilt| rebuilt.rows).sum();
    Ok(Length { events, rows, scan_seconds, fold_seconds, rebuild_seconds, peak_memory_bytes })
}

/// The high-water mark of this process begins again from what it holds now.
fn forget_peak() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The high-water mark of this process, where the system tells it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// Draws time against length.
pub fn plot(rebuilds: &Rebuilds, to: &Path) -> Result<(), Failure> {
    let series = |name, seconds: fn(&Length) -> f64| {
        #[allow(clippy::cast_precision_loss, reason = "lengths of a plot")]
        let points = rebuilds.lengths.iter().map(|length| (length.events as f64, seconds(length)));
        (name, points.collect())
    };
    let svg = cairn_replay_tests::plot::lines(
        "Rebuilding balances and allocations",
        "events in the log",
        "seconds",
        &[
            series("rebuild, exchange included", |length| length.rebuild_seconds),
            series("read, fold and write", |length| length.fold_seconds),
            series("bare ordered scan", |length| length.scan_seconds),
        ],
        false,
    )?;
    Ok(std::fs::write(to, svg)?)
}
