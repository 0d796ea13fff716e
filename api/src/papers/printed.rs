//! A paper for people: what the PDF says.
use cairn_core::Timestamp;
use cairn_core::money::format_nanos;
use cairn_core::tax::format_percent;
use cairn_documents::{Paper, Party, Table, TableColumn};
use cairn_finance::paper::{Amount, Line, LineTax, TaxTotal, Totals};
use cairn_finance::rounding::NANOS_PER_CENT;
use cairn_finance::{CreditNote, Customer, Invoice, Issuer, ReverseCharge};

use super::Issued;

impl Issued {
    /// What is drawn.
    pub(super) fn printed(&self) -> Paper {
        match self {
            Self::Invoice(invoice) => of_invoice(invoice),
            Self::CreditNote(note) => of_credit_note(note),
        }
    }
}

fn of_invoice(invoice: &Invoice) -> Paper {
    let Invoice { number, currency, paid, balance, counted, .. } = invoice;
    let mut notes = reverse(&invoice.reverse_charges(), invoice.customer.as_ref());
    notes.extend([
        format!(
            "Paid from money that was paid in before: {}; from promotional credit: {}; still owed: {}.",
            shown(paid.prepaid),
            shown(paid.promotional),
            shown(paid.owed)
        ),
        format!(
            "In the wallet when the month began: {}; when it ended: {}.",
            format_nanos(balance.opening_nanos),
            format_nanos(balance.closing_nanos)
        ),
    ]);
    notes.extend(exact(&invoice.totals));
    notes.push(format!("Counted up to position {} of the log.", counted.position));
    Paper {
        title: format!("Invoice {number}"),
        parties: parties(&invoice.issuer, invoice.customer.as_ref()),
        facts: facts(&[
            ("Number", number),
            ("Issued on", &day(invoice.issued_at)),
            ("Month", &invoice.month.to_string()),
            ("Customer", &invoice.organisation_id.to_string()),
            ("Currency", currency.code()),
        ]),
        tables: [Some(used(invoice)), taxes(&invoice.taxes)].into_iter().flatten().collect(),
        totals: totals(&invoice.totals, currency.code()),
        notes,
    }
}

fn of_credit_note(note: &CreditNote) -> Paper {
    let CreditNote { number, currency, .. } = note;
    let rows = note.lines.iter().map(|line| {
        let what = (line.line.to_string(), line.product.clone());
        vec![what.0, what.1, shown(line.net), shown(tax_of(&line.taxes)), shown(line.gross)]
    });
    let lines = Table {
        title: "What is given back".to_owned(),
        columns: vec![
            number_column("Line of the invoice", 80),
            text_column("What", 200),
            number_column("Net", 70),
            number_column("Tax", 70),
            number_column("Gross", 75),
        ],
        rows: rows.collect(),
    };
    let mut notes = reverse(&note.reverse_charges(), note.customer.as_ref());
    notes.push(format!("Reason: {}", note.reason));
    let owed = note.correction.as_ref().map_or(0, |correction| correction.owed_nanos);
    if owed > 0 {
        let (owed, currency) = (format_nanos(owed), currency.code());
        notes.push(format!("Of it, {owed} {currency} were not paid, and are owed no longer."));
    }
    notes.extend(exact(&note.totals));
    Paper {
        title: format!("Credit note {number}"),
        parties: parties(&note.issuer, note.customer.as_ref()),
        facts: facts(&[
            ("Number", number),
            ("To invoice", &note.invoice.number),
            ("Issued on", &day(note.issued_at)),
            ("Month", &note.invoice.month.to_string()),
            ("Customer", &note.organisation_id.to_string()),
            ("Currency", currency.code()),
        ]),
        tables: [Some(lines), taxes(&note.taxes)].into_iter().flatten().collect(),
        totals: totals(&note.totals, currency.code()),
        notes,
    }
}

/// The price of an hour, and what is off it.
fn per_hour(line: &Line) -> String {
    let discount =
        line.discount_bps.map(|bps| format!("-{} %", format_percent(bps.saturating_mul(100))));
    let shown = line.nanos_per_hour.map(format_nanos).into_iter().chain(discount);
    shown.collect::<Vec<_>>().join(" ")
}

