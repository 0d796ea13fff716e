//! Who did what, from where, caused by what: asked by auditors, and by whoever looks into an incident.
//!
//! One row is one event, of whatever type, with the metadata it was written with.
use async_trait::async_trait;
use cairn_core::{OrganisationId, ServiceAccountId, Timestamp};
use cairn_event_log::Recorded;
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "operations/audit";

/// One event and who caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Entry {
    pub position: i64,
    pub recorded_at: At,
    /// On whose behalf.
    pub organisation_id: Option<String>,
    pub actor: String,
    /// Where it came from: an IP address, `cli`, or a process.
    pub origin: Option<String>,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    /// Shared by everything that one request set in motion.
    pub correlation_id: String,
    /// What it follows from.
    pub causation_id: Option<String>,
    pub command_id: String,
}

/// Which entries to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only on behalf of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only by this actor. A service account has what all of its keys did: `sa_…` finds `sa_… with key_…`.
    pub actor: Option<String>,
    /// Only about aggregates of this type.
    pub aggregate_type: Option<String>,
    /// Only about this aggregate.
    pub aggregate_id: Option<String>,
    /// Only what this request set in motion.
    pub correlation_id: Option<String>,
    /// Recorded at this instant or later.
    pub from: Option<Timestamp>,
    /// Recorded before this instant.
    pub until: Option<Timestamp>,
}

/// The projection.
pub struct Audit;

#[async_trait]
impl Projection for Audit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["operations_audit_entries"]
    }

    fn interest(&self) -> Interest {
        Interest::Everything
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        changes.insert(EntryRow {
            position: event.position,
            recorded_at: At(event.recorded_at),
            organisation_id: event.metadata.organisation_id.clone(),
            actor: event.metadata.actor.clone(),
            origin: event.metadata.origin.clone(),
            aggregate_type: event.aggregate_type.clone(),
            aggregate_id: event.aggregate_id.clone(),
            sequence: event.sequence,
            event_type: event.event_type.clone(),
            correlation_id: event.metadata.correlation_id.clone(),
            causation_id: event.metadata.causation_id.clone(),
            command_id: event.metadata.command_id.clone(),
        });
        Ok(())
    }
}

row! {
    /// An event without its payload.
    pub(crate) struct EntryRow in "operations_audit_entries" by (position: i64) {
        position: i64,
        recorded_at: At,
        organisation_id: Option<String>,
        actor: String,
        origin: Option<String>,
        aggregate_type: String,
        aggregate_id: String,
        sequence: i64,
        event_type: String,
        correlation_id: String,
        causation_id: Option<String>,
        command_id: String,
    }
}

/// Entries, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Entry>, QueryError> {
    let account = filter.actor.as_ref().filter(|actor| actor.parse::<ServiceAccountId>().is_ok());
    let account = account.map(|account| format!("{account} "));
    let actor = filter.actor.filter(|_| account.is_none());
    let rows = sqlx::query_as!(
        Entry,
        r#"SELECT position, recorded_at AS "recorded_at: At", organisation_id, actor, origin,
             aggregate_type, aggregate_id, sequence, event_type, correlation_id, causation_id,
             command_id
           FROM operations_audit_entries
           WHERE ($1::text IS NULL OR organisation_id = $1) AND ($2::text IS NULL OR actor = $2)
             AND ($10::text IS NULL OR starts_with(actor, $10))
             AND ($3::text IS NULL OR aggregate_type = $3)
             AND ($4::text IS NULL OR aggregate_id = $4)
             AND ($5::text IS NULL OR correlation_id = $5)
             AND ($6::timestamptz IS NULL OR recorded_at >= $6)
             AND ($7::timestamptz IS NULL OR recorded_at < $7) AND position < $8
           ORDER BY position DESC LIMIT $9"#,
        filter.organisation.map(|id| id.to_string()),
        actor,
        filter.aggregate_type,
        filter.aggregate_id,
        filter.correlation_id,
        filter.from.map(At) as _,
        filter.until.map(At) as _,
        before(after)?,
        fetch_limit(limit),
        account,
    );
    Ok(Page::of(rows.fetch_all(pool).await?, limit, |row| row.position))
}
