//! Paying a refund: name the charge it goes back to, make it at the provider, ask how it stands, record what the provider says.
//!
//! The provider forgets idempotency keys after a day, so what may have been made already is looked for first. Above all nothing is
//! called a failure that the provider has: its money would go back into the wallet as well.
use cairn_core::{Money, Nanos, PaymentId, RefundId};
use cairn_payments::{Payment, Refund, RefundCommand, RefundStatus};

use crate::payments;
use crate::ports::{NewRefund, PortError, ProviderRefund};

use super::Act;
use super::act::{failure, is_definite, is_verdict};

pub(super) async fn request_refund(
    act: &Act<'_>,
    refund_id: RefundId,
    payment_id: PaymentId,
    amount_nanos: Nanos,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let no_charge = || PortError::permanent("no_charge", "the payment has no charge to refund");
    let request = payment.refund((refund_id, amount_nanos), act.now()).ok_or_else(no_charge)?;
    act.execute::<Refund>("request", &refund_id.to_string(), request).await.map(drop)
}

pub(super) async fn create_refund(act: &Act<'_>, refund_id: RefundId) -> Result<(), PortError> {
    let refund = act.load::<Refund>(&refund_id.to_string()).await?;
    if refund.status != RefundStatus::Requested {
        return Ok(());
    }
    if act.may_have_acted(refund.requested_at)
        && let Some(found) = look_up(act, refund_id, &refund).await?
    {
        return apply(act, refund_id, found).await;
    }
    let new = NewRefund {
        refund_id,
        charge_id: refund.charge_id.clone().ok_or_else(unknown)?,
        amount: Money::new(refund.amount_nanos, refund.currency.ok_or_else(unknown)?),
        // Of the refund alone: every copy of the log that knows it says the same, and nothing else ever does.
        idempotency_key: format!("create_refund:{refund_id}"),
    };
    match act.call(act.effects.payments.create_refund(&new)).await {
        Ok(made) => apply(act, refund_id, made).await,
        Err(no) if is_definite(&no) => conclude(act, refund_id, &refund, no).await,
        Err(doubt) => Err(doubt),
    }
}

/// An operator says that it shall not be made any more.
pub(super) async fn give_up(
    act: &Act<'_>,
    refund_id: RefundId,
    reason: &str,
) -> Result<(), PortError> {
    let refund = act.load::<Refund>(&refund_id.to_string()).await?;
    if refund.status != RefundStatus::Requested {
        return Ok(());
    }
    conclude(act, refund_id, &refund, PortError::refused("given_up", reason)).await
}

/// It will not be made: so it has failed and its money goes back into the wallet, unless the provider has it after all.
async fn conclude(
    act: &Act<'_>,
    refund_id: RefundId,
    refund: &Refund,
    no: PortError,
) -> Result<(), PortError> {
    if let Some(found) = look_up(act, refund_id, refund).await? {
        return apply(act, refund_id, found).await;
    }
    if !is_verdict(&no) {
        return Err(no);
    }
    let fail = RefundCommand::Fail { code: no.code, at: act.now() };
    act.execute::<Refund>("fail", &refund_id.to_string(), fail).await.map(drop)
}

async fn look_up(
    act: &Act<'_>,
    refund_id: RefundId,
    refund: &Refund,
) -> Result<Option<ProviderRefund>, PortError> {
    let charge_id = refund.charge_id.as_deref().ok_or_else(unknown)?;
    act.call(act.effects.payments.find_refund(charge_id, refund_id)).await
}

fn unknown() -> PortError {
    PortError::permanent("unknown_refund", "the refund was never requested")
}

/// Asks how it stands. The `last` time, what is not settled by now goes to an operator.
pub(super) async fn retrieve_refund(
    act: &Act<'_>,
    refund_id: RefundId,
    last: bool,
) -> Result<(), PortError> {
    let refund = act.load::<Refund>(&refund_id.to_string()).await?;
    let found = match &refund.provider_id {
        Some(provider_id) => act.call(act.effects.payments.refund(provider_id)).await.map(Some)?,
        None if last => look_up(act, refund_id, &refund).await?,
        None => None,
    };
    if let Some(found) = found {
        match apply(act, refund_id, found).await {
            // Perhaps it failed while it was asked about: ask once more.
            Err(paid) if paid.code == payments::PAID_AFTER_FAILURE && act.attempt <= 1 => {
                return Err(PortError::transient(payments::PAID_AFTER_FAILURE, paid.message));
            }
            applied => applied?,
        }
    }
    if !last {
        return Ok(());
    }
    match act.load::<Refund>(&refund_id.to_string()).await?.status {
        RefundStatus::Succeeded | RefundStatus::Failed => Ok(()),
        RefundStatus::Unknown | RefundStatus::Requested | RefundStatus::Pending => {
            Err(PortError::permanent("never_settled", "the provider never finished the refund"))
        }
    }
}

async fn apply(
    act: &Act<'_>,
    refund_id: RefundId,
    reported: ProviderRefund,
) -> Result<(), PortError> {
    let reported = ProviderRefund { refund_id: Some(refund_id), ..reported };
    let desk = payments::Recorder { executor: act.executor, context: &act.context("apply") };
    payments::record_provider_refund(&desk, &reported, act.now()).await.map(drop).map_err(failure)
}
