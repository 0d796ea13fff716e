//! A series of credit notes: one event for each that was issued. The stream's id is what its numbers begin with, for example `CN-C`.
//!
//! Lifecycle and numbers are those of a [series of invoices](crate::invoice). A credit note gives back what an invoice was paid with money,
//! whole or in part, of one line or of all, and never more than is left of it. It remembers what the invoice said, so that what is left is
//! decided here alone; the wallet takes the money in afterwards, once. A note about a correction of usage is paper alone: the money is back
//! when it is issued, exact to the nano, and so is the paper. It may take back what the invoice said is owed, too.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::money::format_nanos;
use cairn_core::upcast::Upcast;
use cairn_core::{
    Currency, Decider, Month, Nanos, OrganisationId, Refusal, Subject, Tax, Text, Texts, Timestamp,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::billing::Customer;
use crate::entity::Issuer;
use crate::invoice::{Invoice, Numbers, number};
use crate::paper::{Exact, LineTax, TaxTotal, Totals, rounded};
use crate::rounding::{NANOS_PER_CENT, apportion, cents};

/// Stream of the credit notes to the invoices of a series.
#[must_use]
pub fn credit_series(series: &str) -> String {
    format!("{series}-C")
}

/// What of an invoice decides how much may be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creditable {
    /// Its number.
    pub number: String,
    /// Its month.
    pub month: Month,
    /// Of it, paid with money that was paid in.
    pub prepaid_nanos: Nanos,
    /// Its lines, in its order.
    pub lines: Vec<CreditableLine>,
}

/// What a line of an invoice consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CreditableLine {
    pub product: String,
    pub net_nanos: Nanos,
    /// By jurisdiction.
    pub taxes: Vec<(String, Nanos)>,
    /// The tax that it was sold with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
}

impl Creditable {
    /// Of an invoice.
    #[must_use]
    pub fn of(invoice: &Invoice) -> Self {
        let lines = invoice.lines.iter().map(|line| {
            let tax = |tax: &LineTax| (tax.jurisdiction.clone(), tax.amount.nanos);
            CreditableLine {
                product: line.product.clone(),
                net_nanos: line.net.nanos,
                taxes: line.taxes.iter().map(tax).collect(),
                tax: line.tax.clone(),
            }
        });
        Self {
            number: invoice.number.clone(),
            month: invoice.month,
            prepaid_nanos: invoice.paid.prepaid.nanos,
            lines: lines.collect(),
        }
    }

    /// Net and taxes of every line, one after the other.
    fn parts(&self) -> Vec<Nanos> {
        let parts = self.lines.iter().flat_map(|line| {
            std::iter::once(line.net_nanos).chain(line.taxes.iter().map(|(_, nanos)| *nanos))
        });
        parts.collect()
    }

    /// The parts of one line in the order of those, by what a correction says; nothing of the others.
    fn parts_of(&self, correction: &Correction) -> Vec<Nanos> {
        let parts = (1_u32..).zip(&self.lines).flat_map(|(at, line)| {
            let ours = at == correction.line;
            let net_nanos = if ours { correction.net_nanos } else { 0 };
            let of = |jurisdiction: &String| {
                let mine = correction.taxes.iter().filter(|(at, _)| ours && at == jurisdiction);
                mine.map(|(_, nanos)| nanos).sum::<Nanos>()
            };
            let taxes = line.taxes.iter().map(|(jurisdiction, _)| of(jurisdiction));
            std::iter::once(net_nanos).chain(taxes).collect::<Vec<_>>()
        });
        parts.collect()
    }

    /// For each of those, the line that it is of, from 1.
    fn line_of_part(&self) -> Vec<u32> {
        let lines = (1_u32..).zip(&self.lines);
        lines.flat_map(|(at, line)| vec![at; 1 + line.taxes.len()]).collect()
    }
}

/// How much is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Of this line alone, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In whole cents; all that is left when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_nanos: Option<Nanos>,
}

/// A correction of usage that was on an invoice. The wallet has given back what it was paid with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The entry that did: there is one note for it.
    pub entry: String,
    /// Of which line of the invoice, from 1.
    pub line: u32,
    /// Without tax.
    pub net_nanos: Nanos,
    /// By jurisdiction.
    pub taxes: Vec<(String, Nanos)>,
    /// Of both, what was not paid and is owed no longer.
    pub owed_nanos: Nanos,
}

