//! Draining a node: nothing new is put there, and what still runs after a while is released.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `node.policy_changed(draining)` (the node takes nothing new) | timer `drain_deadline` | another policy ends the wish |
//! | `drain_deadline` | `request_release(operator)` for everything that is there; the timer again until nothing is | – |
//! | `node.capacity_released` | – (`release_node` does the rest) | – |
use std::collections::BTreeSet;

use cairn_compute::ReleaseReason;
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::{NodeEvent, Policy};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct DrainNode;

/// What is remembered of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub node_id: Option<NodeId>,
    /// Position of the wish to drain it that is in force.
    pub draining: Option<i64>,
    /// What is there.
    pub allocations: BTreeSet<String>,
}

/// Between two looks at a node that is not empty: what was being provisioned can be released only once it is active.
const AGAIN_SECONDS: i64 = 60;

impl ProcessManager for DrainNode {
    const NAME: &'static str = "drain_node";
    const READS: &'static [&'static str] = &["node"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Node(
                NodeEvent::PolicyChanged { .. }
                | NodeEvent::CapacityReserved { .. }
                | NodeEvent::CapacityReleased { .. },
            ) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Node(event) = &happened.fact else { return state };
        state.node_id = happened.stream.parse().ok();
        match event {
            NodeEvent::PolicyChanged { policy, .. } => {
                state.draining = (*policy == Policy::Draining).then_some(happened.position);
            }
            NodeEvent::CapacityReserved { allocation_id, .. } => {
                state.allocations.insert(allocation_id.to_string());
            }
            NodeEvent::CapacityReleased { allocation_id, .. } => {
                state.allocations.remove(&allocation_id.to_string());
            }
            NodeEvent::Invited { .. }
            | NodeEvent::InvitationExpired { .. }
            | NodeEvent::Enrolled { .. }
            | NodeEvent::ProbePassed { .. }
            | NodeEvent::ProbeFailed { .. }
            | NodeEvent::Quarantined { .. }
            | NodeEvent::LinkChanged { .. }
            | NodeEvent::HealthDoubted { .. }
            | NodeEvent::HealthChanged { .. }
            | NodeEvent::CapacityResized { .. }
            | NodeEvent::CapacityQuarantined { .. }
            | NodeEvent::InventoryCompared { .. }
            | NodeEvent::OrphanRemoved { .. }
            | NodeEvent::BeatKept { .. }
            | NodeEvent::EvidenceRejected { .. }
            | NodeEvent::OutageProven { .. } => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        match (&happened.fact, state.draining) {
            (Fact::Node(NodeEvent::PolicyChanged { at, .. }), Some(since)) => {
                let until = at.plus_secs(settings.drain_seconds);
                vec![Intent::timer(Timer::DrainDeadline { since }, until)]
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        let Timer::DrainDeadline { since } = alarm.timer else { return Awoken::default() };
        if state.draining != Some(since) || state.allocations.is_empty() {
            return Awoken::default();
        }
        let ids = state.allocations.iter().filter_map(|id| id.parse::<AllocationId>().ok());
        let reason = ReleaseReason::Operator;
        let release = |allocation_id| Command::RequestRelease { allocation_id, reason };
        Awoken {
            intents: ids.map(release).map(Intent::command).collect(),
            again_at: Some(alarm.at.plus_secs(AGAIN_SECONDS)),
        }
    }

    fn status(state: &State) -> Status {
        match (state.draining, state.allocations.is_empty()) {
            (None, _) => Status::Waiting,
            (Some(_), false) => Status::Running,
            (Some(_), true) => Status::Done,
        }
    }
}
