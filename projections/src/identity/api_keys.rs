//! API keys: asked on every request (whose key is this), and by owners who manage theirs.
//!
//! One row is one key, revoked ones included. The key itself is nowhere: only its SHA-256.
use async_trait::async_trait;
use cairn_core::{IdError, OrganisationId, ServiceAccountId};
use cairn_event_log::Recorded;
use cairn_identity::{ApiKeyEvent, Holder};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit, wire_name};

/// Name of this projection.
pub const NAME: &str = "identity/api_keys";

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ApiKey {
    pub key_id: String,
    /// Where in the log it was created.
    pub position: i64,
    pub organisation_id: String,
    /// `owner`, `admin`, `finance`, `developer`, `viewer`, or one of the platform's, as `platform_operator`; of a service account's key
    /// the role that the account has now.
    pub role: String,
    /// What of its role it may do, as `compute:read`; all of it when there is none.
    pub scopes: Vec<String>,
    /// The person it stands for; absent when it is the organisation's.
    pub user_id: Option<String>,
    /// The service account that it is, if it is one's.
    pub service_account_id: Option<String>,
    /// Whether that person still belongs to the organisation in this role, or that account is known; so of an organisation's own.
    pub stands: bool,
    /// Whether its service account is disabled.
    pub disabled: bool,
    /// Whether its organisation is suspended.
    pub suspended: bool,
    pub name: String,
    pub created_at: At,
    /// From when on it opens nothing.
    pub expires_at: Option<At>,
    /// The key that takes its place.
    pub successor: Option<String>,
    /// To the minute.
    pub last_used_at: Option<At>,
    /// Since when it opens nothing: it was revoked, or its service account removed.
    pub revoked_at: Option<At>,
    pub revoked_reason: Option<String>,
}

impl ApiKey {
    /// Whom it stands for, when it is not simply its organisation's.
    ///
    /// # Errors
    /// [`IdError`] when the row does not say who.
    pub fn holder(&self) -> Result<Option<Holder>, IdError> {
        let person = self.user_id.as_deref().map(str::parse).transpose()?;
        let account = self.service_account_id.as_deref().map(str::parse).transpose()?;
        Ok(person.map(Holder::Person).or(account.map(Holder::ServiceAccount)))
    }
}

/// The projection.
pub struct ApiKeys;

#[async_trait]
impl Projection for ApiKeys {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["identity_api_keys"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[ApiKeyEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        match event.decode()? {
            ApiKeyEvent::Created {
                key_id,
                organisation_id,
                role,
                scopes,
                name,
                secret_sha256,
                at,
            } => {
                changes.insert(KeyRow {
                    key_id: key_id.to_string(),
                    position: event.position,
                    organisation_id: organisation_id.to_string(),
                    role: wire_name(&role)?,
                    scopes,
                    name,
                    secret_sha256,
                    created_at: At(at),
                    expires_at: None,
                    successor: None,
                    user_id: None,
                    service_account_id: None,
                    revoked_at: None,
                    revoked_reason: None,
                });
            }
            ApiKeyEvent::Issued { user_id, .. } => {
                changes.change((event.aggregate_id.clone(),), move |key: &mut KeyRow| {
                    key.user_id = Some(user_id.to_string());
                    Ok(())
                });
            }
            ApiKeyEvent::Assigned { service_account_id, .. } => {
                changes.change((event.aggregate_id.clone(),), move |key: &mut KeyRow| {
                    key.service_account_id = Some(service_account_id.to_string());
                    Ok(())
                });
            }
            ApiKeyEvent::ExpirySet { expires_at, successor, .. } => {
                let successor = successor.map(|key_id| key_id.to_string());
                changes.change((event.aggregate_id.clone(),), move |key: &mut KeyRow| {
                    (key.expires_at, key.successor) = (Some(At(expires_at)), successor);
                    Ok(())
                });
            }
            ApiKeyEvent::Revoked { reason, at } => {
                changes.change((event.aggregate_id.clone(),), move |key: &mut KeyRow| {
                    (key.revoked_at, key.revoked_reason) = (Some(At(at)), Some(reason));
                    Ok(())
                });
            }
        }
        Ok(())
    }
}

row! {
    /// A key and by what it is recognised.
    pub(crate) struct KeyRow in "identity_api_keys" by (key_id: String) {
        key_id: String,
        position: i64,
        organisation_id: String,
        role: String,
        scopes: Vec<String>,
        name: String,
        secret_sha256: String,
        created_at: At,
        expires_at: Option<At>,
        successor: Option<String>,
        user_id: Option<String>,
        service_account_id: Option<String>,
        revoked_at: Option<At>,
        revoked_reason: Option<String>,
    }
}

/// Which keys: those that have what is said.
#[derive(Default)]
struct Which<'a> {
    key_id: Option<&'a str>,
    secret_sha256: Option<&'a str>,
    organisation: Option<OrganisationId>,
    service_account: Option<ServiceAccountId>,
}

