//! Ending a hold at its time: what is left of it goes back to available, also when nobody asks for the money. A hold out of which usage was charged
//! stays until its rental is settled: the wallet leaves it alone.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `wallet.hold_placed` | timer `hold_expiry` | – |
//! | `wallet.hold_extended` of a hold that had expired | timer `hold_expiry` | – |
//! | `hold_expiry` | `sweep_holds` on its wallet; the timer again when the hold was extended meanwhile | none: it claims nothing |
//! | `wallet.hold_released`, `wallet.hold_expired` | – (the timer ends) | – |
use cairn_core::Timestamp;
use cairn_ledger::WalletEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ExpireHold;

/// What is remembered of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub wallet_id: String,
    /// When an open hold ends; none when it has.
    pub expires_at: Option<Timestamp>,
    /// Position of the event that began the timer in force.
    pub since: i64,
}

impl ProcessManager for ExpireHold {
    const NAME: &'static str = "expire_hold";
    const READS: &'static [&'static str] = &["wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        let Fact::Wallet(event) = &happened.fact else { return None };
        match event {
            WalletEvent::HoldPlaced { hold_id, .. }
            | WalletEvent::HoldExtended { hold_id, .. }
            | WalletEvent::HoldReleased { hold_id, .. }
            | WalletEvent::HoldExpired { hold_id, .. } => Some(hold_id.to_string()),
            WalletEvent::ToppedUp { .. }
            | WalletEvent::HoldExtensionRefused { .. }
            | WalletEvent::UsageCaptured { .. }
            | WalletEvent::OverrunRecorded { .. }
            | WalletEvent::UsageCorrected { .. }
            | WalletEvent::RefundReserved { .. }
            | WalletEvent::RefundReturned { .. }
            | WalletEvent::CreditGranted { .. }
            | WalletEvent::CreditExpired { .. }
            | WalletEvent::PaymentDisputed { .. }
            | WalletEvent::DisputeReleased { .. }
            | WalletEvent::DisputeLost { .. }
            | WalletEvent::UsageCredited { .. }
            | WalletEvent::SpendingLimitsSet { .. }
            | WalletEvent::SpendingReached { .. }
            | WalletEvent::HoldAssigned { .. }
            | WalletEvent::ProjectLimitsSet { .. }
            | WalletEvent::ProjectLimitReached { .. }
            | WalletEvent::AlertsSet { .. }
            | WalletEvent::AlertReached { .. }
            | WalletEvent::ProjectAlertsSet { .. }
            | WalletEvent::ProjectAlertReached { .. } => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Wallet(
                WalletEvent::HoldPlaced { expires_at, .. }
                | WalletEvent::HoldExtended { expires_at, .. },
            ) => {
                if state.expires_at.is_none() {
                    state.since = happened.position;
                }
                state.wallet_id.clone_from(&happened.stream);
                state.expires_at = Some(*expires_at);
            }
            Fact::Wallet(WalletEvent::HoldReleased { .. } | WalletEvent::HoldExpired { .. }) => {
                state.expires_at = None;
            }
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        match state.expires_at {
            Some(expires_at) if state.since == happened.position => {
                vec![Intent::timer(Timer::HoldExpiry { since: state.since }, expires_at)]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        match (state.expires_at, alarm.timer) {
            (Some(expires_at), Timer::HoldExpiry { since }) if since == state.since => {
                if expires_at > alarm.at {
                    return Awoken { intents: vec![], again_at: Some(expires_at) };
                }
                let wallet_id = state.wallet_id.clone();
                let sweep = Intent::command(Command::SweepHolds { wallet_id });
                Awoken { intents: vec![sweep], again_at: None }
            }
            _ => Awoken::default(),
        }
    }

    fn status(state: &State) -> Status {
        if state.expires_at.is_some() { Status::Running } else { Status::Done }
    }
}
