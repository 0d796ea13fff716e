//! A connection that one task keeps between its statements, each of which commits by itself.
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres};

use crate::LogError;
use crate::pool::PATIENCE;

/// A connection used this recently is not asked whether it is alive.
const FRESH: Duration = Duration::from_millis(500);

/// The connections that a task has at hand.
#[derive(Debug)]
pub(crate) struct Session {
    pool: PgPool,
    idle: Vec<(PoolConnection<Postgres>, Instant)>,
}

impl Session {
    pub(crate) const fn new(pool: PgPool) -> Self {
        Self { pool, idle: vec![] }
    }

    /// One of before that is still alive, else a new one. Drop it after an error, else [`Session::keep`] it.
    ///
    /// A server that went away in the meantime would otherwise leave the first statement in doubt.
    pub(crate) async fn connect(&mut self) -> Result<PoolConnection<Postgres>, LogError> {
        while let Some((mut connection, used_at)) = self.idle.pop() {
            if used_at.elapsed() < FRESH || connection.ping().await.is_ok() {
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
