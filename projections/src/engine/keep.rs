//! The rows that a rebuild replaced go on following the log until nobody wants to go back.
use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::EventLog;

use super::advance::{Batch, advance};
use super::checkpoint::Checkpoint;
use super::generation;
use super::room::{self, Room};
use super::rows::Rows;
use super::{EngineError, Projection};

const PAUSE: Duration = Duration::from_secs(1);

/// Follows and drops for ever.
pub(crate) async fn run(log: &EventLog, projections: &[Arc<dyn Projection>], batch: i64) {
    loop {
        if let Err(error) = tend(log, projections, batch).await {
            tracing::warn!(%error, "kept rows wait for a fault to pass");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Every kept generation of this program's version once: folded to the head of the log, or dropped when its time is over.
pub(crate) async fn tend(
    log: &EventLog,
    projections: &[Arc<dyn Projection>],
    batch: i64,
) -> Result<(), EngineError> {
    let kept = sqlx::query!(
        r#"SELECT g.projection, c.version, c.position, g.keep_until <= now() AS "over!"
           FROM projection_generations g JOIN view_kept.projection_checkpoints c ON c.name = g.projection
           WHERE g.room = 'kept'"#
    );
    for kept in kept.fetch_all(log.pool()).await? {
        let known = projections.iter().find(|known| known.name() == kept.projection);
        let Some(projection) = known else { continue };
        if kept.over {
            forget(log, &**projection).await?;
        } else if projection.version() == kept.version {
            let checkpoint = Checkpoint { version: kept.version, position: kept.position };
            follow(log, &**projection, checkpoint, batch).await?;
        }
    }
    Ok(())
}

async fn follow(
    log: &EventLog,
    projection: &dyn Projection,
    checkpoint: Checkpoint,
    batch: i64,
) -> Result<(), EngineError> {
    let (head, name) = (log.head().await?, projection.name().to_owned());
    let types = projection.interest().types();
    let mut rows = Rows { log: log.clone(), room: Room::Kept, name, checkpoint };
    while rows.checkpoint.position < head {
        let after = rows.checkpoint.position;
        let until = head.min(after + batch);
        let events = log.read_types((after, until), types.as_deref()).await?;
        let events: Vec<_> = events.iter().collect();
        if !advance(&mut rows, projection, Batch { events: &events, until }).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn forget(log: &EventLog, projection: &dyn Projection) -> Result<(), EngineError> {
    let name = projection.name();
    let mut tx = room::begin(log.pool(), Room::Kept).await?;
    let held = sqlx::query_scalar!(
        "SELECT name FROM view_kept.projection_checkpoints WHERE name = $1 FOR UPDATE SKIP LOCKED",
        name
    );
    if held.fetch_optional(&mut *tx).await?.is_some() {
        generation::drop_in_tx(&mut tx, projection, Room::Kept).await?;
        tx.commit().await?;
        tracing::info!(projection = name, "the rows kept from the last rebuild are dropped");
    }
    Ok(())
}
