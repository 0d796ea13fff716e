//! What of the inbox was read: written by whoever reads it, seen with the notices.
use sqlx::PgPool;

use crate::row::QueryError;

/// Notes that one notice was read.
///
/// # Errors
/// [`QueryError`].
pub async fn note(pool: &PgPool, actor: &str, position: i64) -> Result<(), QueryError> {
    let noted = sqlx::query!(
        "INSERT INTO operations_inbox_reads (actor, position) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        actor,
        position
    );
    noted.execute(pool).await?;
    Ok(())
}

/// Notes that all up to a position were read. What was read one by one before it needs no row any more.
///
/// # Errors
/// [`QueryError`].
pub async fn note_until(pool: &PgPool, actor: &str, position: i64) -> Result<(), QueryError> {
    let noted = sqlx::query!(
        "WITH single AS (DELETE FROM operations_inbox_reads WHERE actor = $1 AND position <= $2)
         INSERT INTO operations_inbox_marks AS m (actor, position) VALUES ($1, $2)
         ON CONFLICT (actor) DO UPDATE SET position = greatest(m.position, excluded.position)",
        actor,
        position
    );
    noted.execute(pool).await?;
    Ok(())
}
