//! Collecting a payment: make it at the provider, ask how it stands, record what the provider says.
//!
//! The provider forgets idempotency keys after a day, so what may have been made already is looked for first, and nothing is called
//! a failure that the provider has.
use cairn_core::{Money, PaymentId};
use cairn_payments::{Payment, PaymentCommand, PaymentStatus};

use crate::payments;
use crate::ports::{NewPayment, PortError, ProviderOutcome, ProviderPayment};
use crate::privacy::SUBJECT_ERASED;

use super::Act;
use super::act::{failure, is_definite, is_verdict};

pub(super) async fn create_payment(
    act: &Act<'_>,
    payment_id: PaymentId,
    payment_method: Option<&str>,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    if payment.status != PaymentStatus::Requested {
        return Ok(());
    }
    if act.may_have_acted(payment.requested_at)
        && let Some(found) = look_up(act, payment_id, &payment).await?
    {
        return apply(act, payment_id, found).await;
    }
    let currency = payment.currency.ok_or_else(|| {
        PortError::permanent("unknown_payment", "the payment was never requested")
    })?;
    let payment_method = match payment_method {
        None => None,
        Some(sealed) => match act.executor.personal().open(sealed).await? {
            Some(open) => Some(open),
            None => {
                let why = "what it was to be paid with was erased with its owner's data";
                let no = PortError::refused(SUBJECT_ERASED, why);
                return conclude(act, payment_id, &payment, no).await;
            }
        },
    };
    let new = NewPayment {
        payment_id,
        amount: Money::new(payment.amount_nanos, currency),
        payment_method,
        customer_id: payment.customer_id.clone(),
        // Of the payment alone: every copy of the log that knows it says the same, and nothing else ever does.
        idempotency_key: format!("create_payment:{payment_id}"),
    };
    match act.call(act.effects.payments.create_payment(&new)).await {
        Ok(made) => apply(act, payment_id, made).await,
        Err(no) if is_definite(&no) => conclude(act, payment_id, &payment, no).await,
        Err(doubt) => Err(doubt),
    }
}

/// In a rehearsal: the provider, which is not asked, is taken to have collected it at once.
pub(super) async fn take_for_granted(
    act: &Act<'_>,
    payment_id: PaymentId,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let Some(currency) = payment.currency else { return Ok(()) };
    let collected = ProviderPayment {
        provider_id: payment_id.to_string(),
        payment_id: Some(payment_id),
        outcome: ProviderOutcome::Succeeded,
        amount: Money::new(payment.amount_nanos, currency),
        charge_id: Some(payment_id.to_string()),
        charged_at: None,
        fee: None,
    };
    apply(act, payment_id, collected).await
}

/// An operator says that it shall not be made any more.
pub(super) async fn give_up(
    act: &Act<'_>,
    payment_id: PaymentId,
    reason: &str,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    if payment.status != PaymentStatus::Requested {
        return Ok(());
    }
    conclude(act, payment_id, &payment, PortError::refused("given_up", reason)).await
}

/// It will not be made: so it has failed, unless the provider has it after all.
async fn conclude(
    act: &Act<'_>,
    payment_id: PaymentId,
    payment: &Payment,
    no: PortError,
) -> Result<(), PortError> {
    if let Some(found) = look_up(act, payment_id, payment).await? {
        return apply(act, payment_id, found).await;
    }
    if !is_verdict(&no) {
        return Err(no);
    }
    let PortError { code, message, .. } = no;
    let fail = PaymentCommand::Fail { code, message, at: act.now() };
    act.execute::<Payment>("fail", &payment_id.to_string(), fail).await.map(drop)
}

async fn look_up(
    act: &Act<'_>,
    payment_id: PaymentId,
    payment: &Payment,
) -> Result<Option<ProviderPayment>, PortError> {
    act.call(act.effects.payments.find_payment(payment_id, payment.requested_at)).await
}

/// Asks how it stands. The `last` time, what is not settled by now goes to an operator.
pub(super) async fn retrieve_payment(
    act: &Act<'_>,
    payment_id: PaymentId,
    last: bool,
) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let found = match &payment.provider_id {
        Some(provider_id) => act.call(act.effects.payments.payment(provider_id)).await.map(Some)?,
        None if last => look_up(act, payment_id, &payment).await?,
        None => None,
    };
    if let Some(found) = found {
        apply(act, payment_id, found).await?;
    }
    if !last {
        return Ok(());
    }
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    match payment.status {
        PaymentStatus::Failed => Ok(()),
        PaymentStatus::Succeeded if payment.fee_of.is_some() => Ok(()),
        _ => Err(PortError::permanent("never_settled", "the provider never finished the payment")),
    }
}

/// Nobody has confirmed it in time: it is cancelled, so that it is never taken later, and what has become of it is recorded.
pub(super) async fn cancel_payment(act: &Act<'_>, payment_id: PaymentId) -> Result<(), PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let Some(provider_id) =
        payment.provider_id.filter(|_| payment.status == PaymentStatus::RequiresAction)
    else {
        return Ok(());
    };
    let found = act.call(act.effects.payments.cancel_payment(&provider_id)).await?;
    apply(act, payment_id, found).await
}

async fn apply(
    act: &Act<'_>,
    payment_id: PaymentId,
    reported: ProviderPayment,
) -> Result<(), PortError> {
    let reported = ProviderPayment { payment_id: Some(payment_id), ..reported };
    let desk = payments::Recorder { executor: act.executor, context: &act.context("apply") };
    payments::record_provider_payment(&desk, &reported, act.now()).await.map(drop).map_err(failure)
}
