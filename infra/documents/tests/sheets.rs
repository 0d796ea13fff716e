//! Sheets, read back by readers that are not ours.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::io::{Cursor, Write as _};

use cairn_core::Timestamp;
use cairn_documents::{Cell, Column, Sheet, SheetError, SheetFormat};
use calamine::{Data, Reader as _, Xlsx};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row, RowAccessor as _};
use time::{Date, Month};

const COLUMNS: &[Column] = &[
    Column::text("what"),
    Column::amount("amount"),
    Column::date("on"),
    Column::timestamp("at"),
    Column::integer("position"),
];

/// What a spreadsheet would compute, if it were not told otherwise.
const FORMULAS: [&str; 7] =
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "=HYPERLINK(\"http://x\",\"y\")"];

const AMOUNTS: [i64; 7] = [0, 1, -1, 123_456_789, -9_007_199_254_740_993, i64::MAX, i64::MIN];

fn row(what: &str, nanos: i64) -> Vec<Cell> {
    vec![
        Cell::Text(what.to_owned()),
        Cell::Amount(nanos),
        Cell::Date(Date::from_calendar_date(2026, Month::October, 31).unwrap()),
        Cell::Timestamp(Timestamp::from_micros(1_790_000_000_123_456)),
        Cell::Integer(9_007_199_254_740_993),
    ]
}

fn written(format: SheetFormat, rows: impl IntoIterator<Item = Vec<Cell>>) -> Vec<u8> {
    let mut out = vec![];
    let mut sheet = Sheet::begin(format, ("Journal", COLUMNS), &mut out).unwrap();
    for row in rows {
        sheet.row(row).unwrap();
    }
    sheet.finish().unwrap();
    out
}

fn empty_row() -> Vec<Cell> {
    COLUMNS.iter().map(|_| Cell::Empty).collect()
}

fn lines(bytes: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(bytes).records().map(Result::unwrap).collect()
}

/// The sheet, and how many formulas are in it.
fn book(bytes: Vec<u8>) -> (Vec<Vec<Data>>, usize) {
    let mut book = Xlsx::new(Cursor::new(bytes)).unwrap();
    let formulas = book.worksheet_formula("Journal").unwrap();
    let formulas = formulas.cells().filter(|(_, _, formula)| !formula.is_empty()).count();
    let rows = book.worksheet_range("Journal").unwrap().rows().map(<[_]>::to_vec).collect();
    (rows, formulas)
}

/// The rows, and how many groups they are in.
fn columnar(bytes: &[u8]) -> (Vec<Row>, usize) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    (rows, reader.num_row_groups())
}

/// Of a decimal, without its point.
fn nanos_of(row: &Row, column: usize) -> i128 {
    let (_, field) = row.get_column_iter().nth(column).unwrap();
    let Field::Decimal(decimal) = field else { panic!("{field:?} is no decimal") };
    assert_eq!((decimal.precision(), decimal.scale()), (19, 9));
    let bytes = decimal.data();
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(sign, |sum, byte| (sum << 8) | i128::from(*byte))
}

fn exact(text: &str) -> i128 {
    text.replace('.', "").parse().unwrap()
}

#[test]
fn every_amount_comes_back_to_the_nano() {
    let rows = || AMOUNTS.map(|nanos| row("x", nanos));
    let wanted = AMOUNTS.map(i128::from);
    let csv: Vec<_> =
        lines(&written(SheetFormat::Csv, rows())).iter().map(|line| exact(&line[1])).collect();
    assert_eq!(csv, wanted);
    let (book, _) = book(written(SheetFormat::Xlsx, rows()));
    assert_eq!(book[0][1..3], ["amount", "amount_exact"].map(|name| Data::String(name.to_owned())));
    for (cells, nanos) in book[1..].iter().zip(AMOUNTS) {
        assert_eq!(exact(&cells[2].to_string()), i128::from(nanos));
        let Data::Float(shown) = cells[1] else {
            panic!("{:?} is nothing to compute with", cells[1])
        };
        #[allow(clippy::cast_precision_loss, reason = "that is what is looked at")]
        let about = nanos as f64 / 1e9;
        assert!((shown - about).abs() <= about.abs() * 1e-15, "{shown} is not {about}");
    }
    let (rows, _) = columnar(&written(SheetFormat::Parquet, rows()));
    let parquet: Vec<_> = rows.iter().map(|row| nanos_of(row, 1)).collect();
    assert_eq!(parquet, wanted);
}

