//! Keeping a payment method: make the customer, begin to keep the method, ask how it stands, record what the provider says; and
//! keeping it no more.
//!
//! The provider forgets idempotency keys after a day, so what may have been begun already is looked for first. A customer that was made
//! and never recorded keeps nothing, and is not looked for.
use cairn_core::{OrganisationId, PaymentMethodId};
use cairn_payments::{Method, MethodCommand, MethodStatus, PaymentMethods};

use crate::payments;
use crate::ports::{NewSetup, PortError, ProviderSetup, SetupOutcome};
use crate::privacy::SUBJECT_ERASED;

use super::Act;
use super::act::{failure, is_definite, is_verdict};

/// Which method of whom.
type Which = (OrganisationId, PaymentMethodId);

pub(super) async fn create_setup(act: &Act<'_>, which: Which) -> Result<(), PortError> {
    let (organisation_id, method_id) = which;
    let Some(method) = wanted(act, which).await? else { return Ok(()) };
    let customer_id = customer(act, organisation_id).await?;
    if act.may_have_acted(method.requested_at)
        && let Some(found) = look_up(act, &customer_id, method_id).await?
    {
        return apply(act, which, found).await;
    }
    let payment_method = match &method.payment_method {
        None => None,
        Some(sealed) => match act.executor.personal().open(sealed).await? {
            Some(open) => Some(open),
            None => {
                let no = PortError::refused(SUBJECT_ERASED, "it was erased with its owner's data");
                return conclude(act, which, (&customer_id, no)).await;
            }
        },
    };
    let new = NewSetup {
        organisation_id,
        method_id,
        customer_id: customer_id.clone(),
        payment_method,
        // Of the method alone: every copy of the log that knows it says the same, and nothing else ever does.
        idempotency_key: format!("create_setup:{method_id}"),
    };
    match act.call(act.effects.payments.create_setup(&new)).await {
        Ok(made) => apply(act, which, made).await,
        Err(no) if is_definite(&no) => conclude(act, which, (&customer_id, no)).await,
        Err(doubt) => Err(doubt),
    }
}

/// The method, as long as nothing was begun.
async fn wanted(act: &Act<'_>, which: Which) -> Result<Option<Method>, PortError> {
    let method = load(act, which).await?;
    Ok(method.filter(|method| method.status == MethodStatus::Requested))
}

async fn load(
    act: &Act<'_>,
    (organisation_id, method_id): Which,
) -> Result<Option<Method>, PortError> {
    let methods = act.load::<PaymentMethods>(&organisation_id.to_string()).await?;
    Ok(methods.find(method_id).cloned())
}

/// Whom the provider knows the organisation as; from the first method on.
async fn customer(act: &Act<'_>, organisation_id: OrganisationId) -> Result<String, PortError> {
    let stream = organisation_id.to_string();
    let known = act.load::<PaymentMethods>(&stream).await?.customer_id;
    if let Some(customer_id) = known {
        return Ok(customer_id);
    }
    let key = format!("create_customer:{organisation_id}");
    let customer_id = act.call(act.effects.payments.create_customer(organisation_id, &key)).await?;
    let know = MethodCommand::KnowCustomer { customer_id: customer_id.clone(), at: act.now() };
    act.execute::<PaymentMethods>("customer", &stream, know).await?;
    // The first one that was recorded stays.
    let known = act.load::<PaymentMethods>(&stream).await?.customer_id;
    Ok(known.unwrap_or(customer_id))
}

/// An operator says that it shall not be kept any more.
pub(super) async fn give_up(act: &Act<'_>, which: Which, reason: &str) -> Result<(), PortError> {
    if wanted(act, which).await?.is_none() {
        return Ok(());
    }
    fail(act, which, PortError::refused("given_up", reason)).await
}

/// It will not be begun: so it has failed, unless the provider has it after all.
async fn conclude(
    act: &Act<'_>,
    which: Which,
    (customer_id, no): (&str, PortError),
) -> Result<(), PortError> {
    if let Some(found) = look_up(act, customer_id, which.1).await? {
        return apply(act, which, found).await;
    }
    if !is_verdict(&no) {
        return Err(no);
    }
    fail(act, which, no).await
}

async fn fail(
    act: &Act<'_>,
    (organisation_id, method_id): Which,
    no: PortError,
) -> Result<(), PortError> {
    let PortError { code, message, .. } = no;
    let fail = MethodCommand::Fail { method_id, code, message, at: act.now() };
    act.execute::<PaymentMethods>("fail", &organisation_id.to_string(), fail).await.map(drop)
}

async fn look_up(
    act: &Act<'_>,
    customer_id: &str,
    method_id: PaymentMethodId,
) -> Result<Option<ProviderSetup>, PortError> {
    act.call(act.effects.payments.find_setup(customer_id, method_id)).await
}

/// Asks how it stands. The `last` time, what nobody has completed is ended.
pub(super) async fn retrieve_setup(
    act: &Act<'_>,
    which: Which,
    last: bool,
) -> Result<(), PortError> {
    let Some(method) = load(act, which).await? else { return Ok(()) };
    let port = &act.effects.payments;
    let Some(setup_id) = &method.setup_id else {
        let waits = last && method.status == MethodStatus::Requested;
        let no = || PortError::refused("never_begun", "the provider was never asked to keep it");
        return if waits { fail(act, which, no()).await } else { Ok(()) };
    };
    let mut found = act.call(port.setup(setup_id)).await?;
    if last && found.outcome == SetupOutcome::Pending {
        found = act.call(port.cancel_setup(setup_id)).await?;
    }
    apply(act, which, found).await
}

/// Has the provider keep it no more, and records that.
pub(super) async fn detach_method(act: &Act<'_>, which: Which) -> Result<(), PortError> {
    let (organisation_id, method_id) = which;
    let stream = organisation_id.to_string();
    let methods = act.load::<PaymentMethods>(&stream).await?;
    let Some(method) = methods.find(method_id) else { return Ok(()) };
    let (Some(customer_id), Some(sealed)) = (&methods.customer_id, &method.provider_id) else {
        return Ok(());
    };
    // Who is erased is deleted at the provider as a whole.
    if let Some(provider_id) = act.executor.personal().open(sealed).await? {
        act.call(act.effects.payments.detach_method(customer_id, &provider_id)).await?;
    }
    let detached = MethodCommand::ConfirmDetached { method_id, at: act.now() };
    act.execute::<PaymentMethods>("detached", &stream, detached).await.map(drop)
}

/// Has the provider forget a customer.
pub(super) async fn forget(act: &Act<'_>, customer_id: &str) -> Result<(), PortError> {
    act.call(act.effects.payments.delete_customer(customer_id)).await
}

async fn apply(act: &Act<'_>, which: Which, reported: ProviderSetup) -> Result<(), PortError> {
    let reported = ProviderSetup { ours: Some(which), ..reported };
    let desk = payments::Recorder { executor: act.executor, context: &act.context("apply") };
    payments::record_provider_setup(&desk, &reported, act.now()).await.map(drop).map_err(failure)
}
