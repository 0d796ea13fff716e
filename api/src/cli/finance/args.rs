//! Arguments of `cairn finance`.
use std::path::PathBuf;

use cairn_core::money::parse_nanos;
use cairn_core::{BreakId, Currency, Month, OrganisationId, Timestamp};
use cairn_finance::{Account, Transfer};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::super::args::reason;
use super::bank::BankCommand;
use super::credit::CreditCommand;
use super::papers::{EntityCommand, InvoicesCommand};
use super::taxes::TaxesCommand;
use super::usage::UsageCommand;
use crate::charges::ChargeId;

/// `finance`
#[derive(Debug, Subcommand)]
pub enum FinanceCommand {
    /// Every account's balance; they sum to zero.
    TrialBalance {
        /// Counts what took effect up to and including this day of the books' calendar (UTC), for example `2026-10-31`.
        #[arg(long, value_name = "DATE", value_parser = day)]
        as_of: Option<String>,
        /// Counts what was posted up to and including this instant.
        #[arg(long, value_name = "INSTANT")]
        known_at: Option<Timestamp>,
    },
    /// Shows what was posted after a month was closed and takes effect or happened in it.
    Changes {
        /// Which month, for example `2026-10`.
        #[arg(long, value_name = "MONTH")]
        since_close: Month,
    },
    /// Promotional credit.
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Taxes on what is sold.
    #[command(subcommand)]
    Taxes(TaxesCommand),
    /// The movements of one wallet.
    Statement {
        /// Whose.
        #[arg(long)]
        organisation: OrganisationId,
        /// In which currency.
        #[arg(long)]
        currency: Currency,
    },
    /// Compares the books with the payment provider's own, line by line, and keeps what disagrees as cases (`finance breaks`).
    Reconcile {
        /// From when on; from the beginning when absent.
        #[arg(long)]
        from: Option<Timestamp>,
        /// Up to and without this instant; everything after it when absent.
        #[arg(long)]
        until: Option<Timestamp>,
        /// One day of the books' calendar (UTC), for example `2026-01-31`.
        #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "until"])]
        on: Option<String>,
    },
    /// Disagreements that a reconciliation found: who answers for them, and how they are settled.
    #[command(subcommand)]
    Breaks(BreaksCommand),
    /// The bank's own statements.
    #[command(subcommand)]
    Bank(BankCommand),
    /// Closes a month: nothing takes effect in it any more. Refused while an item of the checklist does not hold, by its name.
    Close {
        /// Which month, for example `2026-10`.
        month: Month,
    },
    /// Opens the last closed month again.
    Reopen {
        /// Which month, for example `2026-10`.
        month: Month,
        /// Why, for the audit trail.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
    /// Shows the months that were closed, and whether their balances are still those that they were closed with.
    Periods,
    /// Derives balances, holds, journal and months again from the log, and compares them with the books.
    Verify,
    /// Usage that is not charged.
    #[command(subcommand)]
    Usage(UsageCommand),
    /// Who issues invoices.
    #[command(subcommand)]
    Entity(EntityCommand),
    /// Invoices of closed months.
    #[command(subcommand)]
    Invoices(InvoicesCommand),
    /// Makes a file that shows to anybody who has the public keys what a charge was made of. `audit check-proof` does the sum again.
    Prove {
        /// Its id (`charge_…`), from the statement.
        charge_id: ChargeId,
        /// Where to write it; to stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Writes the journal for another program: in its format, whatever `--output` says.
    Export {
        /// In which format.
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// Where to write it; to stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Formats of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One line per posting.
    Csv,
    /// For `bean-check`.
    Beancount,
    /// For `hledger`.
    Hledger,
    /// One row per posting, for DuckDB, pandas, Spark and the like.
    Parquet,
    /// One row per posting, for a spreadsheet.
    Xlsx,
}

impl ExportFormat {
    /// Whether people can read it as it is.
    pub const fn is_text(self) -> bool {
        match self {
            Self::Csv | Self::Beancount | Self::Hledger => true,
            Self::Parquet | Self::Xlsx => false,
        }
    }
}

/// `finance breaks`
#[derive(Debug, Subcommand)]
pub enum BreaksCommand {
    /// Shows breaks, the last found first.
    List {
        /// Only those that somebody must still do something about; so it is when nothing is said.
        #[arg(long, conflicts_with = "all")]
        open: bool,
        /// Settled ones too.
        #[arg(long)]
        all: bool,
    },
    /// Shows one break.
    Show {
        /// Its id (`break_…`).
        break_id: BreakId,
    },
    /// Says who answers for a break.
    Assign {
        /// Its id (`break_…`).
        break_id: BreakId,
        /// Who.
        #[arg(long, value_name = "NAME")]
        to: String,
        /// By when it is to be settled; three days from now when absent.
        #[arg(long, value_name = "INSTANT")]
        due: Option<Timestamp>,
        /// Why, for the audit trail.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
    /// Settles a break; above `finance.approval_limit` it is only proposed, and somebody else approves.
    Resolve(ResolveArgs),
    /// Approves what somebody else proposed.
    Approve {
        /// Its id (`break_…`).
        break_id: BreakId,
        /// Why, for the audit trail.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

/// `finance breaks resolve`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("means").required(true).args(["explained", "write_off", "post"]))]
pub struct ResolveArgs {
    /// Its id (`break_…`).
    pub break_id: BreakId,
    /// What was wrong, for the audit trail.
    #[arg(long, value_parser = reason)]
    pub cause: String,
    /// Nothing is wrong with the books: they stay as they are.
    #[arg(long)]
    pub explained: bool,
    /// Takes the difference as loss or gain.
    #[arg(long)]
    pub write_off: bool,
    /// Corrects the books, for example `bank:main:USD,stripe:pending:USD,12.50`.
    #[arg(long, value_name = "DEBIT,CREDIT,AMOUNT", value_parser = transfer)]
    pub post: Option<Transfer>,
}

fn transfer(text: &str) -> Result<Transfer, String> {
    let parts: Vec<_> = text.split(',').collect();
    let [debit, credit, amount] = parts[..] else {
        return Err("say the debited account, the credited one and the amount, \
                    such as bank:main:USD,stripe:pending:USD,12.50"
            .to_owned());
    };
    let account = |code: &str| {
        let read = Account::try_new(code);
        read.map_err(|error| {
            format!("an account's code ends in its currency, '{code}' does not: {error}")
        })
    };
    let amount_nanos = parse_nanos(amount).map_err(|error| error.to_string())?;
    Ok(Transfer { debit: account(debit)?, credit: account(credit)?, amount_nanos })
}

fn day(text: &str) -> Result<String, String> {
    let form = text.len() == 10 && text.is_ascii();
    let midnight = format!("{text}T00:00:00Z").parse::<Timestamp>();
    if form && midnight.is_ok() {
        Ok(text.to_owned())
    } else {
        Err(format!("'{text}' is no day such as 2026-10-31"))
    }
}
