//! Questions about people, codes and sessions.
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use crate::row::{At, QueryError};

/// A person, with what is personal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct User {
    pub user_id: String,
    pub email: String,
    pub email_index: String,
    pub name: String,
    /// PHC string.
    pub password: String,
    /// `off`, `begun` or `on`.
    pub totp: String,
    pub totp_secret: Option<String>,
    pub registered_at: At,
    pub verified_at: Option<At>,
}

/// A person by what an address is found by: who has it, else who registered it last. Who closed their account is not found.
///
/// # Errors
/// [`QueryError`].
pub async fn by_email(
    db: impl PgExecutor<'_>,
    email_index: &str,
) -> Result<Option<User>, QueryError> {
    let row = sqlx::query_as!(
        User,
        r#"SELECT user_id, email, email_index, name, password, totp, totp_secret,
             registered_at AS "registered_at: At", verified_at AS "verified_at: At"
           FROM identity_users WHERE email_index = $1 AND closed_at IS NULL
           ORDER BY verified_at IS NULL, position DESC LIMIT 1"#,
        email_index,
    );
    Ok(row.fetch_optional(db).await?)
}

/// A person by id.
///
/// # Errors
/// [`QueryError`].
pub async fn user(db: impl PgExecutor<'_>, user_id: &str) -> Result<Option<User>, QueryError> {
    let row = sqlx::query_as!(
        User,
        r#"SELECT user_id, email, email_index, name, password, totp, totp_secret,
             registered_at AS "registered_at: At", verified_at AS "verified_at: At"
           FROM identity_users WHERE user_id = $1 AND closed_at IS NULL"#,
        user_id,
    );
    Ok(row.fetch_optional(db).await?)
}

/// A person by what an identity at another provider is found by: who linked it first. Who closed their account is not found.
///
/// # Errors
/// [`QueryError`].
pub async fn by_identity(
    db: impl PgExecutor<'_>,
    identity_index: &str,
) -> Result<Option<User>, QueryError> {
    let row = sqlx::query_as!(
        User,
        r#"SELECT u.user_id, email, email_index, name, password, totp, totp_secret,
             registered_at AS "registered_at: At", verified_at AS "verified_at: At"
           FROM identity_identities i JOIN identity_users u USING (user_id)
           WHERE identity_index = $1 AND closed_at IS NULL ORDER BY i.position LIMIT 1"#,
        identity_index,
    );
    Ok(row.fetch_optional(db).await?)
}

/// An identity at another provider, with what is personal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Identity {
    pub identity_index: String,
    pub provider: String,
    pub issuer: String,
    pub subject: String,
    pub linked_at: At,
}