async fn select(
    db: impl PgExecutor<'_>,
    which: Which<'_>,
    (before, limit): (i64, i64),
) -> Result<Vec<ApiKey>, QueryError> {
    let rows = sqlx::query_as!(
        ApiKey,
        r#"SELECT key_id, k.position, k.organisation_id, COALESCE(a.role, k.role) AS "role!", scopes, k.user_id, k.service_account_id,
             (k.user_id IS NULL OR COALESCE(k.role = m.role, false))
               AND (k.service_account_id IS NULL OR a.service_account_id IS NOT NULL) AS "stands!",
             a.disabled_at IS NOT NULL AS "disabled!", suspended_at IS NOT NULL AS "suspended!",
             k.name, created_at AS "created_at: At",
             expires_at AS "expires_at: At", successor, used_at AS "last_used_at?: At",
             COALESCE(k.revoked_at, a.removed_at) AS "revoked_at: At",
             CASE WHEN k.revoked_at IS NULL AND a.removed_at IS NOT NULL THEN 'its service account was removed' ELSE k.revoked_reason END
               AS revoked_reason
           FROM identity_api_keys k LEFT JOIN identity_key_uses USING (key_id)
             LEFT JOIN identity_organisations USING (organisation_id)
             LEFT JOIN identity_members m USING (organisation_id, user_id)
             LEFT JOIN identity_service_accounts a
               ON a.service_account_id = k.service_account_id AND a.organisation_id = k.organisation_id
           WHERE ($1::text IS NULL OR key_id = $1) AND ($2::text IS NULL OR secret_sha256 = $2)
             AND ($3::text IS NULL OR k.organisation_id = $3) AND ($4::text IS NULL OR k.service_account_id = $4) AND k.position < $5
           ORDER BY k.position DESC LIMIT $6"#,
        which.key_id,
        which.secret_sha256,
        which.organisation.map(|id| id.to_string()),
        which.service_account.map(|id| id.to_string()),
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// The key with this lower-case hex SHA-256, unless it is revoked, its person is no longer what they were or its service account was
/// removed. It may have expired, and its account may be disabled.
///
/// # Errors
/// [`QueryError`].
pub async fn find_by_sha256(
    db: impl PgExecutor<'_>,
    secret_sha256: &str,
) -> Result<Option<ApiKey>, QueryError> {
    let which = Which { secret_sha256: Some(secret_sha256), ..Which::default() };
    let rows = select(db, which, (i64::MAX, 1)).await?;
    Ok(rows.into_iter().find(|key| key.revoked_at.is_none() && key.stands))
}

/// Those of these keys that open something now, each with its role.
///
/// # Errors
/// [`QueryError`].
pub async fn living(
    db: impl PgExecutor<'_>,
    key_ids: &[String],
) -> Result<Vec<(String, String)>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT key_id, COALESCE(a.role, k.role) AS "role!"
           FROM identity_api_keys k LEFT JOIN identity_members m USING (organisation_id, user_id)
             LEFT JOIN identity_service_accounts a
               ON a.service_account_id = k.service_account_id AND a.organisation_id = k.organisation_id
           WHERE key_id = ANY($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
             AND (k.user_id IS NULL OR k.role = m.role)
             AND (k.service_account_id IS NULL
               OR a.service_account_id IS NOT NULL AND a.disabled_at IS NULL AND a.removed_at IS NULL)"#,
        key_ids
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.role)).collect())
}

/// One key; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    key_id: &str,
) -> Result<Option<ApiKey>, QueryError> {
    let which = Which { key_id: Some(key_id), organisation, ..Which::default() };
    Ok(select(db, which, (i64::MAX, 1)).await?.pop())
}

/// Keys of one organisation or of all, perhaps only those of one service account, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    (organisation, service_account): (Option<OrganisationId>, Option<ServiceAccountId>),
    after: Option<String>,
    limit: i64,
) -> Result<Page<ApiKey>, QueryError> {
    let page = (before(after)?, fetch_limit(limit));
    let which = Which { organisation, service_account, ..Which::default() };
    let rows = select(db, which, page).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
