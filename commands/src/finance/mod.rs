//! Reconciliation: the payment provider's book against ours (requirement M2).
//!
//! [`reconcile`]`(port, pool, Period::day("2026-01-31", now)?)` first copies every line of the provider's book into
//! `finance_external_transactions` (paged, with an overlap, idempotent, never changed), then finds each line of the period its
//! posting on a `stripe:*` account, by source, amount and currency. Every line is exactly one of *matched*, *expected* (timing)
//! or a *break* with a type; every posting without a line is one of the last two. For each currency, opening + movements =
//! closing, closing + later lines = what the provider says it holds, and the difference to our own accounts is named to the
//! last nano. The same books and the same `now` give the same report.
mod matching;
mod mirror;
mod proof;
mod report;
mod rows;

use std::collections::BTreeSet;

use cairn_core::{Currency, Timestamp};
use sqlx::PgPool;

pub use mirror::{Mirrored, mirror};
pub use report::{Break, BreakType, OpenItem, Proof, ReconciliationReport};

use crate::ports::{FailureKind, PaymentPort, PortError, ProviderOutcome};
use matching::{Class, Classified};

/// How young a line or posting may be to wait for its counterpart without being a break.
pub const GRACE_SECS: i64 = 3_600;
/// How long after the provider's line a posting is late. The provider repeats its webhooks for three days.
pub const LATE_SECS: i64 = 3 * 86_400;
/// How often the provider's balance is asked again when money moved while its book was read.
const ATTEMPTS: u32 = 3;

/// What is reconciled: `[from, until)` as it looks at `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Period {
    pub from: Timestamp,
    pub until: Timestamp,
    /// Decides what is too young to be a break.
    pub now: Timestamp,
}

impl Period {
    /// One day of the books' calendar (UTC), for example `2026-01-31`.
    ///
    /// # Errors
    /// [`FinanceError::BadPeriod`] when the text is no date.
    pub fn day(date: &str, now: Timestamp) -> Result<Self, FinanceError> {
        let midnight = format!("{date}T00:00:00Z").parse();
        let from: Timestamp = midnight.map_err(|_| FinanceError::BadPeriod(date.to_owned()))?;
        Self::range(from, from.plus_secs(86_400), now)
    }

    /// From an instant up to and without another.
    ///
    /// # Errors
    /// [`FinanceError::BadPeriod`] when it would be empty.
    pub fn range(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<Self, FinanceError> {
        if from >= until {
            return Err(FinanceError::BadPeriod(format!("{from}/{until}")));
        }
        Ok(Self { from, until, now })
    }

    /// The day that `now` is in.
    #[must_use]
    pub const fn today(now: Timestamp) -> Self {
        let day = 86_400_000_000;
        let from = Timestamp::from_micros(now.as_micros().div_euclid(day) * day);
        Self { from, until: from.plus_secs(86_400), now }
    }

    /// Everything there ever was.
    #[must_use]
    pub const fn all(now: Timestamp) -> Self {
        Self { from: Timestamp::from_secs(0), until: now.plus_secs(86_400), now }
    }

    const fn contains(&self, at: Timestamp) -> bool {
        self.from.as_micros() <= at.as_micros() && at.as_micros() < self.until.as_micros()
    }

    const fn is_young(&self, at: Timestamp) -> bool {
        self.now.secs_since(at) < GRACE_SECS
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FinanceError {
    /// Not a day, or an empty range.
    #[error("'{0}' is not a period such as 2026-01-31")]
    BadPeriod(String),
    /// The provider did not answer.
    #[error("the payment provider: {0}")]
    Port(#[from] PortError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A stored line is not what it must be.
    #[error("the external journal holds what cannot be read: {0}")]
    Corrupt(String),
}

/// Mirrors the provider's book, then matches, sorts and proves the period.
///
/// # Errors
/// [`FinanceError`]; without a report nothing is proven. Breaks are in the report, not errors.
pub async fn reconcile(
    port: &dyn PaymentPort,
    pool: &PgPool,
    period: Period,
) -> Result<ReconciliationReport, FinanceError> {
    let balances = settled_balances(port, pool, period.now).await?;
    let facts = rows::load(pool, &period).await?;
    let pending = pending_refunds(port, &facts, &period).await?;
    let classified = Classified::of(&facts, &pending, &period);
    let sums = rows::sums(pool, &period).await?;
    let proofs = proof::proofs(&classified, &sums, &balances);
    Ok(report::report(&period, classified, proofs))
}

/// The provider's balances at a moment when its whole book is mirrored; asked again when money moved in between.
async fn settled_balances(
    port: &dyn PaymentPort,
    pool: &PgPool,
    now: Timestamp,
) -> Result<Vec<(Currency, i64)>, FinanceError> {
    let mut balances = vec![];
    for _ in 0..ATTEMPTS {
        mirror(port, pool, now).await?;
        let answered = port.balances().await?;
        balances = answered.iter().map(|held| (held.currency, held.total_nanos)).collect();
        if rows::mirrored_totals_are(pool, &balances).await? {
            break;
        }
    }
    Ok(balances)
}

/// Refunds of the period that the provider has in its book and has not finished: ours are booked when they succeed.
async fn pending_refunds(
    port: &dyn PaymentPort,
    facts: &rows::Facts,
    period: &Period,
) -> Result<BTreeSet<String>, FinanceError> {
    let mut pending = BTreeSet::new();
    for refund_id in matching::unbooked(facts, Class::Refund, period) {
        match port.refund(&refund_id).await {
            Ok(refund) if refund.outcome == ProviderOutcome::Pending => {
                pending.insert(refund_id);
            }
            Ok(_) => {}
            Err(error) if error.kind == FailureKind::Transient => return Err(error.into()),
            Err(error) => tracing::warn!(refund_id, %error, "a refund cannot be looked up"),
        }
    }
    Ok(pending)
}
