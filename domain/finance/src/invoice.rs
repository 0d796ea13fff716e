//! A series of invoices: one event for each that was issued. The stream's id is what its numbers begin with, for example `CN`.
//!
//! Lifecycle: it begins with its first invoice and belongs to whoever issued that. The number of an invoice is the one after the last of its
//! year, so it comes from the stream's own order: two runs at once get two numbers, and what is not appended uses none up. An issued invoice
//! never changes; what was wrong with it is credited.
use std::collections::BTreeMap;

use cairn_core::{
    Currency, Decider, Month, Nanos, OrganisationId, Refusal, Subject, Text, Texts, Timestamp,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::billing::Customer;
use crate::entity::{Issuer, is_series};
use crate::paper::{self, Amount, Charged, Line, TaxTotal, Totals};
use crate::rounding::in_cents;

/// What an invoice was paid from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Paid {
    /// Money that was paid in before.
    pub prepaid: Amount,
    /// Promotional credit.
    pub promotional: Amount,
    /// Nothing yet: owed.
    pub owed: Amount,
}

/// What an invoice was paid from, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct PaidFrom {
    pub prepaid_nanos: Nanos,
    pub promotional_nanos: Nanos,
    pub owed_nanos: Nanos,
}

/// What was in the wallet when the month began and ended, promotional credit included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Balance {
    pub opening_nanos: Nanos,
    pub closing_nanos: Nanos,
}

/// Which part of the log an invoice counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// 1; another when the month was opened again and more was charged in it.
    pub part: u32,
    /// What was posted after this position.
    pub after_position: i64,
    /// And up to and including this one.
    pub position: i64,
}

/// Id of the command that issues an invoice: what it is of, so that there is one.
#[must_use]
pub fn invoice_command(
    month: Month,
    (organisation_id, currency): (OrganisationId, Currency),
    part: u32,
) -> String {
    format!("invoice/{month}/{organisation_id}/{currency}/{part}")
}

/// An invoice as it was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// For example `CN-2026-000001`.
    pub number: String,
    /// Who issued it.
    pub issuer: Issuer,
    /// To whom.
    pub organisation_id: OrganisationId,
    /// Made out to; nobody had said, or they were erased, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// Of every amount.
    pub currency: Currency,
    /// What was used in it.
    pub month: Month,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// What was used.
    pub lines: Vec<Line>,
    /// By jurisdiction and rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<TaxTotal>,
    /// What the lines add up to.
    pub totals: Totals,
    /// What it was paid from; adds up to gross.
    pub paid: Paid,
    /// Of the wallet.
    pub balance: Balance,
    /// What it counts.
    pub counted: Counted,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum InvoiceEvent {
    #[serde(rename = "invoice.issued")]
    Issued { invoice: Box<Invoice> },
}

domain_event!(InvoiceEvent {
    Issued => "invoice.issued", 1;
});

impl Texts for InvoiceEvent {
    // The issuer's are not the customer's: they stay readable when the customer is erased.
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("invoice.number", Text::Kept),
        ("invoice.issuer.code", Text::Kept),
        ("invoice.issuer.name", Text::Reported),
        ("invoice.issuer.address", Text::Address),
        ("invoice.issuer.tax_id", Text::Reported),
        ("invoice.organisation_id", Text::Kept),
        ("invoice.customer.name", Text::Name),
        ("invoice.customer.address", Text::Name),
        ("invoice.customer.country", Text::Kept),
        ("invoice.customer.tax_id", Text::Name),
        ("invoice.customer.email", Text::Name),
        ("invoice.currency", Text::Kept),
        ("invoice.month", Text::Kept),
        ("invoice.issued_at", Text::Kept),
        ("invoice.lines[].product", Text::Kept),
        ("invoice.lines[].resource", Text::Kept),
        ("invoice.lines[].sku_id", Text::Kept),
        ("invoice.lines[].from", Text::Kept),
        ("invoice.lines[].to", Text::Kept),
        ("invoice.lines[].tax.rate.jurisdiction", Text::Kept),
        ("invoice.lines[].tax.name", Text::Kept),
        ("invoice.lines[].tax.treatment", Text::Kept),
        ("invoice.lines[].taxes[].jurisdiction", Text::Kept),
        ("invoice.taxes[].jurisdiction", Text::Kept),
    ];
}

/// An invoice that is wished for.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct IssueInvoice {
    pub series: String,
    pub issuer: Issuer,
    pub organisation_id: OrganisationId,
    pub customer: Option<Customer>,
    pub currency: Currency,
    pub month: Month,
    pub charged: Vec<Charged>,
    pub paid_from: PaidFrom,
    pub balance: Balance,
    pub counted: Counted,
    pub at: Timestamp,
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum InvoiceCommand {
    Issue(Box<IssueInvoice>),
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InvoiceError {
    #[error("series {series} is of the legal entity '{of}'")]
    SeriesTaken { series: String, of: String },
    #[error("'{0}' is no series")]
    NotASeries(String),
    #[error("there is nothing to invoice")]
    Nothing,
    #[error("what was paid is not what was charged")]
    NotPaid,
}

impl Refusal for InvoiceError {
    fn code(&self) -> &'static str {
        match self {
            Self::SeriesTaken { .. } => "series_taken",
            Self::NotASeries(_) => "legal_entity_invalid",
            Self::Nothing => "nothing_to_invoice",
            Self::NotPaid => "invoice_not_paid_for",
        }
    }
}

