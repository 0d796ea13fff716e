//! Where what a correction takes back was charged: in months that are open, and on invoices. The last of it goes first, each part as an entry
//! of its own, to a falling total; an invoice's is followed by a credit note.
//!
//! It is found in the books each time, so whoever goes through it again after an interruption goes on where it ended.
use std::collections::BTreeMap;

use cairn_compute::Allocation;
use cairn_core::money::format_nanos;
use cairn_core::{
    Currency, Decider as _, HoldId, Month, Nanos, OrganisationId, Refusal as _, Timestamp, chart,
};
use cairn_event_log::Outcome;
use cairn_finance::credit_note::{Correction, Creditable, credit_series};
use cairn_finance::invoice::{invoice_command, parse_number};
use cairn_finance::paper::Line;
use cairn_finance::{CreditNoteSeries, Invoice, InvoiceEvent, InvoiceSeries, Period};
use cairn_ledger::{
    CorrectCharge, Hold, Invoiced, OffInvoice, Wallet, WalletCommand, off_invoice, wallet_id,
};

use crate::{ExecuteError, Executor};

/// Income account of rentals.
pub(crate) const PRODUCT: &str = "compute";

/// A code and why.
pub(super) type Refused = (&'static str, String);

/// One entry: down to a total.
#[derive(Debug)]
pub(crate) struct Part {
    pub total_nanos: Nanos,
    /// The seconds that the total is for.
    pub seconds: i64,
    /// Of an open month, when it was charged last in it.
    pub charged_at: Option<Timestamp>,
    /// What of an invoice it takes back.
    pub invoiced: Option<Invoiced>,
}

/// What the books have of one place that charges are found in.
struct Place {
    nanos: Nanos,
    charged_at: Timestamp,
}

/// What an invoice has of one rental: its lines, with what each comes to.
struct OnInvoice {
    number: String,
    lines: Vec<(u32, Nanos)>,
}

/// What is being taken back of one rental, and where its charges are.
struct Search<'a> {
    executor: &'a Executor,
    rental: &'a Allocation,
    resource: String,
    whose: (OrganisationId, Currency),
    total_nanos: Nanos,
    /// Charged, less what was found so far.
    left_nanos: Nanos,
    seconds: i64,
    parts: Vec<Part>,
}

/// What a rental is to be given back beyond what it has cost by its meter, part by part; nothing when nothing is.
///
/// # Errors
/// The refusal `usage_invoiced`, inside; [`ExecuteError::Unavailable`] also while the books are behind the log.
pub(crate) async fn parts(
    executor: &Executor,
    rental: &Allocation,
) -> Result<Result<Vec<Part>, Refused>, ExecuteError> {
    let known = rental.organisation_id.zip(rental.price).zip(rental.placement);
    let Some(((owner, price), placement)) = known else { return Ok(Ok(vec![])) };
    let whose = (owner, price.currency);
    let (wallet, sequence) = executor.load::<Wallet>(&wallet_id(owner, price.currency)).await?;
    let hold = wallet.holds.get(&placement.hold_id.to_string());
    let charged_nanos = hold.map_or(0, Hold::charged_nanos);
    let total_nanos = rental.total_nanos().unwrap_or(Nanos::MAX);
    if charged_nanos <= total_nanos {
        return Ok(Ok(vec![]));
    }
    let found = charged(executor, (whose, placement.hold_id), sequence).await?;
    if found.values().map(|place| place.nanos).sum::<Nanos>() != charged_nanos {
        return Err(ExecuteError::Unavailable("the books are behind the log".to_owned()));
    }
    let resource = cairn_core::AllocationId::from_bits(placement.hold_id.bits()).to_string();
    let mut search = Search {
        executor,
        rental,
        resource,
        whose,
        total_nanos,
        left_nanos: charged_nanos,
        seconds: rental.seconds_for(charged_nanos).map_err(too_large)?,
        parts: vec![],
    };
    for (place, here) in found.iter().rev() {
        let Ok(month) = place.parse::<Month>() else { continue };
        if let Err(refused) = search.month(month, here, &found).await? {
            return Ok(Err(refused));
        }
    }
    let behind = "the charges are not all in the books".to_owned();
    match search.left_nanos > total_nanos {
        true => Err(ExecuteError::Unavailable(behind)),
        false => Ok(Ok(search.parts)),
    }
}

fn too_large(error: cairn_core::MoneyError) -> ExecuteError {
    ExecuteError::Internal(error.to_string())
}

