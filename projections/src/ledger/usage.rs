//! What was used, over time and by rental: asked by customers who watch what they spend. It is counted from the lines of the statement.
//!
//! A charge counts when it was made, and what is taken back of it when the last of it was. What customers pay and what they owe is counted alike, tax included.
//! The project of a charge is that of its rental, which the view of rentals says; what it does not know is in no project.
use cairn_core::{Currency, Nanos, OrganisationId, Timestamp};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, NO_PROJECT, QueryError};

/// How long a bucket is. All begin in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Every {
    Hour,
    Day,
    Month,
}

impl Every {
    const fn unit(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// What to count: from the beginning of the bucket in which `since` is, up to and without `until`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Span {
    pub since: Timestamp,
    pub until: Timestamp,
    pub every: Every,
}

/// Of what: an organisation's usage, in all currencies or one, in all projects or one.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Whose<'a> {
    pub organisation: OrganisationId,
    pub currency: Option<Currency>,
    /// An id, or `none` for what is in no project.
    pub project: Option<&'a str>,
}

/// What was used in one currency and project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Sum {
    pub currency: String,
    /// In which project; none when it was in none.
    pub project_id: Option<String>,
    /// Where the first bucket begins.
    pub since: At,
    pub cost_nanos: Nanos,
    /// Of it, tax.
    pub tax_nanos: Nanos,
    /// In a time as long right before.
    pub previous_nanos: Nanos,
    /// Since the first of the month in which the span ends.
    pub month_nanos: Nanos,
}

/// What was used in one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Bucket {
    pub currency: String,
    pub since: At,
    pub cost_nanos: Nanos,
    pub tax_nanos: Nanos,
}

/// What one rental used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Resource {
    pub currency: String,
    /// `alloc_…`
    pub reference: String,
    pub project_id: Option<String>,
    pub cost_nanos: Nanos,
    pub tax_nanos: Nanos,
    /// Seconds that it was charged for.
    pub seconds: i64,
}

/// Sums by currency and project: those of a currency are together what was used in it.
///
/// # Errors
/// [`QueryError`].
pub async fn sums(
    db: impl PgExecutor<'_>,
    whose: Whose<'_>,
    span: Span,
) -> Result<Vec<Sum>, QueryError> {
    let rows = sqlx::query_as!(
        Sum,
        r#"WITH span AS (
             SELECT date_trunc($3, $4::timestamptz, 'UTC') AS since, $5::timestamptz AS until,
               date_trunc('month', $5::timestamptz, 'UTC') AS month
           ), wide AS (
             SELECT since, until, month, least(month, since - (until - since)) AS first, since - (until - since) AS before FROM span
           )
           SELECT l.currency, a.project_id, w.since AS "since!: At",
             (coalesce(sum(l.owed_nanos - l.amount_nanos) FILTER (WHERE l.occurred_at >= w.since), 0))::bigint AS "cost_nanos!",
             (coalesce(sum(l.tax_nanos) FILTER (WHERE l.occurred_at >= w.since), 0))::bigint AS "tax_nanos!",
             (coalesce(sum(l.owed_nanos - l.amount_nanos)
               FILTER (WHERE l.occurred_at >= w.before AND l.occurred_at < w.since), 0))::bigint AS "previous_nanos!",
             (coalesce(sum(l.owed_nanos - l.amount_nanos) FILTER (WHERE l.occurred_at >= w.month), 0))::bigint AS "month_nanos!"
           FROM wide w JOIN ledger_statement_lines l ON l.occurred_at >= w.first AND l.occurred_at < w.until
             LEFT JOIN compute_allocations a ON a.allocation_id = l.reference AND a.organisation_id = l.organisation_id
           WHERE l.organisation_id = $1 AND ($2::text IS NULL OR l.currency = $2) AND l.kind IN ('usage', 'overrun', 'usage_corrected')
             AND ($6::text IS NULL OR coalesce(a.project_id, $7) = $6)
           GROUP BY 1, 2, w.since ORDER BY 1, 2 NULLS LAST"#,
        whose.organisation.to_string(),
        whose.currency.map(Currency::code),
        span.every.unit(),
        At(span.since) as At,
        At(span.until) as At,
        whose.project,
        NO_PROJECT,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Every bucket of the span, for each currency in which something was used in it; empty ones too.
///
/// # Errors
/// [`QueryError`].
pub async fn buckets(
    db: impl PgExecutor<'_>,
    whose: Whose<'_>,
    span: Span,
) -> Result<Vec<Bucket>, QueryError> {
    let rows = sqlx::query_as!(
        Bucket,
        r#"WITH used AS (
             SELECT l.currency, date_trunc($3, l.occurred_at, 'UTC') AS since,
               sum(l.owed_nanos - l.amount_nanos) AS cost, sum(l.tax_nanos) AS tax
             FROM ledger_statement_lines l
             LEFT JOIN compute_allocations a ON a.allocation_id = l.reference AND a.organisation_id = l.organisation_id
             WHERE l.organisation_id = $1 AND ($2::text IS NULL OR l.currency = $2)
               AND l.kind IN ('usage', 'overrun', 'usage_corrected')
               AND l.occurred_at >= date_trunc($3, $4::timestamptz, 'UTC') AND l.occurred_at < $5::timestamptz
               AND ($6::text IS NULL OR coalesce(a.project_id, $7) = $6)
             GROUP BY 1, 2
           ), steps AS (
             SELECT (step AT TIME ZONE 'UTC') AS since
             FROM generate_series(date_trunc($3, $4::timestamptz AT TIME ZONE 'UTC'), $5::timestamptz AT TIME ZONE 'UTC',
               ('1 ' || $3)::interval) AS s (step)
             WHERE (step AT TIME ZONE 'UTC') < $5::timestamptz
           )
           SELECT c.currency AS "currency!", s.since AS "since!: At",
             coalesce(u.cost, 0)::bigint AS "cost_nanos!", coalesce(u.tax, 0)::bigint AS "tax_nanos!"
           FROM (SELECT DISTINCT currency FROM used) AS c CROSS JOIN steps s
           LEFT JOIN used u ON u.currency = c.currency AND u.since = s.since
           ORDER BY c.currency, s.since"#,
        whose.organisation.to_string(),
        whose.currency.map(Currency::code),
        span.every.unit(),
        At(span.since) as At,
        At(span.until) as At,
        whose.project,
        NO_PROJECT,
    );
    Ok(rows.fetch_all(db).await?)
}

