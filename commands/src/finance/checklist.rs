//! What must hold before a month is closed, looked at one by one. Nothing here decides; what stands against an item is told by its name.
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::money::format_nanos;
use cairn_core::{Month, Nanos, Timestamp};
use cairn_finance::BreakCase;
use cairn_finance::period::{Check, Item};
use cairn_ledger::{Wallet, wallet_id};
use sqlx::PgConnection;

use super::clearing::{self, Clearing};
use super::{FinanceError, ReconciliationReport, record};
use crate::Executor;

/// What is looked at.
pub(super) struct Looked {
    pub month: Month,
    pub now: Timestamp,
    /// An open break of more than this stands against the close.
    pub limit_nanos: Nanos,
    /// See [`Clearing::days`].
    pub clearing_days: u16,
}

/// All but the balance, which is looked at with the count.
pub(super) async fn before(
    executor: &Executor,
    looked: &Looked,
    report: &ReconciliationReport,
) -> Result<Vec<Check>, FinanceError> {
    let Looked { month, limit_nanos, clearing_days: days, .. } = *looked;
    Ok(vec![
        over(looked),
        earlier(executor, month).await?,
        rated(executor, month).await?,
        reconciled(report),
        settled(executor, looked).await?,
        clearing::aged(executor, &Clearing { month, days, limit_nanos }).await?,
    ])
}

fn over(looked: &Looked) -> Check {
    let ends_at = looked.month.ends_at();
    let against = (looked.now < ends_at).then(|| format!("it ends at {ends_at}"));
    check(Item::Over, format!("it ended at {ends_at}"), against)
}

/// Months before it in which something was posted.
async fn earlier(executor: &Executor, month: Month) -> Result<Check, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT to_char(m.first, 'YYYY-MM') AS "month!",
                  EXISTS (SELECT FROM ledger_periods p WHERE p.status = 'closed' AND p.span @> m.first) AS "closed!"
           FROM (SELECT m::date AS first FROM generate_series(
                     (SELECT date_trunc('month', min(effective_on)) FROM ledger_journal_transactions),
                     $1::text::date - interval '1 month', interval '1 month') AS m) AS m ORDER BY m.first"#,
        month.first_day()
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let says = format!("{} earlier months with postings", rows.len());
    let open = rows.into_iter().filter(|row| !row.closed).map(|row| row.month);
    Ok(check(Item::EarlierClosed, says, open))
}

/// Rentals that were active before its end and are not settled: each must be metered up to it, and charged for what is metered.
async fn rated(executor: &Executor, month: Month) -> Result<Check, FinanceError> {
    let rows = sqlx::query_scalar!(
        "SELECT a.aggregate_id FROM events a
         WHERE a.aggregate_type = 'allocation' AND a.event_type = 'allocation.activated'
           AND NOT EXISTS (SELECT FROM events r
                           WHERE r.aggregate_type = 'allocation' AND r.aggregate_id = a.aggregate_id
                             AND r.event_type = 'allocation.released')
         ORDER BY a.position"
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let says = format!("{} rentals that go on", rows.len());
    let mut against = Vec::new();
    for id in rows {
        let (rental, _) = executor.load::<Allocation>(&id).await?;
        against.extend(unrated(executor, (&id, &rental), month.ends_at()).await?);
    }
    Ok(check(Item::UsageRated, says, against))
}

async fn unrated(
    executor: &Executor,
    (id, rental): (&str, &Allocation),
    ends_at: Timestamp,
) -> Result<Option<String>, FinanceError> {
    if rental.status == AllocationStatus::Released {
        return Ok(None);
    }
    let (Some(activated_at), Some(price), Some(owner)) =
        (rental.activated_at, rental.price, rental.organisation_id)
    else {
        return Ok(None);
    };
    if activated_at >= ends_at {
        return Ok(None);
    }
    let due_at = rental.meter_ends_at().map_or(ends_at, |stands_at| stands_at.min(ends_at));
    let metered_at = rental.metered_at.unwrap_or(activated_at);
    if metered_at < due_at {
        return Ok(Some(format!("{id} is metered up to {metered_at}")));
    }
    let (wallet, _) = executor.load::<Wallet>(&wallet_id(owner, price.currency)).await?;
    let hold_id = rental.placement.map(|placement| placement.hold_id.to_string());
    let hold = hold_id.and_then(|hold_id| wallet.holds.get(&hold_id).cloned());
    let charged = hold.map_or(0, |hold| hold.charged_nanos());
    let due = rental.total_nanos().unwrap_or(Nanos::MAX);
    Ok((charged < due).then(|| {
        let (charged, due) = (format_nanos(charged), format_nanos(due));
        format!("{id} is charged {charged} of {due} {}", price.currency)
    }))
}

fn reconciled(report: &ReconciliationReport) -> Check {
    let says = format!("{} lines, {} currencies", report.lines, report.proofs.len());
    let unproven = report.proofs.iter().filter(|proof| !proof.proven);
    let against = unproven.map(|proof| {
        let agrees = if proof.provider_agrees { "adds up" } else { "does not add up" };
        let unexplained = format_nanos(proof.unexplained_nanos);
        format!("{}: its book {agrees}, {unexplained} unexplained", proof.currency)
    });
    check(Item::Reconciled, says, against)
}

async fn settled(executor: &Executor, looked: &Looked) -> Result<Check, FinanceError> {
    let (mut below, mut against) = (0, Vec::new());
    for break_id in record::open(executor).await? {
        let (case, _) = executor.load::<BreakCase>(&break_id.to_string()).await?;
        let Some(item) = case.item.filter(|_| case.status.is_open()) else { continue };
        if item.occurred_at >= looked.month.ends_at() {
            continue;
        }
        if item.difference_nanos.saturating_abs() > looked.limit_nanos {
            let difference = format_nanos(item.difference_nanos);
            against.push(format!("{break_id}: {difference} {}", item.currency));
        } else {
            below += 1;
        }
    }
    let limit = format_nanos(looked.limit_nanos);
    Ok(check(Item::BreaksSettled, format!("{below} open up to {limit}"), against))
}

/// The trial balance, of everything there is.
pub(super) async fn balanced(connection: &mut PgConnection) -> Result<Check, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT currency, sum(amount_nanos)::text AS "sum!", sum(amount_nanos) = 0 AS "zero!"
           FROM ledger_postings GROUP BY currency ORDER BY currency"#
    );
    let rows = rows.fetch_all(connection).await?;
    let says = format!("{} currencies", rows.len());
    let off = rows.into_iter().filter(|row| !row.zero);
    Ok(check(Item::Balanced, says, off.map(|row| format!("{}: {} nanos", row.currency, row.sum))))
}

/// Months after it that are closed.
pub(super) async fn closed_after(
    executor: &Executor,
    month: Month,
) -> Result<Vec<Month>, FinanceError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT to_char(lower(span), 'YYYY-MM') AS "month!" FROM ledger_periods
           WHERE status = 'closed' AND lower(span) > $1::text::date ORDER BY lower(span)"#,
        month.first_day()
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let read = |text: String| text.parse().map_err(|_| FinanceError::Corrupt(text));
    rows.into_iter().map(read).collect()
}

fn check(item: Item, says: String, against: impl IntoIterator<Item = String>) -> Check {
    Check { item, says, against: against.into_iter().collect() }
}
