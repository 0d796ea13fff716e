//! The lines of a paper as rows: one for each, with what stands on it and what the books have. The last column is there where a customer owes a
//! tax itself; a paper without that is the file that it was before there was such a column.
use cairn_core::{Nanos, Tax, Timestamp};
use cairn_documents::{Cell, Column};
use cairn_finance::ReverseCharge;
use cairn_finance::paper::{Amount, LineTax};
use cairn_finance::rounding::NANOS_PER_CENT;

use super::Issued;

const COLUMNS: &[Column] = &[
    Column::text("number"),
    Column::text("kind"),
    Column::text("invoice"),
    Column::text("month"),
    Column::timestamp("issued_at"),
    Column::text("organisation_id"),
    Column::integer("line"),
    Column::text("product"),
    Column::text("resource"),
    Column::text("sku_id"),
    Column::timestamp("from"),
    Column::timestamp("to"),
    Column::integer("seconds"),
    Column::amount("per_hour"),
    Column::amount("discount_percent"),
    Column::text("jurisdictions"),
    Column::amount("net"),
    Column::amount("tax"),
    Column::amount("gross"),
    Column::amount("net_in_books"),
    Column::amount("tax_in_books"),
    Column::amount("gross_in_books"),
    Column::text("currency"),
    Column::text("reverse_charge"),
];

/// What stands on every row.
struct Head<'a> {
    number: &'a str,
    kind: &'static str,
    invoice: Option<&'a str>,
    month: String,
    issued_at: Timestamp,
    organisation_id: String,
    currency: &'static str,
}

/// What a line is about, as far as the paper says.
#[derive(Default)]
struct About<'a> {
    resource: Option<&'a str>,
    sku_id: Option<&'a str>,
    from_to: Option<(Timestamp, Timestamp)>,
    seconds: Option<i64>,
    nanos_per_hour: Option<Nanos>,
    discount_bps: Option<u32>,
}

impl Issued {
    /// What its rows have.
    pub(super) fn columns(&self) -> &'static [Column] {
        let left_out = usize::from(self.reverse_charges().is_empty());
        &COLUMNS[..COLUMNS.len() - left_out]
    }

    /// Its lines, in its order.
    pub(super) fn rows(&self) -> Vec<Vec<Cell>> {
        let mut rows = self.lines();
        let owed = self.reverse_charges();
        if !owed.is_empty() {
            let says = self.taxes().into_iter().map(|tax| self.says(tax, &owed));
            rows.iter_mut().zip(says).for_each(|(row, says)| row.push(says));
        }
        rows
    }

    fn lines(&self) -> Vec<Vec<Cell>> {
        let head = self.head();
        match self {
            Self::Invoice(invoice) => {
                let rows = (1_u32..).zip(&invoice.lines).map(|(at, line)| {
                    let about = About {
                        resource: Some(&line.resource),
                        sku_id: line.sku_id.as_deref(),
                        from_to: Some((line.from, line.to)),
                        seconds: Some(line.seconds),
                        nanos_per_hour: line.nanos_per_hour,
                        discount_bps: line.discount_bps,
                    };
                    head.row((at, &line.product), &about, (line.net, &line.taxes, line.gross))
                });
                rows.collect()
            }
            Self::CreditNote(note) => {
                let rows = note.lines.iter().map(|line| {
                    let amounts = (line.net, &line.taxes[..], line.gross);
                    head.row((line.line, &line.product), &About::default(), amounts)
                });
                rows.collect()
            }
        }
    }

    /// The tax that each of its lines was sold with.
    fn taxes(&self) -> Vec<Option<&Tax>> {
        match self {
            Self::Invoice(invoice) => invoice.lines.iter().map(|line| line.tax.as_ref()).collect(),
            Self::CreditNote(note) => note.lines.iter().map(|line| note.tax_of(line)).collect(),
        }
    }

    fn reverse_charges(&self) -> Vec<ReverseCharge> {
        match self {
            Self::Invoice(invoice) => invoice.reverse_charges(),
            Self::CreditNote(note) => note.reverse_charges(),
        }
    }

    fn says(&self, tax: Option<&Tax>, owed: &[ReverseCharge]) -> Cell {
        let customer = match self {
            Self::Invoice(invoice) => invoice.customer.as_ref(),
            Self::CreditNote(note) => note.customer.as_ref(),
        };
        let tax_id = customer.map(|customer| customer.tax_id.as_str());
        let says = tax.and_then(|tax| owed.iter().find(|it| it.is_of(tax)));
        says.map_or(Cell::Empty, |it| Cell::Text(it.says(tax_id)))
    }

    fn head(&self) -> Head<'_> {
        match self {
            Self::Invoice(invoice) => Head {
                number: &invoice.number,
                kind: "invoice",
                invoice: None,
                month: invoice.month.to_string(),
                issued_at: invoice.issued_at,
                organisation_id: invoice.organisation_id.to_string(),
                currency: invoice.currency.code(),
            },
            Self::CreditNote(note) => Head {
                number: &note.number,
                kind: "credit_note",
                invoice: Some(&note.invoice.number),
                month: note.invoice.month.to_string(),
                issued_at: note.issued_at,
                organisation_id: note.organisation_id.to_string(),
                currency: note.currency.code(),
            },
        }
    }
}

impl Head<'_> {
    fn row(
        &self,
        (line, product): (u32, &str),
        about: &About<'_>,
        (net, taxes, gross): (Amount, &[LineTax], Amount),
    ) -> Vec<Cell> {
        let tax: Amount = taxes.iter().map(|tax| tax.amount).sum();
        let jurisdictions: Vec<_> = taxes.iter().map(|tax| tax.jurisdiction.as_str()).collect();
        let text = |text: &str| Cell::Text(text.to_owned());
        let shown = |amount: Amount| Cell::Amount(amount.cents * NANOS_PER_CENT);
        let at = |at: Option<Timestamp>| at.map_or(Cell::Empty, Cell::Timestamp);
        vec![
            text(self.number),
            text(self.kind),
            Cell::maybe_text(self.invoice),
            text(&self.month),
            Cell::Timestamp(self.issued_at),
            text(&self.organisation_id),
            Cell::Integer(line.into()),
            text(product),
            Cell::maybe_text(about.resource),
            Cell::maybe_text(about.sku_id),
            at(about.from_to.map(|(from, _)| from)),
            at(about.from_to.map(|(_, to)| to)),
            about.seconds.map_or(Cell::Empty, Cell::Integer),
            about.nanos_per_hour.map_or(Cell::Empty, Cell::Amount),
            about
                .discount_bps
                .map_or(Cell::Empty, |bps| Cell::Amount(i64::from(bps) * NANOS_PER_CENT)),
            text(&jurisdictions.join(" ")),
            shown(net),
            shown(tax),
            shown(gross),
            Cell::Amount(net.nanos),
            Cell::Amount(tax.nanos),
            Cell::Amount(gross.nanos),
            text(self.currency),
        ]
    }
}
