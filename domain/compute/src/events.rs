//! What has happened to an allocation.
use cairn_core::upcast::Upcast;
use cairn_core::{
    AllocationId, Currency, DiscountId, HoldId, MoneyError, Nanos, NodeId, OrganisationId,
    ProjectId, Resources, Tariff, Tax, Text, Texts, Tiers, Timestamp, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::allocation::is_none_yet;

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

/// The price that a rental began with, or was moved to, and keeps. It is what leaves the wallet: a tax that comes on top is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PinnedPrice {
    pub version: u32,
    pub currency: Currency,
    /// Exact price of 3,600 seconds; with tiers that of the first.
    pub nanos_per_hour: Nanos,
    /// The tiers after the first, by the seconds that are metered at this price.
    #[serde(default, skip_serializing_if = "Tiers::is_none")]
    pub tiers: Tiers,
    /// Off all of it but the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<PinnedDiscount>,
    /// What additional disk costs on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<PinnedDisk>,
}

/// Additional disk, and the price that it is kept at: no tier and no discount is in it, a tax that comes on top is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PinnedDisk {
    /// Of the SKU's price of additional disk.
    pub version: u32,
    pub gib: u32,
    /// Exact price of one GiB for 3,600 seconds.
    pub nanos_per_gib_hour: Nanos,
}

impl PinnedDisk {
    /// So many GiB at a price.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] when an hour of all of it cannot be counted.
    pub fn try_new(version: u32, gib: u32, nanos_per_gib_hour: Nanos) -> Result<Self, MoneyError> {
        let counted = nanos_per_gib_hour.checked_mul(i64::from(gib));
        counted.map(|_| Self { version, gib, nanos_per_gib_hour }).ok_or(MoneyError::TooLarge)
    }

    /// Exact price of all of it for 3,600 seconds.
    #[must_use]
    pub const fn nanos_per_hour(&self) -> Nanos {
        self.nanos_per_gib_hour.saturating_mul(self.gib as Nanos)
    }
}

/// What an organisation pays less than the catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PinnedDiscount {
    pub discount_id: DiscountId,
    pub basis_points: u32,
}

impl PinnedPrice {
    /// All time costs the same.
    #[must_use]
    pub const fn flat(version: u32, currency: Currency, nanos_per_hour: Nanos) -> Self {
        Self { version, currency, nanos_per_hour, tiers: Tiers::NONE, discount: None, disk: None }
    }

    /// What time costs at it.
    #[must_use]
    pub const fn tariff(&self) -> Tariff {
        let discount_bps = match self.discount {
            Some(discount) => discount.basis_points,
            None => 0,
        };
        let extra_nanos_per_hour = match self.disk {
            Some(disk) => disk.nanos_per_hour(),
            None => 0,
        };
        let Self { nanos_per_hour, tiers, .. } = *self;
        Tariff { nanos_per_hour, tiers, discount_bps, extra_nanos_per_hour }
    }

