//! What people and their programs open: sheets as CSV, XLSX and Parquet ([`Sheet`]), papers as PDF ([`Paper`]). Bytes out of values, with no
//! database and no clock, so the same values give the same bytes.
mod paper;
mod sheet;

pub use paper::{Paper, PaperError, Party, Table, TableColumn};
pub use sheet::{Cell, Column, Kind, Sheet, SheetError, SheetFormat};
