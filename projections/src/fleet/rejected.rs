//! What nodes said of themselves and cannot be true: asked by operators and finance, because time is charged by what nodes say.
//!
//! One row is one rejection.
use async_trait::async_trait;
use cairn_core::{NodeId, Timestamp};
use cairn_event_log::Recorded;
use cairn_fleet::NodeEvent;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit, wire_name};

/// Name of this projection.
pub const NAME: &str = "fleet/rejected";

/// Evidence that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Rejected {
    /// Where in the log it is.
    pub position: i64,
    pub node_id: String,
    /// `contradicts`, `goes_backward` or `in_the_future`.
    pub reason: String,
    pub boot_id: String,
    pub sequence: i64,
    /// What the node's clock said.
    pub clock_at: At,
    pub rejected_at: At,
}

impl Rejected {
    /// Whole seconds since then.
    #[must_use]
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.secs_since(self.rejected_at.0).max(0)
    }
}

/// The projection.
pub struct RejectedEvidence;

#[async_trait]
impl Projection for RejectedEvidence {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["fleet_rejected_evidence"]
    }

    fn interest(&self) -> Interest {
        Interest::Types(vec!["node.evidence_rejected"])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let NodeEvent::EvidenceRejected { fault, beat, at } = event.decode()? else {
            return Ok(());
        };
        changes.insert(RejectedRow {
            position: event.position,
            node_id: event.aggregate_id.clone(),
            reason: wire_name(&fault)?,
            boot_id: beat.boot_id,
            sequence: i64::try_from(beat.sequence).unwrap_or(i64::MAX),
            clock_at: At(beat.clock_at),
            rejected_at: At(at),
        });
        Ok(())
    }
}

row! {
    /// One rejection.
    pub(crate) struct RejectedRow in "fleet_rejected_evidence" by (position: i64) {
        position: i64,
        node_id: String,
        reason: String,
        boot_id: String,
        sequence: i64,
        clock_at: At,
        rejected_at: At,
    }
}

/// What was rejected, the last first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    node: Option<NodeId>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Rejected>, QueryError> {
    let rows = sqlx::query_as!(
        Rejected,
        r#"SELECT position, node_id, reason, boot_id, sequence, clock_at AS "clock_at: At", rejected_at AS "rejected_at: At"
           FROM fleet_rejected_evidence
           WHERE ($1::text IS NULL OR node_id = $1) AND position < $2
           ORDER BY position DESC LIMIT $3"#,
        node.map(|id| id.to_string()),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}
