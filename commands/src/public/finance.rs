//! Papers in public: that one was issued, what it comes to, and where it is. Who it is made out to stands on the paper alone.
use cairn_core::{Currency, Timestamp};
use cairn_finance::paper::{Amount, TaxTotal, Totals as Sum};
use cairn_finance::rounding::NANOS_PER_CENT;
use cairn_finance::{CreditNoteEvent, InvoiceEvent};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, public, public_types};
use super::shapes::Money;

public_types! {
    InvoiceIssued = "cairn.invoice.issued" 1;
    CreditNoteIssued = "cairn.credit_note.issued" 1;
}

/// An invoice was issued. All amounts are in cents that add up, as on the paper.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InvoiceIssued {
    organisation_id: String,
    /// For example `CN-2026-000001`.
    number: String,
    /// What was used in it, for example `2026-10`.
    month: String,
    /// ISO 4217 code of every amount.
    #[schemars(with = "String")]
    currency: Currency,
    totals: Totals,
    /// By jurisdiction and rate; they add up to the tax of the totals.
    taxes: Vec<Tax>,
    paid: Paid,
    #[schemars(with = "String")]
    issued_at: Timestamp,
    /// Where the paper is, on this Cairn: a PDF, unless `?format=` says otherwise.
    document: String,
}

/// A credit note was issued. All its amounts are given back.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreditNoteIssued {
    organisation_id: String,
    /// For example `CN-C-2026-000001`.
    number: String,
    /// Number of the invoice that it is to.
    invoice: String,
    /// The invoice's, for example `2026-10`.
    month: String,
    /// ISO 4217 code of every amount.
    #[schemars(with = "String")]
    currency: Currency,
    totals: Totals,
    /// By jurisdiction and rate; they add up to the tax of the totals.
    taxes: Vec<Tax>,
    #[schemars(with = "String")]
    issued_at: Timestamp,
    /// Where the paper is, on this Cairn: a PDF, unless `?format=` says otherwise.
    document: String,
}

/// What a paper comes to.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Totals {
    /// Without taxes.
    net: Money,
    tax: Money,
    /// Both.
    gross: Money,
}

/// What is owed to one jurisdiction at one rate.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tax {
    /// ISO 3166: a country or a part of one.
    jurisdiction: String,
    /// In hundredths of a percent.
    rate_basis_points: i64,
    /// What it is on.
    base: Money,
    tax: Money,
}

/// What an invoice was paid from; adds up to its gross.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Paid {
    /// Money that was paid in before.
    prepaid: Money,
    /// Promotional credit.
    promotional: Money,
    /// Nothing yet.
    owed: Money,
}

pub(super) fn publish_invoice(event: InvoiceEvent) -> Result<Option<Said>, String> {
    let InvoiceEvent::Issued { invoice } = event;
    let money = |amount| money(amount, invoice.currency);
    public(&InvoiceIssued {
        organisation_id: invoice.organisation_id.to_string(),
        month: invoice.month.to_string(),
        currency: invoice.currency,
        totals: totals(invoice.totals, invoice.currency),
        taxes: taxes(&invoice.taxes, invoice.currency),
        paid: Paid {
            prepaid: money(invoice.paid.prepaid),
            promotional: money(invoice.paid.promotional),
            owed: money(invoice.paid.owed),
        },
        issued_at: invoice.issued_at,
        document: document(&invoice.number),
        number: invoice.number,
    })
}

pub(super) fn publish_credit_note(event: CreditNoteEvent) -> Result<Option<Said>, String> {
    let CreditNoteEvent::Issued { credit_note: note } = event;
    public(&CreditNoteIssued {
        organisation_id: note.organisation_id.to_string(),
        invoice: note.invoice.number,
        month: note.invoice.month.to_string(),
        currency: note.currency,
        totals: totals(note.totals, note.currency),
        taxes: taxes(&note.taxes, note.currency),
        issued_at: note.issued_at,
        document: document(&note.number),
        number: note.number,
    })
}

fn document(number: &str) -> String {
    format!("/v1/invoices/{number}/document")
}

fn totals(sum: Sum, currency: Currency) -> Totals {
    let [net, tax, gross] = [sum.net, sum.tax, sum.gross].map(|amount| money(amount, currency));
    Totals { net, tax, gross }
}

fn taxes(taxes: &[TaxTotal], currency: Currency) -> Vec<Tax> {
    let shown = |tax: &TaxTotal| Tax {
        jurisdiction: tax.jurisdiction.clone(),
        rate_basis_points: tax.rate_basis_points,
        base: money(tax.base, currency),
        tax: money(tax.amount, currency),
    };
    taxes.iter().map(shown).collect()
}

fn money(amount: Amount, currency: Currency) -> Money {
    Money::new(amount.cents * NANOS_PER_CENT, currency)
}
