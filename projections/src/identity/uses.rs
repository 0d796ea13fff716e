//! When a key or a session was last used: written by whoever lets it in, read with the keys and sessions.
use sqlx::PgPool;

use crate::row::QueryError;

/// Notes that a key is used now; within a minute of the last note it changes nothing.
///
/// # Errors
/// [`QueryError`].
pub async fn note(pool: &PgPool, key_id: &str) -> Result<(), QueryError> {
    let noted = sqlx::query!(
        "INSERT INTO identity_key_uses AS u (key_id, used_at) VALUES ($1, now())
         ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at
         WHERE u.used_at < excluded.used_at - interval '1 minute'",
        key_id
    );
    noted.execute(pool).await?;
    Ok(())
}

/// The same of a session.
///
/// # Errors
/// [`QueryError`].
pub async fn note_session(pool: &PgPool, session_id: &str) -> Result<(), QueryError> {
    let noted = sqlx::query!(
        "INSERT INTO identity_session_uses AS u (session_id, used_at) VALUES ($1, now())
         ON CONFLICT (session_id) DO UPDATE SET used_at = excluded.used_at
         WHERE u.used_at < excluded.used_at - interval '1 minute'",
        session_id
    );
    noted.execute(pool).await?;
    Ok(())
}
