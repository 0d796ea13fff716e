//! What waits for a person, and what people did about it: asked by operators on call, and by auditors.
//!
//! One row is one intent of a process manager that needed a person, as it stands after the last call or answer.
use async_trait::async_trait;
use cairn_core::Timestamp;
use cairn_event_log::Recorded;
use cairn_operations::InterventionEvent;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, Page, QueryError, before, fetch_limit, found, wire_name};

/// Name of this projection.
pub const NAME: &str = "operations/interventions";

/// An intent that needed a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Intervention {
    pub intent_id: String,
    /// Where in the log a person was first called.
    pub position: i64,
    /// The process manager.
    pub process: String,
    /// Which of its processes.
    pub process_key: String,
    /// What it was about to do.
    pub intent: String,
    pub error: String,
    /// `waiting` or `resolved`.
    pub status: String,
    /// How often a person was called.
    pub calls: i64,
    pub called_at: At,
    /// `retry`, `skip` or `abandon`: the last answer.
    pub verb: Option<String>,
    pub reason: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<At>,
}

/// The projection.
pub struct Interventions;

#[async_trait]
impl Projection for Interventions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["operations_interventions"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[InterventionEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        let intent_id = event.aggregate_id.as_str();
        match event.decode()? {
            InterventionEvent::Called { process, key, intent, error, at } => {
                let call = Call { process, key, intent, error, at };
                call_person(db, intent_id, call, event.position).await
            }
            InterventionEvent::Resolved { verb, reason, at } => {
                let done = sqlx::query!(
                    "UPDATE operations_interventions SET status = 'resolved', verb = $2,
                       reason = $3, resolved_by = $4, resolved_at = $5 WHERE intent_id = $1",
                    intent_id,
                    wire_name(&verb)?,
                    reason,
                    event.metadata.actor,
                    At(at) as _,
                );
                found(&done.execute(db).await?, intent_id)
            }
        }
    }
}

struct Call {
    process: String,
    key: String,
    intent: String,
    error: String,
    at: Timestamp,
}

async fn call_person(
    db: &mut PgConnection,
    intent_id: &str,
    call: Call,
    position: i64,
) -> Result<(), ProjectError> {
    sqlx::query!(
        "INSERT INTO operations_interventions AS i (intent_id, position, process, process_key,
           intent, error, status, calls, called_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 1, $7)
         ON CONFLICT (intent_id) DO UPDATE SET error = excluded.error, status = 'waiting',
           calls = i.calls + 1, called_at = excluded.called_at",
        intent_id,
        position,
        call.process,
        call.key,
        call.intent,
        call.error,
        At(call.at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn select(
    pool: &PgPool,
    intent_id: Option<&str>,
    status: Option<&str>,
    (before, limit): (i64, i64),
) -> Result<Vec<Intervention>, QueryError> {
    let rows = sqlx::query_as!(
        Intervention,
        r#"SELECT intent_id, position, process, process_key, intent, error, status, calls,
             called_at AS "called_at: At", verb, reason, resolved_by,
             resolved_at AS "resolved_at: At"
           FROM operations_interventions
           WHERE ($1::text IS NULL OR intent_id = $1) AND ($2::text IS NULL OR status = $2)
             AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        intent_id,
        status,
        before,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One intervention.
///
/// # Errors
/// [`QueryError`].
pub async fn get(pool: &PgPool, intent_id: &str) -> Result<Option<Intervention>, QueryError> {
    Ok(select(pool, Some(intent_id), None, (i64::MAX, 1)).await?.pop())
}

/// Interventions, or only those in one status, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    status: Option<&str>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Intervention>, QueryError> {
    let rows = select(pool, None, status, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
