//! An allocation: a rented share of a node that a customer logs in to.
//!
//! Lifecycle: `requested → reserved → provisioning → active → releasing → released`; `rejected` when capacity or funds are lacking,
//! `compensating → failed` when provisioning fails, `active → suspending → suspended → resuming → active` when it is not paid for or is resized,
//! `needs_operator` when an undo, a suspension or a teardown is stuck.
//! Invariants: billing starts at proven readiness and stops at the request to release or to suspend; only metered seconds are billed, and
//! neither request is earlier than what was metered; what was metered is taken back only by a correction, and never beyond the price of now; nothing is billed from the request to suspend until the login is proven again; what is
//! suspended keeps its data; a price is kept until it is moved to another on purpose; a step is recorded once; `released`, `failed` and `rejected` are final.
use cairn_core::{
    AllocationId, Decider, Nanos, NodeId, OrganisationId, ProjectId, Refusal, Resources, Subject,
    Tax, Timestamp, cqrs_aggregate,
};
use serde::{Deserialize, Serialize};

use crate::events::{
    AllocationEvent, PinnedPrice, Placement, ReleaseReason, Step, SuspensionReason,
};
use crate::late::Gap;
use crate::prices::Segment;
use crate::resizing::{Resize, Size};

/// What may be asked of an allocation.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum AllocationCommand {
    Request {
        allocation_id: AllocationId,
        organisation_id: OrganisationId,
        sku_id: String,
        resources: Resources,
        price: PinnedPrice,
        /// What of the price is tax.
        tax: Option<Tax>,
        /// What it counts in.
        project_id: Option<ProjectId>,
        ssh_public_key: String,
        node_id: Option<NodeId>,
        at: Timestamp,
    },
    /// What is metered by now was at the price before; what comes is at this one.
    Reprice {
        price: PinnedPrice,
        tax: Option<Tax>,
        at: Timestamp,
    },
    /// Goes on as another SKU, or with more disk, as soon as its node has the capacity and has stopped it.
    RequestResize {
        size: Size,
        at: Timestamp,
    },
    /// The capacity is there: it is stopped.
    StartResize {
        at: Timestamp,
    },
    /// Not while it is too late.
    FailResize {
        code: String,
        message: String,
        at: Timestamp,
    },
    /// Its node has set aside no more than it has.
    SettleResize {
        at: Timestamp,
    },
    ConfirmReserved {
        placement: Placement,
        at: Timestamp,
    },
    Reject {
        code: String,
        message: String,
        at: Timestamp,
    },
    StartProvisioning {
        login: String,
        at: Timestamp,
    },
    CompleteStep {
        step: Step,
        observed: String,
        at: Timestamp,
    },
    FailProvisioning {
        step: Step,
        code: String,
        message: String,
        at: Timestamp,
    },
    Activate {
        proof: String,
        at: Timestamp,
    },
    /// Compensation is complete.
    ConfirmFailed {
        at: Timestamp,
    },
    /// All count from the activation. What is metered once stays metered.
    Meter {
        through: Timestamp,
        unproven_seconds: i64,
        late_seconds: i64,
        at: Timestamp,
    },
    /// An outage of its node is proven, but for a pause in it. What was settled before that is billed, once.
    ProveLate {
        since: Timestamp,
        until: Timestamp,
        paused_seconds: i64,
        at: Timestamp,
    },
    /// Takes back so many metered seconds, also after the release.
    CorrectUsage {
        seconds: i64,
        reason: String,
        at: Timestamp,
    },
    /// At the latest metered instant when that is later.
    RequestSuspension {
        reason: SuspensionReason,
        at: Timestamp,
    },
    ConfirmSuspended {
        evidence: String,
        at: Timestamp,
    },
    RequestResume {
        at: Timestamp,
    },
    ConfirmResumed {
        proof: String,
        at: Timestamp,
    },
    /// At the latest metered instant when that is later.
    RequestRelease {
        reason: ReleaseReason,
        at: Timestamp,
    },
    VerifyTeardown {
        evidence: String,
        at: Timestamp,
    },
    ConfirmReleased {
        charged_nanos: Nanos,
        at: Timestamp,
    },
    CallOperator {
        doing: String,
        message: String,
        at: Timestamp,
    },
}

