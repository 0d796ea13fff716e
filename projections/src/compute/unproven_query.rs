//! Time that nobody proved, with whose it was.
use cairn_core::{NodeId, OrganisationId, Timestamp};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Seconds of a rental that were not charged, because nothing proved that its node was alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Unproven {
    /// Where in the log they were noted.
    pub position: i64,
    pub allocation_id: String,
    pub organisation_id: String,
    pub node_id: Option<String>,
    /// They lie between these two.
    pub from_at: At,
    pub through_at: At,
    pub seconds: i64,
    /// `outage`, `quarantine`, or `silence` when neither is known.
    pub why: String,
    pub noted_at: At,
}

impl Unproven {
    /// Whole seconds since they ended.
    #[must_use]
    pub fn age_seconds(&self, now: Timestamp) -> i64 {
        now.secs_since(self.through_at.0).max(0)
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

/// Time that was not charged, the last noted first. The meter of a rental that was suspended went on where it was resumed: what is unproven
/// after that lies after it.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Unproven>, QueryError> {
    let rows = sqlx::query_as!(
        Unproven,
        r#"SELECT f.position, f.allocation_id, f.organisation_id, f.node_id, f.from_at AS "from_at!: At",
             f.through_at AS "through_at!: At", f.seconds AS "seconds!", f.why AS "why!", f.noted_at AS "noted_at: At"
           FROM (
             SELECT u.position, u.allocation_id, a.organisation_id, a.node_id, u.noted_at,
               coalesce(s.since, p.last_at) AS from_at, coalesce(s.until, u.first_at) AS through_at,
               u.unproven_seconds - p.unproven_seconds AS seconds, coalesce(s.why, 'silence') AS why
             FROM compute_unproven u JOIN compute_allocations a USING (allocation_id)
             CROSS JOIN LATERAL (
               SELECT b.unproven_seconds, greatest(b.last_at, (
                 SELECT max(t.at) FROM compute_timeline_entries t
                 WHERE t.allocation_id = u.allocation_id AND t.entry = 'resumed' AND t.at <= u.first_at)) AS last_at
               FROM compute_unproven b
               WHERE b.allocation_id = u.allocation_id AND b.unproven_seconds < u.unproven_seconds
               ORDER BY b.unproven_seconds DESC LIMIT 1) p
             LEFT JOIN LATERAL (
               SELECT greatest(min(l.since), p.last_at) AS since,
                 least(max(coalesce(l.until, u.first_at)), u.first_at) AS until,
                 CASE WHEN bool_or(l.why = 'quarantine') THEN 'quarantine' ELSE 'outage' END AS why
               FROM compute_links l
               WHERE l.node_id = a.node_id AND l.why IN ('outage', 'quarantine') AND l.since < u.first_at
                 AND (l.until > p.last_at OR l.until IS NULL
                   AND NOT EXISTS (SELECT FROM compute_links n WHERE n.node_id = l.node_id AND n.position > l.position))
               HAVING count(*) > 0) s ON true) f
           WHERE ($1::text IS NULL OR f.organisation_id = $1) AND ($2::text IS NULL OR f.node_id = $2)
             AND ($3::timestamptz IS NULL OR f.through_at > $3) AND ($4::timestamptz IS NULL OR f.from_at < $4)
             AND f.position < $5
           ORDER BY f.position DESC LIMIT $6"#,
        filter.organisation.map(|id| id.to_string()),
        filter.node.map(|id| id.to_string()),
        filter.since.map(At) as Option<At>,
        filter.until.map(At) as Option<At>,
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}
