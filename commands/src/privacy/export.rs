//! All that is known of a subject, for the subject: its events and its rows, opened.
use cairn_core::texts::for_each;
use cairn_core::{Subject, Text, Timestamp};
use cairn_event_log::LogSource;
use serde::Serialize;
use serde_json::{Map, Value};

use super::erase::EraseError;
use super::known::own_events;
use super::seal::Personal;
use crate::ports::SubjectKey;
use crate::replay::{fold, stones, timestamp};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedEvent {
    /// Place in the log.
    pub position: i64,
    /// When it was appended.
    pub recorded_at: Timestamp,
    /// Type of its stream.
    pub aggregate_type: String,
    /// Id of its stream.
    pub aggregate_id: String,
    /// Wire name.
    pub event_type: String,
    /// What happened.
    pub payload: Value,
    /// Who did it, and from where.
    pub metadata: Value,
}

/// All that is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Export {
    /// Whose.
    pub subject: Subject,
    /// Its key.
    pub key: Option<SubjectKey>,
    /// What happened, in the log's order.
    pub events: Vec<ExportedEvent>,
    /// Rows that name it as their organisation, by table.
    pub rows: Map<String, Value>,
}

/// Writes down all that is known. What is erased reads as `erased`.
///
/// # Errors
/// [`EraseError::Unknown`] when that is nothing.
pub async fn export(
    log: &impl LogSource,
    personal: &Personal,
    subject: &Subject,
) -> Result<Export, EraseError> {
    let key = personal.port()?.key(subject).await?;
    let mut reading = stones::reading(log).await?;
    let mut own = own_events(&mut reading, subject).await?;
    if own.is_empty() && key.is_none() {
        return Err(EraseError::Unknown(subject.clone()));
    }
    own.sort_by_key(|stone| stone.position);
    let mut events = vec![];
    for stone in own {
        let recorded_at = timestamp(stone.recorded_at);
        let mut event = ExportedEvent {
            position: stone.position,
            recorded_at,
            aggregate_type: stone.aggregate_type,
            aggregate_id: stone.aggregate_id,
            event_type: stone.event_type,
            payload: stone.payload,
            metadata: stone.metadata,
        };
        withhold(&event.aggregate_type, &mut event.payload);
        personal.open_in(&mut event.payload, Some(subject)).await?;
        personal.open_in(&mut event.metadata, Some(subject)).await?;
        events.push(event);
    }
    let mut rows = Map::new();
    for table in tables(&mut reading).await? {
        let select = format!(
            "SELECT coalesce(json_agg(to_jsonb(t)), '[]'::json) FROM public.\"{table}\" t
             WHERE organisation_id = $1"
        );
        let found = sqlx::query_scalar::<_, Value>(&select).bind(subject.id());
        let mut found = found.fetch_one(&mut *reading).await?;
        personal.open_in(&mut found, Some(subject)).await?;
        if found.as_array().is_some_and(|found| !found.is_empty()) {
            rows.insert(table, found);
        }
    }
    Ok(Export { subject: subject.clone(), key, events, rows })
}

/// Stands where a text is that proves who somebody is.
const WITHHELD: &str = "withheld";

/// Nobody is shown what proves who they are: whoever reads it could be them.
fn withhold(aggregate_type: &str, payload: &mut Value) {
    let Some(found) = fold::find(aggregate_type) else { return };
    for_each(payload, &mut |path, text| {
        if matches!((found.text)(path), Some(Text::Credential | Text::Secret)) {
            WITHHELD.clone_into(text);
        }
    });
}

/// Every table whose rows name an organisation.
async fn tables(reading: &mut sqlx::PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT c.relname AS "name!" FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation_id' AND NOT a.attisdropped
           WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname"#
    )
    .fetch_all(reading)
    .await
}
