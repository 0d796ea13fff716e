//! What waits for a person, and what people did about it: asked by operators on call, and by auditors.
//!
//! One row is one intent of a process manager that needed a person, as it stands after the last call or answer.
use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_operations::InterventionEvent;
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, add, before, fetch_limit, wire_name};

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

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let intent_id = event.aggregate_id.clone();
        match event.decode()? {
            InterventionEvent::Called { process, key, intent, error, at } => {
                let first = InterventionRow {
                    intent_id: intent_id.clone(),
                    position: event.position,
                    process,
                    process_key: key,
                    intent,
                    ..InterventionRow::default()
                };
                changes.put((intent_id,), move |row: Option<InterventionRow>| {
                    let mut row = row.unwrap_or(first);
                    (row.error, row.status, row.called_at) = (error, "waiting".into(), At(at));
                    add(&mut row.calls, 1)?;
                    Ok(row)
                });
            }
            InterventionEvent::Resolved { verb, reason, at } => {
                let (verb, actor) = (wire_name(&verb)?, event.metadata.actor.clone());
                changes.change((intent_id,), move |row: &mut InterventionRow| {
                    row.status = "resolved".into();
                    (row.verb, row.reason) = (Some(verb), Some(reason));
                    (row.resolved_by, row.resolved_at) = (Some(actor), Some(At(at)));
                    Ok(())
                });
            }
        }
        Ok(())
    }
}

row! {
    /// An intent that needed a person.
    pub(crate) struct InterventionRow in "operations_interventions" by (intent_id: String) {
        intent_id: String,
        position: i64,
        process: String,
        process_key: String,
        intent: String,
        error: String,
        status: String,
        calls: i64,
        called_at: At,
        verb: Option<String>,
        reason: Option<String>,
        resolved_by: Option<String>,
        resolved_at: Option<At>,
    }
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
