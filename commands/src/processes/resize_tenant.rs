//! Going on as another SKU: capacity for both sizes, then a stop, then the login again in the new size; given back when it fails.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `allocation.resize_requested` | effect `reserve_resize`: its node sets aside what both sizes need, then it is to be stopped | `fail_resize`: it goes on as it is |
//! | `allocation.suspension_requested`, `.suspended`, `.resume_requested` | – (`suspend_tenant` has it stopped and resumed, in the new size) | `fail_resize`, when its node cannot give it the disk: it is resumed as it was |
//! | `allocation.resized`, `allocation.resize_failed` | effect `settle_resize`: its node sets aside what it has | none: it goes on until it is done |
//! | `allocation.release_requested` | – (`release_node` gives everything back) | – |
use cairn_compute::AllocationEvent;
use cairn_core::AllocationId;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ResizeTenant;

/// Where a change of size stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Reserving,
    Resizing,
    Resized,
    Failed,
    Settled,
    Released,
}

/// What is remembered of a rental that changes its size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub allocation_id: Option<AllocationId>,
}

impl ProcessManager for ResizeTenant {
    const NAME: &'static str = "resize_tenant";
    const READS: &'static [&'static str] = &["allocation"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Allocation(
                AllocationEvent::ResizeRequested { .. }
                | AllocationEvent::ResizeReserved { .. }
                | AllocationEvent::Resized { .. }
                | AllocationEvent::ResizeFailed { .. }
                | AllocationEvent::ResizeSettled { .. }
                | AllocationEvent::ReleaseRequested { .. },
            ) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Allocation(event) = &happened.fact else { return state };
        state.phase = match event {
            AllocationEvent::ResizeRequested { .. } => Phase::Reserving,
            AllocationEvent::ResizeReserved { .. } => Phase::Resizing,
            AllocationEvent::Resized { .. } => Phase::Resized,
            AllocationEvent::ResizeFailed { .. } => Phase::Failed,
            AllocationEvent::ResizeSettled { .. } => Phase::Settled,
            // Most rentals end in the size that they began in: nothing is remembered of them.
            _ if state.phase == Phase::Idle => return state,
            _ => Phase::Released,
        };
        state.allocation_id = happened.stream.parse().ok();
        state
    }

    fn react(state: &State, _: &Occurrence, _: &Settings) -> Vec<Intent> {
        let Some(allocation_id) = state.allocation_id else { return vec![] };
        match state.phase {
            Phase::Reserving => {
                vec![Intent::effect(Effect::ReserveResize { allocation_id }, None)]
            }
            Phase::Resized | Phase::Failed => {
                vec![Intent::effect(Effect::SettleResize { allocation_id }, None)]
            }
            Phase::Idle | Phase::Resizing | Phase::Settled | Phase::Released => vec![],
        }
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Reserving | Phase::Resizing | Phase::Resized | Phase::Failed => Status::Running,
            Phase::Settled | Phase::Released => Status::Done,
        }
    }
}
