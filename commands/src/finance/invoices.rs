//! Invoices of a closed month: one for each organisation and currency that used something in it.
//!
//! [`issue()`] may be run again, and beside itself: what an invoice is of is its command id, so the log takes it once, and the number is the
//! stream's own. A rental has a line for each part of the month in which it was sold as one SKU at one price. A month that was opened again and closed with more in it gets another invoice about the rest.
mod charged;
mod parts;

use cairn_core::{Currency, Month, OrganisationId};
use cairn_finance::invoice::{Counted, IssueInvoice, invoice_command, parse_number};
use cairn_finance::{Invoice, InvoiceCommand, InvoiceEvent, InvoiceSeries, Issuer, Period};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::Executor as _;

use self::charged::Found;
use super::{FinanceError, entity};
use crate::answers::{first_answer, refused};
use crate::{CommandContext, Commands, Executed, Executor};

/// Whose money, in which currency.
type Wallet = (OrganisationId, Currency);

/// Which charges an invoice counts.
struct Counting {
    month: Month,
    counted: Counted,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Issued {
    /// Numbers of the invoices that it issued.
    pub numbers: Vec<String>,
    /// Numbers of those that were there.
    pub before: Vec<String>,
}

/// What is remembered of an invoice under its command id.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    counted_position: i64,
}

/// Who issues what.
struct Run<'a> {
    commands: &'a Commands,
    context: &'a CommandContext,
    issuer: Issuer,
    series: String,
    month: Month,
}

/// Issues the invoices of a closed month that are not issued yet.
///
/// # Errors
/// [`FinanceError::Case`] with `period_not_closed`, `legal_entity_missing` or `series_taken`; the others when something cannot be read.
/// What was issued until then stays, and a repeat goes on from there.
pub async fn issue(
    commands: &Commands,
    context: &CommandContext,
    month: Month,
) -> Result<Issued, FinanceError> {
    let executor = &commands.executor;
    let (period, _) = executor.load::<Period>(&month.to_string()).await?;
    if !period.closed {
        let why = format!("{month} is not closed; `cairn finance close {month}` does that");
        return Err(FinanceError::Case(refused("period_not_closed", why)));
    }
    let (issuer, series) = entity::default(executor).await?;
    let run = Run { commands, context, issuer, series, month };
    let mut issued = Issued::default();
    for wallet in charged::wallets(executor, month).await? {
        run.issue_to(wallet, &mut issued).await?;
    }
    Ok(issued)
}

impl Run<'_> {
    /// Goes through the invoices of one wallet until nothing is left of the month.
    async fn issue_to(&self, wallet: Wallet, issued: &mut Issued) -> Result<(), FinanceError> {
        let mut after_position = 0;
        for part in 1.. {
            let context = self.context_of(wallet, part);
            let done = match first_answer(self.commands, &context).await? {
                Some(first) => first?,
                None => {
                    let Some(wish) = self.wish(wallet, (part, after_position)).await? else {
                        break;
                    };
                    self.send(&context, wish).await?
                }
            };
            let answer: Answer = serde_json::from_value(done.result.clone())
                .map_err(|error| FinanceError::Corrupt(error.to_string()))?;
            after_position = answer.counted_position;
            let numbers = if done.replayed { &mut issued.before } else { &mut issued.numbers };
            numbers.push(at(&self.commands.executor, &done).await?.number);
        }
        Ok(())
    }

    /// The same for every run: the log takes it once, whoever comes first.
    fn context_of(&self, wallet: Wallet, part: u32) -> CommandContext {
        let (command_id, organisation_id) = (invoice_command(self.month, wallet, part), wallet.0);
        CommandContext {
            body_hash: Sha256::digest(&command_id).into(),
            command_id,
            organisation_id: Some(organisation_id),
            ..self.context.clone()
        }
    }

    /// What there is to invoice; `None` when nothing is. Everything is read as it is at one position.
    async fn wish(
        &self,
        wallet: Wallet,
        (part, after_position): (u32, i64),
    ) -> Result<Option<IssueInvoice>, FinanceError> {
        let executor = &self.commands.executor;
        let mut transaction = executor.log().pool().begin().await?;
        transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let position = charged::head(&mut transaction).await?;
        let counted = Counted { part, after_position, position };
        let found = charged::found(&mut transaction, (wallet, self.month), counted).await?;
        let balance = charged::balance(&mut transaction, (wallet, self.month), position).await?;
        transaction.rollback().await?;
        let Found { holds, paid_from } = found;
        if holds.is_empty() {
            return Ok(None);
        }
        let (month, mut lines) = (self.month, vec![]);
        for hold in holds {
            lines.extend(charged::lines(executor, hold, &Counting { month, counted }).await?);
        }
        lines.sort_by(|one, other| (one.from, &one.resource).cmp(&(other.from, &other.resource)));
        let (organisation_id, currency) = wallet;
        Ok(Some(IssueInvoice {
            series: self.series.clone(),
            issuer: self.issuer.clone(),
            organisation_id,
            customer: entity::customer(executor, organisation_id).await?,
            currency,
            month,
            charged: lines,
            paid_from,
            balance,
            counted,
            at: self.commands.clock.now(),
        }))
    }

    async fn send(
        &self,
        context: &CommandContext,
        wish: IssueInvoice,
    ) -> Result<Executed, FinanceError> {
        let result = json!(Answer { counted_position: wish.counted.position });
        let issue = InvoiceCommand::Issue(Box::new(wish));
        let executor = &self.commands.executor;
        Ok(executor.execute::<InvoiceSeries>(&self.series, issue, context, result).await?)
    }
}

/// The invoice with a number, as it is stored: personal texts are sealed.
///
/// # Errors
/// [`FinanceError::Case`] with `unknown_invoice`, or something cannot be read.
pub async fn get(executor: &Executor, number: &str) -> Result<Invoice, FinanceError> {
    let unknown = || {
        let why = format!("there is no invoice {number}");
        FinanceError::Case(refused("unknown_invoice", why))
    };
    let (series, place) = parse_number(number).ok_or_else(unknown)?;
    let (known, _) = executor.load::<InvoiceSeries>(series).await?;
    let sequence = known.numbers.sequence(place).ok_or_else(unknown)?;
    read(executor, (series, sequence)).await?.ok_or_else(unknown)
}

/// The invoice that a command issued.
async fn at(executor: &Executor, done: &Executed) -> Result<Invoice, FinanceError> {
    let stream = (done.aggregate_id.as_str(), done.sequence);
    let gone = || FinanceError::Corrupt(format!("no invoice at position {}", done.position));
    read(executor, stream).await?.ok_or_else(gone)
}

async fn read(
    executor: &Executor,
    (series, sequence): (&str, i64),
) -> Result<Option<Invoice>, FinanceError> {
    let stream = ("invoice_series", series);
    let found = executor.log().load_some(stream, sequence - 1, 1).await?.pop();
    let Some(found) = found.filter(|found| found.sequence == sequence) else { return Ok(None) };
    let InvoiceEvent::Issued { invoice } = found.decode()?;
    Ok(Some(*invoice))
}
