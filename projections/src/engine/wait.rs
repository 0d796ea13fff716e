//! Waiting until views have caught up with a position, whichever process folds them.
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::EngineError;

const POLL: Duration = Duration::from_millis(50);

/// Why a wait ended without the position.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// It took too long.
    #[error("the views are at position {reached}, not yet at {wanted}")]
    TimedOut {
        /// Where the slowest view is.
        reached: i64,
        /// What was asked for.
        wanted: i64,
    },
    /// It could not be found out.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What to wait for.
pub(crate) struct Wait<'a> {
    pub names: Vec<String>,
    pub position: i64,
    pub within: Duration,
    /// Changes when this process commits a batch.
    pub moved: watch::Receiver<u64>,
    pub pool: &'a PgPool,
}

/// The position of the slowest view, once it is at least the one asked for.
pub(crate) async fn wait_for(mut wait: Wait<'_>) -> Result<i64, WaitError> {
    let deadline = Instant::now() + wait.within;
    let mut reached = 0;
    loop {
        wait.moved.borrow_and_update();
        match timeout_at(deadline, slowest(wait.pool, &wait.names)).await {
            Ok(position) => reached = position?,
            Err(_) => return Err(WaitError::TimedOut { reached, wanted: wait.position }),
        }
        if reached >= wait.position {
            return Ok(reached);
        }
        if Instant::now() >= deadline {
            return Err(WaitError::TimedOut { reached, wanted: wait.position });
        }
        let pause = POLL.min(deadline - Instant::now());
        if let Ok(Err(_)) = timeout(pause, wait.moved.changed()).await {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Where the slowest of some views is; 0 when one has not begun.
pub(crate) async fn slowest(pool: &PgPool, names: &[String]) -> Result<i64, EngineError> {
    let slowest = sqlx::query_scalar!(
        r#"SELECT coalesce(min(coalesce(c.position, 0)), 0) AS "position!"
           FROM unnest($1::text[]) AS wanted (name) LEFT JOIN projection_checkpoints c USING (name)"#,
        names
    );
    Ok(slowest.fetch_one(pool).await?)
}