/// Who else vouches for a person, the oldest first.
///
/// # Errors
/// [`QueryError`].
pub async fn identities(
    db: impl PgExecutor<'_>,
    user_id: &str,
) -> Result<Vec<Identity>, QueryError> {
    let rows = sqlx::query_as!(
        Identity,
        r#"SELECT identity_index, provider, issuer, subject, linked_at AS "linked_at: At"
           FROM identity_identities WHERE user_id = $1 ORDER BY position"#,
        user_id,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Whose code this is, by its hash; it may be used or over.
///
/// # Errors
/// [`QueryError`].
pub async fn by_code(
    pool: &PgPool,
    (token_sha256, purpose): (&str, &str),
) -> Result<Option<User>, QueryError> {
    let found = sqlx::query_scalar!(
        "SELECT user_id FROM identity_links WHERE token_sha256 = $1 AND purpose = $2",
        token_sha256,
        purpose,
    );
    match found.fetch_optional(pool).await? {
        Some(user_id) => user(pool, &user_id).await,
        None => Ok(None),
    }
}

/// A session that was not ended; it may be over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Session {
    pub session_id: String,
    pub user_id: String,
    /// `password`, `one_time_password`, `recovery_code`, `identity_provider`, `identity_provider_multi_factor` or `passkey`.
    pub factor: String,
    pub opened_at: At,
    pub ends_at: At,
    /// To the minute.
    pub last_used_at: Option<At>,
}

/// The session of a secret with this lower-case hex SHA-256.
///
/// # Errors
/// [`QueryError`].
pub async fn session(
    db: impl PgExecutor<'_>,
    secret_sha256: &str,
) -> Result<Option<Session>, QueryError> {
    let row = sqlx::query_as!(
        Session,
        r#"SELECT session_id, s.user_id, factor, opened_at AS "opened_at: At", ends_at AS "ends_at: At",
             used_at AS "last_used_at?: At"
           FROM identity_sessions s JOIN identity_users u USING (user_id) LEFT JOIN identity_session_uses USING (session_id)
           WHERE secret_sha256 = $1 AND ended_at IS NULL AND s.position > u.sessions_from"#,
        secret_sha256,
    );
    Ok(row.fetch_optional(db).await?)
}

/// The sessions of a person that were not ended, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn sessions(db: impl PgExecutor<'_>, user_id: &str) -> Result<Vec<Session>, QueryError> {
    let rows = sqlx::query_as!(
        Session,
        r#"SELECT session_id, s.user_id, factor, opened_at AS "opened_at: At", ends_at AS "ends_at: At",
             used_at AS "last_used_at?: At"
           FROM identity_sessions s JOIN identity_users u USING (user_id) LEFT JOIN identity_session_uses USING (session_id)
           WHERE s.user_id = $1 AND ended_at IS NULL AND s.position > u.sessions_from AND ends_at > now()
           ORDER BY s.position DESC"#,
        user_id,
    );
    Ok(rows.fetch_all(db).await?)
}

/// An open session, by its id.
///
/// # Errors
/// [`QueryError`].
pub async fn session_by_id(
    db: impl PgExecutor<'_>,
    id: &str,
) -> Result<Option<Session>, QueryError> {
    let row = sqlx::query_as!(
        Session,
        r#"SELECT session_id, s.user_id, factor, opened_at AS "opened_at: At", ends_at AS "ends_at: At",
             used_at AS "last_used_at?: At"
           FROM identity_sessions s JOIN identity_users u USING (user_id) LEFT JOIN identity_session_uses USING (session_id)
           WHERE session_id = $1 AND ended_at IS NULL AND s.position > u.sessions_from"#,
        id,
    );
    Ok(row.fetch_optional(db).await?)
}

/// Who has sessions that were not ended and are not over.
///
/// # Errors
/// [`QueryError`].
pub async fn signed_in(db: impl PgExecutor<'_>) -> Result<Vec<String>, QueryError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT DISTINCT s.user_id FROM identity_sessions s JOIN identity_users u USING (user_id)
           WHERE ended_at IS NULL AND s.position > u.sessions_from AND ends_at > now() ORDER BY s.user_id"#,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Which of these sessions are open for whom of these organisations, and in which role: session, organisation, role. One that showed one
/// factor is not open for an organisation that demands two.
///
/// # Errors
/// [`QueryError`].
pub async fn living(
    db: impl PgExecutor<'_>,
    sessions: &[String],
    organisations: &[String],
) -> Result<Vec<(String, String, String)>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT s.session_id, m.organisation_id, role
           FROM unnest($1::text[], $2::text[]) AS asked (session_id, organisation_id)
             JOIN identity_sessions s USING (session_id) JOIN identity_users u USING (user_id)
             JOIN identity_members m USING (organisation_id, user_id)
             JOIN identity_organisations o USING (organisation_id)
           WHERE ended_at IS NULL AND ends_at > now() AND s.position > u.sessions_from
             AND (NOT o.second_factor_demanded OR s.factor NOT IN ('password', 'identity_provider'))"#,
        sessions,
        organisations,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.session_id, row.organisation_id, row.role)).collect())
}
