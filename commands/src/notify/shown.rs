//! What was sent, and what came of it.
use cairn_core::{OrganisationId, Timestamp};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

use crate::processes::store::from_sql;

/// A message to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Delivery {
    pub endpoint_id: String,
    /// Of the fact in the log.
    pub position: i64,
    pub event_type: String,
    /// `pending`, `delivered`, `failed` or `dropped`.
    pub status: String,
    pub attempts: i32,
    /// When it is tried next, while it is pending.
    pub due_at: Option<Timestamp>,
    /// What the last attempt was answered,
    pub last_status: Option<i32>,
    /// or why there was no answer.
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Attempt {
    pub attempt: i32,
    pub at: Timestamp,
    pub latency_ms: i32,
    pub status: Option<i32>,
    /// What the answer begins with.
    pub answer: Option<String>,
    pub error: Option<String>,
}

/// Deliveries of one endpoint, newest first, those before a position. To another organisation there are none.
///
/// # Errors
/// The database's.
pub async fn deliveries(
    db: impl PgExecutor<'_>,
    (asks, endpoint_id): (Option<OrganisationId>, &str),
    (before, limit): (i64, i64),
) -> Result<Vec<Delivery>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT d.* FROM notify_deliveries d JOIN notify_targets t USING (endpoint_id)
           WHERE endpoint_id = $1 AND ($2::text IS NULL OR t.organisation_id = $2) AND d.position < $3
           ORDER BY d.position DESC LIMIT $4"#,
        endpoint_id,
        asks.map(|id| id.to_string()),
        before,
        limit,
    );
    let shown = rows.fetch_all(db).await?.into_iter().map(|row| Delivery {
        endpoint_id: row.endpoint_id,
        position: row.position,
        event_type: row.event_type,
        due_at: (row.status == "pending").then(|| from_sql(row.due_at)),
        status: row.status,
        attempts: row.attempts,
        last_status: row.last_status,
        last_error: row.last_error,
        created_at: from_sql(row.created_at),
        finished_at: row.finished_at.map(from_sql),
    });
    Ok(shown.collect())
}

/// The attempts at one delivery, in their order.
///
/// # Errors
/// The database's.
pub async fn attempts(
    db: impl PgExecutor<'_>,
    endpoint_id: &str,
    position: i64,
) -> Result<Vec<Attempt>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT attempt, at, latency_ms, status, answer, error FROM notify_attempts
           WHERE endpoint_id = $1 AND position = $2 ORDER BY attempt"#,
        endpoint_id,
        position,
    );
    let shown = rows.fetch_all(db).await?.into_iter().map(|row| Attempt {
        attempt: row.attempt,
        at: from_sql(row.at),
        latency_ms: row.latency_ms,
        status: row.status,
        answer: row.answer,
        error: row.error,
    });
    Ok(shown.collect())
}

/// How it goes with all endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How far the teller has come; `None` when there never was one.
    pub position: Option<i64>,
    /// Endpoints whose last attempt failed.
    pub failing: i64,
    /// When the delivery was due that has waited longest; `None` when none waits.
    pub due_since: Option<Timestamp>,
}

/// How it goes with all endpoints, now.
///
/// # Errors
/// The database's.
pub async fn health(pool: &PgPool, now: Timestamp) -> Result<Health, sqlx::Error> {
    let now: OffsetDateTime = crate::processes::store::to_sql(now);
    let row = sqlx::query!(
        r#"SELECT
             (SELECT position FROM process_checkpoints WHERE process = 'tell_webhooks') AS position,
             (SELECT count(*) FROM notify_targets WHERE status = 'enabled' AND failing_since IS NOT NULL) AS "failing!",
             (SELECT min(d.due_at) FROM notify_targets t JOIN notify_deliveries d USING (endpoint_id)
              WHERE t.status = 'enabled' AND d.status = 'pending' AND d.due_at <= $1) AS due_since"#,
        now
    );
    let row = row.fetch_one(pool).await?;
    Ok(Health {
        position: row.position,
        failing: row.failing,
        due_since: row.due_since.map(from_sql),
    })
}
