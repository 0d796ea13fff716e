//! Charging by the second while an allocation is active: a durable tick that captures from the hold and extends it. Only what the node proves
//! is charged: a tick stays behind the looks at the node, and one that is late charges no more than it would have in time.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `allocation.activated` | timer `meter_tick` | – |
//! | `meter_tick` | effect `capture_usage`: `allocation.metered`, then the charge; the timer again | none: a charge is cumulative, a repeat charges nothing |
//! | `wallet.hold_extension_refused`, little left | `request_suspension`, for want of money or of room below a spending limit, the project's or the whole's, while the hold still covers it | – |
//! | `wallet.usage_captured`, `wallet.overrun_recorded` | – (how far the price's tiers are used) | – |
//! | `allocation.usage_corrected` | effect `correct_charge`: what was charged beyond the metered total is given back | none: totals are cumulative |
//! | `allocation.repriced`, `allocation.resized` | – (the next tick charges what was metered before at the price before, and keeps ahead at the new one) | – |
//! | `allocation.suspension_requested` | – (the timer ends; `suspend_tenant` charges the rest) | – |
//! | `allocation.resumed` | timer `meter_tick` | – |
//! | `allocation.release_requested` | – (the timer ends; `release_node` charges the rest) | – |
use cairn_compute::{AllocationEvent, PinnedPrice, SuspensionReason};
use cairn_core::{AllocationId, Nanos};
use cairn_ledger::WalletEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence, allocation_of};
use super::intent::{Command, Effect, Intent, Tick, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct MeterUsage;

/// Where a meter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Running,
    /// Suspended, or about to be.
    Paused,
    Stopped,
}

/// What a meter remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub allocation_id: Option<AllocationId>,
    pub price: Option<PinnedPrice>,
    /// Position of the event that began the meter that runs.
    #[serde(default)]
    pub since: i64,
    /// Seconds that are charged.
    #[serde(default)]
    pub seconds: i64,
    /// Of them, those that were metered before it was moved to its price.
    #[serde(default)]
    pub seconds_before: i64,
}

impl ProcessManager for MeterUsage {
    const NAME: &'static str = "meter_usage";
    const READS: &'static [&'static str] = &["allocation", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Allocation(
                AllocationEvent::Requested { .. }
                | AllocationEvent::Repriced { .. }
                | AllocationEvent::Resized { .. }
                | AllocationEvent::UsageCorrected { .. }
                | AllocationEvent::Rejected { .. }
                | AllocationEvent::Failed { .. }
                | AllocationEvent::Activated { .. }
                | AllocationEvent::SuspensionRequested { .. }
                | AllocationEvent::Resumed { .. }
                | AllocationEvent::ReleaseRequested { .. },
            ) => Some(happened.stream.clone()),
            Fact::Wallet(
                WalletEvent::HoldExtensionRefused { hold_id, .. }
                | WalletEvent::UsageCaptured { hold_id, .. }
                | WalletEvent::OverrunRecorded { hold_id, .. },
            ) => Some(allocation_of(*hold_id).to_string()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Allocation(AllocationEvent::Requested { allocation_id, price, .. }) => {
                state.allocation_id = Some(*allocation_id);
                state.price = Some(*price);
            }
            Fact::Allocation(
                AllocationEvent::Repriced { price, seconds, .. }
                | AllocationEvent::Resized { price, seconds, .. },
            ) => {
                (state.price, state.seconds_before) = (Some(*price), *seconds);
            }
            Fact::Wallet(
                WalletEvent::UsageCaptured { seconds, .. }
                | WalletEvent::OverrunRecorded { seconds, .. },
            ) => state.seconds = *seconds,
            Fact::Allocation(
                AllocationEvent::Activated { .. } | AllocationEvent::Resumed { .. },
            ) => {
                (state.phase, state.since) = (Phase::Running, happened.position);
            }
            Fact::Allocation(AllocationEvent::UsageCorrected { .. }) => {}
            Fact::Allocation(AllocationEvent::SuspensionRequested { .. }) => {
                state.phase = Phase::Paused;
            }
            Fact::Allocation(_) => state.phase = Phase::Stopped,
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Some(allocation_id) = state.allocation_id else { return vec![] };
        match (&happened.fact, state.phase) {
            (
                Fact::Allocation(
                    AllocationEvent::Activated { at, .. } | AllocationEvent::Resumed { at, .. },
                ),
                Phase::Running,
            ) => {
                let tick = Timer::MeterTick { since: state.since };
                vec![Intent::timer(tick, at.plus_secs(settings.tick_seconds))]
            }
            (Fact::Allocation(AllocationEvent::UsageCorrected { .. }), _) => {
                vec![Intent::effect(Effect::CorrectCharge { allocation_id }, None)]
            }
            (
                Fact::Wallet(WalletEvent::HoldExtensionRefused {
                    remaining_nanos,
                    available_nanos,
                    ..
                }),
                Phase::Running,
            ) if *remaining_nanos <= state.enough_to_stop(settings) => {
                let reason = match available_nanos {
                    0 => SuspensionReason::FundsExhausted,
                    _ => SuspensionReason::SpendingLimit,
                };
                vec![Intent::command(Command::RequestSuspension { allocation_id, reason })]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let in_force = alarm.timer == Timer::MeterTick { since: state.since };
        if !in_force || state.phase != Phase::Running {
            return Awoken::default();
        }
        let ahead = settings.runway_seconds + settings.tick_lag_seconds;
        let tick = state.allocation_id.zip(state.price).map(|(allocation_id, price)| Tick {
            allocation_id,
            through: alarm.due_at.plus_secs(-settings.tick_lag_seconds),
            keep_nanos: price.tariff().dearest(ahead).unwrap_or(Nanos::MAX),
            ahead_seconds: (!price.tiers.is_none()).then_some(ahead),
            expires_at: alarm.at.plus_secs(settings.runway_seconds + settings.undo_seconds),
        });
        Awoken {
            intents: tick
                .map(|tick| Intent::effect(Effect::CaptureUsage(tick), None))
                .into_iter()
                .collect(),
            again_at: Some(alarm.at.plus_secs(settings.tick_seconds.max(1))),
        }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Running | Phase::Paused => Status::Running,
            Phase::Stopped => Status::Done,
        }
    }
}

impl State {
    /// What the hold must still cover when winding down begins: what is not yet charged, until the next tick, and the stop itself.
    fn enough_to_stop(&self, settings: &Settings) -> Nanos {
        let seconds =
            settings.wind_down_seconds + settings.tick_seconds + settings.tick_lag_seconds;
        let used = (self.seconds - self.seconds_before).max(0);
        let cost = |price: PinnedPrice| price.tariff().ahead(used, seconds).ok();
        self.price.and_then(cost).unwrap_or(Nanos::MAX)
    }
}
