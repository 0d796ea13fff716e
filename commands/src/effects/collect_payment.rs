//! Collecting a payment: make it at the provider, ask how it stands, record what the provider says.
use cairn_core::{Money, PaymentId};
use cairn_payments::{Payment, PaymentCommand, PaymentStatus};

use crate::payments;
use crate::ports::{FailureKind, NewPayment, PortError, ProviderPayment};

use super::Act;
use super::act::failure;

pub(super) async fn create_payment(
    act: &Act<'_>,
    payment_id: PaymentId,
    payment_method: Option<&str>,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    if payment.status != PaymentStatus::Requested {
        return Ok(());
    }
    let currency = payment.currency.ok_or_else(|| {
        PortError::permanent("unknown_payment", "the payment was never requested")
    })?;
    let new = NewPayment {
        payment_id,
        amount: Money::new(payment.amount_nanos, currency),
        payment_method: payment_method.map(str::to_owned),
        // Never another key, even if an operator asks for another try: it might be paid twice.
        idempotency_key: act.intent_id.to_owned(),
    };
    match act.call(act.effects.payments.create_payment(&new)).await {
        Ok(made) => apply(act, payment_id, made).await,
        Err(failure) => match failure.kind {
            FailureKind::Transient | FailureKind::Untrusted => Err(failure),
            FailureKind::Refused | FailureKind::Permanent => {
                let PortError { code, message, .. } = failure;
                let fail = PaymentCommand::Fail { code, message, at: act.now() };
                act.execute::<Payment>("fail", &payment_id.to_string(), fail).await.map(drop)
            }
        },
    }
}

pub(super) async fn retrieve_payment(
    act: &Act<'_>,
    payment_id: PaymentId,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let Some(provider_id) = payment.provider_id else { return Ok(()) };
    let found = act.call(act.effects.payments.payment(&provider_id)).await?;
    apply(act, payment_id, found).await
}

async fn apply(
    act: &Act<'_>,
    payment_id: PaymentId,
    reported: ProviderPayment,
) -> Result<(), PortError> {
    let reported = ProviderPayment { payment_id: Some(payment_id), ..reported };
    let context = act.context("apply");
    payments::record_provider_payment(act.executor, &context, &reported, act.now())
        .await
        .map(drop)
        .map_err(failure)
}
