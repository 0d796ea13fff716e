//! Rebuilding a view from the log while it is read.
//!
//! The view is folded into scratch copies; then one transaction takes the lease, folds what is missing up to where the
//! live view stands, and replaces the rows. Readers see the old rows until it commits and the new ones after, and the
//! position never goes back. A rebuild that is cancelled or killed leaves the live view as it was.
use std::sync::Arc;

use cairn_event_log::EventLog;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Checkpoint};
use super::scratch::{self, Scratch};
use super::{EngineError, Projection};

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RebuildProgress {
    /// Folded so far.
    pub position: i64,
    /// Head of the log when the rebuild began.
    pub head: i64,
}

/// How to rebuild.
#[derive(Clone)]
pub struct Rebuild {
    /// Events folded in one transaction.
    pub batch: i64,
    /// Stops it between batches.
    pub token: CancellationToken,
    /// Told after every batch.
    pub progress: Arc<dyn Fn(RebuildProgress) + Send + Sync>,
}

impl Default for Rebuild {
    fn default() -> Self {
        Self { batch: 1_000, token: CancellationToken::new(), progress: Arc::new(|_| ()) }
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
    /// Rows written, over all its tables.
    pub rows: u64,
    /// Events parked by the rebuild.
    pub parked: u64,
}

pub(crate) async fn rebuild(
    log: &EventLog,
    projection: &dyn Projection,
    options: &Rebuild,
) -> Result<Rebuilt, EngineError> {
    let name = projection.name();
    let stored = checkpoint::read_or_create(log.pool(), projection).await?;
    let known = projection.version();
    if stored.version > known {
        return Err(EngineError::Newer { name: name.to_owned(), stored: stored.version, known });
    }
    let mut db = scratch::connect(log).await?;
    let free = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('cairn rebuild ' || $1, 0)) AS "free!""#,
        name,
    );
    if !free.fetch_one(&mut db).await? {
        return Err(EngineError::AlreadyRebuilding(name.to_owned()));
    }
    tracing::info!(projection = name, version = known, "rebuild begins");
    let rebuilt = fold_and_swap(log, projection, &mut db, options).await;
    // The lock ends with the connection, but the server may take a moment to notice.
    let unlock = sqlx::query!("SELECT pg_advisory_unlock_all() AS unlocked");
    if let Err(error) = unlock.fetch_one(&mut db).await {
        tracing::debug!(projection = name, %error, "the lock of the rebuild goes with its connection");
    }
    drop(db.close().await);
    rebuilt
}

async fn fold_and_swap(
    log: &EventLog,
    projection: &dyn Projection,
    db: &mut PgConnection,
    options: &Rebuild,
) -> Result<Rebuilt, EngineError> {
    scratch::copy_tables(db, projection).await?;
    let head = log.head().await?;
    let mut scratch = Scratch { db, position: 0 };
    while scratch.step(log, projection, (head, options.batch)).await? {
        (options.progress)(RebuildProgress { position: scratch.position, head });
        if options.token.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
    }
    let position = scratch.position;
    let rebuilt = swap(log, projection, (db, position), options).await?;
    (options.progress)(RebuildProgress { position: rebuilt.position, head });
    let (name, position, rows) = (projection.name(), rebuilt.position, rebuilt.rows);
    tracing::info!(projection = name, position, rows, "rebuilt");
    Ok(rebuilt)
}

/// Replaces the live rows by the scratch rows, at one position, in one transaction.
async fn swap(
    log: &EventLog,
    projection: &dyn Projection,
    (db, position): (&mut PgConnection, i64),
    options: &Rebuild,
) -> Result<Rebuilt, EngineError> {
    let (name, version) = (projection.name(), projection.version());
    let mut tx = db.begin().await?;
    let live = checkpoint::lock_in_tx(&mut tx, name).await?.map_or(0, |live| live.position);
    let mut scratch = Scratch { db: &mut tx, position };
    while scratch.step(log, projection, (live, options.batch)).await? {
        if options.token.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
    }
    let position = scratch.position;
    let mut rows = 0;
    for table in projection.tables() {
        let empty = format!("DELETE FROM public.{table}");
        sqlx::query(&empty).execute(&mut *tx).await?;
        let fill = format!("INSERT INTO public.{table} SELECT * FROM pg_temp.{table}");
        rows += sqlx::query(&fill).execute(&mut *tx).await?.rows_affected();
    }
    let parked = replace_parked_in_tx(&mut tx, name).await?;
    checkpoint::store_in_tx(&mut tx, name, Checkpoint { version, position }).await?;
    tx.commit().await?;
    Ok(Rebuilt { name: name.to_owned(), version, position, rows, parked })
}

async fn replace_parked_in_tx(db: &mut PgConnection, name: &str) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "DELETE FROM public.projection_parked WHERE projection = $1 AND skipped_at IS NULL",
        name
    )
    .execute(&mut *db)
    .await?;
    // What somebody skipped while the rebuild ran stays skipped.
    let parked = "INSERT INTO public.projection_parked
        SELECT * FROM pg_temp.projection_parked WHERE skipped_at IS NULL
        ON CONFLICT (projection, position) DO NOTHING";
    Ok(sqlx::query(parked).execute(&mut *db).await?.rows_affected())
}
