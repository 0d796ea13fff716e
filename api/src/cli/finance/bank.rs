//! `cairn finance bank`: the bank's own statements, and which of their lines are payouts.
use std::path::{Path, PathBuf};

use cairn_bank::{BYTES_MAX, Format, ReadError};
use cairn_commands::finance::bank::{self, Gap, ImportError, Imported, KeptLine};
use cairn_core::money::format_nanos;
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session::SessionParts;

/// `finance bank`
#[derive(Debug, Subcommand)]
pub enum BankCommand {
    /// Keeps the lines of a statement, all or none. What is there already is not added again.
    Import {
        /// CSV or CAMT.053.
        file: PathBuf,
        /// Our name of the account, for example `main`; the one that the bank's number is known as when absent.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// In which form it is; found out by the content when absent.
        #[arg(long, value_enum)]
        format: Option<StatementFormat>,
    },
    /// Shows the lines that were imported, oldest first.
    Lines {
        /// Only those that are no payout of the provider.
        #[arg(long)]
        open: bool,
    },
}

/// Forms of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatementFormat {
    /// One line per movement, under a header.
    Csv,
    /// ISO 20022.
    Camt053,
}

impl From<StatementFormat> for Format {
    fn from(format: StatementFormat) -> Self {
        match format {
            StatementFormat::Csv => Self::Csv,
            StatementFormat::Camt053 => Self::Camt053,
        }
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let code = match error.is_of_the_sums() {
            true => "bank_statement_unbalanced",
            false => "bank_statement_invalid",
        };
        Self::new(Exit::Refused, code, error.to_string())
    }
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        match (error.code(), error) {
            (Some(code), error) => Self::new(Exit::Refused, code, error.to_string()),
            (None, ImportError::Database(error)) => error.into(),
            (None, error) => Self::failure(error.to_string()),
        }
    }
}

/// What an import did, and what is known to be missing.
#[derive(Serialize)]
struct Kept {
    statements: Vec<Imported>,
    gaps: Vec<Gap>,
}

/// A line as people read it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    line: KeptLine,
    amount: String,
}

pub(super) async fn run(
    parts: &SessionParts,
    command: BankCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        BankCommand::Import { file, account, format } => {
            let statements = cairn_bank::read(&bytes(&file).await?, format.map(Format::from))?;
            let (pool, now) = (parts.pool(), parts.commands.clock.now());
            let statements = bank::import(pool, &statements, account.as_deref(), now).await?;
            told(&Kept { statements, gaps: bank::gaps(pool).await? }, output)
        }
        BankCommand::Lines { open } => {
            let shown = |line: KeptLine| Shown { amount: format_nanos(line.amount_nanos), line };
            let rows = bank::lines(parts.pool(), open).await?.into_iter().map(shown);
            let columns =
                ["booked_on", "account", "amount", "currency", "reference", "payout_id", "text"];
            output.rows(&rows.collect::<Vec<_>>(), &columns)
        }
    }
}

/// A file, as far as one is read.
async fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::usage(format!("{} cannot be read: {error}", path.display()))
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(bytes)
}

fn told(kept: &Kept, output: Output) -> Result<(), CliError> {
    if output.is_json() {
        output.one(kept)?;
    } else {
        let columns =
            ["account", "currency", "statement_id", "first_on", "last_on", "lines", "added"];
        output.rows(&kept.statements, &columns)?;
    }
    for gap in &kept.gaps {
        let Gap { account, currency, after_on, before_on, .. } = gap;
        let missing = format_nanos(gap.missing_nanos);
        output.say(&format!(
            "{account}: {missing} {currency} moved between {after_on} and {before_on} and stand in no statement"
        ));
    }
    Ok(())
}
