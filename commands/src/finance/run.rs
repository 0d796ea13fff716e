//! A whole run: book what the provider and the bank have, ask about what was never heard of, look, and keep what was found as cases.
use super::disputes::record_unheard;
use super::payouts::{Booked, book_payouts};
use super::reconcile::reconcile;
use super::record::{Recorded, record};
use super::{FinanceError, Period, ReconciliationReport};
use crate::answers::derived;
use crate::ports::PaymentPort;
use crate::{CommandContext, Executor};

/// What a run did and found.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was booked before it looked.
    pub booked: Booked,
    /// Disputes that nobody had told us of.
    pub disputes: u64,
    /// What it found.
    pub report: ReconciliationReport,
    /// What that changed about the cases.
    pub recorded: Recorded,
}

/// Books payouts, records disputes whose webhooks never came, reconciles the period, and records what was found. A repeat changes nothing.
///
/// # Errors
/// [`FinanceError`]; what was done until then stays, and a repeat goes on from there.
pub async fn run(
    port: &dyn PaymentPort,
    executor: &Executor,
    context: &CommandContext,
    period: Period,
) -> Result<Run, FinanceError> {
    let booked = book_payouts(port, executor, &derived(context, "payouts"), period.now).await?;
    let disputes = derived(context, "disputes");
    let disputes = record_unheard(port, executor, &disputes, &period).await?;
    let report = reconcile(port, executor, period).await?;
    let recorded = record(executor, &derived(context, "reconcile"), (&period, &report)).await?;
    Ok(Run { booked, disputes, report, recorded })
}
