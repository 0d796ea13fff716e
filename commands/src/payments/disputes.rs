//! What the provider reports of a dispute.
use cairn_core::{Currency, DisputeId, Nanos, OrganisationId, PaymentId, Timestamp};
use cairn_payments::{Dispute, DisputeCommand, DisputeOutcome, OpenDispute, Payment};
use sha2::{Digest as _, Sha256};

use super::{Desk, Recorder, Report, checked_amount};
use crate::answers::refused;
use crate::ports::{ProviderDispute, ProviderDisputeLine, ProviderDisputeStanding};
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Our id of a dispute: the same for every report of it.
#[must_use]
pub fn dispute_id(provider_id: &str) -> DisputeId {
    let hash = Sha256::digest(format!("dispute {provider_id}"));
    let bits = hash.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    DisputeId::from_bits(bits)
}

/// Records what the provider says of a dispute. Any number of times, in any order.
///
/// # Errors
/// `unknown_payment` when it is about none of ours, `provider_amount_mismatch`, `dispute_in_wrong_state`.
pub async fn apply_provider_dispute(
    commands: &Commands,
    context: &CommandContext,
    reported: &ProviderDispute,
) -> Result<Executed, ExecuteError> {
    let desk = Recorder { executor: &commands.executor, context };
    record_provider_dispute(&desk, reported, commands.clock.now()).await
}

/// What [`apply_provider_dispute`] does, at any desk.
///
/// # Errors
/// As [`apply_provider_dispute`].
pub async fn record_provider_dispute(
    desk: &impl Desk,
    reported: &ProviderDispute,
    at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let foreign = || refused("unknown_payment", "the disputed payment is not one of ours");
    let payment_id = reported.payment_id.ok_or_else(foreign)?;
    let payment: Payment = desk.known(&payment_id.to_string()).await?;
    let owner = payment.organisation_id.zip(payment.currency).ok_or_else(foreign)?;
    let report = Report { desk, stream: dispute_id(&reported.provider_id).to_string() };
    let open = opening(reported, (payment_id, owner), at)?;
    let mut last = report.send::<Dispute>("open", DisputeCommand::Open(open)).await?;
    for line in &reported.lines {
        last = record_line(&report, line, (owner.1, at)).await?;
    }
    let outcome = match reported.standing {
        ProviderDisputeStanding::Open => return Ok(last),
        ProviderDisputeStanding::Won => DisputeOutcome::Won,
        ProviderDisputeStanding::Lost => DisputeOutcome::Lost,
    };
    report.send::<Dispute>("close", DisputeCommand::Close { outcome, at }).await
}

fn opening(
    reported: &ProviderDispute,
    (payment_id, (organisation_id, currency)): (PaymentId, (OrganisationId, Currency)),
    at: Timestamp,
) -> Result<OpenDispute, ExecuteError> {
    Ok(OpenDispute {
        dispute_id: dispute_id(&reported.provider_id),
        provider_id: reported.provider_id.clone(),
        payment_id,
        organisation_id,
        currency,
        amount_nanos: checked_amount(Some(currency), reported.amount)?,
        charge_id: reported.charge_id.clone(),
        reason: reported.reason.clone(),
        at: reported.opened_at.min(at),
    })
}

/// One movement of its money, and what the provider kept for it.
async fn record_line(
    report: &Report<'_, impl Desk>,
    line: &ProviderDisputeLine,
    (currency, now): (Currency, Timestamp),
) -> Result<Executed, ExecuteError> {
    let amount_nanos: Nanos = checked_amount(Some(currency), line.amount)?;
    // The world's time: a day's books hold what happened on that day.
    let at = line.at.min(now);
    let (verb, command) = match amount_nanos < 0 {
        true => ("withdraw", DisputeCommand::Withdraw { amount_nanos: -amount_nanos, at }),
        false => ("reinstate", DisputeCommand::Reinstate { amount_nanos, at }),
    };
    let moved = report.send::<Dispute>(verb, command).await?;
    if line.fee_nanos == 0 {
        return Ok(moved);
    }
    let balance_transaction_id = line.balance_transaction_id.clone();
    let verb = format!("fee:{balance_transaction_id}");
    let fee = DisputeCommand::RecordFee { balance_transaction_id, fee_nanos: line.fee_nanos, at };
    report.send::<Dispute>(&verb, fee).await
}