/// How many papers were numbered, by year.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Numbers(BTreeMap<i16, u32>);

impl Numbers {
    /// Year and number of the paper after the last, at an instant. Years do not go back, whatever a clock does.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> (i16, u32) {
        let this: i16 =
            at.to_string().get(..4).and_then(|year| year.parse().ok()).unwrap_or_default();
        let year = self.0.keys().next_back().map_or(this, |last| this.max(*last));
        (year, self.0.get(&year).copied().unwrap_or_default() + 1)
    }

    /// What is remembered of the next one.
    pub(crate) fn take(&mut self, at: Timestamp) {
        let (year, number) = self.next(at);
        self.0.insert(year, number);
    }

    /// Where in its stream the paper with a year and number is, counted from 1; `None` when there is none.
    #[must_use]
    pub fn sequence(&self, (year, number): (i16, u32)) -> Option<i64> {
        let issued = self.0.get(&year).copied().unwrap_or_default();
        let before: i64 = self.0.range(..year).map(|(_, count)| i64::from(*count)).sum();
        (1..=issued).contains(&number).then(|| before + i64::from(number))
    }
}

/// A number as it stands on a paper: six digits at least.
#[must_use]
pub fn number(series: &str, (year, number): (i16, u32)) -> String {
    format!("{series}-{year:04}-{number:06}")
}

/// Series, year and number of a paper's number; the series of a credit note ends in `-C`.
#[must_use]
pub fn parse_number(text: &str) -> Option<(&str, (i16, u32))> {
    let (rest, last) = text.rsplit_once('-')?;
    let (series, year) = rest.rsplit_once('-')?;
    let read = (year.parse().ok()?, last.parse().ok()?);
    (number(series, read) == text).then_some((series, read))
}

/// What is remembered of a series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct InvoiceSeries {
    /// Code of the legal entity that it is of.
    pub entity: Option<String>,
    pub numbers: Numbers,
    /// To whom the last one was issued.
    pub last: Option<OrganisationId>,
}

impl Decider for InvoiceSeries {
    const TYPE: &'static str = "invoice_series";
    const IS_SHARED: bool = true;
    type Command = InvoiceCommand;
    type Event = InvoiceEvent;
    type Error = InvoiceError;

    fn decide(&self, command: InvoiceCommand) -> Result<Vec<InvoiceEvent>, InvoiceError> {
        let InvoiceCommand::Issue(wish) = command;
        let invoice = Box::new(self.issue(*wish)?);
        Ok(vec![InvoiceEvent::Issued { invoice }])
    }

    fn evolve(mut self, event: InvoiceEvent) -> Self {
        let InvoiceEvent::Issued { invoice } = event;
        self.numbers.take(invoice.issued_at);
        self.entity = Some(invoice.issuer.code);
        self.last = Some(invoice.organisation_id);
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.last.map(Subject::organisation)
    }
}

cqrs_aggregate!(InvoiceSeries);

impl InvoiceSeries {
    fn issue(&self, wish: IssueInvoice) -> Result<Invoice, InvoiceError> {
        if !is_series(&wish.series) {
            return Err(InvoiceError::NotASeries(wish.series));
        }
        if let Some(of) = self.entity.as_ref().filter(|of| **of != wish.issuer.code) {
            return Err(InvoiceError::SeriesTaken { series: wish.series, of: of.clone() });
        }
        if wish.charged.is_empty() {
            return Err(InvoiceError::Nothing);
        }
        let (lines, taxes, totals) = paper::lines(wish.charged);
        Ok(Invoice {
            number: number(&wish.series, self.numbers.next(wish.at)),
            issuer: wish.issuer,
            organisation_id: wish.organisation_id,
            customer: wish.customer,
            currency: wish.currency,
            month: wish.month,
            issued_at: wish.at,
            lines,
            taxes,
            totals,
            paid: wish.paid_from.paid(totals.gross)?,
            balance: wish.balance,
            counted: wish.counted,
        })
    }
}

impl PaidFrom {
    fn paid(self, gross: Amount) -> Result<Paid, InvoiceError> {
        let parts = [self.prepaid_nanos, self.promotional_nanos, self.owed_nanos];
        if parts.iter().sum::<Nanos>() != gross.nanos {
            return Err(InvoiceError::NotPaid);
        }
        let cents = in_cents(&parts, gross.cents);
        let amount = |at: usize| Amount { nanos: parts[at], cents: cents[at] };
        Ok(Paid { prepaid: amount(0), promotional: amount(1), owed: amount(2) })
    }
}

impl Paid {
    /// What it is made of.
    #[must_use]
    pub const fn from(&self) -> PaidFrom {
        PaidFrom {
            prepaid_nanos: self.prepaid.nanos,
            promotional_nanos: self.promotional.nanos,
            owed_nanos: self.owed.nanos,
        }
    }
}
