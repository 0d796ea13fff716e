//! Topping up: a payment at the provider becomes credit on the wallet.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `payment.requested` | effect `create_payment`; timer `poll` | none: nothing is credited before the provider has the money |
//! | `poll` | effect `retrieve_payment` until it is final and its fee is known; at last to an operator | – |
//! | `payment.action_required` | –; `poll` goes on, and after a day effect `cancel_payment` | none: it can never be taken then |
//! | `payment.processing_begun` | –; `poll` every six hours, for five weeks | – |
//! | `payment.succeeded` | `top_up_wallet`; after a failure timer `poll` again | a refund, on request |
//! | `wallet.topped_up` | – | – |
//! | `payment.failed` | – | – |
//! | `payment.fee_recorded` | – (the timer ends) | – |
//!
//! Webhooks only make it faster: they retrieve the payment too. A success overrides an earlier failure.
use cairn_core::{Currency, Nanos, OrganisationId, PaymentId, Timestamp};
use cairn_ledger::WalletEvent;
use cairn_payments::PaymentEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Credit, Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// How long a customer may take to confirm what their bank asks about.
pub(super) const CONFIRM_SECS: i64 = 86_400;
/// Between two questions while a bank takes days.
const PROCESSING_SECS: i64 = 6 * 3_600;

/// The process manager.
#[derive(Debug)]
pub struct TopUp;

/// Where a top-up stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Requested,
    Submitted,
    /// The customer is wanted.
    ActionRequired,
    /// The bank is at it.
    Processing,
    Failed,
    /// The money is there; the fee is not known yet.
    Succeeded,
    Settled,
}

/// What a top-up remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub payment_id: Option<PaymentId>,
    pub owner: Option<(OrganisationId, Currency)>,
    pub amount_nanos: Nanos,
    /// From when on the provider is asked.
    pub requested_at: Timestamp,
    /// From when on it has waited for the customer, or for the bank.
    #[serde(default)]
    pub waits_since: Timestamp,
    /// The wallet has the money.
    pub credited: bool,
    /// It succeeded after it had failed, when nobody asked any more.
    #[serde(default)]
    pub revived: bool,
}

impl ProcessManager for TopUp {
    const NAME: &'static str = "top_up";
    const READS: &'static [&'static str] = &["payment", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Payment(_) => Some(happened.stream.clone()),
            Fact::Wallet(WalletEvent::ToppedUp { payment_id, .. }) => Some(payment_id.to_string()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Payment(event) = &happened.fact else {
            state.credited |= state.payment_id.is_some();
            return state;
        };
        match event {
            PaymentEvent::Requested {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                at,
                ..
            } => {
                state.phase = Phase::Requested;
                state.payment_id = Some(*payment_id);
                state.owner = Some((*organisation_id, *currency));
                state.amount_nanos = *amount_nanos;
                state.requested_at = *at;
            }
            PaymentEvent::Submitted { .. } if state.phase == Phase::Requested => {
                state.phase = Phase::Submitted;
            }
            PaymentEvent::Submitted { .. } | PaymentEvent::MethodNamed { .. } => {}
            PaymentEvent::ActionRequired { at } => {
                (state.phase, state.waits_since) = (Phase::ActionRequired, *at);
            }
            PaymentEvent::ProcessingBegun { at } => {
                (state.phase, state.waits_since) = (Phase::Processing, *at);
            }
            PaymentEvent::Succeeded { at, .. } => {
                if state.phase == Phase::Failed {
                    state.revived = true;
                    state.requested_at = *at;
                }
                state.phase = Phase::Succeeded;
            }
            PaymentEvent::Failed { .. } => state.phase = Phase::Failed,
            PaymentEvent::FeeRecorded { .. } => state.phase = Phase::Settled,
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Fact::Payment(event) = &happened.fact else { return vec![] };
        let Some((payment_id, (organisation_id, currency))) = state.payment_id.zip(state.owner)
        else {
            return vec![];
        };
        match event {
            PaymentEvent::Requested { at, payment_method, .. } => vec![
                Intent::effect(
                    Effect::CreatePayment { payment_id, payment_method: payment_method.clone() },
                    Some(at.plus_secs(settings.provider_seconds)),
                ),
                Intent::timer(Timer::Poll, at.plus_secs(settings.poll_wait(0))),
            ],
            PaymentEvent::Succeeded { charge_id, amount_nanos, at, .. } => {
                let credit = Intent::command(Command::TopUpWallet(Credit {
                    organisation_id,
                    currency,
                    payment_id,
                    amount_nanos: *amount_nanos,
                    charge_id: charge_id.clone(),
                    at: Some(*at),
                }));
                let first_poll = at.plus_secs(settings.poll_wait(0));
                let poll = state.revived.then(|| Intent::timer(Timer::Poll, first_poll));
                std::iter::once(credit).chain(poll).collect()
            }
            PaymentEvent::MethodNamed { .. }
            | PaymentEvent::Submitted { .. }
            | PaymentEvent::ActionRequired { .. }
            | PaymentEvent::ProcessingBegun { .. }
            | PaymentEvent::Failed { .. }
            | PaymentEvent::FeeRecorded { .. } => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let Some(payment_id) = state.payment_id else { return Awoken::default() };
        let asked_long_enough = alarm.at.secs_since(state.requested_at) > settings.poll_for_seconds;
        let again_at = Some(alarm.at.plus_secs(settings.poll_wait(alarm.run + 1)));
        match state.phase {
            Phase::Idle | Phase::Failed | Phase::Settled => Awoken::default(),
            Phase::ActionRequired if alarm.at.secs_since(state.waits_since) > CONFIRM_SECS => {
                let cancel = Intent::effect(Effect::CancelPayment { payment_id }, None);
                Awoken { intents: vec![cancel], again_at }
            }
            Phase::ActionRequired => {
                let retrieve = Effect::RetrievePayment { payment_id, last: false };
                Awoken { intents: vec![Intent::effect(retrieve, None)], again_at }
            }
            Phase::Processing => {
                let last = alarm.at.secs_since(state.waits_since) > settings.poll_for_seconds;
                let retrieve = Effect::RetrievePayment { payment_id, last };
                let again_at = (!last).then(|| alarm.at.plus_secs(PROCESSING_SECS));
                Awoken { intents: vec![Intent::effect(retrieve, None)], again_at }
            }
            Phase::Requested if !asked_long_enough => Awoken { intents: vec![], again_at },
            Phase::Requested | Phase::Submitted | Phase::Succeeded => {
                let retrieve = Effect::RetrievePayment { payment_id, last: asked_long_enough };
                let again_at = again_at.filter(|_| !asked_long_enough);
                Awoken { intents: vec![Intent::effect(retrieve, None)], again_at }
            }
        }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Requested
            | Phase::Submitted
            | Phase::ActionRequired
            | Phase::Processing
            | Phase::Succeeded => Status::Running,
            Phase::Failed => Status::Unwound,
            Phase::Settled if !state.credited => Status::Running,
            Phase::Settled => Status::Done,
        }
    }
}
