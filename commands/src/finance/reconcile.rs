//! The steps of a reconciliation: mirror, load, ask about what is unfinished, match, prove.
use std::collections::BTreeSet;

use cairn_core::{Currency, Timestamp};
use sqlx::PgPool;

use super::matching::{self, Class, Classified};
use super::report::{self, ReconciliationReport};
use super::{FinanceError, Period, mirror, proof, rows};
use crate::ports::{FailureKind, PaymentPort, ProviderOutcome};

/// How often the provider's balance is asked again when money moved while its book was read.
const ATTEMPTS: u32 = 3;

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
