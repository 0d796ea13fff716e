//! Statements of banks, read from files: CSV as this crate's guide has it, and CAMT.053 of ISO 20022 in any version.
//!
//! Both become [`Statement`]s, and each is checked before anybody gets it: what does not prove itself is refused, with the place
//! and the reason. Amounts are read as decimals, never as floats. Bytes in, value out: no file, no network, no clock.
mod camt;
mod csv;
mod error;
mod xml;

pub use error::ReadError;

use cairn_finance::Statement;

/// The largest file that is read.
pub const BYTES_MAX: usize = 16 << 20;
/// The most lines that one file may have.
pub const LINES_MAX: usize = 100_000;

/// In which form a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line per movement under a header of known names.
    Csv,
    /// `BankToCustomerStatement` of ISO 20022.
    Camt053,
}

/// The form that a file most likely has: XML begins with `<`.
#[must_use]
pub fn format_of(bytes: &[u8]) -> Format {
    let first = without_mark(bytes).iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'<') { Format::Camt053 } else { Format::Csv }
}

/// Every statement of a file, in its order, each proven. Without a format, what the file looks like.
///
/// # Errors
/// [`ReadError`]; then nothing of the file is taken.
pub fn read(bytes: &[u8], format: Option<Format>) -> Result<Vec<Statement>, ReadError> {
    if bytes.len() > BYTES_MAX {
        return Err(ReadError::TooLarge);
    }
    let text = std::str::from_utf8(without_mark(bytes))
        .map_err(|error| ReadError::NotText(error.valid_up_to()))?;
    let statements = match format.unwrap_or_else(|| format_of(bytes)) {
        Format::Csv => vec![csv::statement(text)?],
        Format::Camt053 => camt::statements(text)?,
    };
    for (number, statement) in (1..).zip(&statements) {
        let place = place(number, statement.statement_id.as_deref());
        statement.check().map_err(|error| ReadError::Unproven { place, error })?;
    }
    Ok(statements)
}

/// How people are told of a statement.
fn place(number: usize, id: Option<&str>) -> String {
    id.map_or_else(|| format!("statement {number}"), |id| format!("statement {number} ({id})"))
}

/// A text on one line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without the byte order mark that some programs write first.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
