//! Questions about organisations, members, invitations and grants.
use cairn_core::OrganisationId;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// An organisation. One whose keys were made by the operator alone was never founded, and has no name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Organisation {
    pub organisation_id: String,
    pub name: String,
    pub founded_at: At,
    pub suspended_at: Option<At>,
    pub suspended_reason: Option<String>,
    pub second_factor_demanded: bool,
}

/// One organisation.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    id: OrganisationId,
) -> Result<Option<Organisation>, QueryError> {
    let row = sqlx::query_as!(
        Organisation,
        r#"SELECT organisation_id, name, founded_at AS "founded_at: At", suspended_at AS "suspended_at: At", suspended_reason,
             second_factor_demanded
           FROM identity_organisations WHERE organisation_id = $1"#,
        id.to_string(),
    );
    Ok(row.fetch_optional(db).await?)
}

/// An organisation that somebody belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Membership {
    pub organisation_id: String,
    pub name: String,
    pub role: String,
    pub suspended: bool,
    pub second_factor_demanded: bool,
}

/// What somebody belongs to, the oldest membership first.
///
/// # Errors
/// [`QueryError`].
pub async fn memberships(
    db: impl PgExecutor<'_>,
    user_id: &str,
) -> Result<Vec<Membership>, QueryError> {
    let rows = sqlx::query_as!(
        Membership,
        r#"SELECT organisation_id, name, role, suspended_at IS NOT NULL AS "suspended!", second_factor_demanded
           FROM identity_members m JOIN identity_organisations o USING (organisation_id)
           WHERE user_id = $1 ORDER BY m.position"#,
        user_id,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Somebody in an organisation, with what is personal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Member {
    pub user_id: String,
    pub position: i64,
    pub email: String,
    pub name: String,
    pub role: String,
    pub joined_at: At,
}

/// Members, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn members(
    db: impl PgExecutor<'_>,
    id: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Member>, QueryError> {
    let rows = sqlx::query_as!(
        Member,
        r#"SELECT user_id, m.position, email, u.name, role, joined_at AS "joined_at: At"
           FROM identity_members m JOIN identity_users u USING (user_id)
           WHERE organisation_id = $1 AND m.position < $2 ORDER BY m.position DESC LIMIT $3"#,
        id.to_string(),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// An invitation, with the address as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Invitation {
    pub invitation_id: String,
    pub position: i64,
    pub organisation_id: String,
    pub email: String,
    pub role: String,
    /// `open`, `accepted` or `revoked`; an open one may be over.
    pub status: String,
    pub invited_at: At,
    pub expires_at: At,
}

/// Invitations, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn invitations(
    db: impl PgExecutor<'_>,
    id: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Invitation>, QueryError> {
    let rows = sqlx::query_as!(
        Invitation,
        r#"SELECT invitation_id, position, organisation_id, email, role, status, invited_at AS "invited_at: At",
             expires_at AS "expires_at: At"
           FROM identity_invitations WHERE organisation_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3"#,
        id.to_string(),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// The organisation that the code of an invitation leads to, by its hash.
///
/// # Errors
/// [`QueryError`].
pub async fn invited_by(
    db: impl PgExecutor<'_>,
    token_sha256: &str,
) -> Result<Option<String>, QueryError> {
    let found = sqlx::query_scalar!(
        "SELECT organisation_id FROM identity_invitations WHERE token_sha256 = $1",
        token_sha256,
    );
    Ok(found.fetch_optional(db).await?)
}

/// A grant to support.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Grant {
    pub grant_id: String,
    pub position: i64,
    pub reason: String,
    pub granted_at: At,
    pub expires_at: At,
    pub ended_at: Option<At>,
}

/// Grants of an organisation, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn grants(
    db: impl PgExecutor<'_>,
    id: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Grant>, QueryError> {
    let rows = sqlx::query_as!(
        Grant,
        r#"SELECT grant_id, position, reason, granted_at AS "granted_at: At", expires_at AS "expires_at: At",
             ended_at AS "ended_at: At"
           FROM identity_grants WHERE organisation_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3"#,
        id.to_string(),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// The grant under which support may look at an instant.
///
/// # Errors
/// [`QueryError`].
pub async fn granted(
    db: impl PgExecutor<'_>,
    id: OrganisationId,
    at: At,
) -> Result<Option<String>, QueryError> {
    let found = sqlx::query_scalar!(
        "SELECT grant_id FROM identity_grants
         WHERE organisation_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY position DESC LIMIT 1",
        id.to_string(),
        at as At,
    );
    Ok(found.fetch_optional(db).await?)
}

/// Which of these grants still hold.
///
/// # Errors
/// [`QueryError`].
pub async fn living_grants(
    db: impl PgExecutor<'_>,
    ids: &[String],
) -> Result<Vec<String>, QueryError> {
    let found = sqlx::query_scalar!(
        "SELECT grant_id FROM identity_grants
         WHERE grant_id = ANY($1) AND ended_at IS NULL AND expires_at > now()",
        ids,
    );
    Ok(found.fetch_all(db).await?)
}
