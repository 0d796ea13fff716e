//! From facts about papers, about who issues them and to whom, back to the wish that they answered.
use cairn_finance::credit_note::IssueCreditNote;
use cairn_finance::invoice::{IssueInvoice, parse_number};
use cairn_finance::paper::Line;
use cairn_finance::{
    Billing, BillingCommand, BillingEvent, CreditNote, CreditNoteCommand, CreditNoteEvent,
    CreditNoteSeries, Invoice, InvoiceCommand, InvoiceEvent, InvoiceSeries, LegalEntity,
    LegalEntityCommand, LegalEntityEvent,
};

use super::inverse::Inverse;

impl Inverse for LegalEntity {
    fn command_of(&self, facts: &[LegalEntityEvent]) -> Option<LegalEntityCommand> {
        let LegalEntityEvent::Set { issuer, series, at } = facts.first()?.clone();
        Some(LegalEntityCommand::Set { issuer, series, at })
    }
}

impl Inverse for Billing {
    fn command_of(&self, facts: &[BillingEvent]) -> Option<BillingCommand> {
        let BillingEvent::DetailsSet { organisation_id, customer, at } = facts.first()?.clone();
        Some(BillingCommand::Set { organisation_id, customer, at })
    }
}

impl Inverse for InvoiceSeries {
    fn command_of(&self, facts: &[InvoiceEvent]) -> Option<InvoiceCommand> {
        let InvoiceEvent::Issued { invoice } = facts.first()?;
        let Invoice { number, issuer, organisation_id, customer, currency, month, .. } =
            (**invoice).clone();
        let (series, _) = parse_number(&number)?;
        Some(InvoiceCommand::Issue(Box::new(IssueInvoice {
            series: series.to_owned(),
            issuer,
            organisation_id,
            customer,
            currency,
            month,
            charged: invoice.lines.iter().map(Line::charged).collect(),
            paid_from: invoice.paid.from(),
            balance: invoice.balance,
            counted: invoice.counted,
            at: invoice.issued_at,
        })))
    }
}

impl Inverse for CreditNoteSeries {
    fn command_of(&self, facts: &[CreditNoteEvent]) -> Option<CreditNoteCommand> {
        let CreditNoteEvent::Issued { credit_note } = facts.first()?;
        let CreditNote {
            issuer,
            organisation_id,
            customer,
            currency,
            invoice,
            wanted,
            correction,
            ..
        } = (**credit_note).clone();
        let (series, _) = parse_number(&invoice.number)?;
        Some(CreditNoteCommand::Issue(Box::new(IssueCreditNote {
            series: series.to_owned(),
            issuer,
            organisation_id,
            customer,
            currency,
            invoice,
            wanted,
            correction,
            reason: credit_note.reason.clone(),
            at: credit_note.issued_at,
        })))
    }
}
