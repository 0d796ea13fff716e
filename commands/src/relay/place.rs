//! The relay's checkpoint and the lease on it. Leases count in the database's time.
use std::time::Duration;

use sqlx::PgPool;

/// A topic's place in the log, leased to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub position: i64,
    pub token: i64,
}

/// Takes or keeps the lease on a topic. `None` while another process has it.
pub(super) async fn lease(
    pool: &PgPool,
    topic: &str,
    owner: &str,
    lease: Duration,
) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query!("INSERT INTO relay_checkpoints (topic) VALUES ($1) ON CONFLICT DO NOTHING", topic)
        .execute(pool)
        .await?;
    sqlx::query_as!(
        Place,
        r#"UPDATE relay_checkpoints
           SET lease_token = CASE WHEN lease_owner = $2 THEN lease_token ELSE lease_token + 1 END,
               lease_owner = $2,
               lease_until = clock_timestamp() + make_interval(secs => $3)
           WHERE topic = $1
             AND (lease_owner = $2 OR lease_until IS NULL OR lease_until < clock_timestamp())
           RETURNING position, lease_token AS token"#,
        topic,
        owner,
        lease.as_secs_f64()
    )
    .fetch_optional(pool)
    .await
}

/// Moves the checkpoint on: everything up to `position` has arrived. False when the lease was lost.
pub(super) async fn advance(
    pool: &PgPool,
    topic: &str,
    place: Place,
    (position, sent): (i64, i64),
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        r#"UPDATE relay_checkpoints
           SET position = $4, sent = sent + $5, last_error = NULL, failed_at = NULL, updated_at = now()
           WHERE topic = $1 AND lease_token = $2 AND position = $3"#,
        topic,
        place.token,
        place.position,
        position,
        sent
    )
    .execute(pool)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Says why it does not get on. Without effect when the lease was lost.
pub(super) async fn fail(
    pool: &PgPool,
    topic: &str,
    token: i64,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE relay_checkpoints SET last_error = $3, failed_at = now()
           WHERE topic = $1 AND lease_token = $2"#,
        topic,
        token,
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the lease back, so that the next one need not wait.
pub(super) async fn leave(pool: &PgPool, topic: &str, owner: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE relay_checkpoints SET lease_owner = NULL, lease_until = NULL
           WHERE topic = $1 AND lease_owner = $2"#,
        topic,
        owner
    )
    .execute(pool)
    .await?;
    Ok(())
}
