//! An allocation: a rented share of a node that a customer logs in to.
//!
//! Lifecycle: `requested → reserved → provisioning → active → releasing → released`; `rejected` when capacity or funds are lacking,
//! `compensating → failed` when provisioning fails, `active → suspending → suspended → resuming → active` when it is not paid for,
//! `needs_operator` when an undo, a suspension or a teardown is stuck.
//! Invariants: billing starts at proven readiness and stops at the request to release or to suspend; only metered seconds are billed, and
//! neither request is earlier than what was metered; nothing is billed from the request to suspend until the login is proven again; what is
//! suspended keeps its data; a step is recorded once; `released`, `failed` and `rejected` are final.
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, Nanos, NodeId, OrganisationId, Rate, Refusal,
    Resources, Subject, Text, Texts, Timestamp, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// A step of provisioning, in order. Each has inspect, act, verify and undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The uid is free on the node and taken for this allocation.
    Uid,
    /// The home exists, is limited in size and belongs to the uid.
    Home,
    /// The account exists with that uid and home.
    User,
    /// CPU, memory and process limits are in force.
    Limits,
    /// The customer's key and session certificates open a login; nothing else does.
    Access,
    /// Cairn itself logs in as the tenant and runs `id`.
    Prove,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 6] =
        [Self::Uid, Self::Home, Self::User, Self::Limits, Self::Access, Self::Prove];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Home => "home",
            Self::User => "user",
            Self::Limits => "limits",
            Self::Access => "access",
            Self::Prove => "prove",
        }
    }
}

/// The price a rental began with and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PinnedPrice {
    pub version: u32,
    pub currency: Currency,
    /// Exact price of 3,600 seconds.
    pub nanos_per_hour: Nanos,
}

impl PinnedPrice {
    /// As a rate.
    #[must_use]
    pub const fn rate(self) -> Rate {
        Rate { nanos_per_hour: self.nanos_per_hour, currency: self.currency }
    }
}

/// Where an allocation runs and what pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Placement {
    pub node_id: NodeId,
    pub uid: u32,
    pub hold_id: HoldId,
}

/// Why an allocation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// The customer asked.
    Customer,
    /// An operator asked, for example to drain a node.
    Operator,
    /// The wallet cannot cover more time.
    FundsExhausted,
}

/// Why an allocation is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspensionReason {
    /// The wallet cannot cover more time.
    FundsExhausted,
}

/// What has happened to an allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum AllocationEvent {
    #[serde(rename = "allocation.requested")]
    Requested {
        allocation_id: AllocationId,
        organisation_id: OrganisationId,
        sku_id: String,
        resources: Resources,
        price: PinnedPrice,
        /// The customer's public key, `type base64`.
        ssh_public_key: String,
        /// A node asked for by name; otherwise any.
        node_id: Option<NodeId>,
        at: Timestamp,
    },
    /// Capacity and funds are set aside.
    #[serde(rename = "allocation.reserved")]
    Reserved { placement: Placement, at: Timestamp },
    /// Capacity or funds are lacking. Final.
    #[serde(rename = "allocation.rejected")]
    Rejected { code: String, message: String, at: Timestamp },
    #[serde(rename = "allocation.provisioning_started")]
    ProvisioningStarted { login: String, at: Timestamp },
    /// A step is verified on the node.
    #[serde(rename = "allocation.step_completed")]
    StepCompleted { step: Step, observed: String, at: Timestamp },
    /// A step failed for good: everything done so far will be undone.
    #[serde(rename = "allocation.provisioning_failed")]
    ProvisioningFailed { step: Step, code: String, message: String, at: Timestamp },
    /// Proven ready: the customer can log in, and pays from here.
    #[serde(rename = "allocation.activated")]
    Activated { proof: String, at: Timestamp },
    /// Nothing is left on the node after a failure. Final.
    #[serde(rename = "allocation.failed")]
    Failed { at: Timestamp },
    /// By `through` it is proven to have run all the time since its activation, but for the seconds named.
    #[serde(rename = "allocation.metered")]
    Metered { through: Timestamp, unproven_seconds: i64, at: Timestamp },
    /// The meter stands still from here, and the login is to be closed.
    #[serde(rename = "allocation.suspension_requested")]
    SuspensionRequested { reason: SuspensionReason, at: Timestamp },
    /// The node proved that nobody can log in and that nothing runs. The data is kept.
    #[serde(rename = "allocation.suspended")]
    Suspended { evidence: String, at: Timestamp },
    /// It is paid for again: the login is to be opened.
    #[serde(rename = "allocation.resume_requested")]
    ResumeRequested { at: Timestamp },
    /// Proven ready again: the meter goes on from here.
    #[serde(rename = "allocation.resumed")]
    Resumed { proof: String, at: Timestamp },
    /// The meter stops here, or where it stood still.
    #[serde(rename = "allocation.release_requested")]
    ReleaseRequested { reason: ReleaseReason, at: Timestamp },
    /// The node proved that nothing is left of it.
    #[serde(rename = "allocation.teardown_verified")]
    TeardownVerified { evidence: String, at: Timestamp },
    /// All settled. Final.
    #[serde(rename = "allocation.released")]
    Released { active_seconds: i64, charged_nanos: Nanos, at: Timestamp },
    /// Stuck: somebody must look.
    #[serde(rename = "allocation.needs_operator")]
    NeedsOperator { doing: String, message: String, at: Timestamp },
}

