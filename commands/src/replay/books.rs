//! The books as they were written live, to hold against what the log says.
use std::collections::BTreeMap;

use cairn_core::{HoldChange, JournalTransaction, PeriodChange, chart};
use cairn_ledger::Wallet;
use sqlx::PgConnection;

use super::ReplayError;
use super::report::VerifyReport;
use super::stones::timestamp;

/// Journal transactions of a range of positions, each as one line of text.
pub(super) async fn journal(
    connection: &mut PgConnection,
    (after, until): (i64, i64),
) -> Result<BTreeMap<i64, String>, ReplayError> {
    let rows = sqlx::query!(
        r#"SELECT t.position, t.kind, t.reference AS "reference!", t.currency, t.occurred_at, t.reverses,
                  array_agg(p.account || ' ' || p.amount_nanos || ' ' || p.currency ORDER BY p.leg) AS "legs!"
           FROM ledger_journal_transactions t JOIN ledger_postings p USING (position)
           WHERE t.position > $1 AND t.position <= $2 GROUP BY t.position"#,
        after,
        until
    )
    .fetch_all(connection)
    .await?;
    let line = |row| {
        let Line { kind, reference, currency, occurred_at, reverses, legs } = row;
        format!("{kind} {reference} {currency} {occurred_at} reverses {reverses:?}: {legs:?}")
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let occurred_at = timestamp(row.occurred_at).to_string();
            let (kind, reference, currency) = (row.kind, row.reference, row.currency);
            let (reverses, legs) = (row.reverses, row.legs);
            let parts = Line { kind, reference, currency, occurred_at, reverses, legs };
            (row.position, line(parts))
        })
        .collect())
}

struct Line {
    kind: String,
    reference: String,
    currency: String,
    occurred_at: String,
    reverses: Option<String>,
    legs: Vec<String>,
}

/// The same line of what an event says.
pub(super) fn line(entry: &JournalTransaction) -> String {
    let JournalTransaction { kind, source, source_id, currency, occurred_at, reverses, postings } =
        entry;
    let leg = |p: &cairn_core::Posting| format!("{} {} {currency}", p.account, p.amount_nanos);
    let legs: Vec<_> = postings.iter().map(leg).collect();
    format!("{kind} {source}/{source_id} {currency} {occurred_at} reverses {reverses:?}: {legs:?}")
}

/// Reserved, captured, released and expiry of each hold on each account, summed from what events write.
#[derive(Default)]
pub(super) struct Holds(BTreeMap<String, String>, BTreeMap<String, [i64; 3]>);

impl Holds {
    pub fn add(&mut self, change: &HoldChange) {
        let id = format!("{} {}", change.hold_id, change.account);
        let sums = self.1.entry(id.clone()).or_default();
        sums[0] += change.reserved_nanos;
        sums[1] += change.captured_nanos;
        sums[2] += change.released_nanos;
        let text = format!("{sums:?} until {}", change.expires_at);
        self.0.insert(id, text);
    }

    /// Compares with the rows that were kept live.
    pub async fn compare(
        &self,
        connection: &mut PgConnection,
        report: &mut VerifyReport,
    ) -> Result<(), ReplayError> {
        let rows = sqlx::query!(
            "SELECT hold_id, account, reserved_nanos, captured_nanos, released_nanos, expires_at FROM ledger_holds"
        )
        .fetch_all(connection)
        .await?;
        let live = rows.into_iter().map(|row| {
            let sums = [row.reserved_nanos, row.captured_nanos, row.released_nanos];
            let until = timestamp(row.expires_at);
            (format!("{} {}", row.hold_id, row.account), format!("{sums:?} until {until}"))
        });
        report.holds = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        compare(report, "hold", &self.0, &live.collect());
        Ok(())
    }
}

/// Whether each month is closed, and by which position, as the last event about it says.
#[derive(Default)]
pub(super) struct Periods(BTreeMap<String, String>);

impl Periods {
    pub fn add(&mut self, position: i64, change: PeriodChange) {
        let text = format!("{} by {position}", if change.closed { "closed" } else { "open" });
        self.0.insert(change.month.to_string(), text);
    }

    /// Compares with the periods that the books have.
    pub async fn compare(
        &self,
        connection: &mut PgConnection,
        report: &mut VerifyReport,
    ) -> Result<(), ReplayError> {
        let rows = sqlx::query!(
            r#"SELECT to_char(lower(span), 'YYYY-MM') AS "month!", status, position AS "position!"
               FROM ledger_periods WHERE position IS NOT NULL"#
        )
        .fetch_all(connection)
        .await?;
        let live =
            rows.into_iter().map(|row| (row.month, format!("{} by {}", row.status, row.position)));
        compare(report, "period", &self.0, &live.collect());
        Ok(())
    }
}

/// Compares the fold of every wallet with its guarded balance.
pub(super) async fn balances(
    connection: &mut PgConnection,
    wallets: impl Iterator<Item = &Wallet>,
    report: &mut VerifyReport,
) -> Result<(), ReplayError> {
    let text = |posted, held| format!("posted {posted} held {held}");
    let mut folded = BTreeMap::new();
    for wallet in wallets {
        let Some((organisation_id, currency)) = wallet.owner else { continue };
        let (lots, promotional) = (&wallet.lots, &wallet.promotional);
        // An account begins with what comes in first.
        if !lots.is_empty() {
            let account = chart::wallet_paid(organisation_id, currency);
            folded.insert(account, text(wallet.posted_nanos, wallet.held_nanos));
        }
        if !promotional.credits.is_empty() {
            let account = chart::wallet_promo(organisation_id, currency);
            folded.insert(account, text(promotional.posted_nanos(), promotional.held_nanos));
        }
    }
    let rows = sqlx::query!("SELECT account, posted_nanos, held_nanos FROM ledger_balances")
        .fetch_all(connection)
        .await?;
    let live = rows.into_iter().map(|row| (row.account, text(row.posted_nanos, row.held_nanos)));
    report.wallets = i64::try_from(folded.len()).unwrap_or(i64::MAX);
    compare(report, "balance", &folded, &live.collect());
    Ok(())
}

/// Reports what only one side has, and what both have and say differently.
pub(super) fn compare<K: Ord + ToString>(
    report: &mut VerifyReport,
    what: &'static str,
    log: &BTreeMap<K, String>,
    live: &BTreeMap<K, String>,
) {
    for (key, says) in log {
        match live.get(key) {
            Some(written) if written == says => {}
            Some(written) => {
                let message = format!("the log says '{says}', written is '{written}'");
                report.differ(what, key.to_string(), message);
            }
            None => {
                report.differ(
                    what,
                    key.to_string(),
                    format!("the log says '{says}', nothing is written"),
                );
            }
        }
    }
    for (key, written) in live {
        if !log.contains_key(key) {
            let message = format!("the log says nothing, written is '{written}'");
            report.differ(what, key.to_string(), message);
        }
    }
}
