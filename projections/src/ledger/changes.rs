//! What was posted after a month was closed and belongs to it: asked by whoever has reported that month already.
//!
//! [`changes`]`(pool, month, position)` reads the journal itself. One row is one journal transaction that stands in the log after the close
//! and takes effect in the month (which was reopened), or happened in it and takes effect later.
use cairn_core::Month;
use serde::Serialize;
use sqlx::PgPool;

use super::trial_balance::{Sum, sum};
use crate::row::{At, QueryError};

/// A journal transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Change {
    pub position: i64,
    pub posted_at: At,
    pub occurred_at: At,
    /// The day it takes effect, for example `2026-11-01`.
    pub effective_on: String,
    pub kind: String,
    /// `source/source_id`.
    pub reference: String,
    pub currency: String,
    /// The accounts that are debited, and those that are credited.
    pub debit: Vec<String>,
    pub credit: Vec<String>,
    /// What is debited in all.
    pub amount: Sum,
}

/// Everything that was posted after a position and takes effect or happened in the month, as it was posted.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn changes(pool: &PgPool, month: Month, after: i64) -> Result<Vec<Change>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT t.position, t.posted_at AS "posted_at: At", t.occurred_at AS "occurred_at: At",
             t.effective_on::text AS "effective_on!", t.kind, t.reference AS "reference!", t.currency,
             array_agg(p.account ORDER BY p.leg) FILTER (WHERE p.amount_nanos > 0) AS "debit!",
             array_agg(p.account ORDER BY p.leg) FILTER (WHERE p.amount_nanos < 0) AS "credit!",
             (sum(p.amount_nanos) FILTER (WHERE p.amount_nanos > 0))::text AS "amount!"
           FROM ledger_journal_transactions t JOIN ledger_postings p USING (position)
           WHERE t.position > $1
             AND ((t.occurred_at >= $2 AND t.occurred_at < $3)
                  OR (t.effective_on >= ($2 AT TIME ZONE 'UTC')::date AND t.effective_on < ($3 AT TIME ZONE 'UTC')::date))
           GROUP BY t.position ORDER BY t.position"#,
        after,
        At(month.starts_at()) as _,
        At(month.ends_at()) as _,
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    rows.map(|row| {
        Ok(Change {
            position: row.position,
            posted_at: row.posted_at,
            occurred_at: row.occurred_at,
            effective_on: row.effective_on,
            kind: row.kind,
            reference: row.reference,
            currency: row.currency,
            debit: row.debit,
            credit: row.credit,
            amount: sum(&row.amount)?,
        })
    })
    .collect()
}