    /// The same where so many seconds of it are used: its tiers go on where they were.
    #[must_use]
    pub fn after(self, seconds: i64) -> Self {
        let (nanos_per_hour, tiers) = self.tiers.after(self.nanos_per_hour, seconds);
        Self { nanos_per_hour, tiers, ..self }
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
    /// The wallet could, but no more may be used this month.
    SpendingLimit,
    /// It goes on at once in another size.
    Resize,
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
    /// A tax is in its price. It comes with the request.
    #[serde(rename = "allocation.taxed")]
    Taxed { tax: Tax, at: Timestamp },
    /// It counts in a project. It comes with the request.
    #[serde(rename = "allocation.assigned")]
    Assigned { project_id: ProjectId, at: Timestamp },
    /// Moved to another price, or to another tax: `seconds` were metered by then at those before, and cost `total_nanos` in all.
    #[serde(rename = "allocation.repriced")]
    Repriced {
        price: PinnedPrice,
        tax: Option<Tax>,
        seconds: i64,
        total_nanos: Nanos,
        at: Timestamp,
    },
    /// It shall go on as another SKU, or with more disk, at this price.
    #[serde(rename = "allocation.resize_requested")]
    ResizeRequested {
        sku_id: String,
        resources: Resources,
        price: PinnedPrice,
        tax: Option<Tax>,
        at: Timestamp,
    },
    /// Its node has set aside what it needs for both sizes.
    #[serde(rename = "allocation.resize_reserved")]
    ResizeReserved { at: Timestamp },
    /// It is that from here on. What was metered by then was of what it was before, as in `allocation.repriced`.
    #[serde(rename = "allocation.resized")]
    Resized {
        sku_id: String,
        resources: Resources,
        price: PinnedPrice,
        tax: Option<Tax>,
        seconds: i64,
        total_nanos: Nanos,
        at: Timestamp,
    },
    /// It stays what it was.
    #[serde(rename = "allocation.resize_failed")]
    ResizeFailed { code: String, message: String, at: Timestamp },
    /// Its node has set aside what it has, and no more.
    #[serde(rename = "allocation.resize_settled")]
    ResizeSettled { at: Timestamp },
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
    /// By `through` it is proven to have run all the time since its activation, but for the seconds named. Of what is proven, `late_seconds`
    /// were not before their outage was over.
    #[serde(rename = "allocation.metered")]
    Metered {
        through: Timestamp,
        unproven_seconds: i64,
        #[serde(default, skip_serializing_if = "is_none_yet")]
        late_seconds: i64,
        at: Timestamp,
    },
    /// After it was settled, an outage from `since` to `until` was proven: so many seconds that were unproven are billed.
    #[serde(rename = "allocation.late_usage_proven")]
    LateUsageProven { seconds: i64, since: Timestamp, until: Timestamp, at: Timestamp },
    /// So many metered seconds are taken back.
    #[serde(rename = "allocation.usage_corrected")]
    UsageCorrected { seconds: i64, why: String, at: Timestamp },
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
    Requested => "allocation.requested", 3;
    Taxed => "allocation.taxed", 1;
    Assigned => "allocation.assigned", 1;
    Repriced => "allocation.repriced", 3;
    ResizeRequested => "allocation.resize_requested", 2;
    ResizeReserved => "allocation.resize_reserved", 1;
    Resized => "allocation.resized", 2;
    ResizeFailed => "allocation.resize_failed", 1;
    ResizeSettled => "allocation.resize_settled", 1;
    Reserved => "allocation.reserved", 1;
    Rejected => "allocation.rejected", 1;
    ProvisioningStarted => "allocation.provisioning_started", 1;
    StepCompleted => "allocation.step_completed", 1;
    ProvisioningFailed => "allocation.provisioning_failed", 1;
    Activated => "allocation.activated", 1;
    Failed => "allocation.failed", 1;
    Metered => "allocation.metered", 1;
    LateUsageProven => "allocation.late_usage_proven", 1;
    UsageCorrected => "allocation.usage_corrected", 1;
    SuspensionRequested => "allocation.suspension_requested", 1;
    Suspended => "allocation.suspended", 1;
    ResumeRequested => "allocation.resume_requested", 1;
    Resumed => "allocation.resumed", 1;
    ReleaseRequested => "allocation.release_requested", 1;
    TeardownVerified => "allocation.teardown_verified", 1;
    Released => "allocation.released", 1;
    NeedsOperator => "allocation.needs_operator", 1;
} upcasts [
    // In version 1 a price had neither tiers nor a discount; a program that knows none would charge the first tier, and whole, for ever.
    Upcast { event_type: "allocation.requested", from: 1, to_next: std::convert::identity },
    Upcast { event_type: "allocation.repriced", from: 1, to_next: std::convert::identity },
    // Before these a price had no additional disk; a program that knows none would give it away.
    Upcast { event_type: "allocation.requested", from: 2, to_next: std::convert::identity },
    Upcast { event_type: "allocation.repriced", from: 2, to_next: std::convert::identity },
    Upcast { event_type: "allocation.resize_requested", from: 1, to_next: std::convert::identity },
    Upcast { event_type: "allocation.resized", from: 1, to_next: std::convert::identity },
]);

impl Texts for AllocationEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("allocation_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("project_id", Text::Kept),
        ("sku_id", Text::Kept),
        ("price.currency", Text::Kept),
        ("price.discount.discount_id", Text::Kept),
        Tax::TEXTS[0],
        Tax::TEXTS[1],
        Tax::TEXTS[2],
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
        ("since", Text::Kept),
        ("until", Text::Kept),
        ("why", Text::Said),
        ("reason", Text::Kept),
        ("evidence", Text::Reported),
        ("doing", Text::Reported),
        ("at", Text::Kept),
    ];
}
