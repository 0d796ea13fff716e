//! Invoices and credit notes as documents: what was issued, as PDF for people and as a sheet of its lines for programs.
//!
//! A document says what the event says and nothing else: no clock, no name but those that it was issued with. The same paper gives the same
//! bytes, until its customer is erased.
mod press;
mod printed;
mod rows;

pub use self::press::Press;

use cairn_commands::Executor;
use cairn_commands::finance::{FinanceError, credit_notes, invoices};
use cairn_commands::ports::PortError;
use cairn_core::Subject;
use cairn_documents::{PaperError, Sheet, SheetError, SheetFormat};
use cairn_finance::invoice::parse_number;
use cairn_finance::{CreditNote, Invoice};
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a paper is asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFormat {
    /// For people.
    #[default]
    Pdf,
    /// Its lines, separated by commas.
    Csv,
    /// Its lines, for a spreadsheet.
    Xlsx,
    /// Its lines, in columns.
    Parquet,
}

impl DocumentFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Csv, Self::Xlsx, Self::Parquet];

    /// As it is asked for, and what a file's name ends in.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
        }
    }

    /// What it is over HTTP.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether people can read it as it is.
    #[must_use]
    pub const fn is_text(self) -> bool {
        match self {
            Self::Csv => true,
            Self::Pdf | Self::Xlsx | Self::Parquet => false,
        }
    }
}

/// A paper as it was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issued {
    /// What was used in a month.
    Invoice(Box<Invoice>),
    /// What is given back of one.
    CreditNote(Box<CreditNote>),
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The paper could not be read.
    #[error(transparent)]
    Paper(#[from] FinanceError),
    /// What is sealed on it could not be opened.
    #[error(transparent)]
    Sealed(#[from] PortError),
    /// It could not be drawn.
    #[error(transparent)]
    Pdf(#[from] PaperError),
    /// It could not be written as a sheet.
    #[error(transparent)]
    Sheet(#[from] SheetError),
}

impl Issued {
    /// The paper with a number, what is sealed on it open: the texts of one organisation, or all. What is erased reads as `erased`.
    ///
    /// # Errors
    /// [`DocumentError`], with `unknown_invoice` when there is none.
    pub async fn open(
        executor: &Executor,
        number: &str,
        of: Option<&Subject>,
    ) -> Result<Self, DocumentError> {
        let is_credit_note = parse_number(number).is_some_and(|(series, _)| series.ends_with("-C"));
        if is_credit_note {
            let note = credit_notes::get(executor, number).await?;
            return Ok(Self::CreditNote(Box::new(opened(executor, &note, of).await?)));
        }
        let invoice = invoices::get(executor, number).await?;
        Ok(Self::Invoice(Box::new(opened(executor, &invoice, of).await?)))
    }

    /// The whole document.
    ///
    /// # Errors
    /// [`DocumentError::Pdf`] and [`DocumentError::Sheet`].
    pub fn document(&self, format: DocumentFormat) -> Result<Vec<u8>, DocumentError> {
        let format = match format {
            DocumentFormat::Pdf => return Ok(self.printed().pdf()?),
            DocumentFormat::Csv => SheetFormat::Csv,
            DocumentFormat::Xlsx => SheetFormat::Xlsx,
            DocumentFormat::Parquet => SheetFormat::Parquet,
        };
        let mut bytes = vec![];
        let mut sheet = Sheet::begin(format, ("lines", self.columns()), &mut bytes)?;
        for row in self.rows() {
            sheet.row(row)?;
        }
        sheet.finish()?;
        Ok(bytes)
    }
}

async fn opened<T: Serialize + DeserializeOwned>(
    executor: &Executor,
    sealed: &T,
    of: Option<&Subject>,
) -> Result<T, PortError> {
    let broken = |error: serde_json::Error| PortError::permanent("internal", error.to_string());
    let mut paper = serde_json::to_value(sealed).map_err(broken)?;
    executor.personal().open_in(&mut paper, of).await?;
    serde_json::from_value(paper).map_err(broken)
}
