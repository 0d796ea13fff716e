//! One automatic top-up: the payment that it asks for, and how that ended. The payment itself is collected and credited by [`super::top_up`],
//! as any payment is; its id is the attempt's, so that a repeat asks for the same one.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `auto_top_up.begun` | effect `request_top_up` | none: a payment that cannot be asked for is declined |
//! | `wallet.topped_up` with this payment | `succeed_top_up` | – |
//! | `payment.failed` | `decline_top_up` | – |
//!
//! The provider may take after all what it had declined: then both come, in any order.
use cairn_core::PaymentId;
use cairn_ledger::WalletEvent;
use cairn_payments::{AutoTopUpEvent, PaymentEvent};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Intent};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ChargeTopUp;

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Begun,
    Declined,
    Succeeded,
}

/// What is remembered of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub wallet_id: String,
    pub payment_id: Option<PaymentId>,
    pub phase: Phase,
}

impl ProcessManager for ChargeTopUp {
    const NAME: &'static str = "charge_top_up";
    const READS: &'static [&'static str] = &["auto_top_up", "payment", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::AutoTopUp(AutoTopUpEvent::Begun { payment_id, .. })
            | Fact::Wallet(WalletEvent::ToppedUp { payment_id, .. }) => {
                Some(payment_id.to_string())
            }
            Fact::Payment(PaymentEvent::Failed { .. }) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::AutoTopUp(AutoTopUpEvent::Begun { payment_id, .. }) => {
                state.wallet_id.clone_from(&happened.stream);
                state.payment_id = Some(*payment_id);
            }
            // Payments that somebody asked for are none of ours.
            _ if state.payment_id.is_none() => {}
            Fact::Payment(_) => state.phase = Phase::Declined,
            _ => state.phase = Phase::Succeeded,
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        let Some(payment_id) = state.payment_id else { return vec![] };
        let wallet_id = state.wallet_id.clone();
        let wanted = match &happened.fact {
            Fact::AutoTopUp(_) => {
                Intent::effect(Effect::RequestTopUp { wallet_id, payment_id }, None)
            }
            Fact::Payment(PaymentEvent::Failed { code, .. }) => {
                let code = code.clone();
                Intent::command(Command::DeclineTopUp { wallet_id, payment_id, code })
            }
            _ => Intent::command(Command::SucceedTopUp { wallet_id, payment_id }),
        };
        vec![wanted]
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Begun => Status::Running,
            Phase::Declined => Status::Unwound,
            Phase::Succeeded => Status::Done,
        }
    }
}
