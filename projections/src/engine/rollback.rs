//! Going back to the rows that the last rebuild replaced.
use cairn_event_log::EventLog;
use serde::Serialize;

use super::checkpoint::{self, Checkpoint};
use super::exchange::exchange_in_tx;
use super::rebuild::{self, Rebuild};
use super::room::{self, Room};
use super::{EngineError, Projection, generation, swap};

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The projection.
    pub name: String,
    /// Version of the rows that are read now.
    pub version: i32,
    /// Where they stand in the log.
    pub position: i64,
    /// Rows of the view, over all its tables.
    pub rows: u64,
    /// Rows that were not the same.
    pub differing: u64,
}

/// The kept rows have followed the log, so only what came in the last moments is folded, and only what differs moves.
pub(crate) async fn rollback(
    log: &EventLog,
    projection: &dyn Projection,
) -> Result<RolledBack, EngineError> {
    let name = projection.name();
    let lock = rebuild::claim(log, name).await?;
    let rolled_back = go_back(log, projection).await;
    rebuild::release(lock, name).await;
    rolled_back
}

async fn go_back(log: &EventLog, projection: &dyn Projection) -> Result<RolledBack, EngineError> {
    let (name, known) = (projection.name(), projection.version());
    let mut tx = log.pool().begin().await?;
    room::be_patient_in_tx(&mut tx).await?;
    let nothing = || EngineError::NothingKept(name.to_owned());
    let live = checkpoint::lock_in_tx(&mut tx, name).await?.ok_or_else(nothing)?;
    room::enter_in_tx(&mut tx, Room::Kept).await?;
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM view_kept.projection_checkpoints WHERE name = $1) AS "kept!""#,
        name
    );
    if !found.fetch_one(&mut *tx).await? {
        return Err(nothing());
    }
    let kept = checkpoint::lock_in_tx(&mut tx, name).await?.ok_or_else(nothing)?;
    if kept.version != known {
        return Err(EngineError::KeptByOthers { name: name.to_owned(), kept: kept.version, known });
    }
    if !generation::same_shape_in_tx(&mut tx, projection, Room::Kept).await? {
        return Err(EngineError::OtherShape(name.to_owned()));
    }
    let position = live.position.max(kept.position);
    let places = (kept.position, position);
    swap::level_in_tx(&mut tx, (log, projection), Room::Kept, places, &Rebuild::default()).await?;
    let exchanged = exchange_in_tx(&mut tx, projection, Room::Kept).await?;
    let version = kept.version;
    checkpoint::store_in_tx(&mut tx, name, Checkpoint { version, position }).await?;
    room::enter_in_tx(&mut tx, Room::Kept).await?;
    checkpoint::store_in_tx(&mut tx, name, live).await?;
    sqlx::query!(
        "UPDATE projection_generations SET version = $2 WHERE projection = $1 AND room = 'kept'",
        name,
        live.version,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    tracing::warn!(projection = name, version, position, "went back to the rows kept before");
    let (rows, differing) = (exchanged.rows, exchanged.differing);
    Ok(RolledBack { name: name.to_owned(), version, position, rows, differing })
}
