//! What organisations pay with: wishes of customers, top-ups with what is kept, and what the provider reports.
use cairn_core::{Money, OrganisationId, PaymentId, PaymentMethodId, Refusal as _, Timestamp};
use cairn_payments::{
    KeptMethod, MethodCommand, MethodError, Payment, PaymentCommand, PaymentMethods,
};
use serde_json::json;

use super::{Desk, Recorder, Report};
use crate::answers::{first_answer, refused};
use crate::ports::{ProviderSetup, SetupOutcome};
use crate::{CommandContext, Commands, ExecuteError, Executed, Executor};

/// A wish to have a method kept.
#[derive(Debug, Clone)]
pub struct RequestMethod {
    /// Whose.
    pub organisation_id: OrganisationId,
    /// The provider's payment method; without it the customer chooses one in the browser.
    pub payment_method: Option<String>,
}

/// Asks for a method to be kept. Answers `{"payment_method_id"}`; `save_method` goes on.
///
/// # Errors
/// `payment_methods_full`, `subject_erased`.
pub async fn request_method(
    commands: &Commands,
    context: &CommandContext,
    RequestMethod { organisation_id, payment_method }: RequestMethod,
) -> Result<Executed, ExecuteError> {
    let method_id = PaymentMethodId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let request = MethodCommand::Request { method_id, organisation_id, payment_method, at };
    let (stream, result) = (organisation_id.to_string(), json!({ "payment_method_id": method_id }));
    commands.executor.execute::<PaymentMethods>(&stream, request, context, result).await
}

/// What a method becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodWish {
    /// The one that is taken where none is named.
    Default,
    /// None of theirs any more.
    Removed,
}

/// Changes a method of an organisation's own. Answers `{"payment_method_id"}`.
///
/// # Errors
/// `unknown_payment_method`, also when it is somebody else's; `payment_method_in_wrong_state`.
pub async fn change_method(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, method_id, wish): (OrganisationId, PaymentMethodId, MethodWish),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let command = match wish {
        MethodWish::Default => MethodCommand::MakeDefault { method_id, at },
        MethodWish::Removed => MethodCommand::Remove { method_id, at },
    };
    let (stream, result) = (organisation_id.to_string(), json!({ "payment_method_id": method_id }));
    commands.executor.execute::<PaymentMethods>(&stream, command, context, result).await
}

/// What an organisation pays with; texts are sealed.
///
/// # Errors
/// The log's.
pub async fn methods(
    executor: &Executor,
    organisation_id: OrganisationId,
) -> Result<PaymentMethods, ExecuteError> {
    Ok(executor.load::<PaymentMethods>(&organisation_id.to_string()).await?.0)
}

/// A wish to pay in with a method that is kept.
#[derive(Debug, Clone)]
pub struct RequestKeptTopUp {
    /// Whose wallet, and whose method.
    pub organisation_id: OrganisationId,
    /// How much, in whole cents.
    pub amount: Money,
    /// Which method; the default when absent.
    pub method_id: Option<PaymentMethodId>,
}

/// Asks for a top-up with a method that is kept, without the customer. Answers `{"payment_id"}`; `top_up` goes on.
///
/// # Errors
/// `unknown_payment_method`, also when it is somebody else's or there is no default; `payment_method_in_wrong_state`,
/// `amount_out_of_range`, `not_whole_minor_units`, `subject_erased`.
pub async fn request_kept_top_up(
    commands: &Commands,
    context: &CommandContext,
    input: RequestKeptTopUp,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let payment_id = PaymentId::from_bits(commands.ids.next());
    let stream = payment_id.to_string();
    let methods = methods(&commands.executor, input.organisation_id).await?;
    let mut kept = match kept(&methods, input.method_id) {
        Ok(kept) => kept,
        Err(no) => {
            let why = (no.code(), no.to_string());
            return commands.executor.refuse::<Payment>(&stream, why, context).await;
        }
    };
    let open = commands.executor.personal().open(&kept.provider_id).await;
    let open = open.map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
    kept.provider_id = open.ok_or_else(|| {
        refused(crate::privacy::SUBJECT_ERASED, "what it was to be paid with was erased")
    })?;
    let request = PaymentCommand::RequestWith {
        payment_id,
        organisation_id: input.organisation_id,
        currency: input.amount.currency,
        amount_nanos: input.amount.nanos,
        kept,
        at: commands.clock.now(),
    };
    let result = json!({ "payment_id": payment_id });
    commands.executor.execute::<Payment>(&stream, request, context, result).await
}

/// The method that is to be charged; what it is at the provider is sealed.
pub(crate) fn kept(
    methods: &PaymentMethods,
    wanted: Option<PaymentMethodId>,
) -> Result<KeptMethod, MethodError> {
    let method_id = wanted.or(methods.default_id).ok_or(MethodError::Unknown)?;
    let method = methods.saved(method_id)?;
    let names = methods.customer_id.clone().zip(method.provider_id.clone());
    let (customer_id, provider_id) = names.ok_or(MethodError::WrongState(method.status))?;
    Ok(KeptMethod { method_id, customer_id, provider_id })
}

/// Records what the provider says of a method that is to be kept. Any number of times, in any order.
///
/// # Errors
/// `unknown_payment_method` when it is not one of ours, `provider_id_mismatch`.
pub async fn apply_provider_setup(
    commands: &Commands,
    context: &CommandContext,
    reported: &ProviderSetup,
) -> Result<Executed, ExecuteError> {
    let desk = Recorder { executor: &commands.executor, context };
    record_provider_setup(&desk, reported, commands.clock.now()).await
}

/// What [`apply_provider_setup`] does, at any desk.
///
/// # Errors
/// As [`apply_provider_setup`].
pub async fn record_provider_setup(
    desk: &impl Desk,
    reported: &ProviderSetup,
    at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let foreign =
        || refused("unknown_payment_method", "the provider's payment method is not one of ours");
    let (organisation_id, method_id) = reported.ours.ok_or_else(foreign)?;
    let report = Report { desk, stream: organisation_id.to_string() };
    let setup_id = reported.provider_id.clone();
    let submit = MethodCommand::Submit { method_id, setup_id, at };
    let submitted = report.send::<PaymentMethods>("submit", submit).await?;
    match &reported.outcome {
        SetupOutcome::Pending => Ok(submitted),
        SetupOutcome::Saved { provider_id, details } => {
            let (provider_id, details) = (provider_id.clone(), details.clone());
            let save = MethodCommand::Save { method_id, provider_id, details, at };
            report.send::<PaymentMethods>("save", save).await
        }
        SetupOutcome::Failed { code, message } => {
            let (code, message) = (code.clone(), message.clone());
            let fail = MethodCommand::Fail { method_id, code, message, at };
            match report.send::<PaymentMethods>("fail", fail).await {
                // An old report of a failed attempt; another one has succeeded since.
                Err(ExecuteError::Refused { code, .. })
                    if code == "payment_method_in_wrong_state" =>
                {
                    Ok(submitted)
                }
                other => other,
            }
        }
    }
}
