//! A second copy of a projection's tables, on a connection of its own.
//!
//! The copies are temporary tables. PostgreSQL looks for a name there first, so a fold, which names no schema, writes
//! the copies on this connection and the live tables on every other one. When the connection ends, however it ends,
//! they are gone.
use async_trait::async_trait;
use cairn_event_log::EventLog;
use sqlx::{Connection, PgConnection};

use super::advance::{Batch, Folded, Target, advance, flush_in_tx, fold_in_tx, reached};
use super::store::Store;
use super::{EngineError, Projection};

/// Folds to scratch copies, on a connection that has them.
pub(crate) struct Scratch<'c> {
    pub db: &'c mut PgConnection,
    pub position: i64,
}

/// A connection of its own, which may work for as long as the log is long.
pub(crate) async fn connect(log: &EventLog) -> Result<PgConnection, EngineError> {
    let mut db = log.pool().acquire().await?.detach();
    for limit in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        sqlx::query!("SELECT set_config($1, '0', false)", limit).fetch_one(&mut db).await?;
    }
    Ok(db)
}

/// Empty copies of the projection's tables, on this connection only. Its skipped events stay skipped.
pub(crate) async fn copy_tables(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), EngineError> {
    for table in projection.tables().iter().chain(&["projection_parked"]) {
        let copy = format!("CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL)");
        sqlx::query(&copy).execute(&mut *db).await?;
    }
    // What this connection prepared while it was in the pool names the live tables.
    sqlx::query!("DISCARD PLANS").execute(&mut *db).await?;
    sqlx::query!(
        "INSERT INTO projection_parked
         SELECT * FROM public.projection_parked WHERE projection = $1 AND skipped_at IS NOT NULL",
        projection.name(),
    )
    .execute(db)
    .await?;
    Ok(())
}

#[async_trait]
impl Target for Scratch<'_> {
    async fn fold(
        &mut self,
        projection: &dyn Projection,
        batch: Batch<'_>,
        park_first: Option<&str>,
    ) -> Result<Folded, EngineError> {
        let Batch { events, until } = batch;
        if events.is_empty() {
            self.position = until;
            return Ok(Folded::Done);
        }
        let mut tx = self.db.begin().await?;
        let mut store = Store::default();
        let mut folded = fold_in_tx((&mut tx, &mut store), projection, events, park_first).await?;
        if reached(&folded, batch).is_some() {
            folded = flush_in_tx((&mut tx, &mut store), folded).await?;
        }
        if let Some(position) = reached(&folded, batch) {
            tx.commit().await?;
            self.position = position;
        } else {
            tx.rollback().await?;
        }
        Ok(folded)
    }
}

impl Scratch<'_> {
    /// Folds one more stretch of the log up to `last`. `false` when it ends there.
    pub(crate) async fn step(
        &mut self,
        log: &EventLog,
        projection: &dyn Projection,
        (last, size): (i64, i64),
    ) -> Result<bool, EngineError> {
        if self.position >= last {
            return Ok(false);
        }
        let until = last.min(self.position + size);
        let types = projection.interest().types();
        let events = log.read_types((self.position, until), types.as_deref()).await?;
        let events: Vec<_> = events.iter().collect();
        advance(self, projection, Batch { events: &events, until }).await?;
        Ok(self.position < last)
    }
}
