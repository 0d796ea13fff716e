//! Breaks between the books and the payment provider's book: asked by finance who settles them, and by auditors.
//!
//! One row is the case of one break as it stands after the last thing that happened to it. How old it is depends on who asks when, so
//! that is no column.
use async_trait::async_trait;
use cairn_core::{JournalTransaction, Timestamp};
use cairn_event_log::Recorded;
use cairn_finance::{BreakEvent, Disagreement};
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit, wire_name};

/// Name of this projection.
pub const NAME: &str = "finance/breaks";

/// A break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Break {
    pub break_id: String,
    /// Where in the log it was first found.
    pub position: i64,
    #[serde(rename = "type")]
    pub break_type: String,
    /// The provider's line.
    pub transaction_id: Option<String>,
    /// The charge, refund, … that it is for.
    pub source_id: Option<String>,
    /// Our journal transaction, `source/source_id`; of late usage the rental and the beginning of the outage.
    pub reference: Option<String>,
    pub currency: String,
    pub provider_nanos: Option<i64>,
    pub books_nanos: Option<i64>,
    /// By how much the provider's book is above ours; what late usage would cost.
    pub difference_nanos: i64,
    pub occurred_at: At,
    pub message: String,
    /// `open`, `proposed`, `cleared`, `posted`, `written_off` or `explained`.
    pub status: String,
    pub found_at: At,
    /// When anything about it was last changed.
    pub changed_at: At,
    pub owner: Option<String>,
    pub due_at: Option<At>,
    /// Of the last resolution, proposed or not.
    pub cause: Option<String>,
    pub proposed_by: Option<String>,
    pub approved_by: Option<String>,
    pub debit: Option<String>,
    pub credit: Option<String>,
    pub amount_nanos: Option<i64>,
    /// Where in the log the last correction was posted.
    pub posted_position: Option<i64>,
}

impl Break {
    /// Whether somebody must still do something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "open" | "proposed")
    }

    /// How many days it has been known or, once it is settled, was, as the bucket it is in: `0-1`, `2-3`, `4-7`, `8-30` or `30+`.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> &'static str {
        let until = if self.is_open() { now } else { self.changed_at.0 };
        match until.secs_since(self.found_at.0) / 86_400 {
            ..=1 => "0-1",
            2..=3 => "2-3",
            4..=7 => "4-7",
            8..=30 => "8-30",
            31.. => "30+",
        }
    }
}

/// The projection.
pub struct Breaks;

#[async_trait]
impl Projection for Breaks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["finance_breaks"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[BreakEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use BreakEvent as E;
        let (break_id, position) = (event.aggregate_id.clone(), event.position);
        let key = (break_id.clone(),);
        match event.decode()? {
            E::Found { item, at } => {
                let mut row =
                    BreakRow { break_id, position, found_at: At(at), ..BreakRow::default() };
                row.is(item, at)?;
                changes.insert(row);
            }
            E::Restated { item, at } | E::Reopened { item, at } => {
                changes.change(key, move |row: &mut BreakRow| row.is(item, at));
            }
            E::Assigned { owner, due_at, at, .. } => {
                changes.change(key, move |row: &mut BreakRow| {
                    (row.owner, row.due_at, row.changed_at) =
                        (Some(owner), Some(At(due_at)), At(at));
                    Ok(())
                });
            }
            E::Cleared { at } => changes.change(key, move |row: &mut BreakRow| {
                row.forget_resolution();
                (row.status, row.changed_at) = ("cleared".into(), At(at));
                Ok(())
            }),
            E::ResolutionProposed { cause, journal, proposed_by, at, .. } => {
                changes.change(key, move |row: &mut BreakRow| {
                    (row.status, row.changed_at) = ("proposed".into(), At(at));
                    row.resolution((cause, proposed_by, None), journal);
                    Ok(())
                });
            }
            E::Resolved { resolution, cause, journal, resolved_by, approved_by, at, .. } => {
                let status = wire_name(&resolution)?;
                changes.change(key, move |row: &mut BreakRow| {
                    (row.status, row.changed_at) = (status, At(at));
                    if journal.is_some() {
                        row.posted_position = Some(position);
                    }
                    row.resolution((cause, resolved_by, approved_by), journal);
                    Ok(())
                });
            }
        }
        Ok(())
    }
}

