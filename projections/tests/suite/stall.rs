//! A projector that stands still begins again, and one that was paused finds that its time is over.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_projections::engine::{Changes, Interest};
use cairn_projections::ledger::statement::{self, Statement};
use cairn_projections::{ProjectError, Projection};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::world::{PATIENCE, Running, World, organisation, until};

/// A statement that waits at one position, a number of times, until it is let through.
struct Gated {
    position: i64,
    waits: u32,
    reached: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Projection for Gated {
    fn name(&self) -> &'static str {
        statement::NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        Statement.tables()
    }

    fn interest(&self) -> Interest {
        Statement.interest()
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        if event.position == self.position
            && self.reached.fetch_add(1, Ordering::Relaxed) < self.waits
        {
            drop(self.gate.acquire().await);
        }
        Statement.project(event, changes).await
    }
}

fn gated(position: i64, waits: u32) -> (Gated, Arc<AtomicU32>, Arc<Semaphore>) {
    let (reached, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let gated = Gated { position, waits, reached: Arc::clone(&reached), gate: Arc::clone(&gate) };
    (gated, reached, gate)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_projector_that_stands_still_begins_again_and_loses_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..20 {
        world.top_up(organisation(1), number, 1).await;
    }
    let (hangs, reached, _closed) = gated(7, 2);
    let projector = world.projector(vec![Box::new(hangs)]).with_batch(5);
    let projector = projector.with_stall_limit(Duration::from_millis(200));
    let running = Running::start(&projector);
    projector.wait_for(20, PATIENCE).await.unwrap();
    assert_eq!(reached.load(Ordering::Relaxed), 3, "it hung twice, and went through then");
    running.stop().await;
    let projector = world.projector(vec![Box::new(Statement)]);
    let verified = projector.verify(statement::NAME).await.unwrap();
    assert!(verified.identical && verified.tables[0].rows == 20, "{verified:?}");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paused_holder_whose_lease_was_taken_over_writes_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..20 {
        world.top_up(organisation(1), number, 1).await;
    }
    let (pauses, reached, gate) = gated(7, 1);
    let paused = Running::start(&world.projector(vec![Box::new(pauses)]).with_batch(5));
    until(async || reached.load(Ordering::Relaxed) == 1).await;
    let other = world.projector(vec![Box::new(Statement)]).with_batch(5);
    let others = Running::start(&other);
    let held = other.wait_for(20, Duration::from_millis(200)).await;
    assert!(held.is_err(), "two projected at once");
    // As the server does with a transaction that stands idle for too long.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'
        AND query LIKE '%FROM projection_parked%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(end).fetch_one(&world.pool).await.unwrap(), 1);
    other.wait_for(20, PATIENCE).await.unwrap();
    let digest = other.digest(statement::NAME).await.unwrap();
    gate.add_permits(1);
    until(async || gate.available_permits() == 1).await;
    paused.stop().await;
    others.stop().await;
    assert_eq!(digest.rows, 20);
    assert_eq!(other.digest(statement::NAME).await.unwrap(), digest);
    assert!(other.verify(statement::NAME).await.unwrap().identical);
    world.close().await;
}