impl Search<'_> {
    /// What of a month is on no invoice yet, and then what is, the latest invoice first.
    async fn month(
        &mut self,
        month: Month,
        here: &Place,
        found: &BTreeMap<String, Place>,
    ) -> Result<Result<(), Refused>, ExecuteError> {
        if self.left_nanos <= self.total_nanos {
            return Ok(Ok(()));
        }
        let invoices = self.invoices(month).await?;
        let lines = invoices.iter().flat_map(|on_invoice| &on_invoice.lines);
        let on_invoices: Nanos = lines.map(|(_, gross_nanos)| gross_nanos).sum();
        let open_nanos = self.fits(here.nanos - on_invoices);
        if open_nanos > 0 {
            let (period, _) = self.executor.load::<Period>(&month.to_string()).await?;
            if period.closed {
                return Ok(Err(("usage_invoiced", self.pending(open_nanos, month))));
            }
            self.take(open_nanos, (Some(here.charged_at), None))?;
        }
        for on_invoice in invoices.into_iter().rev() {
            self.lines(on_invoice, found)?;
        }
        Ok(Ok(()))
    }

    /// What was taken back of an invoice before was taken of its last lines, so these go first.
    fn lines(
        &mut self,
        on_invoice: OnInvoice,
        found: &BTreeMap<String, Place>,
    ) -> Result<(), ExecuteError> {
        let OnInvoice { number, lines } = on_invoice;
        let mut gone_nanos = -found.get(&number).map_or(0, |place| place.nanos);
        for (line, gross_nanos) in lines.into_iter().rev() {
            let before_nanos = gone_nanos.min(gross_nanos).max(0);
            gone_nanos -= before_nanos;
            let nanos = self.fits(gross_nanos - before_nanos);
            if nanos > 0 {
                self.take(nanos, (None, Some((number.clone(), line))))?;
            }
        }
        Ok(())
    }

    fn fits(&self, nanos: Nanos) -> Nanos {
        nanos.clamp(0, self.left_nanos - self.total_nanos)
    }

    fn pending(&self, nanos: Nanos, month: Month) -> String {
        let (back, currency) = (format_nanos(nanos), self.whose.1);
        format!(
            "{back} {currency} of it was charged in {month}, which is closed and not invoiced: issue its invoices first"
        )
    }

    fn take(
        &mut self,
        nanos: Nanos,
        (charged_at, on_invoice): (Option<Timestamp>, Option<(String, u32)>),
    ) -> Result<(), ExecuteError> {
        self.left_nanos -= nanos;
        let seconds = match self.left_nanos == self.total_nanos {
            true => self.rental.metered_seconds(),
            false => self.rental.seconds_for(self.left_nanos).map_err(too_large)?,
        };
        let taken = self.seconds - seconds;
        self.seconds = seconds;
        let of = |(invoice, line)| Invoiced { invoice, seconds: taken, line: Some(line) };
        let invoiced = on_invoice.map(of);
        let total_nanos = self.left_nanos;
        self.parts.push(Part { total_nanos, seconds, charged_at, invoiced });
        Ok(())
    }

    /// The invoices of a month with lines for this rental.
    async fn invoices(&self, month: Month) -> Result<Vec<OnInvoice>, ExecuteError> {
        let mut found = vec![];
        for part in 1.. {
            let command_id = invoice_command(month, self.whose, part);
            let Some((stored, _)) = self.executor.log().outcome(&command_id).await? else { break };
            if matches!(stored.outcome, Outcome::Refused { .. }) {
                break;
            }
            let at = (stored.aggregate_id.as_str(), stored.sequence);
            let Some(invoice) = read(self.executor, at).await? else { break };
            let lines = lines_of(&invoice, &self.resource);
            let lines: Vec<_> = lines.map(|(at, line)| (at, gross(line))).collect();
            found.push(OnInvoice { number: invoice.number, lines });
        }
        Ok(found)
    }
}

fn lines_of<'a>(invoice: &'a Invoice, resource: &str) -> impl Iterator<Item = (u32, &'a Line)> {
    (1_u32..).zip(&invoice.lines).filter(move |(_, line)| line.resource == resource)
}

fn gross(line: &Line) -> Nanos {
    line.net.nanos + line.taxes.iter().map(|tax| tax.amount.nanos).sum::<Nanos>()
}

async fn read(
    executor: &Executor,
    (series, sequence): (&str, i64),
) -> Result<Option<Invoice>, ExecuteError> {
    let stream = (InvoiceSeries::TYPE, series);
    let found = executor.log().load_some(stream, sequence - 1, 1).await?.pop();
    let Some(found) = found.filter(|found| found.sequence == sequence) else { return Ok(None) };
    let InvoiceEvent::Issued { invoice } = found.decode()?;
    Ok(Some(*invoice))
}