/// The rentals that used most in the span, the dearest first, at most 200 of them.
///
/// # Errors
/// [`QueryError`].
pub async fn resources(
    db: impl PgExecutor<'_>,
    whose: Whose<'_>,
    span: Span,
) -> Result<Vec<Resource>, QueryError> {
    let rows = sqlx::query_as!(
        Resource,
        r#"SELECT u.currency AS "currency!", u.reference AS "reference!", u.project_id, u.cost AS "cost_nanos!", u.tax AS "tax_nanos!",
             (u.last - coalesce((
               SELECT p.seconds FROM ledger_statement_lines p
               WHERE p.organisation_id = $1 AND p.currency = u.currency AND p.reference = u.reference
                 AND p.position < u.first AND p.kind IN ('usage', 'overrun', 'usage_corrected', 'invoice_corrected')
               ORDER BY p.position DESC LIMIT 1), 0) + coalesce((
               SELECT sum((
                 SELECT b.seconds FROM ledger_statement_lines b
                 WHERE b.organisation_id = $1 AND b.currency = u.currency AND b.reference = u.reference AND b.position < o.position
                   AND b.kind IN ('usage', 'overrun', 'usage_corrected', 'invoice_corrected')
                 ORDER BY b.position DESC LIMIT 1) - o.seconds)
               FROM ledger_statement_lines o
               WHERE o.organisation_id = $1 AND o.currency = u.currency AND o.reference = u.reference
                 AND o.position > u.first AND o.position < u.final AND o.kind = 'invoice_corrected'), 0))::bigint AS "seconds!"
           FROM (
             SELECT l.currency, l.reference, a.project_id, sum(l.owed_nanos - l.amount_nanos)::bigint AS cost,
               sum(l.tax_nanos)::bigint AS tax, (array_agg(l.seconds ORDER BY l.position DESC))[1] AS last, min(l.position) AS first,
               max(l.position) AS final
             FROM ledger_statement_lines l
             LEFT JOIN compute_allocations a ON a.allocation_id = l.reference AND a.organisation_id = l.organisation_id
             WHERE l.organisation_id = $1 AND ($2::text IS NULL OR l.currency = $2)
               AND l.kind IN ('usage', 'overrun', 'usage_corrected')
               AND l.occurred_at >= date_trunc($3, $4::timestamptz, 'UTC') AND l.occurred_at < $5::timestamptz
               AND ($6::text IS NULL OR coalesce(a.project_id, $7) = $6)
             GROUP BY l.currency, l.reference, a.project_id
             ORDER BY cost DESC, reference LIMIT 200
           ) AS u
           ORDER BY u.currency, u.cost DESC, u.reference"#,
        whose.organisation.to_string(),
        whose.currency.map(Currency::code),
        span.every.unit(),
        At(span.since) as At,
        At(span.until) as At,
        whose.project,
        NO_PROJECT,
    );
    Ok(rows.fetch_all(db).await?)
}
