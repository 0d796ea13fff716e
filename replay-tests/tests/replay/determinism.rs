//! The same log gives the same rows, to the byte: whatever the size of a batch, however many fold, and wherever they are stopped.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::replay::verify;
use cairn_event_log::{EventLog, Recorded};
use cairn_projections::engine::{Changes, Interest};
use cairn_projections::{ProjectError, Projection, Projector};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::log::{replayed, retold};

const PATIENCE: Duration = Duration::from_secs(300);
const INTERRUPTIONS: usize = 50;

/// Lets the views follow the log up to a position.
pub async fn folded(projector: &Projector, position: i64) {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (following, token) = (projector.clone(), stop.clone());
    tasks.spawn(async move { following.run(token).await });
    projector.wait_for(position, PATIENCE).await.unwrap();
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}

/// The digest of every view, in the order of their names.
pub async fn digests(projector: &Projector) -> Vec<(&'static str, i64, u64, String)> {
    let mut digests = vec![];
    for name in projector.names() {
        let digest = projector.digest(name).await.unwrap();
        digests.push((name, digest.position, digest.rows, digest.sha256));
    }
    digests
}

/// Takes every view back to its beginning.
pub async fn forget(pool: &PgPool) {
    for projection in cairn_projections::all() {
        let tables = projection.tables().join(", ");
        sqlx::query(&format!("TRUNCATE {tables}")).execute(pool).await.unwrap();
    }
    sqlx::query("TRUNCATE projection_checkpoints, projection_parked").execute(pool).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn neither_batches_nor_workers_show_in_a_view(pool: PgPool) {
    let report = retold(&pool).await;
    let views = || Projector::new(EventLog::over(pool.clone()), cairn_projections::all());
    folded(&views(), report.events).await;
    let expected = digests(&views()).await;
    assert!(expected.iter().all(|(_, _, rows, _)| *rows > 0), "every view has rows: {expected:?}");
    let parked: Vec<String> = sqlx::query_scalar(
        "SELECT projection || ' ' || position || ': ' || error FROM projection_parked",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(parked, [""; 0], "every view takes every event");
    for (batch, workers) in [(1, 1), (7, 1), (1_000, 1), (1, 3), (7, 3)] {
        forget(&pool).await;
        assert_ne!(digests(&views()).await, expected, "what was folded before is gone");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let (worker, token) = (views().with_batch(batch), stop.clone());
            tasks.spawn(async move { worker.run(token).await });
        }
        views().wait_for(report.events, PATIENCE).await.unwrap();
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        assert_eq!(digests(&views()).await, expected, "batches of {batch}, {workers} workers");
    }
    assert_eq!(verify(&pool).await.unwrap(), report);
}

/// Stops everything at the n-th event that any view folds, in the middle of its transaction.
#[derive(Default)]
struct Fuse {
    left: AtomicI64,
    burnt: AtomicBool,
    blown: Notify,
}

struct Fused(Box<dyn Projection>, Arc<Fuse>);

#[async_trait]
impl Projection for Fused {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> i32 {
        self.0.version()
    }

    fn tables(&self) -> &'static [&'static str] {
        self.0.tables()
    }

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn key(&self, event: &Recorded) -> String {
        self.0.key(event)
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        self.0.project(event, changes).await?;
        if self.1.left.fetch_sub(1, Ordering::SeqCst) <= 1 {
            self.1.burnt.store(true, Ordering::SeqCst);
            self.1.blown.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Rows of the views and their checkpoints, as they are committed.
async fn checkpoints(pool: &PgPool) -> Vec<(String, i64)> {
    let rows = "SELECT name, position FROM projection_checkpoints ORDER BY name";
    sqlx::query_as(rows).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn fifty_interruptions_in_the_middle_of_a_transaction_leave_no_trace(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    let report = replayed(&pool).await;
    // Connections whose `begin` was interrupted are not used again in a pool of ours; in another they would be.
    let log = EventLog::connect(options, 4).await.unwrap();
    let plain = Projector::new(log.clone(), cairn_projections::all());
    folded(&plain, report.events).await;
    let expected = digests(&plain).await;
    forget(&pool).await;
    let mut seeded = Seeded(20_261_127);
    let mut bitten = 0;
    while bitten < INTERRUPTIONS {
        let fuse = Arc::new(Fuse::default());
        let events = i64::try_from(1 + seeded.below(40)).unwrap();
        fuse.left.store(events, Ordering::SeqCst);
        let batch = i64::try_from(1 + seeded.below(20)).unwrap();
        let fused = cairn_projections::all().into_iter();
        let fused = fused.map(|view| Box::new(Fused(view, Arc::clone(&fuse))) as _).collect();
        let projector = Projector::new(log.clone(), fused).with_batch(batch);
        let mut tasks = JoinSet::new();
        let (following, token) = (projector.clone(), CancellationToken::new());
        tasks.spawn(async move { following.run(token).await });
        tokio::select! {
            () = fuse.blown.notified() => {}
            reached = projector.wait_for(report.events, PATIENCE) => drop(reached.unwrap()),
        }
        tasks.shutdown().await;
        drop(projector);
        if fuse.burnt.load(Ordering::SeqCst) {
            let behind = checkpoints(&pool).await.iter().any(|(_, at)| *at < report.events);
            assert!(behind, "who was stopped had not committed the last event of the log");
            bitten += 1;
        } else {
            assert_eq!(digests(&plain).await, expected, "after {bitten} interruptions");
            forget(&pool).await;
        }
    }
    folded(&plain, report.events).await;
    assert_eq!(bitten, INTERRUPTIONS);
    assert_eq!(digests(&plain).await, expected, "0 differing bytes");
    log.pool().close().await;
}
