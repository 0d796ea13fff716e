//! Credit notes: what was wrong with an invoice is given back, and the paper says so. The process `credit_invoice` moves the money; what a
//! correction of usage has given back before, it has put on paper.
use cairn_core::Timestamp;
use cairn_finance::credit_note::{Correction, Creditable, IssueCreditNote, Wanted, credit_series};
use cairn_finance::invoice::parse_number;
use cairn_finance::{
    CreditNote, CreditNoteCommand, CreditNoteEvent, CreditNoteSeries, Invoice, Issuer, LegalEntity,
};
use serde_json::json;

use super::{FinanceError, entity, invoices};
use crate::answers::{first_answer, refused};
use crate::{CommandContext, Commands, Executed, Executor};

/// What is to be given back, and why.
#[derive(Debug, Clone)]
pub struct Credit {
    /// Number of the invoice.
    pub invoice: String,
    /// How much of it.
    pub wanted: Wanted,
    /// Why; it stands on the paper.
    pub reason: String,
}

/// Issues a credit note to an invoice. A repeat under the same command id issues none.
///
/// # Errors
/// [`FinanceError::Case`] with `unknown_invoice`, `unknown_invoice_line`, `credit_exceeds_invoice`, `amount_not_positive`,
/// `not_whole_minor_units` or `reason_needed`.
pub async fn issue(
    commands: &Commands,
    context: &CommandContext,
    input: Credit,
) -> Result<(CreditNote, Executed), FinanceError> {
    let executor = &commands.executor;
    let done = match first_answer(commands, context).await? {
        Some(first) => first?,
        None => send(commands, context, input).await?,
    };
    let stream = (done.aggregate_id.as_str(), done.sequence);
    let gone = || FinanceError::Corrupt(format!("no credit note at position {}", done.position));
    let note = read(executor, stream).await?.ok_or_else(gone)?;
    Ok((note, done))
}

async fn send(
    commands: &Commands,
    context: &CommandContext,
    input: Credit,
) -> Result<Executed, FinanceError> {
    let executor = &commands.executor;
    let invoice = invoices::get(executor, &input.invoice).await?;
    let Credit { wanted, reason, .. } = input;
    let wish = wish(executor, &invoice, (wanted, reason), commands.clock.now()).await?;
    append(executor, context, wish).await
}

/// Issues the note about a correction of what was invoiced: paper alone, and one for each entry that has moved the money.
///
/// # Errors
/// [`FinanceError::Case`] with `credit_exceeds_invoice`, or something cannot be read.
pub(crate) async fn about(
    executor: &Executor,
    context: &CommandContext,
    (invoice, correction, reason): (&Invoice, Correction, String),
    at: Timestamp,
) -> Result<(), FinanceError> {
    let (line, amount_nanos) = (Some(correction.line), Some(correction.gross_nanos()));
    let wanted = Wanted { line, amount_nanos };
    let wish = wish(executor, invoice, (wanted, reason), at).await?;
    let wish = IssueCreditNote { correction: Some(correction), ..wish };
    append(executor, context, wish).await.map(drop)
}

async fn wish(
    executor: &Executor,
    invoice: &Invoice,
    (wanted, reason): (Wanted, String),
    at: Timestamp,
) -> Result<IssueCreditNote, FinanceError> {
    let (series, _) = parse_number(&invoice.number).unwrap_or_default();
    Ok(IssueCreditNote {
        series: series.to_owned(),
        issuer: today(executor, &invoice.issuer).await?,
        organisation_id: invoice.organisation_id,
        customer: entity::customer(executor, invoice.organisation_id).await?,
        currency: invoice.currency,
        invoice: Creditable::of(invoice),
        wanted,
        correction: None,
        reason,
        at,
    })
}

async fn append(
    executor: &Executor,
    context: &CommandContext,
    wish: IssueCreditNote,
) -> Result<Executed, FinanceError> {
    let organisation_id = Some(wish.organisation_id);
    let context = CommandContext { organisation_id, ..context.clone() };
    let (stream, result) = (credit_series(&wish.series), json!({ "invoice": wish.invoice.number }));
    let issue = CreditNoteCommand::Issue(Box::new(wish));
    Ok(executor.execute::<CreditNoteSeries>(&stream, issue, &context, result).await?)
}

/// The issuer of an invoice as it is today.
async fn today(executor: &Executor, issuer: &Issuer) -> Result<Issuer, FinanceError> {
    let (entity, _) = executor.load::<LegalEntity>(&issuer.code).await?;
    Ok(entity.issuer.unwrap_or_else(|| issuer.clone()))
}

/// The credit note with a number, as it is stored: personal texts are sealed.
///
/// # Errors
/// [`FinanceError::Case`] with `unknown_invoice`, or something cannot be read.
pub async fn get(executor: &Executor, number: &str) -> Result<CreditNote, FinanceError> {
    let unknown = || {
        let why = format!("there is no credit note {number}");
        FinanceError::Case(refused("unknown_invoice", why))
    };
    let (series, place) = parse_number(number).ok_or_else(unknown)?;
    let (known, _) = executor.load::<CreditNoteSeries>(series).await?;
    let sequence = known.numbers.sequence(place).ok_or_else(unknown)?;
    read(executor, (series, sequence)).await?.ok_or_else(unknown)
}

async fn read(
    executor: &Executor,
    (series, sequence): (&str, i64),
) -> Result<Option<CreditNote>, FinanceError> {
    let stream = ("credit_note_series", series);
    let found = executor.log().load_some(stream, sequence - 1, 1).await?.pop();
    let Some(found) = found.filter(|found| found.sequence == sequence) else { return Ok(None) };
    let CreditNoteEvent::Issued { credit_note } = found.decode()?;
    Ok(Some(*credit_note))
}
