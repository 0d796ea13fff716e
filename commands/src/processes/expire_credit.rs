//! Ending promotional credit at its time, also when nobody asks for it. What a hold has set aside of it stays until the hold is charged or gives
//! it back: the wallet ends it then by itself, so nobody has to look again.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `wallet.credit_granted` | timer `credit_expiry` | – |
//! | `credit_expiry` | `sweep_holds` on its wallet, if anything is left of the credit | none: it claims nothing |
//! | `wallet.usage_captured`, `wallet.usage_corrected`, `wallet.credit_expired` | – (what is left is remembered) | – |
use std::collections::BTreeMap;

use cairn_core::{CreditId, Nanos};
use cairn_ledger::WalletEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ExpireCredit;

/// What is remembered of a wallet: the promotional credit that is left in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub wallet_id: String,
    pub left: BTreeMap<String, Left>,
    /// By grant of which nothing is left, the position of the grant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub used_up: BTreeMap<String, i64>,
}

/// What is left of one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// More than 0.
    pub amount_nanos: Nanos,
    /// Position of the grant.
    pub since: i64,
}

impl State {
    fn take(&mut self, credit_id: CreditId, amount_nanos: Nanos) {
        let credit_id = credit_id.to_string();
        if let Some(left) = self.left.get_mut(&credit_id) {
            left.amount_nanos -= amount_nanos;
            if left.amount_nanos <= 0 {
                self.used_up.insert(credit_id.clone(), left.since);
                self.left.remove(&credit_id);
            }
        }
    }

    /// What a correction gives back, of a grant that was used up or not.
    fn restore(&mut self, credit_id: CreditId, amount_nanos: Nanos) {
        let credit_id = credit_id.to_string();
        if let Some(since) = self.used_up.remove(&credit_id) {
            self.left.insert(credit_id, Left { amount_nanos, since });
        } else if let Some(left) = self.left.get_mut(&credit_id) {
            left.amount_nanos += amount_nanos;
        }
    }
}

impl ProcessManager for ExpireCredit {
    const NAME: &'static str = "expire_credit";
    const READS: &'static [&'static str] = &["wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        let Fact::Wallet(event) = &happened.fact else { return None };
        match event {
            WalletEvent::UsageCaptured { credits, .. }
            | WalletEvent::UsageCorrected { credits, .. }
                if credits.is_empty() =>
            {
                None
            }
            WalletEvent::UsageCaptured { .. }
            | WalletEvent::UsageCorrected { .. }
            | WalletEvent::CreditGranted { .. }
            | WalletEvent::CreditExpired { .. } => Some(happened.stream.clone()),
            WalletEvent::ToppedUp { .. }
            | WalletEvent::HoldPlaced { .. }
            | WalletEvent::HoldExtended { .. }
            | WalletEvent::HoldExtensionRefused { .. }
            | WalletEvent::HoldReleased { .. }
            | WalletEvent::HoldExpired { .. }
            | WalletEvent::OverrunRecorded { .. }
            | WalletEvent::RefundReserved { .. }
            | WalletEvent::RefundReturned { .. }
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
            Fact::Wallet(WalletEvent::CreditGranted { credit_id, amount_nanos, .. }) => {
                state.wallet_id.clone_from(&happened.stream);
                let left = Left { amount_nanos: *amount_nanos, since: happened.position };
                state.left.insert(credit_id.to_string(), left);
            }
            Fact::Wallet(WalletEvent::UsageCaptured { credits, .. }) => {
                for used in credits {
                    state.take(used.credit_id, used.amount_nanos);
                }
            }
            Fact::Wallet(WalletEvent::UsageCorrected { credits, .. }) => {
                for given in credits {
                    state.restore(given.credit_id, given.amount_nanos);
                }
            }
            Fact::Wallet(WalletEvent::CreditExpired { credit_id, amount_nanos, .. }) => {
                state.take(*credit_id, *amount_nanos);
            }
            _ => {}
        }
        state
    }

    fn react(_: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        match &happened.fact {
            Fact::Wallet(WalletEvent::CreditGranted { expires_at, .. }) => {
                vec![Intent::timer(Timer::CreditExpiry { since: happened.position }, *expires_at)]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        match alarm.timer {
            Timer::CreditExpiry { since } if state.left.values().any(|it| it.since == since) => {
                let wallet_id = state.wallet_id.clone();
                let sweep = Intent::command(Command::SweepHolds { wallet_id });
                Awoken { intents: vec![sweep], again_at: None }
            }
            _ => Awoken::default(),
        }
    }

    fn status(state: &State) -> Status {
        if state.left.is_empty() { Status::Done } else { Status::Running }
    }
}
