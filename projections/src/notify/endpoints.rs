//! Endpoints of webhooks: asked by the owners who manage theirs.
//!
//! One row is one endpoint, deleted ones included and never shown. Secrets are nowhere in it.
use async_trait::async_trait;
use cairn_core::OrganisationId;
use cairn_event_log::Recorded;
use cairn_notify::WebhookEndpointEvent;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit, wire_name};

/// Name of this projection.
pub const NAME: &str = "notify/endpoints";

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Endpoint {
    pub endpoint_id: String,
    /// Where in the log it was created.
    pub position: i64,
    pub organisation_id: String,
    /// Sealed.
    pub url: String,
    /// Separated by spaces; all of them when empty.
    pub event_types: String,
    pub created_at: At,
    pub secret_rotated_at: Option<At>,
    /// Since when nothing is sent there.
    pub disabled_at: Option<At>,
    /// `requested`, `gone` or `failing`.
    pub disabled_reason: Option<String>,
}

/// The projection.
pub struct Endpoints;

#[async_trait]
impl Projection for Endpoints {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["notify_endpoints"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[WebhookEndpointEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use WebhookEndpointEvent as E;
        let key = (event.aggregate_id.clone(),);
        let mut change = |apply: Box<dyn FnOnce(&mut EndpointRow) + Send>| {
            changes.change(key.clone(), move |row: &mut EndpointRow| {
                apply(row);
                Ok(())
            });
        };
        match event.decode()? {
            E::Created { endpoint_id, organisation_id, url, event_types, at, secret: _ } => {
                changes.insert(EndpointRow {
                    endpoint_id: endpoint_id.to_string(),
                    position: event.position,
                    organisation_id: organisation_id.to_string(),
                    url,
                    event_types: event_types.join(" "),
                    created_at: At(at),
                    secret_rotated_at: None,
                    disabled_at: None,
                    disabled_reason: None,
                    deleted_at: None,
                });
            }
            E::Updated { url, event_types, .. } => change(Box::new(move |row| {
                (row.url, row.event_types) = (url, event_types.join(" "));
            })),
            E::SecretRotated { at, .. } => {
                change(Box::new(move |row| row.secret_rotated_at = Some(At(at))));
            }
            E::Disabled { reason, at } => {
                let reason = wire_name(&reason)?;
                change(Box::new(move |row| {
                    (row.disabled_at, row.disabled_reason) = (Some(At(at)), Some(reason));
                }));
            }
            E::Enabled { .. } => {
                change(Box::new(|row| (row.disabled_at, row.disabled_reason) = (None, None)));
            }
            E::Deleted { at } => change(Box::new(move |row| row.deleted_at = Some(At(at)))),
            E::TestRequested { .. } | E::ResendRequested { .. } => {}
        }
        Ok(())
    }
}

row! {
    /// An endpoint, deleted or not.
    pub(crate) struct EndpointRow in "notify_endpoints" by (endpoint_id: String) {
        endpoint_id: String,
        position: i64,
        organisation_id: String,
        url: String,
        event_types: String,
        created_at: At,
        secret_rotated_at: Option<At>,
        disabled_at: Option<At>,
        disabled_reason: Option<String>,
        deleted_at: Option<At>,
    }
}

async fn select(
    db: impl PgExecutor<'_>,
    endpoint_id: Option<&str>,
    organisation: Option<OrganisationId>,
    (before, limit): (i64, i64),
) -> Result<Vec<Endpoint>, QueryError> {
    let rows = sqlx::query_as!(
        Endpoint,
        r#"SELECT endpoint_id, position, organisation_id, url, event_types, created_at AS "created_at: At",
             secret_rotated_at AS "secret_rotated_at: At", disabled_at AS "disabled_at: At", disabled_reason
           FROM notify_endpoints
           WHERE ($1::text IS NULL OR endpoint_id = $1) AND ($2::text IS NULL OR organisation_id = $2)
             AND deleted_at IS NULL AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        endpoint_id,
        organisation.map(|id| id.to_string()),
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// One endpoint; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    endpoint_id: &str,
) -> Result<Option<Endpoint>, QueryError> {
    Ok(select(db, Some(endpoint_id), organisation, (i64::MAX, 1)).await?.pop())
}

/// Endpoints of one organisation or of all, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Endpoint>, QueryError> {
    let rows = select(db, None, organisation, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
