//! Suspending a rental that is not paid for, and resuming it: each turn is a fact only when its node has confirmed it.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `allocation.suspension_requested` (the meter stands still here) | effect `suspend_tenant`: the rest is charged, the node closes the login and stops everything; timer `turn_deadline` | none: it goes on until it is confirmed |
//! | `allocation.suspended`, `allocation.resumed` | effect `assess_funds` of its wallet | – |
//! | `allocation.resume_requested` | effect `resume_tenant`: the node opens the login, Cairn logs in; timer `turn_deadline` | none: it goes on until it is proven |
//! | `turn_deadline` | `call_operator`, if the turn is still not confirmed | – |
//! | `allocation.release_requested` | – (`release_node` takes over) | – |
use cairn_compute::AllocationEvent;
use cairn_core::AllocationId;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct SuspendTenant;

/// Where a suspension stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Suspending,
    Suspended,
    Resuming,
    Resumed,
    Released,
}

/// What is remembered of a rental that was suspended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub allocation_id: Option<AllocationId>,
    /// Position of the event that began the turn.
    pub since: i64,
}

impl ProcessManager for SuspendTenant {
    const NAME: &'static str = "suspend_tenant";
    const READS: &'static [&'static str] = &["allocation"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Allocation(
                AllocationEvent::SuspensionRequested { .. }
                | AllocationEvent::Suspended { .. }
                | AllocationEvent::ResumeRequested { .. }
                | AllocationEvent::Resumed { .. }
                | AllocationEvent::ReleaseRequested { .. },
            ) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Allocation(event) = &happened.fact else { return state };
        let phase = match event {
            AllocationEvent::SuspensionRequested { .. } => Phase::Suspending,
            AllocationEvent::Suspended { .. } => Phase::Suspended,
            AllocationEvent::ResumeRequested { .. } => Phase::Resuming,
            AllocationEvent::Resumed { .. } => Phase::Resumed,
            // Most rentals end without ever having been suspended: nothing is remembered of them.
            _ if state.phase == Phase::Idle => return state,
            _ => Phase::Released,
        };
        state.allocation_id = happened.stream.parse().ok();
        (state.phase, state.since) = (phase, happened.position);
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Some(allocation_id) = state.allocation_id else { return vec![] };
        let turn = |effect| {
            let until = happened.recorded_at.plus_secs(settings.undo_seconds);
            let deadline = Timer::TurnDeadline { since: happened.position };
            vec![Intent::effect(effect, Some(until)), Intent::timer(deadline, until)]
        };
        match state.phase {
            Phase::Suspending => turn(Effect::SuspendTenant { allocation_id }),
            Phase::Resuming => turn(Effect::ResumeTenant { allocation_id }),
            Phase::Suspended | Phase::Resumed => {
                vec![Intent::effect(Effect::AssessFundsOf { allocation_id }, None)]
            }
            Phase::Idle | Phase::Released => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        let doing = match state.phase {
            Phase::Suspending => "suspend_tenant",
            Phase::Resuming => "resume_tenant",
            Phase::Idle | Phase::Suspended | Phase::Resumed | Phase::Released => {
                return Awoken::default();
            }
        };
        let in_force = alarm.timer == Timer::TurnDeadline { since: state.since };
        let Some(allocation_id) = state.allocation_id.filter(|_| in_force) else {
            return Awoken::default();
        };
        let message = "not confirmed by its node in time".to_owned();
        let call = Command::CallOperator { allocation_id, doing: doing.to_owned(), message };
        Awoken { intents: vec![Intent::command(call)], again_at: None }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Suspending | Phase::Suspended | Phase::Resuming => Status::Running,
            Phase::Resumed | Phase::Released => Status::Done,
        }
    }
}
