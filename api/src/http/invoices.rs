//! Invoices and credit notes as they were issued.
use axum::extract::{Path, State};
use cairn_commands::finance::{credit_notes, invoices};
use cairn_core::money::format_nanos;
use cairn_finance::paper::{Amount, LineTax, TaxTotal};
use cairn_finance::rounding::NANOS_PER_CENT;
use cairn_finance::{CreditNote, Customer, Invoice, Issuer, ReverseCharge};
use cairn_projections::finance::papers as view;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::billing::BillingDetails;
use super::discounts::percent;
use super::page::Page;
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::state::Api;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_invoices)).routes(routes!(get_invoice))
}

/// A paper in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperRow {
    /// For example `CN-2026-000001`; of a credit note, `CN-C-2026-000001`.
    number: String,
    /// `invoice` or `credit_note`.
    kind: String,
    /// The invoice that a credit note is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<String>,
    /// `org_…`
    organisation_id: String,
    /// ISO 4217 code of every amount.
    currency: String,
    /// What was used in it.
    month: String,
    /// RFC 3339.
    issued_at: String,
    /// Without taxes, two decimals.
    net: String,
    /// Taxes, two decimals.
    tax: String,
    /// Both, two decimals.
    gross: String,
}

/// An amount, as it is shown and exactly.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperAmount {
    /// Two decimals; what it is part of adds up in these.
    amount: String,
    /// Up to nine decimals, as the books have it.
    exact: String,
}

/// Who issues.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperIssuer {
    /// Name.
    name: String,
    /// Lines apart by line feeds.
    address: String,
    /// Number with the tax authorities.
    tax_id: String,
}

/// A tax of a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperLineTax {
    /// Where it is owed.
    jurisdiction: String,
    /// How much.
    tax: PaperAmount,
}

/// A line of a paper.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperLine {
    /// Counted from 1; of a credit note, as on its invoice.
    line: u32,
    /// For example `compute`.
    product: String,
    /// What was used, for example an allocation's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// As what it was sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku_id: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// For how many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<i64>,
    /// Price of 3,600 seconds, before the discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_hour: Option<String>,
    /// The discount, in percent: `net` is what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount_percent: Option<String>,
    /// Without taxes.
    net: PaperAmount,
    /// By jurisdiction.
    taxes: Vec<PaperLineTax>,
    /// With them.
    gross: PaperAmount,
}

/// What is owed to one jurisdiction at one rate.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperTax {
    /// Where.
    jurisdiction: String,
    /// In percent: as many decimals as the rate has, and two at least.
    rate: String,
    /// What it is on.
    base: PaperAmount,
    /// How much.
    tax: PaperAmount,
}

/// A tax that is not charged, as the customer owes it itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperReverseCharge {
    /// As it stands on the paper: `Reverse charge: …`.
    statement: String,
    /// Where it is owed.
    jurisdiction: String,
    /// What it is called there.
    name: String,
    /// The customer's number with the tax authorities, as it was when the paper was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<String>,
    /// What it is on.
    base: PaperAmount,
}

/// What an invoice was paid from; adds up to gross.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperPaid {
    /// Money that was paid in before.
    prepaid: PaperAmount,
    /// Promotional credit.
    promotional: PaperAmount,
    /// Nothing yet.
    owed: PaperAmount,
}

/// A paper as it was issued.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaperShown {
    /// For example `CN-2026-000001`; of a credit note, `CN-C-2026-000001`.
    number: String,
    /// `invoice` or `credit_note`.
    kind: String,
    /// The invoice that a credit note is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<String>,
    /// `org_…`
    organisation_id: String,
    /// ISO 4217 code of every amount.
    currency: String,
    /// What was used in it.
    month: String,
    /// RFC 3339.
    issued_at: String,
    /// Who issued it.
    issuer: PaperIssuer,
    /// Whom it is made out to; absent when nobody had said.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<BillingDetails>,
    /// What was used, or what is given back of it.
    lines: Vec<PaperLine>,
    /// By jurisdiction and rate.
    taxes: Vec<PaperTax>,
    /// Taxes that the customer owes itself; absent when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reverse_charges: Vec<PaperReverseCharge>,
    /// What the lines add up to without taxes.
    net: PaperAmount,
    /// What the taxes add up to.
    tax: PaperAmount,
    /// Both.
    gross: PaperAmount,
    /// What an invoice was paid from.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<PaperPaid>,
    /// What was in the wallet when the month began.
    #[serde(skip_serializing_if = "Option::is_none")]
    opening_balance: Option<String>,
    /// What was in it when the month ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    closing_balance: Option<String>,
    /// Up to which position of the log an invoice counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_position: Option<i64>,
    /// Why something is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn decimal(cents: i64) -> String {
    format_nanos(cents * NANOS_PER_CENT)
}

impl From<Amount> for PaperAmount {
    fn from(Amount { nanos, cents }: Amount) -> Self {
        Self { amount: decimal(cents), exact: format_nanos(nanos) }
    }
}

impl From<view::Paper> for PaperRow {
    fn from(row: view::Paper) -> Self {
        Self {
            number: row.number,
            kind: row.kind,
            invoice: row.invoice,
            organisation_id: row.organisation_id,
            currency: row.currency,
            month: row.month,
            issued_at: row.issued_at.to_string(),
            net: decimal(row.net_cents),
            tax: decimal(row.tax_cents),
            gross: decimal(row.gross_cents),
        }
    }
}