row! {
    /// A break.
    pub(crate) struct BreakRow in "finance_breaks" by (break_id: String) {
        break_id: String,
        position: i64,
        break_type: String,
        transaction_id: Option<String>,
        source_id: Option<String>,
        reference: Option<String>,
        currency: String,
        provider_nanos: Option<i64>,
        books_nanos: Option<i64>,
        difference_nanos: i64,
        occurred_at: At,
        message: String,
        status: String,
        found_at: At,
        changed_at: At,
        owner: Option<String>,
        due_at: Option<At>,
        cause: Option<String>,
        proposed_by: Option<String>,
        approved_by: Option<String>,
        debit: Option<String>,
        credit: Option<String>,
        amount_nanos: Option<i64>,
        posted_position: Option<i64>,
    }
}

impl BreakRow {
    /// Open, and this is what is wrong.
    fn is(&mut self, item: Disagreement, at: Timestamp) -> Result<(), ProjectError> {
        self.forget_resolution();
        self.break_type = wire_name(&item.break_type)?;
        (self.transaction_id, self.source_id) = (item.transaction_id, item.source_id);
        (self.reference, self.currency) = (item.reference, item.currency);
        (self.provider_nanos, self.books_nanos) = (item.provider_nanos, item.books_nanos);
        (self.difference_nanos, self.occurred_at) = (item.difference_nanos, At(item.occurred_at));
        (self.message, self.status, self.changed_at) = (item.message, "open".into(), At(at));
        Ok(())
    }

    fn forget_resolution(&mut self) {
        (self.cause, self.proposed_by, self.approved_by) = (None, None, None);
        (self.debit, self.credit, self.amount_nanos) = (None, None, None);
    }

    fn resolution(
        &mut self,
        (cause, proposed_by, approved_by): (String, String, Option<String>),
        journal: Option<JournalTransaction>,
    ) {
        self.forget_resolution();
        (self.cause, self.proposed_by) = (Some(cause), Some(proposed_by));
        self.approved_by = approved_by;
        for leg in journal.into_iter().flat_map(|journal| journal.postings) {
            if leg.amount_nanos > 0 {
                (self.debit, self.amount_nanos) = (Some(leg.account), Some(leg.amount_nanos));
            } else {
                self.credit = Some(leg.account);
            }
        }
    }
}

async fn select(
    pool: &PgPool,
    break_id: Option<&str>,
    open_only: bool,
    (before, limit): (i64, i64),
) -> Result<Vec<Break>, QueryError> {
    let rows = sqlx::query_as!(
        Break,
        r#"SELECT break_id, position, break_type, transaction_id, source_id, reference, currency, provider_nanos,
             books_nanos, difference_nanos, occurred_at AS "occurred_at: At", message, status,
             found_at AS "found_at: At", changed_at AS "changed_at: At", owner, due_at AS "due_at: At", cause,
             proposed_by, approved_by, debit, credit, amount_nanos, posted_position
           FROM finance_breaks
           WHERE ($1::text IS NULL OR break_id = $1) AND (NOT $2 OR status IN ('open', 'proposed'))
             AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        break_id,
        open_only,
        before,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One break.
///
/// # Errors
/// [`QueryError`].
pub async fn get(pool: &PgPool, break_id: &str) -> Result<Option<Break>, QueryError> {
    Ok(select(pool, Some(break_id), false, (i64::MAX, 1)).await?.pop())
}

/// Breaks, or only those that are open, the last found first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    open_only: bool,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Break>, QueryError> {
    let rows = select(pool, None, open_only, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

#[cfg(test)]
mod tests {
    use cairn_core::Timestamp;

    use super::{At, Break};

    fn found() -> Break {
        let at = At(Timestamp::from_secs(1_000));
        Break {
            break_id: "break_1".to_owned(),
            position: 1,
            break_type: "fee".to_owned(),
            transaction_id: None,
            source_id: None,
            reference: None,
            currency: "USD".to_owned(),
            provider_nanos: None,
            books_nanos: None,
            difference_nanos: 0,
            occurred_at: at,
            message: String::new(),
            status: "open".to_owned(),
            found_at: at,
            changed_at: at,
            owner: None,
            due_at: None,
            cause: None,
            proposed_by: None,
            approved_by: None,
            debit: None,
            credit: None,
            amount_nanos: None,
            posted_position: None,
        }
    }

    #[test]
    fn an_open_break_grows_old_and_a_settled_one_does_not() {
        let after = |days: i64| Timestamp::from_secs(1_000).plus_secs(days * 86_400);
        let ages = [
            (0, "0-1"),
            (1, "0-1"),
            (2, "2-3"),
            (4, "4-7"),
            (8, "8-30"),
            (30, "8-30"),
            (31, "30+"),
        ];
        for (days, bucket) in ages {
            assert_eq!(found().age(after(days)), bucket, "{days} days");
        }
        let settled = Break { status: "posted".to_owned(), changed_at: At(after(3)), ..found() };
        assert_eq!(settled.age(after(90)), "2-3");
    }
}
