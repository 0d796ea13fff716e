//! Whose a stream is: the organisation that its first fact names, for what public events tell of. In a stream of several organisations each fact
//! says whose it is.
use cairn_compute::{Allocation, AllocationEvent};
use cairn_core::{Decider, OrganisationId};
use cairn_event_log::{LogError, Recorded};
use cairn_finance::{CreditNoteEvent, CreditNoteSeries, InvoiceEvent, InvoiceSeries};
use cairn_ledger::{Dunning, Wallet};
use cairn_payments::{AutoTopUp, Payment, PaymentEvent, Refund, RefundEvent};

/// Whether every fact in the streams of an aggregate has an owner of its own.
#[must_use]
pub fn is_shared(aggregate_type: &str) -> bool {
    [InvoiceSeries::TYPE, CreditNoteSeries::TYPE].contains(&aggregate_type)
}

/// The organisation that owns a stream, by the first fact of it; where streams are [shared](is_shared), a fact by itself. `None`: it is the
/// platform's, or nobody hears of it in public.
///
/// # Errors
/// [`LogError`] when the fact cannot be read.
pub fn owner(first: &Recorded) -> Result<Option<OrganisationId>, LogError> {
    Ok(match first.aggregate_type.as_str() {
        Allocation::TYPE => match first.decode()? {
            AllocationEvent::Requested { organisation_id, .. } => Some(organisation_id),
            _ => None,
        },
        Payment::TYPE => match first.decode()? {
            PaymentEvent::Requested { organisation_id, .. } => Some(organisation_id),
            _ => None,
        },
        Refund::TYPE => match first.decode()? {
            RefundEvent::Requested { organisation_id, .. } => Some(organisation_id),
            _ => None,
        },
        InvoiceSeries::TYPE => {
            let InvoiceEvent::Issued { invoice } = first.decode()?;
            Some(invoice.organisation_id)
        }
        CreditNoteSeries::TYPE => {
            let CreditNoteEvent::Issued { credit_note } = first.decode()?;
            Some(credit_note.organisation_id)
        }
        // A wallet, its dunning and its automatic top-up are called after its owner and its currency.
        Wallet::TYPE | Dunning::TYPE | AutoTopUp::TYPE => {
            first.aggregate_id.split_once(':').and_then(|(owner, _)| owner.parse().ok())
        }
        _ => None,
    })
}
