//! What each event changes in the capacity set aside on a node.
use cairn_core::{Resources, Timestamp};
use sqlx::PgConnection;

use crate::engine::ProjectError;
use crate::row::{Amounts, At, found};

pub(super) async fn reserve(
    db: &mut PgConnection,
    node_id: &str,
    (allocation_id, uid): (&str, u32),
    (resources, at): (Resources, Timestamp),
) -> Result<(), ProjectError> {
    let amounts = Amounts::from(resources);
    sqlx::query!(
        "INSERT INTO fleet_reservations (allocation_id, node_id, uid, status, cpu_millis,
           memory_bytes, disk_bytes, pids_max, reserved_at)
         VALUES ($1, $2, $3, 'held', $4, $5, $6, $7, $8)",
        allocation_id,
        node_id,
        i64::from(uid),
        amounts.cpu_millis,
        amounts.memory_bytes,
        amounts.disk_bytes,
        amounts.pids_max,
        At(at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn release(
    db: &mut PgConnection,
    node_id: &str,
    allocation_id: &str,
) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "DELETE FROM fleet_reservations WHERE node_id = $1 AND allocation_id = $2",
        node_id,
        allocation_id
    );
    found(&done.execute(db).await?, allocation_id)
}

pub(super) async fn quarantine(
    db: &mut PgConnection,
    node_id: &str,
    allocation_id: &str,
    reason: &str,
) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE fleet_reservations SET status = 'quarantined', reason = $3
         WHERE node_id = $1 AND allocation_id = $2",
        node_id,
        allocation_id,
        reason,
    );
    found(&done.execute(db).await?, allocation_id)
}
