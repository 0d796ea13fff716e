//! Settling a dispute: what the bank takes back is set aside in the wallet until it is decided who is right, and then leaves it or comes back.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `dispute.opened` | timer `poll` | – |
//! | `poll` | effect `retrieve_dispute` until it is decided and its money is where it belongs; at last to an operator | – |
//! | `dispute.funds_withdrawn` | `hold_disputed`; `lose_disputed` when it is lost already; nothing when it was won or given back already | `release_disputed` |
//! | `dispute.funds_reinstated`, `dispute.closed(won)` | `release_disputed` | – |
//! | `dispute.closed(lost)` | `lose_disputed`, as soon as the money was withdrawn | none: it is owed |
//! | `wallet.dispute_released`, `wallet.dispute_lost` | – (settled) | – |
//!
//! What happened to the money and how it was decided may be heard of in any order. The wallet remembers that a dispute has ended, so a wish
//! that is carried out late sets nothing aside.
use cairn_core::{Currency, DisputeId, Nanos, OrganisationId, PaymentId, Timestamp};
use cairn_ledger::{WalletEvent, wallet_id};
use cairn_payments::{DisputeEvent, DisputeOutcome};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct SettleDispute;

/// What is remembered of a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub dispute: Option<(DisputeId, PaymentId)>,
    pub owner: Option<(OrganisationId, Currency)>,
    pub opened_at: Timestamp,
    /// What the provider took.
    pub withdrawn_nanos: Option<Nanos>,
    pub reinstated: bool,
    pub outcome: Option<DisputeOutcome>,
    /// The wallet has nothing set aside for it any more.
    pub settled: bool,
}

/// Banks take months: between two questions after the first day, and how long it is asked at all.
const DAY_SECONDS: i64 = 86_400;
const ASKED_FOR_DAYS: i64 = 180;

impl State {
    /// The provider has nothing more to say of it.
    fn is_final(&self) -> bool {
        match self.outcome {
            None => false,
            Some(DisputeOutcome::Lost) => self.withdrawn_nanos.is_some(),
            Some(DisputeOutcome::Won) => self.withdrawn_nanos.is_none() || self.reinstated,
        }
    }

    /// What the wallet is asked after a fact.
    fn wish(&self, event: &DisputeEvent) -> Option<Command> {
        let ((dispute_id, payment_id), (organisation_id, currency)) =
            self.dispute.zip(self.owner)?;
        let wallet_id = wallet_id(organisation_id, currency);
        let won = self.reinstated || self.outcome == Some(DisputeOutcome::Won);
        match event {
            DisputeEvent::FundsWithdrawn { .. } | DisputeEvent::Closed { .. } if !won => {
                let amount_nanos = self.withdrawn_nanos?;
                Some(match self.outcome {
                    Some(_) => {
                        Command::LoseDisputed { wallet_id, dispute_id, payment_id, amount_nanos }
                    }
                    None => {
                        Command::HoldDisputed { wallet_id, dispute_id, payment_id, amount_nanos }
                    }
                })
            }
            DisputeEvent::FundsReinstated { .. } | DisputeEvent::Closed { .. } => {
                Some(Command::ReleaseDisputed { wallet_id, dispute_id })
            }
            DisputeEvent::Opened { .. }
            | DisputeEvent::FundsWithdrawn { .. }
            | DisputeEvent::FeeRecorded { .. } => None,
        }
    }
}

impl ProcessManager for SettleDispute {
    const NAME: &'static str = "settle_dispute";
    const READS: &'static [&'static str] = &["dispute", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Dispute(_) => Some(happened.stream.clone()),
            Fact::Wallet(
                WalletEvent::DisputeReleased { dispute_id, .. }
                | WalletEvent::DisputeLost { dispute_id, .. },
            ) => Some(dispute_id.to_string()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Dispute(DisputeEvent::Opened {
                dispute_id,
                payment_id,
                organisation_id,
                currency,
                at,
                ..
            }) => {
                state.dispute = Some((*dispute_id, *payment_id));
                state.owner = Some((*organisation_id, *currency));
                state.opened_at = *at;
            }
            Fact::Dispute(DisputeEvent::FundsWithdrawn { amount_nanos, .. }) => {
                state.withdrawn_nanos = Some(*amount_nanos);
            }
            Fact::Dispute(DisputeEvent::FundsReinstated { .. }) => state.reinstated = true,
            Fact::Dispute(DisputeEvent::Closed { outcome, .. }) => state.outcome = Some(*outcome),
            Fact::Wallet(WalletEvent::DisputeReleased { .. } | WalletEvent::DisputeLost { .. }) => {
                state.settled = true
            }
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Fact::Dispute(event) = &happened.fact else { return vec![] };
        if let DisputeEvent::Opened { .. } = event {
            // From when it was heard of: it may have been opened long ago.
            let first = happened.recorded_at.plus_secs(settings.poll_wait(0));
            return vec![Intent::timer(Timer::Poll, first)];
        }
        state.wish(event).map(Intent::command).into_iter().collect()
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let Some((dispute_id, _)) = state.dispute.filter(|_| !state.is_final()) else {
            return Awoken::default();
        };
        let asked_for = alarm.at.secs_since(state.opened_at);
        let last = asked_for > ASKED_FOR_DAYS * DAY_SECONDS;
        let wait = match asked_for > DAY_SECONDS {
            true => DAY_SECONDS,
            false => settings.poll_wait(alarm.run + 1),
        };
        let retrieve = Intent::effect(Effect::RetrieveDispute { dispute_id, last }, None);
        let again_at = (!last).then(|| alarm.at.plus_secs(wait));
        Awoken { intents: vec![retrieve], again_at }
    }

    fn status(state: &State) -> Status {
        match state.dispute {
            None => Status::Waiting,
            Some(_) if state.settled && state.is_final() => Status::Done,
            Some(_) => Status::Running,
        }
    }
}
