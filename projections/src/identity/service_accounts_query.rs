//! Questions about service accounts: asked by whoever manages the programs of an organisation.
use cairn_core::OrganisationId;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// A service account that was not removed, with its name as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ServiceAccount {
    pub service_account_id: String,
    /// Where in the log it was added.
    pub position: i64,
    pub name: String,
    /// `admin`, `finance`, `developer` or `viewer`.
    pub role: String,
    pub added_at: At,
    /// Since when its keys open nothing.
    pub disabled_at: Option<At>,
    /// When one of its keys was last used, to the minute.
    pub last_used_at: Option<At>,
}

async fn select(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    service_account_id: Option<&str>,
    (before, limit): (i64, i64),
) -> Result<Vec<ServiceAccount>, QueryError> {
    let rows = sqlx::query_as!(
        ServiceAccount,
        r#"SELECT service_account_id, position, name, role, added_at AS "added_at: At", disabled_at AS "disabled_at: At",
             (SELECT max(used_at) FROM identity_key_uses JOIN identity_api_keys k USING (key_id)
              WHERE k.service_account_id = a.service_account_id AND k.organisation_id = a.organisation_id) AS "last_used_at: At"
           FROM identity_service_accounts a
           WHERE organisation_id = $1 AND ($2::text IS NULL OR service_account_id = $2) AND removed_at IS NULL AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        organisation.to_string(),
        service_account_id,
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// One account; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    service_account_id: &str,
) -> Result<Option<ServiceAccount>, QueryError> {
    Ok(select(db, organisation, Some(service_account_id), (i64::MAX, 1)).await?.pop())
}

/// Accounts of an organisation, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<ServiceAccount>, QueryError> {
    let rows = select(db, organisation, None, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
