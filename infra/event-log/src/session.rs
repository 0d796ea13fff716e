//! A connection that one task keeps between its statements, each of which commits by itself.
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::LogError;
use crate::pool::{PATIENCE, in_time, ping};

/// A connection used this recently is not asked whether it is alive.
const FRESH: Duration = Duration::from_millis(500);

/// The connections that a task has at hand.
#[derive(Debug)]
pub(crate) struct Session {
    pool: PgPool,
    limit: Duration,
    idle: Vec<(PoolConnection<Postgres>, Instant)>,
}

impl Session {
    /// Its statements are lost after `limit`.
    pub(crate) const fn new(pool: PgPool, limit: Duration) -> Self {
        Self { pool, limit, idle: vec![] }
    }

    /// The answer to a statement, or an error when there is none for too long.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        in_time(self.limit, answer).await
    }

    /// One of before that is still alive, else a new one. Drop it after an error, else [`Session::keep`] it.
    ///
    /// A server that went away in the meantime would otherwise leave the first statement in doubt.
    pub(crate) async fn connect(&mut self) -> Result<PoolConnection<Postgres>, LogError> {
        while let Some((mut connection, used_at)) = self.idle.pop() {
            if used_at.elapsed() < FRESH || ping(&mut connection).await.is_ok() {
                return Ok(connection);
            }
            drop(connection.detach());
        }
        match tokio::time::timeout(PATIENCE, self.pool.acquire()).await {
            Ok(connection) => connection.map_err(|error| LogError::reading(&error)),
            Err(_) => Err(LogError::Unavailable("no connection in time".to_owned())),
        }
    }

    /// Takes a connection back.
    pub(crate) fn keep(&mut self, connection: PoolConnection<Postgres>) {
        self.idle.push((connection, Instant::now()));
    }
}
