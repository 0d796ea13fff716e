//! The paper about a correction of what was invoiced. The money has moved before; the series of notes takes one for each entry.
use cairn_core::AllocationId;
use cairn_ledger::OffInvoice;

use crate::compute::invoiced::correction;
use crate::finance::{credit_notes, invoices};
use crate::ports::PortError;

use super::Act;
use super::send_paper::unread;

pub(super) async fn issue_note(act: &Act<'_>, off: &OffInvoice) -> Result<(), PortError> {
    let invoice = invoices::get(act.executor, &off.invoiced.invoice).await.map_err(unread)?;
    let (resource, seconds) = (AllocationId::from_bits(off.hold_id.bits()), off.invoiced.seconds);
    let none = || {
        let why = format!("{} has no line for {resource}", invoice.number);
        PortError::permanent("unknown_invoice_line", why)
    };
    let about = correction(&invoice, off).ok_or_else(none)?;
    // Not the operator's words: those are about what went wrong in the house.
    let reason = format!("{seconds} s of {resource} were metered and not used");
    let (context, at) = (act.context("note"), act.now());
    let issued = credit_notes::about(act.executor, &context, (&invoice, about, reason), at);
    issued.await.map_err(unread)
}
