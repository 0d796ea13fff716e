//! Releasing a node: clean it, prove it, charge the rest, give back what is left.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `allocation.release_requested` (the meter stops here) | effect `tear_down`; timer `undo_deadline` | none: it goes on until it is proven |
//! | `allocation.teardown_verified` | effect `settle_usage`: charge the rest, release the hold | – |
//! | `wallet.hold_released` | `release_capacity` | – |
//! | `node.capacity_released` | effect `confirm_released` | – |
//! | `undo_deadline` | `quarantine_capacity`, `call_operator`, effect `settle_usage`: the money does not wait for the node | – |
use cairn_compute::AllocationEvent;
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::NodeEvent;
use cairn_ledger::WalletEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence, allocation_of};
use super::intent::{Command, Effect, Ending, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ReleaseNode;

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Cleaning,
    Settling,
    Over,
}

/// What a release remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub allocation_id: Option<AllocationId>,
    pub node_id: Option<NodeId>,
    /// The rest is charged and the hold given back.
    pub settled: bool,
}

impl ProcessManager for ReleaseNode {
    const NAME: &'static str = "release_node";
    const READS: &'static [&'static str] = &["allocation", "node", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Allocation(
                AllocationEvent::Reserved { .. }
                | AllocationEvent::Failed { .. }
                | AllocationEvent::ReleaseRequested { .. }
                | AllocationEvent::TeardownVerified { .. }
                | AllocationEvent::Released { .. },
            ) => Some(happened.stream.clone()),
            Fact::Node(NodeEvent::CapacityReleased { allocation_id, .. }) => {
                Some(allocation_id.to_string())
            }
            Fact::Wallet(WalletEvent::HoldReleased { hold_id, .. }) => {
                Some(allocation_of(*hold_id).to_string())
            }
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Allocation(AllocationEvent::Reserved { placement, .. }) => {
                state.allocation_id = happened.stream.parse().ok();
                state.node_id = Some(placement.node_id);
            }
            Fact::Allocation(AllocationEvent::ReleaseRequested { .. }) => {
                state.phase = Phase::Cleaning;
            }
            Fact::Allocation(AllocationEvent::TeardownVerified { .. }) => {
                state.phase = Phase::Settling;
            }
            Fact::Allocation(AllocationEvent::Released { .. } | AllocationEvent::Failed { .. }) => {
                state.phase = Phase::Over;
            }
            Fact::Wallet(WalletEvent::HoldReleased { .. })
                if matches!(state.phase, Phase::Cleaning | Phase::Settling) =>
            {
                state.settled = true;
            }
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Some((allocation_id, node_id)) = state.allocation_id.zip(state.node_id) else {
            return vec![];
        };
        let release = || Intent::command(Command::ReleaseCapacity { node_id, allocation_id });
        match (&happened.fact, state.phase) {
            (Fact::Allocation(AllocationEvent::ReleaseRequested { at, .. }), _) => {
                let until = at.plus_secs(settings.undo_seconds);
                let tear_down = Effect::TearDown { allocation_id, node_id, after: Ending::Release };
                vec![
                    Intent::effect(tear_down, Some(until)),
                    Intent::timer(Timer::UndoDeadline, until),
                ]
            }
            (Fact::Allocation(AllocationEvent::TeardownVerified { .. }), _) => {
                if state.settled {
                    vec![release()]
                } else {
                    settle(allocation_id)
                }
            }
            (Fact::Wallet(WalletEvent::HoldReleased { .. }), Phase::Settling) => vec![release()],
            (Fact::Node(NodeEvent::CapacityReleased { .. }), Phase::Settling) => {
                vec![Intent::effect(Effect::ConfirmReleased { allocation_id }, None)]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        let (Timer::UndoDeadline, Phase::Cleaning) = (alarm.timer, state.phase) else {
            return Awoken::default();
        };
        let Some((allocation_id, node_id)) = state.allocation_id.zip(state.node_id) else {
            return Awoken::default();
        };
        let reason = "not proven clean after the release".to_owned();
        let (message, doing) = (reason.clone(), "tear_down".to_owned());
        let mut intents = vec![
            Intent::command(Command::QuarantineCapacity { node_id, allocation_id, reason }),
            Intent::command(Command::CallOperator { allocation_id, doing, message }),
        ];
        intents.extend(settle(allocation_id));
        Awoken { intents, again_at: None }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Cleaning | Phase::Settling => Status::Running,
            Phase::Over => Status::Done,
        }
    }
}

fn settle(allocation_id: AllocationId) -> Vec<Intent> {
    vec![Intent::effect(Effect::SettleUsage { allocation_id }, None)]
}
