//! What process managers do outside. Values only; they live as JSON in `process_intents`.
use cairn_compute::Step;
use cairn_core::{
    AllocationId, DisputeId, Nanos, NodeId, OrganisationId, PaymentId, PaymentMethodId, RefundId,
    Resources, Timestamp,
};
use cairn_ledger::OffInvoice;
use serde::{Deserialize, Serialize};

use super::intent::names;
use super::letter::Letter;

/// What process managers do outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Effect {
    /// Asks one node after the other; rejects the allocation when none takes it.
    ReserveCapacity {
        allocation_id: AllocationId,
        resources: Resources,
        wanted: Option<NodeId>,
    },
    /// Sets money aside; rejects the allocation when there is not enough.
    HoldFunds(Funding),
    /// Brings one step about on the node.
    EnsureStep {
        allocation_id: AllocationId,
        node_id: NodeId,
        step: Step,
    },
    /// Takes everything away and proves it.
    TearDown {
        allocation_id: AllocationId,
        node_id: NodeId,
        after: Ending,
    },
    /// Charges what was used by an instant and keeps the hold ahead.
    CaptureUsage(Tick),
    /// Charges what an outage leaves to be paid that was proven when these rentals had been settled.
    ChargeLate(Outage),
    /// Opens a case for each rental of what an outage leaves unpaid that was proven too late to be charged.
    ReviewLate(Outage),
    /// Gives back what was charged beyond what is metered.
    CorrectCharge {
        allocation_id: AllocationId,
    },
    /// Puts on paper what a correction has taken off an invoice.
    IssueNote(OffInvoice),
    /// Charges the rest and gives back what is left of the hold.
    SettleUsage {
        allocation_id: AllocationId,
    },
    /// Closes the allocation with what it cost.
    ConfirmReleased {
        allocation_id: AllocationId,
    },
    /// Charges what was used, and has the node close the login and stop everything.
    SuspendTenant {
        allocation_id: AllocationId,
    },
    /// Has the node open the login again, and proves it.
    ResumeTenant {
        allocation_id: AllocationId,
    },
    /// Has the node set aside what another size needs, and the rental stopped for it.
    ReserveResize {
        allocation_id: AllocationId,
    },
    /// Has the node set aside what the rental has.
    SettleResize {
        allocation_id: AllocationId,
    },
    /// How long does the money of a wallet last? What follows from it is decided, and done.
    AssessFunds {
        wallet_id: String,
    },
    /// The same of the wallet that pays for an allocation.
    AssessFundsOf {
        allocation_id: AllocationId,
    },
    /// Is a wallet low that is to be filled again by itself?
    LookAtWallet {
        wallet_id: String,
    },
    /// Asks for the payment of an automatic top-up.
    RequestTopUp {
        wallet_id: String,
        payment_id: PaymentId,
    },
    CreatePayment {
        payment_id: PaymentId,
        payment_method: Option<String>,
    },
    RetrievePayment {
        payment_id: PaymentId,
        /// What is not settled by now goes to an operator.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// Sees to it that a payment which nobody confirmed is never taken.
    CancelPayment {
        payment_id: PaymentId,
    },
    /// Names the charge that a refund goes back to.
    RequestRefund {
        refund_id: RefundId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
    },
    CreateRefund {
        refund_id: RefundId,
    },
    RetrieveRefund {
        refund_id: RefundId,
        /// What is not settled by now goes to an operator.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    RetrieveDispute {
        dispute_id: DisputeId,
        /// What is not decided by now goes to an operator.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// Begins to keep a payment method at the provider, whose customer the organisation becomes.
    CreateSetup {
        organisation_id: OrganisationId,
        method_id: PaymentMethodId,
    },
    RetrieveSetup {
        organisation_id: OrganisationId,
        method_id: PaymentMethodId,
        /// What nobody has completed by now is ended.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// Has the provider keep a payment method no more.
    DetachMethod {
        organisation_id: OrganisationId,
        method_id: PaymentMethodId,
    },
    /// Has the provider forget an organisation, and whatever it keeps for it.
    DeleteCustomer {
        organisation_id: OrganisationId,
        customer_id: String,
    },
    /// Decides whether a new node may be used.
    ProbeNode {
        node_id: NodeId,
    },
    /// Looks whether a node in use still answers.
    WatchNode {
        node_id: NodeId,
        suspect_since: Option<Timestamp>,
        /// The last look that it answered.
        #[serde(default)]
        seen_at: Option<Timestamp>,
    },
    /// Holds what a node has against what the log says.
    CompareInventory {
        node_id: NodeId,
    },
    /// Hands a letter to the mail server, as long as it is worth it.
    SendMail {
        letter: Letter,
        until: Timestamp,
    },
}

names!(Effect {
    ReserveCapacity => "reserve_capacity",
    HoldFunds => "hold_funds",
    EnsureStep => "ensure_step",
    TearDown => "tear_down",
    CaptureUsage => "capture_usage",
    ChargeLate => "charge_late",
    ReviewLate => "review_late",
    CorrectCharge => "correct_charge",
    IssueNote => "issue_note",
    SettleUsage => "settle_usage",
    ConfirmReleased => "confirm_released",
    SuspendTenant => "suspend_tenant",
    ResumeTenant => "resume_tenant",
    ReserveResize => "reserve_resize",
    SettleResize => "settle_resize",
    AssessFunds => "assess_funds",
    AssessFundsOf => "assess_funds_of",
    LookAtWallet => "look_at_wallet",
    RequestTopUp => "request_top_up",
    CreatePayment => "create_payment",
    RetrievePayment => "retrieve_payment",
    CancelPayment => "cancel_payment",
    RequestRefund => "request_refund",
    CreateRefund => "create_refund",
    RetrieveRefund => "retrieve_refund",
    RetrieveDispute => "retrieve_dispute",
    CreateSetup => "create_setup",
    RetrieveSetup => "retrieve_setup",
    DetachMethod => "detach_method",
    DeleteCustomer => "delete_customer",
    ProbeNode => "probe_node",
    WatchNode => "watch_node",
    CompareInventory => "compare_inventory",
    SendMail => "send_mail",
});

impl Effect {
    /// A call that makes a payment or a refund does not persist: the provider forgets its key after a day.
    pub(super) const fn persists(&self) -> bool {
        match self {
            // The next comparison finds it again.
            Self::TearDown { after: Ending::Orphan, .. } => false,
            Self::TearDown { .. }
            | Self::CaptureUsage(_)
            | Self::ChargeLate(_)
            | Self::ReviewLate(_)
            | Self::CorrectCharge { .. }
            | Self::IssueNote(_)
            | Self::SettleUsage { .. }
            | Self::ConfirmReleased { .. }
            | Self::SuspendTenant { .. }
            | Self::ResumeTenant { .. }
            | Self::ReserveResize { .. }
            | Self::SettleResize { .. }
            | Self::AssessFunds { .. }
            | Self::AssessFundsOf { .. }
            | Self::LookAtWallet { .. }
            | Self::RequestTopUp { .. }
            | Self::RetrievePayment { .. }
            | Self::CancelPayment { .. }
            | Self::RetrieveRefund { .. }
            | Self::RetrieveDispute { .. }
            | Self::RetrieveSetup { .. }
            | Self::DetachMethod { .. }
            | Self::DeleteCustomer { .. }
            | Self::WatchNode { .. }
            | Self::CompareInventory { .. } => true,
            Self::ReserveCapacity { .. }
            | Self::HoldFunds(_)
            | Self::EnsureStep { .. }
            | Self::CreatePayment { .. }
            | Self::SendMail { .. }
            | Self::RequestRefund { .. }
            | Self::CreateRefund { .. }
            | Self::CreateSetup { .. }
            | Self::ProbeNode { .. } => false,
        }
    }

    /// The one thing it acts on.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::ReserveCapacity { allocation_id, .. }
            | Self::EnsureStep { allocation_id, .. }
            | Self::TearDown { allocation_id, .. }
            | Self::CorrectCharge { allocation_id }
            | Self::SettleUsage { allocation_id }
            | Self::ConfirmReleased { allocation_id }
            | Self::SuspendTenant { allocation_id }
            | Self::ResumeTenant { allocation_id }
            | Self::ReserveResize { allocation_id }
            | Self::SettleResize { allocation_id }
            | Self::AssessFundsOf { allocation_id } => allocation_id.to_string(),
            Self::AssessFunds { wallet_id } | Self::LookAtWallet { wallet_id } => wallet_id.clone(),
            Self::IssueNote(off) => off.invoiced.invoice.clone(),
            Self::HoldFunds(funding) => funding.allocation_id.to_string(),
            Self::ChargeLate(outage) | Self::ReviewLate(outage) => outage.node_id.to_string(),
            Self::CaptureUsage(tick) => tick.allocation_id.to_string(),
            Self::RequestTopUp { payment_id, .. }
            | Self::CreatePayment { payment_id, .. }
            | Self::RetrievePayment { payment_id, .. }
            | Self::CancelPayment { payment_id } => payment_id.to_string(),
            Self::RequestRefund { refund_id, .. }
            | Self::CreateRefund { refund_id }
            | Self::RetrieveRefund { refund_id, .. } => refund_id.to_string(),
            Self::RetrieveDispute { dispute_id, .. } => dispute_id.to_string(),
            // Two methods are not kept at once: the first of them makes the customer.
            Self::CreateSetup { organisation_id, .. }
            | Self::RetrieveSetup { organisation_id, .. }
            | Self::DetachMethod { organisation_id, .. }
            | Self::DeleteCustomer { organisation_id, .. } => organisation_id.to_string(),
            Self::ProbeNode { node_id }
            | Self::WatchNode { node_id, .. }
            | Self::CompareInventory { node_id } => node_id.to_string(),
            Self::SendMail { letter, .. } => letter.subject(),
        }
    }
}

/// Money to set aside for an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Funding {
    pub allocation_id: AllocationId,
    pub wallet_id: String,
    pub amount_nanos: Nanos,
    pub expires_at: Timestamp,
}

/// An outage that its node has proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Outage {
    pub node_id: NodeId,
    pub since: Timestamp,
    pub until: Timestamp,
    /// Of that time, how long the machine stood still.
    pub paused_seconds: i64,
    /// What was on the node then, as far as that is known.
    pub rentals: Vec<AllocationId>,
}

/// One tick of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Tick {
    pub allocation_id: AllocationId,
    /// Usage up to this instant.
    pub through: Timestamp,
    /// What the hold shall cover afterwards.
    pub keep_nanos: Nanos,
    /// Of a price with tiers, where that depends on how far the meter has come: so many seconds from there, and `keep_nanos` is the most that
    /// they can cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_seconds: Option<i64>,
    pub expires_at: Timestamp,
}

/// Why an allocation is taken down, and so what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Provisioning failed: the capacity is given back.
    Failure,
    /// It was released: the proof is recorded.
    Release,
    /// It was over, and something of it was on the node again: that it is gone is recorded.
    Orphan,
}
