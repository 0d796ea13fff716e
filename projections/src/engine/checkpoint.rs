//! How far a projection is, and the lock that makes each event count once.
use sqlx::{PgConnection, PgExecutor};

use super::{EngineError, Projection};

/// A stored checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub version: i32,
    pub position: i64,
}

/// The checkpoint, made at the beginning of the log if there is none.
pub(crate) async fn read_or_create(
    db: impl PgExecutor<'_> + Copy,
    projection: &dyn Projection,
) -> Result<Checkpoint, EngineError> {
    if let Some(checkpoint) = read(db, projection.name()).await? {
        return Ok(checkpoint);
    }
    sqlx::query!(
        "INSERT INTO projection_checkpoints (name, version, position) VALUES ($1, $2, 0)
         ON CONFLICT (name) DO NOTHING",
        projection.name(),
        projection.version(),
    )
    .execute(db)
    .await?;
    let created = Checkpoint { version: projection.version(), position: 0 };
    Ok(read(db, projection.name()).await?.unwrap_or(created))
}

pub(crate) async fn read(
    db: impl PgExecutor<'_>,
    name: &str,
) -> Result<Option<Checkpoint>, EngineError> {
    let checkpoint = sqlx::query_as!(
        Checkpoint,
        "SELECT version, position FROM projection_checkpoints WHERE name = $1",
        name
    );
    Ok(checkpoint.fetch_optional(db).await?)
}

/// Takes the lease on a projection until the end of the transaction; `None` when somebody else has it.
///
/// The transaction does not wait for the disk when it commits: losing the last moments of a view costs nothing, because its
/// checkpoint is lost with them and the log has the events.
pub(crate) async fn try_lock_in_tx(
    db: &mut PgConnection,
    name: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT version, position, set_config('synchronous_commit', 'off', true)
         FROM projection_checkpoints WHERE name = $1 FOR UPDATE SKIP LOCKED",
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Checkpoint { version: row.version, position: row.position }))
}

/// Moves a checkpoint past a stretch of the log that holds nothing for its projection. `false`: it is elsewhere.
pub(crate) async fn pass(
    db: impl PgExecutor<'_>,
    name: &str,
    from: Checkpoint,
    until: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "WITH unhurried AS (SELECT set_config('synchronous_commit', 'off', true) AS set)
         UPDATE projection_checkpoints SET position = $4, updated_at = now()
         FROM unhurried WHERE name = $1 AND version = $2 AND position = $3 AND set = 'off'",
        name,
        from.version,
        from.position,
        until,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the lease on a projection until the end of the transaction, waiting for whoever has it.
pub(crate) async fn lock_in_tx(
    db: &mut PgConnection,
    name: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    sqlx::query_as!(
        Checkpoint,
        "SELECT version, position FROM projection_checkpoints WHERE name = $1 FOR UPDATE",
        name
    )
    .fetch_optional(db)
    .await
}

pub(crate) async fn store_in_tx(
    db: &mut PgConnection,
    name: &str,
    checkpoint: Checkpoint,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE projection_checkpoints SET version = $2, position = $3, updated_at = now()
         WHERE name = $1",
        name,
        checkpoint.version,
        checkpoint.position,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps what holds a projection up, for whoever asks how it stands. Best effort: the database may be what is wrong.
pub(crate) async fn note_error(db: impl PgExecutor<'_>, name: &str, error: &str) {
    let note = sqlx::query!(
        "UPDATE projection_checkpoints SET last_error = $2, last_error_at = now() WHERE name = $1",
        name,
        error,
    );
    if let Err(error) = note.execute(db).await {
        tracing::debug!(projection = name, %error, "the fault is not kept");
    }
}