impl Correction {
    /// Tax included.
    #[must_use]
    pub fn gross_nanos(&self) -> Nanos {
        self.net_nanos + self.taxes.iter().map(|(_, nanos)| nanos).sum::<Nanos>()
    }
}

/// One line of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CreditLine {
    /// Which line of the invoice, from 1.
    pub line: u32,
    pub product: String,
    pub net: crate::paper::Amount,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<LineTax>,
    pub gross: crate::paper::Amount,
}

/// A credit note as it was issued. All its amounts are given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CreditNote {
    /// For example `CN-C-2026-000001`.
    pub number: String,
    pub issuer: Issuer,
    pub organisation_id: OrganisationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    pub currency: Currency,
    /// What it credits.
    pub invoice: Creditable,
    pub wanted: Wanted,
    /// The correction that it is about; it moves no money then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    pub issued_at: Timestamp,
    pub reason: String,
    pub lines: Vec<CreditLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<TaxTotal>,
    pub totals: Totals,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum CreditNoteEvent {
    #[serde(rename = "credit_note.issued")]
    Issued { credit_note: Box<CreditNote> },
}

domain_event!(CreditNoteEvent {
    Issued => "credit_note.issued", 2;
} upcasts [
    // In version 1 every note moves its money.
    Upcast { event_type: "credit_note.issued", from: 1, to_next: std::convert::identity },
]);

impl Texts for CreditNoteEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("credit_note.number", Text::Kept),
        ("credit_note.issuer.code", Text::Kept),
        ("credit_note.issuer.name", Text::Reported),
        ("credit_note.issuer.address", Text::Address),
        ("credit_note.issuer.tax_id", Text::Reported),
        ("credit_note.organisation_id", Text::Kept),
        ("credit_note.customer.name", Text::Name),
        ("credit_note.customer.address", Text::Name),
        ("credit_note.customer.country", Text::Kept),
        ("credit_note.customer.tax_id", Text::Name),
        ("credit_note.customer.email", Text::Name),
        ("credit_note.currency", Text::Kept),
        ("credit_note.invoice.number", Text::Kept),
        ("credit_note.invoice.month", Text::Kept),
        ("credit_note.invoice.lines[].product", Text::Kept),
        ("credit_note.invoice.lines[].taxes[][]", Text::Kept),
        ("credit_note.invoice.lines[].tax.rate.jurisdiction", Text::Kept),
        ("credit_note.invoice.lines[].tax.name", Text::Kept),
        ("credit_note.invoice.lines[].tax.treatment", Text::Kept),
        ("credit_note.correction.entry", Text::Kept),
        ("credit_note.correction.taxes[][]", Text::Kept),
        ("credit_note.issued_at", Text::Kept),
        ("credit_note.reason", Text::Said),
        ("credit_note.lines[].product", Text::Kept),
        ("credit_note.lines[].taxes[].jurisdiction", Text::Kept),
        ("credit_note.taxes[].jurisdiction", Text::Kept),
    ];
}

/// A credit note that is wished for.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct IssueCreditNote {
    /// Of the invoice.
    pub series: String,
    pub issuer: Issuer,
    pub organisation_id: OrganisationId,
    pub customer: Option<Customer>,
    pub currency: Currency,
    pub invoice: Creditable,
    pub wanted: Wanted,
    /// What it is about, in place of what is wanted.
    pub correction: Option<Correction>,
    pub reason: String,
    pub at: Timestamp,
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum CreditNoteCommand {
    Issue(Box<IssueCreditNote>),
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CreditNoteError {
    #[error("amount must be more than zero")]
    AmountNotPositive,
    #[error("a credit note is over whole cents; {0} is not")]
    NotWholeCents(String),
    #[error("{left} is left to credit, and {wanted} was asked for")]
    Exceeds { left: String, wanted: String },
    #[error("the invoice has no line {0}")]
    UnknownLine(u32),
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
}

impl Refusal for CreditNoteError {
    fn code(&self) -> &'static str {
        match self {
            Self::AmountNotPositive => "amount_not_positive",
            Self::NotWholeCents(_) => "not_whole_minor_units",
            Self::Exceeds { .. } => "credit_exceeds_invoice",
            Self::UnknownLine(_) => "unknown_invoice_line",
            Self::ReasonNeeded => "reason_needed",
        }
    }
}