/// Why an allocation refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AllocationError {
    #[error("there is no such allocation")]
    Unknown,
    #[error("the allocation is {0:?}")]
    WrongState(AllocationStatus),
    #[error("the public key is not one line of an OpenSSH ed25519, ecdsa or rsa key")]
    BadPublicKey,
    #[error("the id was used before for something else")]
    IdReused,
    #[error("step {0:?} comes before its turn")]
    StepOutOfOrder(Step),
    #[error("a rental stays in the currency that it began in")]
    OtherCurrency,
    #[error("it has cost more than the ledger can count")]
    TooLarge,
    #[error("a correction takes back one second or more, and adds none; {0} were asked for")]
    CorrectionNotPositive(i64),
    #[error("{left} seconds are metered at the price of now, and {wanted} were to be taken back")]
    CorrectionExceedsUsage { left: i64, wanted: i64 },
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
    #[error("it is being resized already")]
    ResizeUnderWay,
    #[error("it is that SKU, with as much additional disk, already")]
    ResizeUnchanged,
    #[error("a disk does not shrink: it has {has} bytes in all, and would have {wanted}")]
    DiskShrinks { has: u64, wanted: u64 },
}

impl Refusal for AllocationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_allocation",
            Self::WrongState(_) => "allocation_in_wrong_state",
            Self::BadPublicKey => "ssh_public_key_invalid",
            Self::IdReused => "id_reused",
            Self::StepOutOfOrder(_) => "step_out_of_order",
            Self::OtherCurrency => "price_in_other_currency",
            Self::TooLarge => "amount_too_large",
            Self::CorrectionNotPositive(_) => "correction_not_positive",
            Self::CorrectionExceedsUsage { .. } => "correction_exceeds_usage",
            Self::ReasonNeeded => "reason_needed",
            Self::ResizeUnderWay => "resize_under_way",
            Self::ResizeUnchanged => "resize_unchanged",
            Self::DiskShrinks { .. } => "disk_shrinks",
        }
    }
}

/// Where an allocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AllocationStatus {
    #[default]
    Unknown,
    Requested,
    Reserved,
    Provisioning,
    Active,
    /// The meter stands still; the node has not confirmed yet.
    Suspending,
    /// Nothing runs, nobody logs in, the data is kept.
    Suspended,
    /// Paid for again; the login is not proven yet.
    Resuming,
    Compensating,
    Releasing,
    /// Teardown is proven; money is being settled.
    Settling,
    Released,
    Failed,
    Rejected,
}

/// What an allocation remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Allocation {
    pub allocation_id: Option<AllocationId>,
    pub organisation_id: Option<OrganisationId>,
    pub sku_id: String,
    pub resources: Resources,
    pub price: Option<PinnedPrice>,
    /// What of the price is tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    /// What of its organisation's it counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What was metered at prices before this one, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    pub ssh_public_key: String,
    pub wanted_node_id: Option<NodeId>,
    pub status: AllocationStatus,
    pub placement: Option<Placement>,
    pub login: String,
    pub steps: Vec<Step>,
    pub failed_step: Option<Step>,
    pub activated_at: Option<Timestamp>,
    /// How far the meter has come.
    #[serde(default)]
    pub metered_at: Option<Timestamp>,
    /// Until then, when the node was silent: not billed.
    #[serde(default)]
    pub unproven_seconds: i64,
    /// Of what is billed, what was proven after its outage only.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub late_seconds: i64,
    /// Where the unproven seconds lie that are at the price of now, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What was metered and was taken back.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub corrected_seconds: i64,
    pub released_at: Option<Timestamp>,
    /// Since when the meter stands still; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// From a request to suspend to the proof that the login is open again: not billed.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub idle_seconds: i64,
    /// How often it was wished to be suspended or resumed.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub turns: u64,
    pub needs_operator: bool,
    /// What it shall become, or what of that is not settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
}

pub(crate) fn is_none_yet<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

impl Decider for Allocation {
    const TYPE: &'static str = "allocation";
    type Command = AllocationCommand;
    type Event = AllocationEvent;
    type Error = AllocationError;

