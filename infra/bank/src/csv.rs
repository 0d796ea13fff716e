//! A statement as comma-separated values: a header of known names, one account and one currency, oldest first.
//!
//! | column | |
//! |---|---|
//! | `booked_on` | a day, `2026-10-31` |
//! | `amount` | a decimal with a point; less than zero is money that went |
//! | `currency` | ISO 4217, the same on every line |
//! | `reference` | the bank's own name of the line; may be empty |
//! | `valued_on` | a day; as booked when absent or empty |
//! | `end_to_end` | what whoever paid called it; may be empty |
//! | `text` | whatever else |
//! | `balance` | what there is after the line; on every line, or no column |
//!
//! The last four may be left out; any other name is refused, since nobody knows what it would change. With `balance` the
//! statement proves itself line by line.
use cairn_core::Nanos;
use cairn_core::money::parse_nanos;
use cairn_finance::statement::day;
use cairn_finance::{Balances, Statement, StatementLine};
use csv::{ReaderBuilder, StringRecord};

use crate::{LINES_MAX, ReadError};

const NEEDED: [&str; 4] = ["booked_on", "amount", "currency", "reference"];
const OPTIONAL: [&str; 4] = ["valued_on", "end_to_end", "text", "balance"];

/// The statement of a file.
pub fn statement(text: &str) -> Result<Statement, ReadError> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let columns = Columns::of(reader.headers().map_err(malformed)?)?;
    let mut rows: Vec<Row> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        if rows.len() == LINES_MAX {
            return Err(ReadError::TooLarge);
        }
        let line = record.position().map_or(0, csv::Position::line);
        let row = columns.row(&record).and_then(|row| row.after(rows.last()));
        rows.push(row.map_err(|message| ReadError::Line { line, message })?);
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        let message = "there is nothing under the header, so nobody knows which days it covers";
        return Err(ReadError::Line { line: 1, message: message.to_owned() });
    };
    let balances =
        first.balance_nanos.zip(last.balance_nanos).and_then(|(after, closing_nanos)| {
            let opening_nanos = after.checked_sub(first.line.amount_nanos)?;
            Some(Balances { opening_nanos, closing_nanos })
        });
    Ok(Statement {
        statement_id: None,
        bank_account: None,
        currency: first.currency.clone(),
        balances,
        days: (first.line.booked_on, last.line.booked_on),
        lines: rows.into_iter().map(|row| row.line).collect(),
    })
}

struct Row {
    line: StatementLine,
    currency: String,
    balance_nanos: Option<Nanos>,
}

impl Row {
    /// This row, if it may follow that one.
    fn after(self, before: Option<&Self>) -> Result<Self, String> {
        let Some(before) = before else { return Ok(self) };
        if self.currency != before.currency {
            let (here, there) = (&self.currency, &before.currency);
            return Err(format!(
                "it is in {here}, the line above in {there}: one file, one currency"
            ));
        }
        if self.line.booked_on < before.line.booked_on {
            return Err(
                "it is booked before the line above: the oldest line comes first".to_owned()
            );
        }
        let Some((before_nanos, after_nanos)) = before.balance_nanos.zip(self.balance_nanos) else {
            return Ok(self);
        };
        let due = i128::from(before_nanos) + i128::from(self.line.amount_nanos);
        let missing = i128::from(after_nanos) - due;
        if missing == 0 {
            return Ok(self);
        }
        let missing =
            cairn_core::money::format_nanos(Nanos::try_from(missing).unwrap_or(Nanos::MAX));
        Err(format!(
            "its balance is not that of the line above and its amount: it is off by {missing}"
        ))
    }
}

/// Where each column is.
struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, ReadError> {
        let refuse = |message: String| Err(ReadError::Line { line: 1, message });
        let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let known = || NEEDED.iter().chain(&OPTIONAL);
        for (place, name) in names.iter().enumerate() {
            if !known().any(|known| known == name) {
                let known: Vec<&str> = known().copied().collect();
                return refuse(format!("the column '{name}' is not one of {}", known.join(", ")));
            }
            if names[..place].contains(name) {
                return refuse(format!("the column '{name}' is there twice"));
            }
        }
        for name in NEEDED {
            if !names.iter().any(|known| known == name) {
                return refuse(format!("the column '{name}' is missing"));
            }
        }
        Ok(Self { names })
    }

    /// What a row says under a name; nothing when it is empty.
    fn text<'a>(&self, record: &'a StringRecord, name: &str) -> Option<&'a str> {
        let place = self.names.iter().position(|known| known == name)?;
        record.get(place).map(str::trim).filter(|text| !text.is_empty())
    }

    fn row(&self, record: &StringRecord) -> Result<Row, String> {
        let text = |name: &str| self.text(record, name);
        let needed = |name: &str| text(name).ok_or_else(|| format!("{name} is empty"));
        let a_day = |name: &str, said: &str| {
            day(said).ok_or_else(|| format!("{name}: '{said}' is no day such as 2026-10-31"))
        };
        let nanos =
            |name: &str, said: &str| parse_nanos(said).map_err(|error| format!("{name}: {error}"));
        let booked_on = a_day("booked_on", needed("booked_on")?)?;
        let valued_on = match text("valued_on") {
            Some(said) => a_day("valued_on", said)?,
            None => booked_on,
        };
        let proves_itself = self.names.iter().any(|name| name == "balance");
        let balance_nanos = match proves_itself {
            true => Some(nanos("balance", needed("balance")?)?),
            false => None,
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        let line = StatementLine {
            reference: owned("reference"),
            booked_on,
            valued_on,
            amount_nanos: nanos("amount", needed("amount")?)?,
            end_to_end: owned("end_to_end"),
            text: crate::plain(text("text").unwrap_or_default()),
        };
        Ok(Row { line, currency: needed("currency")?.to_owned(), balance_nanos })
    }
}

fn malformed(error: csv::Error) -> ReadError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} values, the header {expected_len}")
        }
        _ => error.to_string(),
    };
    ReadError::Line { line, message }
}