/// What was charged to a hold in each month, by its name, and taken back of each invoice, by its number: up to an event of its wallet.
async fn charged(
    executor: &Executor,
    (whose, hold_id): ((OrganisationId, Currency), HoldId),
    sequence: i64,
) -> Result<BTreeMap<String, Place>, ExecuteError> {
    let (owner, currency) = whose;
    let accounts = [
        chart::wallet_paid(owner, currency),
        chart::wallet_promo(owner, currency),
        chart::receivable_overrun(owner, currency),
    ];
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN t.kind = 'invoice_corrected' THEN split_part(t.source_id, ':', 4)
                       ELSE to_char(t.effective_on, 'YYYY-MM') END AS "place!",
                  (extract(epoch FROM max(t.occurred_at)) * 1000000)::bigint AS "micros!",
                  sum(p.amount_nanos)::bigint AS "nanos!"
           FROM ledger_postings p JOIN ledger_journal_transactions t USING (position) JOIN events e USING (position)
           WHERE p.account = ANY ($1) AND t.kind IN ('usage', 'overrun', 'usage_corrected', 'invoice_corrected')
             AND split_part(t.source_id, ':', 1) = $2 AND e.sequence <= $3
           GROUP BY 1"#,
        &accounts[..],
        hold_id.to_string(),
        sequence
    );
    let rows = rows.fetch_all(executor.log().pool()).await;
    let rows = rows.map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
    let place = |nanos, micros| Place { nanos, charged_at: Timestamp::from_micros(micros) };
    Ok(rows.into_iter().map(|row| (row.place, place(row.nanos, row.micros))).collect())
}

/// Why a part cannot be put on paper, if one cannot: asked before anything is changed.
pub(super) async fn beyond(
    executor: &Executor,
    rental: &Allocation,
    (parts, at): (&[Part], Timestamp),
) -> Result<Option<Refused>, ExecuteError> {
    let known = rental.organisation_id.zip(rental.price).zip(rental.placement);
    let Some(((owner, price), placement)) = known else { return Ok(None) };
    if parts.iter().all(|part| part.invoiced.is_none()) {
        return Ok(None);
    }
    let (mut wallet, _) = executor.load::<Wallet>(&wallet_id(owner, price.currency)).await?;
    for part in parts {
        let correct = part.command(placement.hold_id, at);
        let events = match wallet.decide(correct) {
            Ok(events) => events,
            Err(error) => return Ok(Some((error.code(), error.to_string()))),
        };
        for off in events.iter().filter_map(off_invoice) {
            if let Some(refused) = paper(executor, &off).await? {
                return Ok(Some(refused));
            }
        }
        wallet = wallet.evolve_all(events);
    }
    Ok(None)
}

async fn paper(executor: &Executor, off: &OffInvoice) -> Result<Option<Refused>, ExecuteError> {
    let number = &off.invoiced.invoice;
    let Some((series, place)) = parse_number(number) else { return Ok(None) };
    let (known, _) = executor.load::<InvoiceSeries>(series).await?;
    let Some(sequence) = known.numbers.sequence(place) else { return Ok(None) };
    let Some(invoice) = read(executor, (series, sequence)).await? else { return Ok(None) };
    let Some(correction) = correction(&invoice, off) else { return Ok(None) };
    let (notes, _) = executor.load::<CreditNoteSeries>(&credit_series(series)).await?;
    let judged = notes.corrected(&Creditable::of(&invoice), &correction);
    Ok(judged.err().map(|error| (error.code(), format!("of {number} {error}"))))
}

/// What the note of a correction says, on the line that it is of.
pub(crate) fn correction(invoice: &Invoice, off: &OffInvoice) -> Option<Correction> {
    let resource = cairn_core::AllocationId::from_bits(off.hold_id.bits()).to_string();
    let of = |(line, _): &(u32, &Line)| off.invoiced.line.is_none_or(|at| at == *line);
    let (line, _) = lines_of(invoice, &resource).filter(of).last()?;
    Some(Correction {
        entry: off.entry.clone(),
        line,
        net_nanos: off.net_nanos,
        taxes: off.tax.iter().cloned().collect(),
        owed_nanos: off.owed_nanos,
    })
}

impl Part {
    /// What is asked of the wallet.
    pub(crate) fn command(&self, hold_id: HoldId, at: Timestamp) -> WalletCommand {
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id,
            total_nanos: self.total_nanos,
            seconds: self.seconds,
            product: PRODUCT.to_owned(),
            charged_at: self.charged_at,
            invoiced: self.invoiced.clone(),
            at,
        })
    }
}
