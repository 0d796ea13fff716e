//! Time that nobody proved, with whose it was.
use cairn_core::{NodeId, OrganisationId, Timestamp};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Seconds of a rental in which nothing proved that its node was alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Unproven {
    /// Where it stands in the list.
    pub place: i64,
    pub allocation_id: String,
    pub organisation_id: String,
    pub node_id: Option<String>,
    /// They lie between these two.
    pub from_at: At,
    /// None while it lasts.
    pub through_at: Option<At>,
    /// So far, while it lasts.
    pub seconds: i64,
    /// `outage`, `quarantine`, or `silence` when neither is known.
    pub why: String,
    /// When its node proved late that it ran.
    pub proven_at: Option<At>,
    /// `forgiven`, `charged`, `in_review` while it is to be settled which of the two, or `open` while it lasts.
    pub outcome: String,
    pub noted_at: Option<At>,
}

impl Unproven {
    /// Whole seconds since they ended.
    #[must_use]
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        self.through_at.map_or(0, |through_at| now.secs_since(through_at.0).max(0))
    }
}

/// Which to list; `None` is any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only on this node.
    pub node: Option<NodeId>,
    /// Only what ended after it.
    pub since: Option<Timestamp>,
    /// Only what began before it.
    pub until: Option<Timestamp>,
}

/// Time that was not proven when it was used: what lasts, then what the meter has passed, the last noted first. The meter of a rental that was
/// suspended went on where it was resumed: what is unproven after that lies after it. What is in review ends within what the meter passed.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    (filter, now): (Filter, Timestamp),
    after: Option<String>,
    limit: i64,
) -> Result<Page<Unproven>, QueryError> {
    let rows = sqlx::query_file_as!(
        Unproven,
        "src/compute/unproven.sql",
        filter.organisation.map(|id| id.to_string()),
        filter.node.map(|id| id.to_string()),
        filter.since.map(At) as Option<At>,
        filter.until.map(At) as Option<At>,
        before(after)?,
        fetch_limit(limit),
        At(now) as At,
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.place))
}
