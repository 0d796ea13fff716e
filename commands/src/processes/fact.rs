//! What process managers read: events of the contexts they join, typed.
use cairn_compute::{Allocation, AllocationEvent};
use cairn_core::{AllocationId, Decider, HoldId, Timestamp};
use cairn_event_log::{LogError, Metadata, Recorded};
use cairn_finance::{CreditNoteEvent, CreditNoteSeries, InvoiceEvent, InvoiceSeries};
use cairn_fleet::{Node, NodeEvent};
use cairn_identity::{Erasure, ErasureEvent, Organisation, OrganisationEvent, User, UserEvent};
use cairn_ledger::{Dunning, DunningEvent, Wallet, WalletEvent};
use cairn_operations::{Intervention, InterventionEvent};
use cairn_payments::{
    AutoTopUp, AutoTopUpEvent, Dispute, DisputeEvent, MethodEvent, Payment, PaymentEvent,
    PaymentMethods, Refund, RefundEvent,
};

/// An event at its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Its place.
    pub position: i64,
    /// When it was appended.
    pub recorded_at: Timestamp,
    /// Its wire name.
    pub event_type: String,
    /// The stream: the aggregate's id.
    pub stream: String,
    /// Who, why, caused by what.
    pub metadata: Metadata,
    /// What happened.
    pub fact: Fact,
}

/// An event of a context that some process manager joins with another.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Fact {
    Allocation(AllocationEvent),
    Node(NodeEvent),
    Wallet(WalletEvent),
    Dunning(DunningEvent),
    Payment(PaymentEvent),
    AutoTopUp(AutoTopUpEvent),
    Refund(RefundEvent),
    Dispute(DisputeEvent),
    Method(MethodEvent),
    Invoice(InvoiceEvent),
    CreditNote(CreditNoteEvent),
    User(UserEvent),
    Organisation(OrganisationEvent),
    Erasure(ErasureEvent),
    /// Read by the runtime itself.
    Intervention(InterventionEvent),
    /// No process manager reads it.
    Other,
}

impl Occurrence {
    /// Reads a recorded event.
    ///
    /// # Errors
    /// When the payload is not what its type says.
    pub fn read(recorded: &Recorded) -> Result<Self, LogError> {
        let fact = match recorded.aggregate_type.as_str() {
            Allocation::TYPE => Fact::Allocation(recorded.decode()?),
            Node::TYPE => Fact::Node(recorded.decode()?),
            Wallet::TYPE => Fact::Wallet(recorded.decode()?),
            Dunning::TYPE => Fact::Dunning(recorded.decode()?),
            Payment::TYPE => Fact::Payment(recorded.decode()?),
            AutoTopUp::TYPE => Fact::AutoTopUp(recorded.decode()?),
            Refund::TYPE => Fact::Refund(recorded.decode()?),
            Dispute::TYPE => Fact::Dispute(recorded.decode()?),
            PaymentMethods::TYPE => Fact::Method(recorded.decode()?),
            InvoiceSeries::TYPE => Fact::Invoice(recorded.decode()?),
            CreditNoteSeries::TYPE => Fact::CreditNote(recorded.decode()?),
            User::TYPE => Fact::User(recorded.decode()?),
            Organisation::TYPE => Fact::Organisation(recorded.decode()?),
            Erasure::TYPE => Fact::Erasure(recorded.decode()?),
            Intervention::TYPE => Fact::Intervention(recorded.decode()?),
            _ => Fact::Other,
        };
        Ok(Self {
            position: recorded.position,
            recorded_at: recorded.recorded_at,
            event_type: recorded.event_type.clone(),
            stream: recorded.aggregate_id.clone(),
            metadata: Metadata::clone(&recorded.metadata),
            fact,
        })
    }
}

/// The hold of an allocation: both ids have the same bits, so that neither has to be looked up.
#[must_use]
pub const fn hold_of(allocation_id: AllocationId) -> HoldId {
    HoldId::from_bits(allocation_id.bits())
}

/// The allocation that a hold is for.
#[must_use]
pub const fn allocation_of(hold_id: HoldId) -> AllocationId {
    AllocationId::from_bits(hold_id.bits())
}