fn used(invoice: &Invoice) -> Table {
    let rows = (1..).zip(&invoice.lines).map(|(at, line)| {
        let sku = line.sku_id.iter().map(String::as_str);
        let what = [&line.product, line.resource.as_str()].into_iter().chain(sku);
        vec![
            at.to_string(),
            what.collect::<Vec<_>>().join(" "),
            format!("{} to {}", second(line.from), second(line.to)),
            line.seconds.to_string(),
            per_hour(line),
            shown(line.net),
            shown(tax_of(&line.taxes)),
            shown(line.gross),
        ]
    });
    Table {
        title: "What was used".to_owned(),
        columns: vec![
            number_column("#", 20),
            text_column("What", 168),
            text_column("From, to (UTC)", 92),
            number_column("Seconds", 44),
            number_column("Per hour", 50),
            number_column("Net", 40),
            number_column("Tax", 38),
            number_column("Gross", 43),
        ],
        rows: rows.collect(),
    }
}

fn taxes(taxes: &[TaxTotal]) -> Option<Table> {
    let row = |tax: &TaxTotal| {
        let rate = format!("{} %", tax.percent());
        vec![tax.jurisdiction.clone(), rate, shown(tax.base), shown(tax.amount)]
    };
    let table = Table {
        title: "Taxes".to_owned(),
        columns: vec![
            text_column("Jurisdiction", 200),
            number_column("Rate", 95),
            number_column("On", 100),
            number_column("Tax", 100),
        ],
        rows: taxes.iter().map(row).collect(),
    };
    (!table.rows.is_empty()).then_some(table)
}

fn totals(totals: &Totals, currency: &str) -> Vec<(String, String)> {
    let named = [("Net", totals.net), ("Taxes", totals.tax), ("Total", totals.gross)];
    let named =
        named.map(|(name, amount)| (name.to_owned(), format!("{} {currency}", shown(amount))));
    named.into()
}

/// Said of each tax that the customer owes itself.
fn reverse(owed: &[ReverseCharge], customer: Option<&Customer>) -> Vec<String> {
    let tax_id = customer.map(|customer| customer.tax_id.as_str());
    let says = |it: &ReverseCharge| format!("{}. It is on {}.", it.says(tax_id), shown(it.base));
    owed.iter().map(says).collect()
}

/// Said when cents are not all of it.
fn exact(totals: &Totals) -> Option<String> {
    let Totals { net, tax, gross } = totals;
    let is_whole = [net, tax, gross].iter().all(|a| a.nanos == a.cents * NANOS_PER_CENT);
    let [net, tax, gross] = [net, tax, gross].map(|amount| format_nanos(amount.nanos));
    (!is_whole).then(|| format!("In the books: net {net}, taxes {tax}, total {gross}."))
}

fn parties(issuer: &Issuer, customer: Option<&Customer>) -> Vec<Party> {
    let mut parties = vec![party("Issued by", &issuer.name, &issuer.address, &issuer.tax_id)];
    parties.extend(customer.map(|customer| {
        let mut party = party("To", &customer.name, &customer.address, &customer.tax_id);
        party.lines.push(customer.country.clone());
        party
    }));
    parties
}

fn party(role: &str, name: &str, address: &str, tax_id: &str) -> Party {
    let mut lines = vec![name.to_owned()];
    lines.extend(address.lines().map(str::to_owned));
    lines.extend((!tax_id.is_empty()).then(|| format!("Tax id {tax_id}")));
    Party { role: role.to_owned(), lines }
}

fn facts(facts: &[(&str, &str)]) -> Vec<(String, String)> {
    facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text_column(title: &str, share: u16) -> TableColumn {
    TableColumn { title: title.to_owned(), share, is_number: false }
}

fn number_column(title: &str, share: u16) -> TableColumn {
    TableColumn { title: title.to_owned(), share, is_number: true }
}

fn tax_of(taxes: &[LineTax]) -> Amount {
    taxes.iter().map(|tax| tax.amount).sum()
}

/// Two decimals; what it is part of adds up in these.
fn shown(amount: Amount) -> String {
    format_nanos(amount.cents * NANOS_PER_CENT)
}

/// `2026-10-31`
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// `2026-10-31 23:59:00`
fn second(at: Timestamp) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}
