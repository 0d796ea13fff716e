//! The steps of a reconciliation: mirror, load, ask about what is unfinished, match, prove; and the bank.
use std::collections::BTreeMap;
use std::time::Duration;

use cairn_core::Timestamp;
use cairn_finance::BreakCase;
use sqlx::PgPool;

use super::matching::{self, Class, Classified, Unfinished};
use super::report::{self, Break, ReconciliationReport};
use super::rows::{self, Totals};
use super::{FinanceError, Period, bank, mirror, proof};
use crate::Executor;
use crate::ports::{FailureKind, PaymentPort, ProviderOutcome};

/// How often the provider's balance is asked again when money moved while its book was read.
const ATTEMPTS: u32 = 3;
/// Before it is asked again; doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// Mirrors the provider's book, then matches, sorts and proves the period.
///
/// # Errors
/// [`FinanceError`]; without a report nothing is proven. Breaks are in the report, not errors.
pub async fn reconcile(
    port: &dyn PaymentPort,
    executor: &Executor,
    period: Period,
) -> Result<ReconciliationReport, FinanceError> {
    let pool = executor.log().pool();
    let held = settled_balances(port, pool, period.now).await?;
    let look_back = period.look_back();
    let books = rows::load(executor, &period, &look_back).await?;
    let unfinished =
        unfinished_refunds(port, pool, &[(&books.before, &look_back), (&books.period, &period)])
            .await?;
    let before = Classified::of(&books.before, &unfinished, &look_back);
    let mut classified = Classified::of(&books.period, &unfinished, &period);
    let proofs = proof::proofs(&classified, &before, &books.sums, &held);
    for proof in proofs.iter().filter(|proof| proof.books_exceed_provider) {
        let currency = &proof.currency;
        tracing::error!(currency, "our books have more money at the provider than it has for us");
    }
    let (breaks, mut explained) = explained(executor, classified.breaks).await?;
    let (carried, of_before) = self::explained(executor, before.breaks).await?;
    explained.extend(of_before);
    classified.breaks = breaks;
    let bank = bank::report(executor, &period).await?;
    Ok(report::report(&period, classified, (carried, explained), (proofs, bank)))
}

/// Which breaks nobody has explained, and which somebody has.
pub(super) async fn explained(
    executor: &Executor,
    found: Vec<Break>,
) -> Result<(Vec<Break>, Vec<Break>), FinanceError> {
    let (mut open, mut explained) = (Vec::new(), Vec::new());
    for found in found {
        let (case, _) = executor.load::<BreakCase>(&found.break_id.to_string()).await?;
        let settled = case.explains(&found.disagreement());
        if settled { &mut explained } else { &mut open }.push(found);
    }
    Ok((open, explained))
}

/// The provider's balances at a moment when its whole book is mirrored; asked again when money moved in between.
async fn settled_balances(
    port: &dyn PaymentPort,
    pool: &PgPool,
    now: Timestamp,
) -> Result<Totals, FinanceError> {
    let mut held = Totals::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        }
        mirror(port, pool, now).await?;
        let answered = port.balances().await?.into_iter();
        held = answered.map(|held| (held.currency, held.total_nanos)).collect();
        held.retain(|_, total| *total != 0);
        if rows::mirrored_totals(pool).await? == held {
            break;
        }
    }
    Ok(held)
}

/// Refunds that the provider has in its book and ours need not have: it has not finished them, or only since we asked last.
async fn unfinished_refunds(
    port: &dyn PaymentPort,
    pool: &PgPool,
    periods: &[(&rows::Facts, &Period)],
) -> Result<Unfinished, FinanceError> {
    let mut unfinished = BTreeMap::new();
    let unbooked =
        periods.iter().flat_map(|(facts, period)| matching::unbooked(facts, Class::Refund, period));
    for provider_id in unbooked {
        match port.refund(&provider_id).await {
            Ok(refund) if refund.outcome == ProviderOutcome::Pending => {
                unfinished.insert(provider_id, "the refund is not finished at the provider");
            }
            Ok(refund) if refund.outcome == ProviderOutcome::Succeeded => {
                if let Some(refund_id) = refund.refund_id
                    && rows::is_asked_about(pool, refund_id).await?
                {
                    unfinished
                        .insert(provider_id, "the refund is finished, and we ask about it soon");
                }
            }
            Ok(_) => {}
            Err(error) if error.kind == FailureKind::Transient => return Err(error.into()),
            Err(error) => tracing::warn!(provider_id, %error, "a refund cannot be looked up"),
        }
    }
    Ok(unfinished)
}