#[test]
fn no_text_becomes_a_formula_and_none_is_lost() {
    let rows = || FORMULAS.map(|text| row(text, -1));
    let csv = lines(&written(SheetFormat::Csv, rows()));
    let (book, formulas) = book(written(SheetFormat::Xlsx, rows()));
    assert_eq!(formulas, 0);
    let (columns, _) = columnar(&written(SheetFormat::Parquet, rows()));
    for (n, text) in FORMULAS.into_iter().enumerate() {
        assert_eq!(csv[n][0], format!("'{text}"));
        assert_eq!(&csv[n][1], "-0.000000001", "an amount is a number");
        assert_eq!(book[n + 1][0], Data::String(text.to_owned()));
        assert_eq!(columns[n].get_string(0).unwrap(), text);
    }
}

#[test]
fn days_instants_and_numbers_are_what_they_are() {
    let at = "2026-09-21T14:13:20.123456Z";
    let csv = lines(&written(SheetFormat::Csv, [row("x", 1), empty_row()]));
    assert_eq!((&csv[0][2], &csv[0][3], &csv[0][4]), ("2026-10-31", at, "9007199254740993"));
    assert_eq!(csv[1].iter().collect::<String>(), "");
    let (book, _) = book(written(SheetFormat::Xlsx, [row("x", 1), empty_row()]));
    let Data::DateTime(on) = book[1][3] else { panic!("{:?} is no day", book[1][3]) };
    assert!((on.as_f64() - 46_326.0).abs() < f64::EPSILON, "{on}");
    assert_eq!(book[1][4], Data::String(at.to_owned()));
    assert_eq!(book[1][5], Data::String("9007199254740993".to_owned()), "a double ends before it");
    let (rows, _) = columnar(&written(SheetFormat::Parquet, [row("x", 1), empty_row()]));
    let fields: Vec<_> = rows[0].get_column_iter().map(|(_, field)| field.clone()).collect();
    assert_eq!(fields[2], Field::Date(20_757));
    assert_eq!(fields[3], Field::TimestampMicros(1_790_000_000_123_456));
    assert_eq!(fields[4], Field::Long(9_007_199_254_740_993));
    assert!(rows[1].get_column_iter().all(|(_, field)| *field == Field::Null));
}

#[test]
fn many_rows_are_groups_and_none_are_a_sheet_too() {
    let many = (0..20_001).map(|n| row("x", n));
    let (rows, groups) = columnar(&written(SheetFormat::Parquet, many));
    assert_eq!((rows.len(), groups), (20_001, 2));
    assert_eq!(rows.iter().map(|row| nanos_of(row, 1)).sum::<i128>(), 20_000 * 20_001 / 2);
    assert_eq!(columnar(&written(SheetFormat::Parquet, [])), (vec![], 0));
    assert_eq!(lines(&written(SheetFormat::Csv, [])).len(), 0);
    assert_eq!(book(written(SheetFormat::Xlsx, [])).0.len(), 1);
}

#[test]
fn the_same_rows_are_the_same_bytes() {
    for format in [SheetFormat::Csv, SheetFormat::Xlsx, SheetFormat::Parquet] {
        let rows = || AMOUNTS.map(|nanos| row("x", nanos));
        assert_eq!(written(format, rows()), written(format, rows()), "{format:?}");
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_by_its_number() {
    let mut out = vec![];
    let mut sheet = Sheet::begin(SheetFormat::Csv, ("Journal", COLUMNS), &mut out).unwrap();
    sheet.row(row("x", 1)).unwrap();
    let mut wrong = row("x", 1);
    wrong[1] = Cell::Integer(1);
    for (cells, says) in [(vec![], "0 cells for 5 columns"), (wrong, "'amount' is a column of")] {
        let error = sheet.row(cells).unwrap_err();
        assert!(matches!(error, SheetError::Row { row: 2.., .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_text_that_a_spreadsheet_cannot_hold_is_an_error() {
    let mut out = vec![];
    let mut sheet = Sheet::begin(SheetFormat::Xlsx, ("Journal", COLUMNS), &mut out).unwrap();
    let error = sheet.row(row(&"x".repeat(32_768), 1)).unwrap_err();
    assert!(error.to_string().contains("32,767"), "{error}");
}

/// A reader that closed the pipe.
struct Closed;

impl std::io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_told_as_one() {
    for format in [SheetFormat::Csv, SheetFormat::Xlsx, SheetFormat::Parquet] {
        let mut out = Closed;
        let error = (|| {
            let mut sheet = Sheet::begin(format, ("Journal", COLUMNS), &mut out)?;
            sheet.row(row("x", 1))?;
            sheet.finish()
        })()
        .unwrap_err();
        let SheetError::Output(error) = error else { panic!("{format:?}: {error}") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
