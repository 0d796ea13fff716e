//! Commands of the payments context: what customers pay with, top-ups, also by themselves, refunds, and what the provider reports of them and of disputes.
mod auto_top_up;
mod disputes;
mod methods;

use cairn_core::{Currency, Decider, Money, Nanos, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_ledger::{ReserveRefund, Wallet, WalletCommand, wallet_id};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand, WaitsFor};
use serde_json::{Value, json};

use crate::answers::{derived, first_answer, refused};
use crate::ports::{ProviderOutcome, ProviderPayment, ProviderRefund};
use crate::{CommandContext, Commands, ExecuteError, Executed, Executor};

pub use self::auto_top_up::{SetAutoTopUp, set_auto_top_up};
pub use self::disputes::{apply_provider_dispute, dispute_id, record_provider_dispute};
pub(crate) use self::methods::kept;
pub use self::methods::{
    MethodWish, RequestKeptTopUp, RequestMethod, apply_provider_setup, change_method, methods,
    record_provider_setup, request_kept_top_up, request_method,
};

/// A wish to pay in.
#[derive(Debug, Clone)]
pub struct RequestTopUp {
    /// Whose wallet.
    pub organisation_id: OrganisationId,
    /// How much, in whole cents.
    pub amount: Money,
    /// The provider's payment method; without it the customer confirms in the browser.
    pub payment_method: Option<String>,
}

/// Asks for a top-up. Answers `{"payment_id"}`; `top_up` goes on.
///
/// # Errors
/// `amount_out_of_range`, `not_whole_minor_units`.
pub async fn request_top_up(
    commands: &Commands,
    context: &CommandContext,
    input: RequestTopUp,
) -> Result<Executed, ExecuteError> {
    let payment_id = PaymentId::from_bits(commands.ids.next());
    let request = PaymentCommand::Request {
        payment_id,
        organisation_id: input.organisation_id,
        currency: input.amount.currency,
        amount_nanos: input.amount.nanos,
        payment_method: input.payment_method,
        at: commands.clock.now(),
    };
    let result = json!({ "payment_id": payment_id });
    commands.executor.execute::<Payment>(&payment_id.to_string(), request, context, result).await
}

/// A wish to have money back on the card.
#[derive(Debug, Clone)]
pub struct RequestRefund {
    /// Who asks.
    pub organisation_id: OrganisationId,
    /// The top-up it came from.
    pub payment_id: PaymentId,
    /// How much, in whole cents; all that is left of it and not held when absent.
    pub amount: Option<Money>,
    /// Why, for the statement.
    pub reason: String,
}

/// Takes the money out of the wallet, or says at once why not. Answers `{"refund_id"}`; `refund_payment` goes on.
///
/// # Errors
/// `unknown_payment`, `currency_mismatch`, `insufficient_funds`, `exceeds_refundable`, `not_whole_minor_units`,
/// `amount_not_positive`.
pub async fn request_refund(
    commands: &Commands,
    context: &CommandContext,
    input: RequestRefund,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let payment_id = input.payment_id;
    let stream = payment_id.to_string();
    let refuse =
        |code, why: String| commands.executor.refuse::<Payment>(&stream, (code, why), context);
    let (payment, _) = commands.executor.load::<Payment>(&stream).await?;
    let currency = match (payment.organisation_id, payment.currency) {
        (Some(owner), Some(currency)) if owner == input.organisation_id => currency,
        _ => return refuse("unknown_payment", "there is no such payment".to_owned()).await,
    };
    let wallet_id = wallet_id(input.organisation_id, currency);
    let amount_nanos = match input.amount {
        Some(amount) if amount.currency != currency => {
            return refuse("currency_mismatch", format!("the payment is in {currency}")).await;
        }
        Some(amount) => amount.nanos,
        None => refundable(commands, &wallet_id, (payment_id, currency)).await?,
    };
    let refund_id = RefundId::from_bits(commands.ids.next());
    let reserve = WalletCommand::ReserveRefund(ReserveRefund {
        refund_id,
        payment_id,
        amount_nanos,
        reason: input.reason,
        at: commands.clock.now(),
    });
    let result = json!({ "refund_id": refund_id });
    commands.executor.execute::<Wallet>(&wallet_id, reserve, context, result).await
}

