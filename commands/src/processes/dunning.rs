//! Watching how long the money of a wallet lasts, as long as anything is held of it. What follows is decided by `cairn_ledger::dunning`, and
//! carried out by the effect: what can be paid for again is resumed, what was kept long enough is released.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `wallet.hold_placed`, the first | timer `assessment` | – |
//! | `wallet.topped_up`, `wallet.credit_granted`, `wallet.credit_expired`, `wallet.refund_reserved`, `wallet.spending_limits_set`, `wallet.project_limits_set`, a dispute | effect `assess_funds` | none: it looks at what is |
//! | `assessment` | effect `assess_funds`; the timer again as long as anything is held | – |
//! | `wallet.hold_released`, `wallet.hold_expired`, the last | effect `assess_funds`, a last time | – |
use std::collections::BTreeSet;

use cairn_core::HoldId;
use cairn_ledger::WalletEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct Dunning;

/// What is remembered of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub wallet_id: String,
    /// What is held of it.
    pub holds: BTreeSet<HoldId>,
    /// Position of the event that began the timer in force.
    pub since: i64,
}

impl ProcessManager for Dunning {
    const NAME: &'static str = "dunning";
    const READS: &'static [&'static str] = &["wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        let Fact::Wallet(event) = &happened.fact else { return None };
        match event {
            WalletEvent::ToppedUp { .. }
            | WalletEvent::CreditGranted { .. }
            | WalletEvent::CreditExpired { .. }
            | WalletEvent::HoldPlaced { .. }
            | WalletEvent::HoldReleased { .. }
            | WalletEvent::HoldExpired { .. }
            | WalletEvent::PaymentDisputed { .. }
            | WalletEvent::DisputeReleased { .. }
            | WalletEvent::DisputeLost { .. }
            | WalletEvent::UsageCredited { .. }
            | WalletEvent::UsageCorrected { .. }
            | WalletEvent::SpendingLimitsSet { .. }
            | WalletEvent::ProjectLimitsSet { .. }
            | WalletEvent::RefundReserved { .. } => Some(happened.stream.clone()),
            // A refusal comes with each tick of each rental of a dry wallet: the next look is soon enough.
            WalletEvent::HoldExtensionRefused { .. }
            | WalletEvent::HoldExtended { .. }
            | WalletEvent::UsageCaptured { .. }
            | WalletEvent::OverrunRecorded { .. }
            | WalletEvent::SpendingReached { .. }
            | WalletEvent::HoldAssigned { .. }
            | WalletEvent::ProjectLimitReached { .. }
            | WalletEvent::AlertsSet { .. }
            | WalletEvent::AlertReached { .. }
            | WalletEvent::ProjectAlertsSet { .. }
            | WalletEvent::ProjectAlertReached { .. }
            | WalletEvent::RefundReturned { .. } => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Wallet(WalletEvent::HoldPlaced { hold_id, .. }) => {
                if state.holds.is_empty() {
                    state.since = happened.position;
                }
                state.wallet_id.clone_from(&happened.stream);
                state.holds.insert(*hold_id);
            }
            Fact::Wallet(
                WalletEvent::HoldReleased { hold_id, .. }
                | WalletEvent::HoldExpired { hold_id, .. },
            ) => {
                state.holds.remove(hold_id);
            }
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        match &happened.fact {
            Fact::Wallet(WalletEvent::HoldPlaced { .. }) if state.since == happened.position => {
                let at = happened.recorded_at.plus_secs(settings.assessment_seconds);
                vec![Intent::timer(Timer::Assessment { since: state.since }, at)]
            }
            Fact::Wallet(WalletEvent::HoldReleased { .. } | WalletEvent::HoldExpired { .. })
                if !state.holds.is_empty() =>
            {
                vec![]
            }
            Fact::Wallet(
                WalletEvent::ToppedUp { .. }
                | WalletEvent::CreditGranted { .. }
                | WalletEvent::CreditExpired { .. }
                | WalletEvent::HoldReleased { .. }
                | WalletEvent::HoldExpired { .. }
                | WalletEvent::PaymentDisputed { .. }
                | WalletEvent::DisputeReleased { .. }
                | WalletEvent::DisputeLost { .. }
                | WalletEvent::UsageCredited { .. }
                | WalletEvent::UsageCorrected { .. }
                | WalletEvent::SpendingLimitsSet { .. }
                | WalletEvent::ProjectLimitsSet { .. }
                | WalletEvent::RefundReserved { .. },
            ) => vec![state.assess()],
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let in_force = alarm.timer == Timer::Assessment { since: state.since };
        if !in_force || state.holds.is_empty() {
            return Awoken::default();
        }
        let again_at = alarm.at.plus_secs(settings.assessment_seconds.max(1));
        Awoken { intents: vec![state.assess()], again_at: Some(again_at) }
    }

    fn status(state: &State) -> Status {
        if state.holds.is_empty() { Status::Done } else { Status::Running }
    }
}

impl State {
    fn assess(&self) -> Intent {
        Intent::effect(Effect::AssessFunds { wallet_id: self.wallet_id.clone() }, None)
    }
}
