//! Public events: what outsiders may know of the log, in words of its own that outlive a change of ours.
//!
//! Each context has a file here. It matches its events one by one, so a new one does not compile until somebody has
//! decided whether it is public. A public event has a type and an integer version; its JSON Schema lands in
//! `docs/schemas/` and never changes. No personal data, no key, no address of a node, no free text of ours.
mod alerts;
mod auto_top_up;
mod catalog;
mod compute;
mod dunning;
mod envelope;
mod finance;
mod fleet;
mod ledger;
mod notify;
mod owner;
mod payments;
mod private;
mod projects;
mod shapes;

use cairn_catalog::Sku;
use cairn_compute::Allocation;
use cairn_core::Decider;
use cairn_event_log::{LogError, Recorded};
use cairn_finance::{CreditNoteSeries, InvoiceSeries};
use cairn_fleet::Node;
use cairn_ledger::{Dunning, Wallet};
use cairn_notify::WebhookEndpoint;
use cairn_payments::{AutoTopUp, Dispute, Payment, Payout, Refund};

use self::envelope::Said;
pub use self::envelope::{PublicEvent, PublicType};
pub use self::owner::{is_shared, owner};

/// The public event of a fact, or `None` when it is private. `source` names this Cairn among others.
///
/// # Errors
/// [`LogError`] when the fact cannot be read: it must then be neither sent nor passed over.
pub fn translate(recorded: &Recorded, source: &str) -> Result<Option<PublicEvent>, LogError> {
    let said = match recorded.aggregate_type.as_str() {
        Allocation::TYPE => compute::publish(recorded.decode()?),
        Wallet::TYPE => ledger::publish(&recorded.aggregate_id, recorded.decode()?),
        Dunning::TYPE => dunning::publish(recorded.decode()?),
        AutoTopUp::TYPE => auto_top_up::publish(&recorded.aggregate_id, recorded.decode()?),
        Payment::TYPE => payments::publish_payment(&recorded.aggregate_id, recorded.decode()?),
        Refund::TYPE => payments::publish_refund(&recorded.aggregate_id, recorded.decode()?),
        InvoiceSeries::TYPE => finance::publish_invoice(recorded.decode()?),
        CreditNoteSeries::TYPE => finance::publish_credit_note(recorded.decode()?),
        Sku::TYPE => catalog::publish(recorded.decode()?),
        Node::TYPE => fleet::publish(recorded.decode()?),
        WebhookEndpoint::TYPE => notify::publish(&recorded.aggregate_id, recorded.decode()?),
        // What a bank says of a customer stays here; what it does to the wallet is told by the wallet.
        Dispute::TYPE | Payout::TYPE => Ok(None),
        private if private::TYPES.contains(&private) => Ok(None),
        other => Err(format!("'{other}' is no aggregate that this version knows")),
    };
    let corrupt = |why| LogError::Corrupt(format!("position {}: {why}", recorded.position));
    let said: Option<Said> = said.map_err(corrupt)?;
    said.map(|said| said.enveloped(recorded, source).map_err(corrupt)).transpose()
}

/// Every public type and version, with its JSON Schema.
#[must_use]
pub fn types() -> Vec<PublicType> {
    let of_contexts = [
        compute::TYPES,
        ledger::TYPES,
        alerts::TYPES,
        projects::TYPES,
        dunning::TYPES,
        payments::TYPES,
        auto_top_up::TYPES,
        finance::TYPES,
        catalog::TYPES,
        fleet::TYPES,
        notify::TYPES,
    ];
    of_contexts.concat().into_iter().map(|describe| describe()).collect()
}