domain_event!(AllocationEvent {
    Requested => "allocation.requested", 1;
    Reserved => "allocation.reserved", 1;
    Rejected => "allocation.rejected", 1;
    ProvisioningStarted => "allocation.provisioning_started", 1;
    StepCompleted => "allocation.step_completed", 1;
    ProvisioningFailed => "allocation.provisioning_failed", 1;
    Activated => "allocation.activated", 1;
    Failed => "allocation.failed", 1;
    Metered => "allocation.metered", 1;
    SuspensionRequested => "allocation.suspension_requested", 1;
    Suspended => "allocation.suspended", 1;
    ResumeRequested => "allocation.resume_requested", 1;
    Resumed => "allocation.resumed", 1;
    ReleaseRequested => "allocation.release_requested", 1;
    TeardownVerified => "allocation.teardown_verified", 1;
    Released => "allocation.released", 1;
    NeedsOperator => "allocation.needs_operator", 1;
});

impl Texts for AllocationEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("allocation_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("sku_id", Text::Kept),
        ("price.currency", Text::Kept),
        ("ssh_public_key", Text::PublicKey),
        ("node_id", Text::Kept),
        ("placement.node_id", Text::Kept),
        ("placement.hold_id", Text::Kept),
        ("code", Text::Kept),
        ("message", Text::Reported),
        ("login", Text::Kept),
        ("step", Text::Kept),
        ("observed", Text::Reported),
        ("proof", Text::Reported),
        ("through", Text::Kept),
        ("reason", Text::Kept),
        ("evidence", Text::Reported),
        ("doing", Text::Reported),
        ("at", Text::Kept),
    ];
}

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
        ssh_public_key: String,
        node_id: Option<NodeId>,
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
    /// Both count from the activation. What is metered once stays metered.
    Meter {
        through: Timestamp,
        unproven_seconds: i64,
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
}

impl Refusal for AllocationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_allocation",
            Self::WrongState(_) => "allocation_in_wrong_state",
            Self::BadPublicKey => "ssh_public_key_invalid",
            Self::IdReused => "id_reused",
            Self::StepOutOfOrder(_) => "step_out_of_order",
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
}

fn is_none_yet<T: Default + PartialEq>(count: &T) -> bool {
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
            AllocationEvent::Requested {
                allocation_id,
                organisation_id,
                sku_id,
                resources,
                price,
                ssh_public_key,
                node_id,
                at: _,
            } => {
                self.allocation_id = Some(allocation_id);
                self.organisation_id = Some(organisation_id);
                self.sku_id = sku_id;
                self.resources = resources;
                self.price = Some(price);
                self.ssh_public_key = ssh_public_key;
                self.wanted_node_id = node_id;
                self.status = AllocationStatus::Requested;
            }
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
            AllocationEvent::Metered { through, unproven_seconds, .. } => {
                self.metered_at = Some(through);
                self.unproven_seconds = unproven_seconds;
            }
            AllocationEvent::SuspensionRequested { at, .. } => {
                self.stopped_at = Some(at);
                self.turn(AllocationStatus::Suspending);
            }
            AllocationEvent::Suspended { .. } => self.stand_at(AllocationStatus::Suspended),
            AllocationEvent::ResumeRequested { .. } => self.turn(AllocationStatus::Resuming),
            AllocationEvent::Resumed { at, .. } => self.resume(at),
            AllocationEvent::ReleaseRequested { at, .. } => {
                self.released_at = Some(self.stopped_at.unwrap_or(at));
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
