//! Renting a node: capacity, then money, then a proven login; undone in reverse when it fails.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `allocation.requested` | effect `reserve_capacity`; timer `reserve_deadline` | `release_capacity` |
//! | `node.capacity_reserved` | effect `hold_funds` | `release_hold` |
//! | `wallet.hold_placed` | `confirm_reserved` | – |
//! | `allocation.reserved` | `start_provisioning` | – |
//! | `allocation.provisioning_started` | effect `ensure_step(uid)`; timer `provision_deadline` | effect `tear_down` |
//! | `allocation.step_completed` | the next `ensure_step`, or `activate` with the proof | effect `tear_down` |
//! | `allocation.activated` | – (`meter_usage` goes on) | – |
//! | `allocation.rejected` | what was taken is given back: `release_hold`, `release_capacity` | |
//! | `allocation.provisioning_failed` | effect `tear_down`; timer `undo_deadline` | |
//! | `node.capacity_released` (nothing is left) | `release_hold` | |
//! | both given back | `confirm_failed` | |
//! | `undo_deadline` | `quarantine_capacity`, `call_operator`, `release_hold`: nobody pays for our trouble | |
//!
//! Capacity or money that arrives after the rejection is given back as well.
use cairn_compute::{AllocationEvent, PinnedPrice, Placement, Step};
use cairn_core::{AllocationId, NodeId, Timestamp};
use cairn_fleet::NodeEvent;
use cairn_ledger::{WalletEvent, wallet_id};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence, allocation_of, hold_of};
use super::intent::{Command, Effect, Ending, Funding, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct RentNode;

/// Where a rental stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Reserving,
    Reserved,
    Provisioning,
    Active,
    Rejected,
    Undoing,
    Failed,
}

/// Something that was claimed and can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Claim {
    #[default]
    None,
    Taken,
    Given,
}

/// What a rental remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub allocation_id: Option<AllocationId>,
    pub wallet_id: String,
    pub price: Option<PinnedPrice>,
    pub node_id: Option<NodeId>,
    pub uid: u32,
    pub capacity: Claim,
    pub hold: Claim,
    /// The last step that is verified.
    pub step: Option<Step>,
}

impl ProcessManager for RentNode {
    const NAME: &'static str = "rent_node";
    const READS: &'static [&'static str] = &["allocation", "node", "wallet"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Allocation(AllocationEvent::Metered { .. }) => None,
            Fact::Allocation(_) => Some(happened.stream.clone()),
            Fact::Node(
                NodeEvent::CapacityReserved { allocation_id, .. }
                | NodeEvent::CapacityReleased { allocation_id, .. },
            ) => Some(allocation_id.to_string()),
            Fact::Wallet(
                WalletEvent::HoldPlaced { hold_id, .. } | WalletEvent::HoldReleased { hold_id, .. },
            ) => Some(allocation_of(*hold_id).to_string()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Allocation(event) => return evolve_allocation(state, event),
            Fact::Node(NodeEvent::CapacityReserved { uid, .. }) => {
                state.node_id = happened.stream.parse().ok();
                state.uid = *uid;
                state.capacity = Claim::Taken;
            }
            Fact::Node(NodeEvent::CapacityReleased { .. }) => state.capacity = Claim::Given,
            Fact::Wallet(WalletEvent::HoldPlaced { .. }) => state.hold = Claim::Taken,
            Fact::Wallet(WalletEvent::HoldReleased { .. }) => state.hold = Claim::Given,
            _ => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Some(allocation_id) = state.allocation_id else { return vec![] };
        match (&happened.fact, state.phase) {
            (Fact::Allocation(event), _) => state.after_event(allocation_id, event, settings),
            (Fact::Node(NodeEvent::CapacityReserved { at, .. }), Phase::Reserving) => {
                state.hold_funds(allocation_id, *at, settings)
            }
            (Fact::Wallet(WalletEvent::HoldPlaced { .. }), Phase::Reserving) => {
                state.confirm_reserved(allocation_id)
            }
            (Fact::Node(_) | Fact::Wallet(_), Phase::Rejected) => {
                state.give_back(allocation_id, happened)
            }
            (Fact::Node(_) | Fact::Wallet(_), Phase::Undoing) => state.close(allocation_id),
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, _: &Settings) -> Awoken {
        let Some(allocation_id) = state.allocation_id else { return Awoken::default() };
        let intents = match (alarm.timer, state.phase) {
            (Timer::ReserveDeadline, Phase::Reserving) => {
                vec![Intent::command(Command::RejectAllocation {
                    allocation_id,
                    code: "reservation_timeout".to_owned(),
                    message: "capacity and funds could not be set aside in time".to_owned(),
                })]
            }
            (Timer::ReserveDeadline, Phase::Reserved)
            | (Timer::ProvisionDeadline, Phase::Provisioning) => {
                vec![Intent::command(Command::FailProvisioning {
                    allocation_id,
                    step: state.next_step(),
                    code: "deadline".to_owned(),
                    message: "the step was not verified in time".to_owned(),
                })]
            }
            (Timer::UndoDeadline, Phase::Undoing) => state.call_operator(allocation_id),
            _ => vec![],
        };
        Awoken { intents, again_at: None }
    }

    fn status(state: &State) -> Status {
        let holds_nothing = state.capacity != Claim::Taken && state.hold != Claim::Taken;
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Active => Status::Done,
            Phase::Failed => Status::Unwound,
            Phase::Rejected if holds_nothing => Status::Unwound,
            Phase::Reserving
            | Phase::Reserved
            | Phase::Provisioning
            | Phase::Rejected
            | Phase::Undoing => Status::Running,
        }
    }
}

