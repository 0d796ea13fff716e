//! Paying a refund: name the charge it goes back to, make it at the provider, ask how it stands, record what the provider says.
use cairn_core::{Money, Nanos, PaymentId, RefundId};
use cairn_payments::{Payment, Refund, RefundCommand, RefundStatus};

use crate::payments;
use crate::ports::{FailureKind, NewRefund, PortError, ProviderRefund};

use super::Act;
use super::act::failure;

pub(super) async fn request_refund(
    act: &Act<'_>,
    refund_id: RefundId,
    payment_id: PaymentId,
    amount_nanos: Nanos,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let no_charge = || PortError::permanent("no_charge", "the payment has no charge to refund");
    let request = RefundCommand::Request {
        refund_id,
        payment_id,
        organisation_id: payment.organisation_id.ok_or_else(no_charge)?,
        currency: payment.currency.ok_or_else(no_charge)?,
        amount_nanos,
        charge_id: payment.charge_id.ok_or_else(no_charge)?,
        at: act.now(),
    };
    act.execute::<Refund>("request", &refund_id.to_string(), request).await.map(drop)
}

pub(super) async fn create_refund(act: &Act<'_>, refund_id: RefundId) -> Result<(), PortError> {
    let refund = act.load::<Refund>(&refund_id.to_string()).await?;
    if refund.status != RefundStatus::Requested {
        return Ok(());
    }
    let unknown = || PortError::permanent("unknown_refund", "the refund was never requested");
    let new = NewRefund {
        refund_id,
        charge_id: refund.charge_id.clone().ok_or_else(unknown)?,
        amount: Money::new(refund.amount_nanos, refund.currency.ok_or_else(unknown)?),
        // Never another key, even if an operator asks for another try: it might be paid twice.
        idempotency_key: act.intent_id.to_owned(),
    };
    match act.call(act.effects.payments.create_refund(&new)).await {
        Ok(made) => apply(act, refund_id, made).await,
        Err(failure) => match failure.kind {
            FailureKind::Transient | FailureKind::Untrusted => Err(failure),
            FailureKind::Refused | FailureKind::Permanent => {
                let fail = RefundCommand::Fail { code: failure.code, at: act.now() };
                act.execute::<Refund>("fail", &refund_id.to_string(), fail).await.map(drop)
            }
        },
    }
}

pub(super) async fn retrieve_refund(act: &Act<'_>, refund_id: RefundId) -> Result<(), PortError> {
    let refund = act.load::<Refund>(&refund_id.to_string()).await?;
    let Some(provider_id) = refund.provider_id else { return Ok(()) };
    let found = act.call(act.effects.payments.refund(&provider_id)).await?;
    apply(act, refund_id, found).await
}

async fn apply(
    act: &Act<'_>,
    refund_id: RefundId,
    reported: ProviderRefund,
) -> Result<(), PortError> {
    let reported = ProviderRefund { refund_id: Some(refund_id), ..reported };
    let context = act.context("apply");
    payments::record_provider_refund(act.executor, &context, &reported, act.now())
        .await
        .map(drop)
        .map_err(failure)
}