/// Invoices and credit notes, the last issued first.
#[utoipa::path(get, path = "/v1/invoices", operation_id = "list_invoices", tag = "ledger",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<PaperRow>)))]
async fn list_invoices(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<PaperRow>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let whose = (reader.caller.narrowed_to(), None);
    let mut db = api.read_for(&reader.caller).await?;
    let rows = view::list(&mut *db, whose, page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, PaperRow::from)?))
}

/// One invoice or credit note, as it was issued.
#[utoipa::path(get, path = "/v1/invoices/{number}", operation_id = "get_invoice", tag = "ledger",
    params(("number" = String, Path, description = "`CN-2026-000001`"), OneQuery),
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it was issued", body = PaperShown)))]
async fn get_invoice(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(number): Path<String>,
) -> Result<Seen<PaperShown>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row = view::get(&mut *api.read_for(&reader.caller).await?, &number).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Invoice))?;
    let executor = &api.commands.executor;
    let shown = if row.kind == "invoice" {
        of_invoice(invoices::get(executor, &number).await?, row)
    } else {
        of_credit_note(credit_notes::get(executor, &number).await?, row)
    };
    Ok(at.saw(shown))
}

fn of_invoice(invoice: Invoice, row: view::Paper) -> PaperShown {
    let reverse_charges = reversed(invoice.reverse_charges(), invoice.customer.as_ref());
    let lines = (1_u32..).zip(invoice.lines).map(|(at, line)| PaperLine {
        line: at,
        product: line.product,
        resource: Some(line.resource),
        sku_id: line.sku_id,
        from: Some(line.from.to_string()),
        to: Some(line.to.to_string()),
        seconds: Some(line.seconds),
        per_hour: line.nanos_per_hour.map(format_nanos),
        discount_percent: line.discount_bps.map(percent),
        net: line.net.into(),
        taxes: line_taxes(line.taxes),
        gross: line.gross.into(),
    });
    let paid = invoice.paid;
    PaperShown {
        number: row.number,
        kind: row.kind,
        invoice: None,
        organisation_id: row.organisation_id,
        currency: row.currency,
        month: row.month,
        issued_at: row.issued_at.to_string(),
        issuer: issuer(invoice.issuer),
        customer: invoice.customer.map(Customer::into),
        lines: lines.collect(),
        taxes: taxes(invoice.taxes),
        reverse_charges,
        net: invoice.totals.net.into(),
        tax: invoice.totals.tax.into(),
        gross: invoice.totals.gross.into(),
        paid: Some(PaperPaid {
            prepaid: paid.prepaid.into(),
            promotional: paid.promotional.into(),
            owed: paid.owed.into(),
        }),
        opening_balance: Some(format_nanos(invoice.balance.opening_nanos)),
        closing_balance: Some(format_nanos(invoice.balance.closing_nanos)),
        counted_position: Some(invoice.counted.position),
        reason: None,
    }
}

fn of_credit_note(note: CreditNote, row: view::Paper) -> PaperShown {
    let reverse_charges = reversed(note.reverse_charges(), note.customer.as_ref());
    let lines = note.lines.into_iter().map(|line| PaperLine {
        line: line.line,
        product: line.product,
        resource: None,
        sku_id: None,
        from: None,
        to: None,
        seconds: None,
        per_hour: None,
        discount_percent: None,
        net: line.net.into(),
        taxes: line_taxes(line.taxes),
        gross: line.gross.into(),
    });
    PaperShown {
        number: row.number,
        kind: row.kind,
        invoice: row.invoice,
        organisation_id: row.organisation_id,
        currency: row.currency,
        month: row.month,
        issued_at: row.issued_at.to_string(),
        issuer: issuer(note.issuer),
        customer: note.customer.map(Customer::into),
        lines: lines.collect(),
        taxes: taxes(note.taxes),
        reverse_charges,
        net: note.totals.net.into(),
        tax: note.totals.tax.into(),
        gross: note.totals.gross.into(),
        paid: None,
        opening_balance: None,
        closing_balance: None,
        counted_position: None,
        reason: Some(note.reason),
    }
}

fn issuer(issuer: Issuer) -> PaperIssuer {
    PaperIssuer { name: issuer.name, address: issuer.address, tax_id: issuer.tax_id }
}

fn line_taxes(taxes: Vec<LineTax>) -> Vec<PaperLineTax> {
    let shown =
        |tax: LineTax| PaperLineTax { jurisdiction: tax.jurisdiction, tax: tax.amount.into() };
    taxes.into_iter().map(shown).collect()
}

fn reversed(owed: Vec<ReverseCharge>, customer: Option<&Customer>) -> Vec<PaperReverseCharge> {
    let tax_id = customer.map(|customer| &customer.tax_id).filter(|tax_id| !tax_id.is_empty());
    let shown = |it: ReverseCharge| PaperReverseCharge {
        statement: it.says(None),
        jurisdiction: it.jurisdiction,
        name: it.name,
        tax_id: tax_id.cloned(),
        base: it.base.into(),
    };
    owed.into_iter().map(shown).collect()
}

fn taxes(taxes: Vec<TaxTotal>) -> Vec<PaperTax> {
    let shown = |tax: TaxTotal| PaperTax {
        rate: tax.percent(),
        jurisdiction: tax.jurisdiction,
        base: tax.base.into(),
        tax: tax.amount.into(),
    };
    taxes.into_iter().map(shown).collect()
}
