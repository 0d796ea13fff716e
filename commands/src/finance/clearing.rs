//! Whether what only passes through has passed: payouts on their way to the bank, and refunds on their way to whoever paid. Each is followed by
//! itself, whenever what ends it came: a later one that arrives says nothing of an earlier one.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::chart::AccountType;
use cairn_core::money::format_nanos;
use cairn_core::{Month, Nanos};
use cairn_finance::BreakCase;
use cairn_finance::break_case::Status;
use cairn_finance::period::{Check, Item};
use cairn_payments::Payout;

use super::{FinanceError, payout_id};
use crate::Executor;

/// Which clearing accounts must have come to nothing.
pub(super) struct Clearing {
    pub month: Month,
    /// What came in later than so many days before the month's end may still be on its way.
    pub days: u16,
    /// What is older must be at most so much.
    pub limit_nanos: Nanos,
}

/// The item of the checklist. What is missing at the bank and was explained is not on its way, nor is what somebody has corrected; where no bank's
/// book is kept, nothing can arrive.
pub(super) async fn aged(executor: &Executor, asked: &Clearing) -> Result<Check, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT account AS "account!", currency AS "currency!",
                  NOT starts_with(account, 'clearing:')
                  OR EXISTS (SELECT FROM ledger_accounts b WHERE starts_with(b.code, 'bank:') AND b.currency = i.currency) AS "is_kept!",
                  coalesce(sum(stands) FILTER (WHERE NOT corrects AND since < $1::text::date - $2::int), 0)::bigint AS "old!",
                  coalesce(sum(stands) FILTER (WHERE corrects), 0)::bigint AS "corrected!",
                  (array_agg(item ORDER BY since) FILTER (WHERE NOT corrects AND stands <> 0 AND since < $1::text::date - $2::int)) [1:3] AS items
           FROM (SELECT p.account, p.currency, e.aggregate_type = 'break' AS corrects,
                        CASE WHEN j.source IN ('refund', 'refund_returned') THEN j.source_id ELSE e.aggregate_id END AS item,
                        sum(p.amount_nanos) AS stands, min(j.effective_on) AS since
                 FROM ledger_accounts a
                 JOIN ledger_postings p ON p.account = a.code AND NOT starts_with(p.account, 'wallet:')
                 JOIN ledger_journal_transactions j ON j.position = p.position
                 JOIN events e ON e.position = p.position
                 WHERE starts_with(a.code, 'clearing:') OR starts_with(a.code, 'refund_payable:')
                 GROUP BY 1, 2, 3, 4) AS i
           GROUP BY account, currency ORDER BY account"#,
        asked.month.next().first_day(),
        i32::from(asked.days)
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let explained = explained(executor).await?;
    let says = match rows.iter().filter(|row| !row.is_kept).count() {
        0 => format!("clearing accounts: {}", rows.len()),
        n => format!("clearing accounts: {}, with no bank to arrive at: {n}", rows.len()),
    };
    let mut against = Vec::new();
    for row in rows.into_iter().filter(|row| row.is_kept) {
        let known = explained.get(&row.currency).filter(|_| row.account.starts_with("clearing:"));
        let left = lessened(lessened(row.old, known.copied().unwrap_or(0)), -row.corrected);
        if left.saturating_abs() > asked.limit_nanos {
            let owed = AccountType::of(&row.account).is_some_and(AccountType::is_credit_normal);
            let (left, days) = (format_nanos(if owed { -left } else { left }), asked.days);
            let items = row.items.unwrap_or_default().join(", ");
            against.push(format!("{}: {left} is older than {days} days ({items})", row.account));
        }
    }
    Ok(Check { item: Item::ClearingAged, says, against })
}

/// What is left of an amount by what explains or corrects it: that never turns it round, and never adds to it.
fn lessened(amount_nanos: Nanos, by_nanos: Nanos) -> Nanos {
    if amount_nanos.signum() == by_nanos.signum() {
        let part = by_nanos.saturating_abs().min(amount_nanos.saturating_abs());
        amount_nanos - amount_nanos.signum() * part
    } else {
        amount_nanos
    }
}

/// What the bank does not have and somebody has said why, by currency.
async fn explained(executor: &Executor) -> Result<BTreeMap<String, Nanos>, FinanceError> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT aggregate_id FROM events
         WHERE aggregate_type = 'break' AND event_type = 'break.resolved' ORDER BY aggregate_id"
    );
    let mut payouts = BTreeSet::new();
    for id in rows.fetch_all(executor.log().pool()).await? {
        let (case, _) = executor.load::<BreakCase>(&id).await?;
        let item = case.item.filter(|item| item.break_type.is_of_the_bank());
        let item = item.filter(|_| case.status == Status::Explained);
        payouts.extend(item.and_then(|item| item.source_id).map(|of| payout_id(&of).to_string()));
    }
    let mut explained = BTreeMap::new();
    for id in payouts {
        let (payout, _) = executor.load::<Payout>(&id).await?;
        // One that has arrived since explains nothing of another.
        let once = |gone: bool| i64::from(gone);
        let times = 1 - once(payout.returned_by.is_some()) - once(payout.arrived_by.is_some())
            + once(payout.taken_back_by.is_some());
        if let Some(currency) = payout.currency {
            let sum: &mut Nanos = explained.entry(currency.to_string()).or_default();
            *sum = sum.saturating_add(times * payout.amount_nanos);
        }
    }
    Ok(explained)
}