/// What is remembered of a series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CreditNoteSeries {
    pub numbers: Numbers,
    /// By the number of its invoice, what was given back of net and taxes of every line, one after the other.
    pub credited: BTreeMap<String, Vec<Nanos>>,
    /// By the number of its invoice, what of that was owed and not paid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub owed: BTreeMap<String, Nanos>,
    /// Entries whose notes were issued.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub entries: BTreeSet<String>,
    pub last: Option<OrganisationId>,
}

impl Decider for CreditNoteSeries {
    const TYPE: &'static str = "credit_note_series";
    const IS_SHARED: bool = true;
    type Command = CreditNoteCommand;
    type Event = CreditNoteEvent;
    type Error = CreditNoteError;

    fn decide(&self, command: CreditNoteCommand) -> Result<Vec<CreditNoteEvent>, CreditNoteError> {
        let CreditNoteCommand::Issue(wish) = command;
        let is_known = |it: &Correction| self.entries.contains(&it.entry);
        if wish.correction.as_ref().is_some_and(is_known) {
            return Ok(vec![]);
        }
        if wish.reason.trim().is_empty() || wish.reason.chars().count() > 500 {
            return Err(CreditNoteError::ReasonNeeded);
        }
        let given = match &wish.correction {
            Some(correction) => self.corrected(&wish.invoice, correction)?,
            None => self.given_back(&wish.invoice, wish.wanted)?,
        };
        let credit_note = Box::new(self.issue(*wish, &given));
        Ok(vec![CreditNoteEvent::Issued { credit_note }])
    }

    fn evolve(mut self, event: CreditNoteEvent) -> Self {
        let CreditNoteEvent::Issued { credit_note } = event;
        self.numbers.take(credit_note.issued_at);
        let parts = credit_note.invoice.parts().len();
        let given = credit_note.parts();
        if let Some(Correction { entry, owed_nanos, .. }) = credit_note.correction {
            *self.owed.entry(credit_note.invoice.number.clone()).or_default() += owed_nanos;
            self.entries.insert(entry);
        }
        let credited =
            self.credited.entry(credit_note.invoice.number).or_insert_with(|| vec![0; parts]);
        credited.iter_mut().zip(given).for_each(|(sum, more)| *sum += more);
        self.last = Some(credit_note.organisation_id);
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.last.map(Subject::organisation)
    }
}

cqrs_aggregate!(CreditNoteSeries);

impl CreditNoteSeries {
    /// What is given back of net and taxes of every line.
    fn given_back(
        &self,
        invoice: &Creditable,
        wanted: Wanted,
    ) -> Result<Vec<Nanos>, CreditNoteError> {
        let (left, money_nanos) = self.left(invoice, wanted.line)?;
        let left_nanos = left.iter().sum::<Nanos>().min(money_nanos);
        Ok(apportion(amount(wanted.amount_nanos, left_nanos)?, &left))
    }

    /// What is left of net and taxes of every line, or of one, and of what was paid with money.
    fn left(
        &self,
        invoice: &Creditable,
        wanted: Option<u32>,
    ) -> Result<(Vec<Nanos>, Nanos), CreditNoteError> {
        let parts = invoice.parts();
        let none = vec![0; parts.len()];
        let before = self.credited.get(&invoice.number).unwrap_or(&none);
        if let Some(line) = wanted.filter(|line| !invoice.line_of_part().contains(line)) {
            return Err(CreditNoteError::UnknownLine(line));
        }
        let chosen = |line: u32| wanted.is_none_or(|wanted| wanted == line);
        let left = invoice.line_of_part().into_iter().zip(parts.iter().zip(before));
        let left = left.map(|(line, (all, gone))| if chosen(line) { all - gone } else { 0 });
        let owed_nanos = self.owed.get(&invoice.number).copied().unwrap_or_default();
        let paid_back_nanos = before.iter().sum::<Nanos>() - owed_nanos;
        Ok((left.collect(), invoice.prepaid_nanos - paid_back_nanos))
    }