    fn decide(&self, command: AllocationCommand) -> Result<Vec<AllocationEvent>, AllocationError> {
        self.decide_command(command)
    }

    fn evolve(mut self, event: AllocationEvent) -> Self {
        match event {
            request @ AllocationEvent::Requested { .. } => self.begin(request),
            AllocationEvent::Taxed { tax, .. } => self.tax = Some(tax),
            AllocationEvent::Assigned { project_id, .. } => self.project_id = Some(project_id),
            AllocationEvent::Repriced { price, tax, seconds, total_nanos, .. } => {
                self.move_to(price, tax, (seconds, total_nanos));
            }
            AllocationEvent::ResizeRequested { sku_id, resources, price, tax, .. } => {
                self.resize = Some(Resize::Requested(Size { sku_id, resources, price, tax }));
            }
            AllocationEvent::ResizeReserved { .. } => {
                self.resize = self.resize.map(Resize::reserved);
            }
            AllocationEvent::Resized {
                sku_id,
                resources,
                price,
                tax,
                seconds,
                total_nanos,
                ..
            } => {
                self.grow_into((sku_id, resources), (price, tax), (seconds, total_nanos));
            }
            AllocationEvent::ResizeFailed { .. } => self.keep_size(),
            AllocationEvent::ResizeSettled { .. } => self.resize = None,
            AllocationEvent::Reserved { placement, .. } => {
                self.placement = Some(placement);
                self.status = AllocationStatus::Reserved;
            }
            AllocationEvent::Rejected { .. } => self.status = AllocationStatus::Rejected,
            AllocationEvent::ProvisioningStarted { login, .. } => {
                self.login = login;
                self.status = AllocationStatus::Provisioning;
            }
            AllocationEvent::StepCompleted { step, .. } => self.steps.push(step),
            AllocationEvent::ProvisioningFailed { step, .. } => {
                self.failed_step = Some(step);
                self.status = AllocationStatus::Compensating;
            }
            AllocationEvent::Activated { at, .. } => {
                self.activated_at = Some(at);
                self.status = AllocationStatus::Active;
            }
            AllocationEvent::Failed { .. } => self.stand_at(AllocationStatus::Failed),
            AllocationEvent::Metered { through, unproven_seconds, late_seconds, .. } => {
                self.meter_to(through, (unproven_seconds, late_seconds));
            }
            AllocationEvent::LateUsageProven { seconds, since, until, .. } => {
                self.take_late((since, until), seconds);
            }
            AllocationEvent::UsageCorrected { seconds, .. } => self.corrected_seconds += seconds,
            AllocationEvent::SuspensionRequested { at, .. } => self.stop(at),
            AllocationEvent::Suspended { .. } => self.stand_at(AllocationStatus::Suspended),
            AllocationEvent::ResumeRequested { .. } => self.turn(AllocationStatus::Resuming),
            AllocationEvent::Resumed { at, .. } => self.resume(at),
            AllocationEvent::ReleaseRequested { at, .. } => {
                self.released_at = Some(self.stopped_at.unwrap_or(at));
                self.resize = None;
                self.status = AllocationStatus::Releasing;
            }
            AllocationEvent::TeardownVerified { .. } => self.stand_at(AllocationStatus::Settling),
            AllocationEvent::Released { .. } => self.status = AllocationStatus::Released,
            AllocationEvent::NeedsOperator { .. } => self.needs_operator = true,
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }

    fn personal(&mut self) -> Vec<&mut String> {
        vec![&mut self.ssh_public_key]
    }
}

cqrs_aggregate!(Allocation);

impl Allocation {
    fn begin(&mut self, request: AllocationEvent) {
        let AllocationEvent::Requested {
            allocation_id,
            organisation_id,
            sku_id,
            resources,
            price,
            ssh_public_key,
            node_id,
            at: _,
        } = request
        else {
            return;
        };
        self.allocation_id = Some(allocation_id);
        self.organisation_id = Some(organisation_id);
        self.sku_id = sku_id;
        self.resources = resources;
        self.price = Some(price);
        self.ssh_public_key = ssh_public_key;
        self.wanted_node_id = node_id;
        self.status = AllocationStatus::Requested;
    }
}
