//! A sheet as CSV (RFC 4180 with line feeds).
use super::{Cell, Column, Out, SheetError, nine_decimals};

/// What a spreadsheet takes for the beginning of a formula, and the mark itself, so that it can be taken off again.
const GUARDED: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

pub(super) struct Lines<'a>(csv::Writer<Out<'a>>);

impl<'a> Lines<'a> {
    pub(super) fn begin(columns: &[Column], out: Out<'a>) -> Result<Self, SheetError> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(columns.iter().map(|column| column.name)).map_err(wrong)?;
        Ok(Self(writer))
    }

    pub(super) fn row(&mut self, cells: &[Cell]) -> Result<(), SheetError> {
        self.0.write_record(cells.iter().map(text)).map_err(wrong)
    }

    pub(super) fn finish(mut self) -> Result<(), SheetError> {
        Ok(self.0.flush()?)
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) if text.starts_with(GUARDED) => format!("'{text}"),
        Cell::Text(text) => text.clone(),
        Cell::Amount(nanos) => nine_decimals(*nanos),
        Cell::Date(on) => on.to_string(),
        Cell::Timestamp(at) => at.to_string(),
        Cell::Integer(number) => number.to_string(),
    }
}

fn wrong(error: csv::Error) -> SheetError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => SheetError::Format(format!("{other:?}")),
    }
}