/// Whole cents of a payment that are neither used nor held. Promotional credit does not count: it was never paid in.
async fn refundable(
    commands: &Commands,
    wallet_id: &str,
    (payment_id, currency): (PaymentId, Currency),
) -> Result<Nanos, ExecuteError> {
    let (wallet, _) = commands.executor.load::<Wallet>(wallet_id).await?;
    let lot = wallet.lots.iter().find(|lot| lot.payment_id == payment_id);
    let available_nanos = wallet.paid_available_at(commands.clock.now());
    let left = lot.map_or(0, |lot| lot.remaining_nanos).min(available_nanos);
    Ok(left - left % currency.nanos_per_minor())
}

/// Records what the provider says of a payment. Any number of times, in any order.
///
/// # Errors
/// `unknown_payment` when it is not one of ours, `provider_amount_mismatch`, `provider_id_mismatch`.
pub async fn apply_provider_payment(
    commands: &Commands,
    context: &CommandContext,
    reported: &ProviderPayment,
) -> Result<Executed, ExecuteError> {
    let desk = Recorder { executor: &commands.executor, context };
    record_provider_payment(&desk, reported, commands.clock.now()).await
}

/// The provider paid a refund out that had failed here: the customer has the money twice, unless the report is older than the failure.
pub const PAID_AFTER_FAILURE: &str = "refund_paid_after_failure";

/// Records what the provider says of a refund. Any number of times, in any order.
///
/// # Errors
/// `unknown_refund` when it is not one of ours, `provider_amount_mismatch`, `provider_id_mismatch`, [`PAID_AFTER_FAILURE`].
pub async fn apply_provider_refund(
    commands: &Commands,
    context: &CommandContext,
    reported: &ProviderRefund,
) -> Result<Executed, ExecuteError> {
    let desk = Recorder { executor: &commands.executor, context };
    record_provider_refund(&desk, reported, commands.clock.now()).await
}

/// What [`apply_provider_payment`] does, at any desk.
///
/// # Errors
/// As [`apply_provider_payment`].
pub async fn record_provider_payment(
    desk: &impl Desk,
    reported: &ProviderPayment,
    at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let Some(payment_id) = reported.payment_id else {
        return Err(refused("unknown_payment", "the provider's payment is not one of ours"));
    };
    let report = Report { desk, stream: payment_id.to_string() };
    let provider_id = reported.provider_id.clone();
    let submit = PaymentCommand::Submit { provider_id: provider_id.clone(), at };
    let submitted = report.send::<Payment>("submit", submit).await?;
    let wait = |waits_for| report.send::<Payment>("wait", PaymentCommand::Wait { waits_for, at });
    match &reported.outcome {
        ProviderOutcome::Pending => Ok(submitted),
        ProviderOutcome::ActionRequired => wait(WaitsFor::Customer).await,
        ProviderOutcome::Processing => wait(WaitsFor::Bank).await,
        ProviderOutcome::Failed { code, message } => {
            let (code, message) = (code.clone(), message.clone());
            let fail = PaymentCommand::Fail { code, message, at };
            match report.send::<Payment>("fail", fail).await {
                // An old report of a failed attempt; the money has come since.
                Err(ExecuteError::Refused { code, .. }) if code == "payment_in_wrong_state" => {
                    Ok(submitted)
                }
                other => other,
            }
        }
        ProviderOutcome::Succeeded => {
            // Without its charge it cannot be refunded: wait until the provider names it.
            let Some(charge_id) = reported.charge_id.clone() else { return Ok(submitted) };
            let amount_nanos =
                checked_amount(report.currency::<Payment>().await?, reported.amount)?;
            // The world's time: a day's books hold what happened on that day, however late it was heard of.
            let at = reported.charged_at.map_or(at, |charged_at| charged_at.min(at));
            let succeed = PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at };
            let succeeded = report.send::<Payment>("succeed", succeed).await?;
            match &reported.fee {
                None => Ok(succeeded),
                Some(fee) => {
                    let record = PaymentCommand::RecordFee {
                        balance_transaction_id: fee.balance_transaction_id.clone(),
                        fee_nanos: fee.fee_nanos,
                        at,
                    };
                    report.send::<Payment>("fee", record).await
                }
            }
        }
    }
}