fn evolve_allocation(mut state: State, event: &AllocationEvent) -> State {
    match event {
        AllocationEvent::Requested { allocation_id, organisation_id, price, .. } => {
            state.phase = Phase::Reserving;
            state.allocation_id = Some(*allocation_id);
            state.wallet_id = wallet_id(*organisation_id, price.currency);
            state.price = Some(*price);
        }
        AllocationEvent::Reserved { .. } => state.phase = Phase::Reserved,
        AllocationEvent::Rejected { .. } => state.phase = Phase::Rejected,
        AllocationEvent::ProvisioningStarted { .. } => state.phase = Phase::Provisioning,
        AllocationEvent::StepCompleted { step, .. } => state.step = Some(*step),
        AllocationEvent::ProvisioningFailed { .. } => state.phase = Phase::Undoing,
        AllocationEvent::Activated { .. } => state.phase = Phase::Active,
        AllocationEvent::Failed { .. } => state.phase = Phase::Failed,
        AllocationEvent::Taxed { .. }
        | AllocationEvent::Assigned { .. }
        | AllocationEvent::Repriced { .. }
        | AllocationEvent::ResizeRequested { .. }
        | AllocationEvent::ResizeReserved { .. }
        | AllocationEvent::Resized { .. }
        | AllocationEvent::ResizeFailed { .. }
        | AllocationEvent::ResizeSettled { .. }
        | AllocationEvent::Metered { .. }
        | AllocationEvent::LateUsageProven { .. }
        | AllocationEvent::UsageCorrected { .. }
        | AllocationEvent::SuspensionRequested { .. }
        | AllocationEvent::Suspended { .. }
        | AllocationEvent::ResumeRequested { .. }
        | AllocationEvent::Resumed { .. }
        | AllocationEvent::ReleaseRequested { .. }
        | AllocationEvent::TeardownVerified { .. }
        | AllocationEvent::Released { .. }
        | AllocationEvent::NeedsOperator { .. } => {}
    }
    state
}

impl State {
    fn after_event(
        &self,
        allocation_id: AllocationId,
        event: &AllocationEvent,
        settings: &Settings,
    ) -> Vec<Intent> {
        match event {
            AllocationEvent::Requested { resources, node_id, at, .. } => {
                let until = at.plus_secs(settings.reserve_seconds);
                let reserve = Effect::ReserveCapacity {
                    allocation_id,
                    resources: *resources,
                    wanted: *node_id,
                };
                vec![
                    Intent::effect(reserve, net_below(until)),
                    Intent::timer(Timer::ReserveDeadline, until),
                ]
            }
            AllocationEvent::Rejected { .. } => self.give_everything_back(allocation_id),
            AllocationEvent::Reserved { .. } => {
                let login = format!("t{}", self.uid);
                vec![Intent::command(Command::StartProvisioning { allocation_id, login })]
            }
            AllocationEvent::ProvisioningStarted { at, .. } => {
                let until = at.plus_secs(settings.provision_seconds);
                let mut intents = self.ensure(allocation_id, Step::Uid, until);
                intents.push(Intent::timer(Timer::ProvisionDeadline, until));
                intents
            }
            AllocationEvent::StepCompleted { step, observed, at } => match after(*step) {
                Some(next) => {
                    self.ensure(allocation_id, next, at.plus_secs(settings.provision_seconds))
                }
                None => {
                    let proof = observed.clone();
                    vec![Intent::command(Command::Activate { allocation_id, proof })]
                }
            },
            AllocationEvent::ProvisioningFailed { at, .. } => {
                self.undo(allocation_id, *at, settings)
            }
            AllocationEvent::Activated { .. }
            | AllocationEvent::Failed { .. }
            | AllocationEvent::Metered { .. }
            | AllocationEvent::LateUsageProven { .. }
            | AllocationEvent::UsageCorrected { .. }
            | AllocationEvent::SuspensionRequested { .. }
            | AllocationEvent::Suspended { .. }
            | AllocationEvent::ResumeRequested { .. }
            | AllocationEvent::Resumed { .. }
            | AllocationEvent::ReleaseRequested { .. }
            | AllocationEvent::TeardownVerified { .. }
            | AllocationEvent::Released { .. }
            | AllocationEvent::Taxed { .. }
            | AllocationEvent::Assigned { .. }
            | AllocationEvent::Repriced { .. }
            | AllocationEvent::ResizeRequested { .. }
            | AllocationEvent::ResizeReserved { .. }
            | AllocationEvent::Resized { .. }
            | AllocationEvent::ResizeFailed { .. }
            | AllocationEvent::ResizeSettled { .. }
            | AllocationEvent::NeedsOperator { .. } => vec![],
        }
    }

