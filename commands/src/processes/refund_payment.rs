//! Refunding a payment: money that left the wallet goes back to the card it came from, or back into the wallet.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `wallet.refund_reserved` (the money is out of the wallet) | effect `request_refund` | `return_refund` |
//! | `refund.requested` | effect `create_refund`; timer `poll` | `return_refund` |
//! | `poll` | effect `retrieve_refund`; after a success more rarely, for a refund may still fail; unfinished at last to an operator | – |
//! | `refund.succeeded` | – | – |
//! | `refund.failed`, also after a success | `return_refund` | |
use cairn_core::{RefundId, Timestamp};
use cairn_ledger::WalletEvent;
use cairn_payments::RefundEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct RefundPayment;

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Reserved,
    Requested,
    Submitted,
    Succeeded,
    Failed,
    /// Failed, and the money is back in the wallet.
    Returned,
}

/// What a refund remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub refund_id: Option<RefundId>,
    pub wallet_id: String,
    pub requested_at: Timestamp,
}

/// Between two questions about a refund that has succeeded.
const AFTERCARE_SECONDS: i64 = 86_400;

impl ProcessManager for RefundPayment {
    const NAME: &'static str = "refund_payment";
    const READS: &'static [&'static str] = &["refund", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Wallet(
                WalletEvent::RefundReserved { refund_id, .. }
                | WalletEvent::RefundReturned { refund_id, .. },
            ) => Some(refund_id.to_string()),
            Fact::Refund(_) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Wallet(WalletEvent::RefundReserved { refund_id, .. }) => {
                state.phase = Phase::Reserved;
                state.refund_id = Some(*refund_id);
                state.wallet_id.clone_from(&happened.stream);
            }
            Fact::Wallet(WalletEvent::RefundReturned { .. }) => state.phase = Phase::Returned,
            Fact::Refund(RefundEvent::Requested { at, .. }) => {
                state.phase = Phase::Requested;
                state.requested_at = *at;
            }
            Fact::Refund(RefundEvent::Submitted { .. }) => state.phase = Phase::Submitted,
            Fact::Refund(RefundEvent::Succeeded { .. }) => state.phase = Phase::Succeeded,
            Fact::Refund(RefundEvent::Failed { .. }) => state.phase = Phase::Failed,
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Some(refund_id) = state.refund_id else { return vec![] };
        match &happened.fact {
            Fact::Wallet(WalletEvent::RefundReserved { payment_id, amount_nanos, .. }) => {
                let (payment_id, amount_nanos) = (*payment_id, *amount_nanos);
                let request = Effect::RequestRefund { refund_id, payment_id, amount_nanos };
                vec![Intent::effect(request, None)]
            }
            Fact::Refund(RefundEvent::Requested { at, .. }) => vec![
                Intent::effect(
                    Effect::CreateRefund { refund_id },
                    Some(at.plus_secs(settings.provider_seconds)),
                ),
                Intent::timer(Timer::Poll, at.plus_secs(settings.poll_wait(0))),
            ],
            Fact::Refund(RefundEvent::Failed { .. }) => {
                let wallet_id = state.wallet_id.clone();
                vec![Intent::command(Command::ReturnRefund { wallet_id, refund_id })]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let Some(refund_id) = state.refund_id else { return Awoken::default() };
        let asked_long_enough = alarm.at.secs_since(state.requested_at) > settings.poll_for_seconds;
        let wait = settings.poll_wait(alarm.run + 1);
        let last = asked_long_enough;
        let retrieve = || vec![Intent::effect(Effect::RetrieveRefund { refund_id, last }, None)];
        match state.phase {
            Phase::Idle | Phase::Reserved | Phase::Failed | Phase::Returned => Awoken::default(),
            Phase::Succeeded if last => Awoken::default(),
            Phase::Requested | Phase::Submitted if last => {
                Awoken { intents: retrieve(), again_at: None }
            }
            Phase::Requested => {
                Awoken { intents: vec![], again_at: Some(alarm.at.plus_secs(wait)) }
            }
            Phase::Submitted => {
                Awoken { intents: retrieve(), again_at: Some(alarm.at.plus_secs(wait)) }
            }
            Phase::Succeeded => Awoken {
                intents: retrieve(),
                again_at: Some(alarm.at.plus_secs(AFTERCARE_SECONDS)),
            },
        }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Reserved | Phase::Requested | Phase::Submitted | Phase::Failed => {
                Status::Running
            }
            Phase::Succeeded => Status::Done,
            Phase::Returned => Status::Unwound,
        }
    }
}
