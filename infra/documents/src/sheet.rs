//! A table of typed columns, written row by row. Amounts are exact in every format, and no text becomes a formula.
//!
//! | | CSV | XLSX | Parquet |
//! |---|---|---|---|
//! | text | as it is; `'` before what a spreadsheet would compute | text, never a formula | `STRING` |
//! | amount | nine decimals | a number to compute with, and `<name>_exact` beside it as text with nine decimals | `DECIMAL(19, 9)` |
//! | date | `2026-10-31` | a date | `DATE` |
//! | timestamp | RFC 3339 | RFC 3339: a date of a spreadsheet has no zone and no microseconds | `TIMESTAMP(MICROS, UTC)` |
//! | integer | digits | a number; text past 15 digits | `INT64` |
mod book;
mod columnar;
mod lines;

use std::io::Write;

use cairn_core::{Nanos, Timestamp};
use time::Date;

use book::Book;
use columnar::Columnar;
use lines::Lines;

/// What a sheet is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheetFormat {
    /// Comma-separated lines, UTF-8, as they come.
    Csv,
    /// A workbook of one sheet; kept in memory until it is finished, at most 1,048,575 rows.
    Xlsx,
    /// Columns in groups of rows; one group is kept in memory.
    Parquet,
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An amount of money, exact.
    Amount,
    /// A day.
    Date,
    /// An instant.
    Timestamp,
    /// A whole number.
    Integer,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name; no two of a sheet have the same.
    pub name: &'static str,
    /// What its cells are.
    pub kind: Kind,
}

impl Column {
    /// A column of texts.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// A column of amounts.
    #[must_use]
    pub const fn amount(name: &'static str) -> Self {
        Self { name, kind: Kind::Amount }
    }

    /// A column of days.
    #[must_use]
    pub const fn date(name: &'static str) -> Self {
        Self { name, kind: Kind::Date }
    }

    /// A column of instants.
    #[must_use]
    pub const fn timestamp(name: &'static str) -> Self {
        Self { name, kind: Kind::Timestamp }
    }

    /// A column of whole numbers.
    #[must_use]
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing, in a column of any kind.
    Empty,
    /// Any text.
    Text(String),
    /// 10⁻⁹ of the currency's unit.
    Amount(Nanos),
    /// A day.
    Date(Date),
    /// An instant.
    Timestamp(Timestamp),
    /// A whole number.
    Integer(i64),
}

impl Cell {
    /// A text, or nothing.
    #[must_use]
    pub fn maybe_text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Empty, |text| Self::Text(text.into()))
    }

    const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Empty => None,
            Self::Text(_) => Some(Kind::Text),
            Self::Amount(_) => Some(Kind::Amount),
            Self::Date(_) => Some(Kind::Date),
            Self::Timestamp(_) => Some(Kind::Timestamp),
            Self::Integer(_) => Some(Kind::Integer),
        }
    }
}

/// Why a sheet was not written.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// Wherever it goes took no more.
    #[error("the sheet could not be written: {0}")]
    Output(#[from] std::io::Error),
    /// A row is not what the columns say.
    #[error("row {row} does not fit the columns: {says}")]
    Row {
        /// Counted from 1, without the header.
        row: u64,
        /// In which way.
        says: String,
    },
    /// A sheet of XLSX ends there.
    #[error("a sheet of XLSX has at most {0} rows below its header: take CSV or Parquet")]
    TooManyRows(u64),
    /// The format takes something not.
    #[error("the sheet could not be made: {0}")]
    Format(String),
}

enum Written<'a> {
    Lines(Box<Lines<'a>>),
    Book(Box<Book<'a>>),
    Columnar(Box<Columnar<'a>>),
}

/// A sheet that is being written.
pub struct Sheet<'a> {
    columns: &'static [Column],
    rows: u64,
    written: Written<'a>,
}

/// Where a sheet goes.
type Out<'a> = &'a mut (dyn Write + Send);

impl<'a> Sheet<'a> {
    /// Begins a sheet: its name, where the format has one (at most 31 letters), and its header.
    ///
    /// # Errors
    /// [`SheetError`]
    pub fn begin(
        format: SheetFormat,
        (name, columns): (&str, &'static [Column]),
        out: Out<'a>,
    ) -> Result<Self, SheetError> {
        let written = match format {
            SheetFormat::Csv => Written::Lines(Box::new(Lines::begin(columns, out)?)),
            SheetFormat::Xlsx => Written::Book(Box::new(Book::begin(name, columns, out)?)),
            SheetFormat::Parquet => {
                Written::Columnar(Box::new(Columnar::begin(name, columns, out)?))
            }
        };
        Ok(Self { columns, rows: 0, written })
    }

    /// Adds a row: one cell for each column, of its kind or empty.
    ///
    /// # Errors
    /// [`SheetError`]; what was written until then is no whole sheet.
    pub fn row(&mut self, cells: Vec<Cell>) -> Result<(), SheetError> {
        self.rows += 1;
        let (row, wanted) = (self.rows, self.columns.len());
        if cells.len() != wanted {
            let says = format!("{} cells for {wanted} columns", cells.len());
            return Err(SheetError::Row { row, says });
        }
        let fits = |(column, cell): &(&Column, &Cell)| cell.kind().is_none_or(|k| k == column.kind);
        if let Some((column, _)) = self.columns.iter().zip(&cells).find(|pair| !fits(pair)) {
            let says = format!("'{}' is a column of {:?}", column.name, column.kind);
            return Err(SheetError::Row { row, says });
        }
        match &mut self.written {
            Written::Lines(lines) => lines.row(&cells),
            Written::Book(book) => book.row(&cells),
            Written::Columnar(columnar) => columnar.row(cells),
        }
    }

    /// Writes what is left to write.
    ///
    /// # Errors
    /// [`SheetError`]
    pub fn finish(self) -> Result<(), SheetError> {
        match self.written {
            Written::Lines(lines) => lines.finish(),
            Written::Book(book) => book.finish(),
            Written::Columnar(columnar) => columnar.finish(),
        }
    }
}

/// Nine decimals: nothing is rounded and all amounts look alike.
fn nine_decimals(nanos: Nanos) -> String {
    let (sign, magnitude) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000)
}
