//! Time and ids, set by hand.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cairn_commands::ports::{Clock, IdSource};
use cairn_core::Timestamp;
use cairn_core::id::time_ordered;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// How long anything may take in real time.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Moves on to an instant; never back.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.fetch_max(at.as_micros(), Ordering::SeqCst);
    }

    pub fn advance_secs(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Counts.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self) -> u128 {
        time_ordered(1_800_000_000_000, u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

/// Whoever may do what the application may not.
pub fn owner(database: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect_lazy_with(database.clone())
}

/// What is recorded from now on is recorded then, so that deadlines are of the story's time: the head of the log takes the later of this and
/// the database's clock. Only its owner may say so.
pub async fn recorded_from(pool: &PgPool, at: Timestamp) {
    say(pool, RECORDED_FROM, at.as_micros()).await;
}

/// Whoever had them is dead: as when their time had gone by.
pub async fn leases_are_over(pool: &PgPool) {
    for table in [OVER_INTENTS, OVER_MANAGERS] {
        say(pool, table, 1).await;
    }
}

/// Says it again while the database is not there.
async fn say(pool: &PgPool, statement: &'static str, micros: i64) {
    let patience = Instant::now() + PATIENCE;
    while let Err(error) = sqlx::query(statement).bind(micros).execute(pool).await {
        assert!(Instant::now() < patience, "{error}");
    }
}

const RECORDED_FROM: &str = "
UPDATE log_head SET recorded_at = greatest(recorded_at, 'epoch'::timestamptz + $1::bigint * interval '1 microsecond')";

const OVER_INTENTS: &str = "
UPDATE process_intents SET lease_until = clock_timestamp() - $1::bigint * interval '1 microsecond' WHERE status = 'leased'";

const OVER_MANAGERS: &str = "
UPDATE process_checkpoints SET lease_until = clock_timestamp() - $1::bigint * interval '1 microsecond' WHERE lease_until IS NOT NULL";
