//! The provider's payouts held against the bank's lines: what is looked at, and what is told of a period.
use std::collections::BTreeMap;

use cairn_finance::statement::day_text;
use serde::Serialize;
use sqlx::PgPool;

use super::super::reconcile::explained;
use super::super::report::Break;
use super::super::{FinanceError, Period, payout_id};
use super::gaps::Gap;
use super::matching::{BankFacts, BankLine, Covered, Matched, Payout, joined};
use super::midnight;
use crate::Executor;

/// Days that are covered without a hole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoveredDays {
    /// Our name of the account.
    pub account: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The first day.
    pub first_on: String,
    /// The last day.
    pub last_on: String,
}

/// What the bank's statements say of the payouts of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankReport {
    /// What statements cover, at any time.
    pub covered: Vec<CoveredDays>,
    /// Lines that were booked in the period.
    pub lines: usize,
    /// Payouts that were due in the period and are a line.
    pub matched: usize,
    /// Where statements do not join.
    pub gaps: Vec<Gap>,
    /// Disagreements, by time.
    pub breaks: Vec<Break>,
    /// Disagreements from before the period that are still open.
    pub carried: Vec<Break>,
    /// Of both, those that somebody has explained, and that still say the same.
    pub explained: Vec<Break>,
}

impl BankReport {
    /// Of all that is known. Nobody has explained anything yet.
    pub(in super::super) fn of(facts: &BankFacts, gaps: Vec<Gap>, period: &Period) -> Self {
        let Matched { pairs, backs: _, breaks } = Matched::of(facts);
        let before = period.look_back();
        let within = |period: &Period| {
            let found = breaks.iter().filter(|found| period.contains(found.item.at));
            found.cloned().collect::<Vec<Break>>()
        };
        let covered = joined(&facts.covered).into_iter().map(|covered| CoveredDays {
            account: covered.account,
            currency: covered.currency,
            first_on: day_text(covered.days.0),
            last_on: day_text(covered.days.1),
        });
        Self {
            covered: covered.collect(),
            lines: facts.lines.iter().filter(|line| period.contains(line.booked_on)).count(),
            matched: pairs.iter().filter(|(payout, _)| period.contains(payout.arrives_on)).count(),
            gaps,
            breaks: within(period),
            carried: within(&before),
            explained: vec![],
        }
    }
}

/// What is known of a period and of what is open from before it. Nothing when no statement was ever imported.
pub(in super::super) async fn report(
    executor: &Executor,
    period: &Period,
) -> Result<Option<BankReport>, FinanceError> {
    let pool = executor.log().pool();
    let facts = facts(pool).await?;
    if facts.covered.is_empty() {
        return Ok(None);
    }
    let report = BankReport::of(&facts, super::gaps(pool).await?, period);
    let (breaks, mut settled) = explained(executor, report.breaks).await?;
    let (carried, of_before) = explained(executor, report.carried).await?;
    settled.extend(of_before);
    Ok(Some(BankReport { breaks, carried, explained: settled, ..report }))
}

/// All that the matching looks at, whatever the period: so no run sees another half of a pair.
pub(super) async fn facts(pool: &PgPool) -> Result<BankFacts, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let covered = sqlx::query!(
        "SELECT account, currency, first_on, last_on FROM finance_bank_statements
         ORDER BY account, currency, first_on, last_on"
    );
    let covered = covered.fetch_all(&mut *connection).await?.into_iter().map(|row| Covered {
        account: row.account,
        currency: row.currency,
        days: (midnight(row.first_on), midnight(row.last_on)),
    });
    let lines = sqlx::query!(
        "SELECT account, currency, reference, amount_nanos, booked_on, valued_on, end_to_end, text
         FROM finance_bank_lines ORDER BY booked_on, account, currency, reference"
    );
    let lines = lines.fetch_all(&mut *connection).await?.into_iter().map(|row| BankLine {
        account: row.account,
        currency: row.currency,
        reference: row.reference,
        amount_nanos: row.amount_nanos,
        booked_on: midnight(row.booked_on),
        valued_on: midnight(row.valued_on),
        end_to_end: row.end_to_end,
        text: row.text,
    });
    // The journal says of what is at the bank by which line, and the log of which payout.
    let booked = sqlx::query!(
        "SELECT t.kind, t.source_id, e.aggregate_id FROM ledger_journal_transactions t
         JOIN events e ON e.position = t.position WHERE t.source = 'bank'"
    );
    let booked = booked.fetch_all(&mut *connection).await?.into_iter();
    let booked: BTreeMap<(String, String), String> =
        booked.map(|row| ((row.kind, row.aggregate_id), row.source_id)).collect();
    let ours = |provider_id: &str| payout_id(provider_id).to_string();
    // Of a payout's lines the first counts, as in our books; of what is said beside them, the latest.
    let payouts = sqlx::query!(
        r#"SELECT DISTINCT ON (x.source_id) x.id, x.source_id AS "provider_id!", x.currency, -x.amount_nanos AS "amount_nanos!",
                  p.descriptor, p.trace, (p.arrives_at AT TIME ZONE 'UTC')::date AS "arrives_on!",
                  b.id AS "returned_by?", b.returned_on AS "returned_on?"
           FROM finance_external_transactions x
           JOIN LATERAL (SELECT descriptor, trace, arrives_at FROM finance_external_payouts
                         WHERE payout_id = x.source_id ORDER BY mirrored_at DESC, content DESC LIMIT 1) AS p ON true
           LEFT JOIN LATERAL (SELECT id, (created_at AT TIME ZONE 'UTC')::date AS returned_on
                              FROM finance_external_transactions
                              WHERE source_id = x.source_id
                                AND category IN ('payout_failure', 'payout_cancel', 'payout_reversal')
                              ORDER BY created_at, id LIMIT 1) AS b ON true
           WHERE x.category = 'payout' AND x.amount_nanos < 0
           ORDER BY x.source_id, x.created_at, x.id, x.mirrored_at, x.content"#
    );
    let payouts = payouts.fetch_all(&mut *connection).await?.into_iter().map(|row| Payout {
        transaction_id: row.id,
        currency: row.currency,
        amount_nanos: row.amount_nanos,
        descriptor: row.descriptor,
        trace: row.trace,
        arrives_on: midnight(row.arrives_on),
        returned: row.returned_by.zip(row.returned_on.map(midnight)),
        arrived_by: booked.get(&("payout_arrived".to_owned(), ours(&row.provider_id))).cloned(),
        taken_back_by: booked
            .get(&("payout_taken_back".to_owned(), ours(&row.provider_id)))
            .cloned(),
        provider_id: row.provider_id,
    });
    Ok(BankFacts { payouts: payouts.collect(), lines: lines.collect(), covered: covered.collect() })
}