    /// What the note of a correction says of net and taxes of every line: what was corrected, and no more than is left. What the rounding
    /// of an earlier note took of one part is taken of another.
    ///
    /// # Errors
    /// Less is left.
    pub fn corrected(
        &self,
        invoice: &Creditable,
        correction: &Correction,
    ) -> Result<Vec<Nanos>, CreditNoteError> {
        let (left, money_nanos) = self.left(invoice, Some(correction.line))?;
        let gross_nanos = correction.gross_nanos();
        let paid_nanos = gross_nanos - correction.owed_nanos;
        let room_nanos =
            left.iter().sum::<Nanos>().min(money_nanos.max(0) + correction.owed_nanos).max(0);
        if paid_nanos < 0 || gross_nanos <= 0 {
            return Err(CreditNoteError::AmountNotPositive);
        }
        if gross_nanos > room_nanos {
            let (left, wanted) = (format_nanos(room_nanos), format_nanos(gross_nanos));
            return Err(CreditNoteError::Exceeds { left, wanted });
        }
        let wanted = invoice.parts_of(correction).into_iter().zip(&left);
        let mut given: Vec<Nanos> = wanted.map(|(wanted, left)| wanted.min(*left)).collect();
        let mut rest = gross_nanos - given.iter().sum::<Nanos>();
        for (given, left) in given.iter_mut().zip(&left) {
            let more = rest.min(left - *given);
            *given += more;
            rest -= more;
        }
        Ok(given)
    }

    fn issue(&self, wish: IssueCreditNote, given: &[Nanos]) -> CreditNote {
        let mut parts = given.iter().copied();
        let exact = wish.invoice.lines.iter().map(|line| {
            let net_nanos = parts.next().unwrap_or_default();
            let taxes =
                line.taxes.iter().map(|(at, _)| (at.clone(), parts.next().unwrap_or_default()));
            let taxes = taxes.filter(|(_, nanos)| *nanos != 0).collect();
            Exact { net_nanos, taxes, rate: line.tax.as_ref().and_then(Tax::due) }
        });
        let (lines, taxes, totals) = rounded(&exact.collect::<Vec<_>>());
        let lines = (1_u32..).zip(lines).zip(&wish.invoice.lines);
        let lines = lines.map(|((line, shown), of)| CreditLine {
            line,
            product: of.product.clone(),
            net: shown.net,
            taxes: shown.taxes,
            gross: shown.gross,
        });
        CreditNote {
            number: number(&credit_series(&wish.series), self.numbers.next(wish.at)),
            issuer: wish.issuer,
            organisation_id: wish.organisation_id,
            customer: wish.customer,
            currency: wish.currency,
            wanted: wish.wanted,
            correction: wish.correction,
            issued_at: wish.at,
            reason: wish.reason,
            lines: lines.filter(|line| line.gross.nanos != 0).collect(),
            taxes,
            totals,
            invoice: wish.invoice,
        }
    }
}

impl CreditNote {
    /// What it gives back of net and taxes of every line of the invoice, one after the other.
    fn parts(&self) -> Vec<Nanos> {
        let of_line = |at: u32| self.lines.iter().find(|line| line.line == at);
        let parts = (1_u32..).zip(&self.invoice.lines).flat_map(|(at, line)| {
            let given = of_line(at);
            let net = given.map_or(0, |given| given.net.nanos);
            let tax = move |(jurisdiction, _): &(String, Nanos)| {
                let taxes = given.map(|given| &given.taxes);
                let tax =
                    taxes.and_then(|all| all.iter().find(|it| it.jurisdiction == *jurisdiction));
                tax.map_or(0, |tax| tax.amount.nanos)
            };
            std::iter::once(net).chain(line.taxes.iter().map(tax)).collect::<Vec<_>>()
        });
        parts.collect()
    }
}

/// What is given back of what is left. Whoever asks for what is left as it is shown, in cents, means all of it.
fn amount(wanted_nanos: Option<Nanos>, left_nanos: Nanos) -> Result<Nanos, CreditNoteError> {
    let left = format_nanos(left_nanos.max(0));
    let wanted = match wanted_nanos {
        None if left_nanos > 0 => return Ok(left_nanos),
        None => return Err(CreditNoteError::Exceeds { left, wanted: "all".to_owned() }),
        Some(wanted) => wanted,
    };
    if wanted <= 0 {
        return Err(CreditNoteError::AmountNotPositive);
    }
    if wanted % NANOS_PER_CENT != 0 {
        return Err(CreditNoteError::NotWholeCents(format_nanos(wanted)));
    }
    if left_nanos > 0 && wanted / NANOS_PER_CENT == cents(left_nanos) {
        return Ok(left_nanos);
    }
    if wanted > left_nanos {
        return Err(CreditNoteError::Exceeds { left, wanted: format_nanos(wanted) });
    }
    Ok(wanted)
}
