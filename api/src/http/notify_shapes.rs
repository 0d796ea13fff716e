//! What is answered about endpoints of webhooks and what was delivered to them.
use cairn_commands::Executed;
use cairn_commands::notify::shown;
use cairn_core::{OrganisationId, Timestamp};
use cairn_projections::notify::endpoints as view;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;

use crate::problem::Problem;

/// It is so.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpointDone {
    /// `whe_…`
    endpoint_id: String,
}

impl WebhookEndpointDone {
    pub(super) fn of(id: &str) -> Self {
        Self { endpoint_id: id.to_owned() }
    }
}

/// It is so, and this is the secret.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecretDone {
    /// `whe_…`
    endpoint_id: String,
    /// `whsec_…`: signs what is sent. Told once; absent when this is the stored answer to the same Idempotency-Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookSecretDone {
    pub(super) fn of(done: &Executed, secret: String) -> Self {
        let secret = (!done.replayed).then_some(secret);
        Self { endpoint_id: done.aggregate_id.clone(), secret }
    }
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookEndpoint {
    /// `whe_…`
    pub endpoint_id: String,
    /// `org_…`
    pub organisation_id: String,
    /// Where to.
    pub url: String,
    /// Types of events; all when empty.
    pub event_types: Vec<String>,
    /// `enabled` or `disabled`.
    pub status: &'static str,
    /// Why nothing is sent: `requested`, `gone` (it answered 410) or `failing` (for days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_rotated_at: Option<String>,
}

impl From<view::Endpoint> for WebhookEndpoint {
    fn from(row: view::Endpoint) -> Self {
        let shown = |at: cairn_projections::At| Timestamp::from(at).to_string();
        Self {
            endpoint_id: row.endpoint_id,
            organisation_id: row.organisation_id,
            url: row.url,
            event_types: row.event_types.split_whitespace().map(str::to_owned).collect(),
            status: if row.disabled_at.is_some() { "disabled" } else { "enabled" },
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at.map(shown),
            created_at: shown(row.created_at),
            secret_rotated_at: row.secret_rotated_at.map(shown),
        }
    }
}

/// A message to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// Its `webhook-id`, which is also the `id` of the event.
    pub delivery_id: String,
    /// Type and version of the event.
    pub event_type: String,
    /// `pending`, `delivered`, `failed` (no more attempts) or `dropped` (its endpoint was deleted).
    pub status: String,
    /// Attempts so far.
    pub attempts: i32,
    /// RFC 3339: when it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// The HTTP status that the last attempt was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<i32>,
    /// Why the last attempt had no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

impl From<shown::Delivery> for WebhookDelivery {
    fn from(row: shown::Delivery) -> Self {
        Self {
            delivery_id: format!("{:020}", row.position),
            event_type: row.event_type,
            status: row.status,
            attempts: row.attempts,
            next_attempt_at: row.due_at.map(|at| at.to_string()),
            last_status: row.last_status,
            last_error: row.last_error,
            created_at: row.created_at.to_string(),
            finished_at: row.finished_at.map(|at| at.to_string()),
        }
    }
}

impl WebhookDelivery {
    pub(super) async fn page(
        db: impl PgExecutor<'_>,
        whose: (Option<OrganisationId>, &str),
        (before, limit): (i64, i64),
    ) -> Result<cairn_projections::Page<shown::Delivery>, Problem> {
        let rows = shown::deliveries(db, whose, (before, limit + 1)).await;
        let rows = rows.map_err(cairn_projections::QueryError::from)?;
        Ok(cairn_projections::Page::of(rows, limit, |row| row.position))
    }
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookAttempt {
    /// From 1.
    pub attempt: i32,
    /// RFC 3339.
    pub at: String,
    /// From the beginning of the attempt to its end.
    pub latency_ms: i32,
    /// The HTTP status that it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// What the answer begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A message with every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDeliveryDetail {
    /// The message.
    pub delivery: WebhookDelivery,
    /// In their order.
    pub attempts: Vec<WebhookAttempt>,
}

impl WebhookDeliveryDetail {
    pub(super) async fn find(
        db: &mut PgConnection,
        (asks, endpoint_id): (Option<OrganisationId>, &str),
        position: i64,
    ) -> Result<Option<Self>, Problem> {
        let away = cairn_projections::QueryError::from;
        let before = position.saturating_add(1);
        let found = shown::deliveries(&mut *db, (asks, endpoint_id), (before, 1)).await;
        let found = found.map_err(away)?.pop().filter(|row| row.position == position);
        let Some(delivery) = found else { return Ok(None) };
        let attempts = shown::attempts(db, endpoint_id, position).await.map_err(away)?;
        let attempts = attempts.into_iter().map(|row| WebhookAttempt {
            attempt: row.attempt,
            at: row.at.to_string(),
            latency_ms: row.latency_ms,
            status: row.status,
            answer: row.answer,
            error: row.error,
        });
        Ok(Some(Self { delivery: delivery.into(), attempts: attempts.collect() }))
    }
}
