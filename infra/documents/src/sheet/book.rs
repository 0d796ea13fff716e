//! A sheet as XLSX: a workbook of one sheet.
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use time::Date;

use super::{Cell, Column, Kind, Out, SheetError, nine_decimals};

const ROWS_MAX: u32 = 1_048_575;

/// Past as many digits a spreadsheet shows zeros.
const INTEGER_MAX: u64 = 999_999_999_999_999;

pub(super) struct Book<'a> {
    workbook: Workbook,
    sheet: Worksheet,
    amount: Format,
    date: Format,
    columns: &'static [Column],
    /// Below the header.
    rows: u32,
    out: Out<'a>,
}

impl<'a> Book<'a> {
    pub(super) fn begin(
        name: &str,
        columns: &'static [Column],
        out: Out<'a>,
    ) -> Result<Self, SheetError> {
        let mut workbook = Workbook::new();
        // A fixed one, or the same sheet would be other bytes tomorrow.
        let made_on = ExcelDateTime::from_ymd(2000, 1, 1).map_err(wrong)?;
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&made_on));
        let mut sheet = Worksheet::new();
        sheet.set_name(name).map_err(wrong)?;
        sheet.set_freeze_panes(1, 0).map_err(wrong)?;
        let bold = Format::new().set_bold();
        let headers = columns.iter().flat_map(|column| {
            let exact = (column.kind == Kind::Amount).then(|| format!("{}_exact", column.name));
            [Some(column.name.to_owned()), exact]
                .into_iter()
                .flatten()
                .map(move |name| (name, column))
        });
        for (at, (name, column)) in (0_u16..).zip(headers) {
            sheet.write_string_with_format(0, at, name, &bold).map_err(wrong)?;
            sheet.set_column_width(at, width(column.kind)).map_err(wrong)?;
        }
        let amount = Format::new().set_num_format("#,##0.00#######");
        let date = Format::new().set_num_format("yyyy-mm-dd");
        Ok(Self { workbook, sheet, amount, date, columns, rows: 0, out })
    }

    pub(super) fn row(&mut self, cells: &[Cell]) -> Result<(), SheetError> {
        if self.rows == ROWS_MAX {
            return Err(SheetError::TooManyRows(ROWS_MAX.into()));
        }
        self.rows += 1;
        let mut at = 0;
        for (column, cell) in self.columns.iter().zip(cells) {
            self.cell(at, cell).map_err(wrong)?;
            at += if column.kind == Kind::Amount { 2 } else { 1 };
        }
        Ok(())
    }

    /// Every text goes in as one: the library is never left to guess what it is.
    fn cell(&mut self, at: u16, cell: &Cell) -> Result<(), XlsxError> {
        let (row, sheet) = (self.rows, &mut self.sheet);
        match cell {
            Cell::Empty => return Ok(()),
            Cell::Text(text) => sheet.write_string(row, at, text)?,
            Cell::Amount(nanos) => {
                let exact = nine_decimals(*nanos);
                let rounded = exact.parse().unwrap_or(f64::NAN);
                sheet.write_number_with_format(row, at, rounded, &self.amount)?;
                sheet.write_string(row, at + 1, exact)?
            }
            Cell::Date(on) => match excel_date(*on) {
                Some(date) => sheet.write_datetime_with_format(row, at, &date, &self.date)?,
                None => sheet.write_string(row, at, on.to_string())?,
            },
            Cell::Timestamp(instant) => sheet.write_string(row, at, instant.to_string())?,
            Cell::Integer(number) if number.unsigned_abs() <= INTEGER_MAX => {
                #[allow(clippy::cast_precision_loss, reason = "15 digits fit")]
                let number = *number as f64;
                sheet.write_number(row, at, number)?
            }
            Cell::Integer(number) => sheet.write_string(row, at, number.to_string())?,
        };
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), SheetError> {
        self.workbook.push_worksheet(self.sheet);
        let bytes = self.workbook.save_to_buffer().map_err(wrong)?;
        self.out.write_all(&bytes)?;
        Ok(self.out.flush()?)
    }
}

/// A spreadsheet knows no day before 1900.
fn excel_date(on: Date) -> Option<ExcelDateTime> {
    let (year, month, day) = on.to_calendar_date();
    ExcelDateTime::from_ymd(u16::try_from(year).ok()?, month.into(), day).ok()
}

const fn width(kind: Kind) -> f64 {
    match kind {
        Kind::Text | Kind::Timestamp => 28.0,
        Kind::Amount => 20.0,
        Kind::Date | Kind::Integer => 12.0,
    }
}

fn wrong(error: XlsxError) -> SheetError {
    match error {
        XlsxError::IoError(error) => error.into(),
        other => SheetError::Format(other.to_string()),
    }
}