    fn next_step(&self) -> Step {
        self.step.map_or(Some(Step::Uid), after).unwrap_or(Step::Prove)
    }

    fn hold_funds(
        &self,
        allocation_id: AllocationId,
        at: Timestamp,
        settings: &Settings,
    ) -> Vec<Intent> {
        let runway = self.price.and_then(|p| p.tariff().total(settings.runway_seconds).ok());
        let funding = Funding {
            allocation_id,
            wallet_id: self.wallet_id.clone(),
            // A price so high that an hour cannot be counted is more than any wallet has.
            amount_nanos: runway.unwrap_or(i64::MAX).max(1),
            expires_at: at.plus_secs(
                settings.reserve_seconds + settings.provision_seconds + settings.runway_seconds,
            ),
        };
        let until = at.plus_secs(settings.reserve_seconds);
        vec![Intent::effect(Effect::HoldFunds(funding), net_below(until))]
    }

    fn confirm_reserved(&self, allocation_id: AllocationId) -> Vec<Intent> {
        let Some(node_id) = self.node_id else { return vec![] };
        let placement = Placement { node_id, uid: self.uid, hold_id: hold_of(allocation_id) };
        vec![Intent::command(Command::ConfirmReserved { allocation_id, placement })]
    }

    fn ensure(&self, allocation_id: AllocationId, step: Step, until: Timestamp) -> Vec<Intent> {
        let Some(node_id) = self.node_id else { return vec![] };
        vec![Intent::effect(Effect::EnsureStep { allocation_id, node_id, step }, net_below(until))]
    }

    fn undo(&self, allocation_id: AllocationId, at: Timestamp, settings: &Settings) -> Vec<Intent> {
        let until = at.plus_secs(settings.undo_seconds);
        let Some(node_id) = self.node_id else { return vec![] };
        let tear_down = Effect::TearDown { allocation_id, node_id, after: Ending::Failure };
        vec![Intent::effect(tear_down, Some(until)), Intent::timer(Timer::UndoDeadline, until)]
    }

    fn release_hold(&self, allocation_id: AllocationId) -> Intent {
        let (wallet_id, hold_id) = (self.wallet_id.clone(), hold_of(allocation_id));
        Intent::command(Command::ReleaseHold { wallet_id, hold_id })
    }

    /// After the rejection: both claims, as far as they were made.
    fn give_everything_back(&self, allocation_id: AllocationId) -> Vec<Intent> {
        let mut intents = vec![];
        if self.hold == Claim::Taken {
            intents.push(self.release_hold(allocation_id));
        }
        if let (Claim::Taken, Some(node_id)) = (self.capacity, self.node_id) {
            intents.push(Intent::command(Command::ReleaseCapacity { node_id, allocation_id }));
        }
        intents
    }

    /// After the rejection: a claim that came too late.
    fn give_back(&self, allocation_id: AllocationId, happened: &Occurrence) -> Vec<Intent> {
        match (&happened.fact, self.node_id) {
            (Fact::Node(NodeEvent::CapacityReserved { .. }), Some(node_id)) => {
                vec![Intent::command(Command::ReleaseCapacity { node_id, allocation_id })]
            }
            (Fact::Wallet(WalletEvent::HoldPlaced { .. }), _) => {
                vec![self.release_hold(allocation_id)]
            }
            _ => vec![],
        }
    }

    /// While undoing: the next claim to give back, or the end.
    fn close(&self, allocation_id: AllocationId) -> Vec<Intent> {
        match (self.capacity, self.hold) {
            (Claim::Given, Claim::Taken) => vec![self.release_hold(allocation_id)],
            (Claim::Given, Claim::None | Claim::Given) => {
                vec![Intent::command(Command::ConfirmFailed { allocation_id })]
            }
            (Claim::None | Claim::Taken, _) => vec![],
        }
    }

    fn call_operator(&self, allocation_id: AllocationId) -> Vec<Intent> {
        let mut intents = vec![];
        let reason = "not proven clean after a failed provisioning".to_owned();
        if let (Claim::Taken, Some(node_id)) = (self.capacity, self.node_id) {
            intents.push(Intent::command(Command::QuarantineCapacity {
                node_id,
                allocation_id,
                reason: reason.clone(),
            }));
        }
        if self.capacity != Claim::Given {
            let doing = "tear_down".to_owned();
            let call = Command::CallOperator { allocation_id, doing, message: reason };
            intents.push(Intent::command(call));
        }
        if self.hold == Claim::Taken {
            intents.push(self.release_hold(allocation_id));
        }
        intents
    }
}

/// A deadline fails the allocation, and the effect then finds that it is no longer wanted; an operator is called only if
/// that fails too. Longer than the longest wait between two attempts.
const fn net_below(until: Timestamp) -> Option<Timestamp> {
    Some(until.plus_secs(300))
}

fn after(step: Step) -> Option<Step> {
    Step::ALL.into_iter().find(|next| *next > step)
}
