//! Events that could not be folded, and those of the same key that wait behind them in order.
use std::collections::HashSet;

use cairn_event_log::{EventLog, Recorded};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::advance::{apply, plan};
use super::store::Store;
use super::{EngineError, ProjectError, Projection, checkpoint};
use crate::At;

/// A parked event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// The projection that could not fold it.
    pub projection: String,
    /// Its place in the log.
    pub position: i64,
    /// What it is about.
    pub key: String,
    /// Its type.
    pub event_type: String,
    /// Why it could not be folded; `None` when it waits behind another.
    pub error: Option<String>,
    /// When it was parked.
    pub parked_at: At,
    /// When a person decided to go on without it.
    pub skipped_at: Option<At>,
    /// Who.
    pub skipped_by: Option<String>,
    /// Why.
    pub skipped_reason: Option<String>,
}

/// A decision to go on without an event.
#[derive(Debug, Clone)]
pub struct Skip {
    /// The parked event.
    pub position: i64,
    /// Who decides.
    pub by: String,
    /// Why; kept with the event.
    pub reason: String,
}

/// What a projection must not fold.
pub(crate) struct Waiting {
    pub keys: HashSet<String>,
    pub skipped: HashSet<i64>,
}

/// The keys that wait, and the positions between two, these included, that were skipped.
pub(crate) async fn waiting_in_tx(
    db: &mut PgConnection,
    projection: &str,
    (first, last): (i64, i64),
) -> Result<Waiting, EngineError> {
    let rows = sqlx::query!(
        "SELECT DISTINCT key, CASE WHEN skipped_at IS NULL THEN NULL ELSE position END AS skipped
         FROM projection_parked
         WHERE projection = $1 AND (skipped_at IS NULL OR position BETWEEN $2 AND $3)",
        projection,
        first,
        last,
    )
    .fetch_all(db)
    .await?;
    let mut waiting = Waiting { keys: HashSet::new(), skipped: HashSet::new() };
    for row in rows {
        match row.skipped {
            Some(position) => waiting.skipped.insert(position),
            None => waiting.keys.insert(row.key),
        };
    }
    Ok(waiting)
}

/// An event to park.
pub(crate) struct Park<'a> {
    pub projection: &'a str,
    pub event: &'a Recorded,
    pub key: &'a str,
    pub error: Option<&'a str>,
}

pub(crate) async fn park_in_tx(db: &mut PgConnection, park: Park<'_>) -> Result<(), EngineError> {
    let Park { projection, event, key, error } = park;
    sqlx::query!(
        "INSERT INTO projection_parked (projection, position, key, event_type, error)
         VALUES ($1, $2, $3, $4, $5)",
        projection,
        event.position,
        key,
        event.event_type,
        error,
    )
    .execute(db)
    .await?;
    if let Some(error) = error {
        let position = event.position;
        tracing::error!(projection, position, key, error, "event parked: it cannot be folded");
        metrics::counter!("cairn_projection_poison_total", "projection" => projection.to_owned())
            .increment(1);
    }
    Ok(())
}

/// Parked and skipped events, of one projection or of all, in the order of the log.
pub(crate) async fn list(
    pool: &PgPool,
    projection: Option<&str>,
) -> Result<Vec<Parked>, EngineError> {
    let parked = sqlx::query_as!(
        Parked,
        r#"SELECT projection, position, key, event_type, error, parked_at AS "parked_at: At",
             skipped_at AS "skipped_at: At", skipped_by, skipped_reason
           FROM projection_parked WHERE $1::text IS NULL OR projection = $1
           ORDER BY projection, position"#,
        projection,
    );
    Ok(parked.fetch_all(pool).await?)
}

/// Folds all parked events of a key, in order, or none of them. Answers how many.
pub(crate) async fn retry(
    log: &EventLog,
    projection: &dyn Projection,
    key: &str,
) -> Result<u64, EngineError> {
    let name = projection.name();
    let mut tx = log.pool().begin().await?;
    checkpoint::lock_in_tx(&mut tx, name).await?;
    let positions = sqlx::query_scalar!(
        "DELETE FROM projection_parked
         WHERE projection = $1 AND key = $2 AND skipped_at IS NULL RETURNING position",
        name,
        key,
    );
    let mut positions = positions.fetch_all(&mut *tx).await?;
    positions.sort_unstable();
    if positions.is_empty() {
        return Err(EngineError::NotParked { name: name.to_owned(), place: key.to_owned() });
    }
    let mut store = Store::default();
    for position in &positions {
        for event in log.read(position - 1, 1).await? {
            if let Err(error) = fold_one((&mut tx, &mut store), projection, &event).await {
                let (position, error) = (*position, error.to_string());
                return Err(EngineError::StillPoisonous { position, error });
            }
        }
    }
    tx.commit().await?;
    tracing::info!(projection = name, key, events = positions.len(), "parked key folded");
    Ok(u64::try_from(positions.len()).unwrap_or(u64::MAX))
}

/// Its rows are written at once, so that a refusal names the event.
async fn fold_one(
    (db, store): (&mut PgConnection, &mut Store),
    projection: &dyn Projection,
    event: &Recorded,
) -> Result<(), ProjectError> {
    let mut changes = plan(projection, event).await?;
    changes.want(store);
    store.load(db).await?;
    apply(changes, store)?;
    Ok(store.flush(db).await?)
}

/// Marks one parked event as skipped, for this and every later rebuild. What waits behind it needs a retry of its key.
pub(crate) async fn skip(pool: &PgPool, name: &str, skip: &Skip) -> Result<(), EngineError> {
    if skip.reason.trim().is_empty() || skip.by.trim().is_empty() {
        return Err(EngineError::ReasonNeeded);
    }
    let mut tx = pool.begin().await?;
    checkpoint::lock_in_tx(&mut tx, name).await?;
    let done = sqlx::query!(
        "UPDATE projection_parked SET skipped_at = now(), skipped_by = $3, skipped_reason = $4
         WHERE projection = $1 AND position = $2 AND skipped_at IS NULL",
        name,
        skip.position,
        skip.by,
        skip.reason,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        let place = skip.position.to_string();
        return Err(EngineError::NotParked { name: name.to_owned(), place });
    }
    tx.commit().await?;
    tracing::warn!(
        projection = name,
        position = skip.position,
        by = skip.by,
        reason = skip.reason,
        "parked event skipped"
    );
    Ok(())
}