/// What [`apply_provider_refund`] does, at any desk.
///
/// # Errors
/// As [`apply_provider_refund`].
pub async fn record_provider_refund(
    desk: &impl Desk,
    reported: &ProviderRefund,
    at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let Some(refund_id) = reported.refund_id else {
        return Err(refused("unknown_refund", "the provider's refund is not one of ours"));
    };
    let report = Report { desk, stream: refund_id.to_string() };
    let provider_id = reported.provider_id.clone();
    let submit = RefundCommand::Submit { provider_id: provider_id.clone(), at };
    let submitted = report.send::<Refund>("submit", submit).await?;
    match &reported.outcome {
        ProviderOutcome::Pending
        | ProviderOutcome::ActionRequired
        | ProviderOutcome::Processing => Ok(submitted),
        ProviderOutcome::Failed { code, .. } => {
            let fail = RefundCommand::Fail { code: code.clone(), at };
            report.send::<Refund>("fail", fail).await
        }
        ProviderOutcome::Succeeded => {
            let amount_nanos = checked_amount(report.currency::<Refund>().await?, reported.amount)?;
            let succeed = RefundCommand::Succeed { provider_id, amount_nanos, at };
            match report.send::<Refund>("succeed", succeed).await {
                // Its money went back into the wallet when it failed here: never pass over that in silence.
                Err(ExecuteError::Refused { code, .. }) if code == "refund_in_wrong_state" => {
                    let paid = format!("{refund_id} failed here, and the provider has paid it out");
                    Err(refused(PAID_AFTER_FAILURE, paid))
                }
                other => other,
            }
        }
    }
}

/// What a report is recorded through: it knows streams, and sends them commands. The log is one.
pub trait Desk: Sync {
    /// A stream as it is now.
    fn known<A: Decider>(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<A, ExecuteError>> + Send;

    /// Sends a stream one of the commands of a report; `verb` tells them apart.
    fn send<A: Decider>(
        &self,
        stream: &str,
        verb: &str,
        command: A::Command,
    ) -> impl Future<Output = Result<Executed, ExecuteError>> + Send
    where
        A::Command: Clone;
}

/// Records in the log, each command under an id derived from the report's.
pub(crate) struct Recorder<'a> {
    pub executor: &'a Executor,
    pub context: &'a CommandContext,
}

impl Desk for Recorder<'_> {
    async fn known<A: Decider>(&self, stream: &str) -> Result<A, ExecuteError> {
        self.executor.load::<A>(stream).await.map(|(state, _)| state)
    }

    async fn send<A: Decider>(
        &self,
        stream: &str,
        verb: &str,
        command: A::Command,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        let context = derived(self.context, verb);
        self.executor.execute::<A>(stream, command, &context, Value::Null).await
    }
}

/// What the provider reports, on its way to one aggregate.
struct Report<'a, D> {
    desk: &'a D,
    stream: String,
}

impl<D: Desk> Report<'_, D> {
    async fn send<A: Decider>(
        &self,
        verb: &str,
        command: A::Command,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        self.desk.send::<A>(&self.stream, verb, command).await
    }

    async fn currency<A: Decider + InCurrency>(&self) -> Result<Option<Currency>, ExecuteError> {
        Ok(self.desk.known::<A>(&self.stream).await?.currency())
    }
}

trait InCurrency {
    fn currency(&self) -> Option<Currency>;
}

impl InCurrency for Payment {
    fn currency(&self) -> Option<Currency> {
        self.currency
    }
}

impl InCurrency for Refund {
    fn currency(&self) -> Option<Currency> {
        self.currency
    }
}

fn checked_amount(ours: Option<Currency>, reported: Money) -> Result<Nanos, ExecuteError> {
    if ours.is_some_and(|ours| ours != reported.currency) {
        let message = format!("the provider reports {reported}, which is another currency");
        return Err(refused("provider_amount_mismatch", message));
    }
    Ok(reported.nanos)
}
