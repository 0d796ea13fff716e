//! One paper, as a file, to the address that its organisation has papers sent to; without one, or when the server will never take that one, to
//! everybody who sees to the organisation's money. The file is made here: nothing that waits holds it.
use cairn_core::OrganisationId;
use cairn_core::money::format_nanos;
use cairn_finance::paper::Amount;
use cairn_finance::rounding::NANOS_PER_CENT;
use cairn_finance::{CreditNote, Invoice};
use cairn_identity::Organisation;

use crate::finance::{FinanceError, credit_notes, entity, invoices};
use crate::ports::{Attachment, Mail, PortError};
use crate::processes::PaperKind;

use super::Act;
use super::act::failure;
use super::send_mail::{UNCONFIGURED, hand_over, message_id, who_sees_to_money};

/// Said to the others when the address for papers is none.
const REFUSED: &str = "\nThe address of your billing details does not take it: set another one\n\
    (PUT /v1/organisation/billing).\n";

pub(super) async fn send_paper(
    act: &Act<'_>,
    organisation_id: OrganisationId,
    (paper, number): (PaperKind, &str),
) -> Result<(), PortError> {
    let organisation = act.load::<Organisation>(&organisation_id.to_string()).await?;
    let Some(name) = act.executor.personal().open(&organisation.name).await? else {
        return Ok(());
    };
    let name = if name.is_empty() { organisation_id.to_string() } else { name };
    let customer = entity::customer(act.executor, organisation_id).await.map_err(unread)?;
    let billing = customer.map(|customer| customer.email).filter(|email| !email.is_empty());
    let others = who_sees_to_money(act, organisation).await?;
    if billing.is_none() && others.is_empty() {
        return Ok(());
    }
    let (subject, text) = words(act, paper, number).await?;
    let text = format!("Organisation: {name}\n\n{text}");
    let bytes = act.effects.papers.pdf(number, organisation_id).await?;
    let file = Attachment { name: format!("{number}.pdf"), media_type: "application/pdf", bytes };
    let mail = |nth: usize, to: &str, text: String| Mail {
        message_id: message_id(act, nth),
        to: to.to_owned(),
        subject: subject.clone(),
        text,
        attachments: vec![file.clone()],
    };
    let (mut refused, mut note) = (None, "");
    if let Some(to) = &billing {
        match hand_over(act, mail(0, to, text.clone())).await? {
            Ok(()) => return Ok(()),
            Err(error) => refused = Some(error),
        }
        note = REFUSED;
    }
    let mut taken = false;
    for (nth, to) in (usize::from(billing.is_some())..).zip(&others) {
        match hand_over(act, mail(nth, to, format!("{text}{note}"))).await? {
            Ok(()) => taken = true,
            Err(error) => refused = Some(error),
        }
    }
    // Nobody has it: an operator sees to the address. Where no e-mail leaves at all, papers are fetched.
    match refused {
        Some(error) if !taken && error.code != UNCONFIGURED => Err(error),
        _ => Ok(()),
    }
}

async fn words(
    act: &Act<'_>,
    paper: PaperKind,
    number: &str,
) -> Result<(String, String), PortError> {
    Ok(match paper {
        PaperKind::Invoice => {
            of_invoice(&invoices::get(act.executor, number).await.map_err(unread)?)
        }
        PaperKind::CreditNote => {
            of_credit_note(&credit_notes::get(act.executor, number).await.map_err(unread)?)
        }
    })
}

fn of_invoice(invoice: &Invoice) -> (String, String) {
    let Invoice { number, month, currency, totals, paid, .. } = invoice;
    let [gross, tax, owed] = [totals.gross, totals.tax, paid.owed].map(shown);
    let paid = match paid.owed.cents {
        0 => "It was paid from your balance: there is nothing to pay.\n".to_owned(),
        _ => format!("The rest was paid from your balance; {owed} {currency} of it are owed.\n"),
    };
    let text = format!(
        "Invoice {number} for {month} is attached.\n\n\
         Total: {gross} {currency}, of which taxes: {tax} {currency}.\n{paid}"
    );
    (format!("Invoice {number}"), text)
}

fn of_credit_note(note: &CreditNote) -> (String, String) {
    let CreditNote { number, invoice, currency, totals, .. } = note;
    let (of, [gross, tax]) = (&invoice.number, [totals.gross, totals.tax].map(shown));
    let back = match note.correction.as_ref().map(|correction| correction.owed_nanos) {
        None => "are given back into your balance".to_owned(),
        Some(0) => "were given back into your balance when your usage was corrected".to_owned(),
        Some(owed_nanos) => {
            let owed = format_nanos(owed_nanos);
            format!(
                "were taken back when your usage was corrected: {owed} {currency} are owed no longer, and the rest is in your balance"
            )
        }
    };
    let text = format!(
        "Credit note {number} to invoice {of} is attached.\n\n\
         {gross} {currency}, of which taxes: {tax} {currency}, {back}.\n"
    );
    (format!("Credit note {number}"), text)
}

/// Two decimals, as on the paper.
fn shown(amount: Amount) -> String {
    format_nanos(amount.cents * NANOS_PER_CENT)
}

/// What stands in the way of reading a paper.
pub(super) fn unread(error: FinanceError) -> PortError {
    match error {
        FinanceError::Port(error) => error,
        FinanceError::Case(error) => failure(error),
        FinanceError::Database(error) => PortError::transient("unavailable", error.to_string()),
        FinanceError::BadPeriod(_) | FinanceError::Corrupt(_) => {
            PortError::permanent("internal", error.to_string())
        }
    }
}
