//! Watching a wallet that is to be filled again by itself. Whether it is low, and whether anything is against taking money, is decided by
//! `cairn_payments::auto_top_up`; what it begins goes on in [`super::charge_top_up`].
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `auto_top_up.set`, enabled | effect `look_at_wallet` | none: it looks at what is |
//! | whatever leaves less in the wallet, or is refused for want of money | effect `look_at_wallet`, as long as it is on | – |
//! | `auto_top_up.succeeded`, `.declined`, `.cap_reached` | timer `top_up_again`, when another one may be begun | – |
//! | `top_up_again` | effect `look_at_wallet`, as long as it is on | – |
//! | `auto_top_up.suspended`, `.stopped`; `.set`, not enabled | – (nothing until a person says so) | – |
use cairn_ledger::WalletEvent;
use cairn_payments::AutoTopUpEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct FillWallet;

/// What is remembered of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub wallet_id: String,
    /// Somebody wants it filled, and nothing has stopped that.
    pub is_on: bool,
    pub in_flight: bool,
}

impl ProcessManager for FillWallet {
    const NAME: &'static str = "fill_wallet";
    const READS: &'static [&'static str] = &["auto_top_up", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        let concerns = match &happened.fact {
            Fact::AutoTopUp(_) => true,
            Fact::Wallet(event) => leaves_less(event),
            _ => false,
        };
        concerns.then(|| happened.stream.clone())
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::AutoTopUp(event) = &happened.fact else { return state };
        match event {
            AutoTopUpEvent::Set { enabled, .. } => {
                state.wallet_id.clone_from(&happened.stream);
                state.is_on = *enabled;
            }
            AutoTopUpEvent::Begun { .. } => state.in_flight = true,
            AutoTopUpEvent::Succeeded { .. } | AutoTopUpEvent::Declined { .. } => {
                state.in_flight = false;
            }
            AutoTopUpEvent::Suspended { .. } | AutoTopUpEvent::Stopped { .. } => {
                state.is_on = false;
            }
            AutoTopUpEvent::CapReached { .. } => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        let again = |at| vec![Intent::timer(Timer::TopUpAgain, at)];
        match &happened.fact {
            Fact::AutoTopUp(AutoTopUpEvent::Succeeded { paused_until, .. }) => again(*paused_until),
            Fact::AutoTopUp(AutoTopUpEvent::Declined { again_at: Some(at), .. }) => again(*at),
            Fact::AutoTopUp(AutoTopUpEvent::CapReached { again_at, .. }) => again(*again_at),
            Fact::AutoTopUp(AutoTopUpEvent::Set { .. }) | Fact::Wallet(_) => state.look(),
            _ => vec![],
        }
    }

    fn due(state: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken { intents: state.look(), again_at: None }
    }

    fn status(state: &State) -> Status {
        if state.in_flight { Status::Running } else { Status::Waiting }
    }
}

impl State {
    fn look(&self) -> Vec<Intent> {
        let wallet_id = self.wallet_id.clone();
        let look = self.is_on.then(|| Intent::effect(Effect::LookAtWallet { wallet_id }, None));
        look.into_iter().collect()
    }
}

/// Whether less may be left than before, or more was wanted than there was.
const fn leaves_less(event: &WalletEvent) -> bool {
    match event {
        WalletEvent::HoldPlaced { .. }
        | WalletEvent::HoldExtended { .. }
        | WalletEvent::HoldExtensionRefused { .. }
        | WalletEvent::OverrunRecorded { .. }
        | WalletEvent::RefundReserved { .. }
        | WalletEvent::CreditExpired { .. }
        | WalletEvent::PaymentDisputed { .. }
        | WalletEvent::DisputeLost { .. } => true,
        // What is captured was set aside before.
        WalletEvent::UsageCaptured { .. }
        | WalletEvent::ToppedUp { .. }
        | WalletEvent::HoldReleased { .. }
        | WalletEvent::HoldExpired { .. }
        | WalletEvent::RefundReturned { .. }
        | WalletEvent::CreditGranted { .. }
        | WalletEvent::DisputeReleased { .. }
        | WalletEvent::UsageCredited { .. }
        | WalletEvent::UsageCorrected { .. }
        | WalletEvent::SpendingLimitsSet { .. }
        | WalletEvent::SpendingReached { .. }
        | WalletEvent::HoldAssigned { .. }
        | WalletEvent::ProjectLimitsSet { .. }
        | WalletEvent::ProjectLimitReached { .. }
        | WalletEvent::AlertsSet { .. }
        | WalletEvent::AlertReached { .. }
        | WalletEvent::ProjectAlertsSet { .. }
        | WalletEvent::ProjectAlertReached { .. } => false,
    }
}
