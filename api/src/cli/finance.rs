//! `cairn balance` and `cairn finance`: the books.
pub mod args;
mod bank;
mod breaks;
mod charges;
mod credit;
mod papers;
mod periods;
mod taxes;
mod usage;

use std::io::ErrorKind;
use std::path::Path;

use cairn_commands::finance::{self, FinanceError, Period, ReconciliationReport, Recorded};
use cairn_commands::replay::{BooksVerifier, VerifiedBooks};
use cairn_core::Timestamp;
use cairn_documents::SheetError;
use cairn_projections::compute::allocations;
use cairn_projections::ledger::export::{ExportError, ExportFormat as Format, export};
use cairn_projections::ledger::trial_balance::{AsOf, trial_balance_by};
use cairn_projections::ledger::{balances, statement};
use serde::Serialize;

use self::args::{ExportFormat, FinanceCommand};
use super::args::BalanceArgs;
use super::development;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use super::sink::Sink;
use crate::config::Config;
use crate::http::ledger::{StatementLine, Wallet};

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Query(error) => error.into(),
            ExportError::Output(error) => error.into(),
            ExportError::Sheet(error) => error.into(),
        }
    }
}

impl From<SheetError> for CliError {
    fn from(error: SheetError) -> Self {
        match error {
            SheetError::TooManyRows(_) => Self::usage(error.to_string()),
            SheetError::Output(error) => error.into(),
            SheetError::Row { .. } | SheetError::Format(_) => Self::failure(error.to_string()),
        }
    }
}

impl From<FinanceError> for CliError {
    fn from(error: FinanceError) -> Self {
        match error {
            FinanceError::BadPeriod(_) => Self::usage(error.to_string()),
            FinanceError::Port(error) => error.into(),
            FinanceError::Database(error) => error.into(),
            FinanceError::Case(error) => error.into(),
            FinanceError::Corrupt(_) => {
                Self::new(Exit::Differs, "external_journal_corrupt", error.to_string())
            }
        }
    }
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Beancount => Self::Beancount,
            ExportFormat::Hledger => Self::Hledger,
            ExportFormat::Parquet => Self::Parquet,
            ExportFormat::Xlsx => Self::Xlsx,
        }
    }
}

pub(super) async fn balance(
    config: &Config,
    args: &BalanceArgs,
    output: Output,
) -> Result<(), CliError> {
    let organisation = args.organisation;
    Session::run(config, async |parts| {
        parts.catch_up(&[balances::NAME, allocations::NAME]).await?;
        let rows = all_pages(async |after| {
            Ok(balances::list(parts.pool(), Some(organisation), None, after, 200).await?)
        });
        let (rows, burn) = (rows.await?, allocations::burn(parts.pool(), organisation).await?);
        let now = parts.commands.clock.now();
        let shown = |row: balances::Balance| {
            let burn = burn.get(&row.currency).cloned().unwrap_or_default();
            Wallet::of(row, &burn, now)
        };
        let rows: Vec<_> = rows.into_iter().map(shown).collect();
        let columns = [
            "currency",
            "posted",
            "paid",
            "promotional",
            "held",
            "available",
            "owed",
            "per_hour",
            "runs_out_at",
            "dunning_stage",
            "dunning_until",
        ];
        output.rows(&rows, &columns)
    })
    .await
}

pub(super) async fn run(
    config: &Config,
    command: FinanceCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        FinanceCommand::TrialBalance { as_of, known_at } => {
            show_trial_balance(&parts, (as_of.as_deref(), known_at), output).await
        }
        FinanceCommand::Changes { since_close } => {
            periods::changes(&parts, since_close, output).await
        }
        FinanceCommand::Statement { organisation, currency } => {
            parts.catch_up(&[statement::NAME]).await?;
            let rows = all_pages(async |after| {
                let page = statement::list(parts.pool(), organisation, Some(currency), after, 200);
                Ok(page.await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(StatementLine::from).collect();
            let columns = [
                "occurred_at",
                "kind",
                "amount",
                "promotional",
                "tax",
                "balance",
                "currency",
                "reference",
                "seconds",
            ];
            output.rows(&rows, &columns)
        }
        FinanceCommand::Credit(command) => credit::run(&parts, command, output).await,
        FinanceCommand::Taxes(command) => taxes::run(&parts, command, output).await,
        FinanceCommand::Reconcile { from, until, on } => {
            let period = period((from, until), on, parts.commands.clock.now())?;
            reconcile(config, &parts, period, output).await
        }
        FinanceCommand::Close { month } => periods::close(config, &parts, month, output).await,
        FinanceCommand::Reopen { month, reason } => {
            periods::reopen(&parts, (month, reason), output).await
        }
        FinanceCommand::Periods => periods::list(&parts, output).await,
        FinanceCommand::Breaks(command) => breaks::run(config, &parts, command, output).await,
        FinanceCommand::Bank(command) => bank::run(&parts, command, output).await,
        FinanceCommand::Usage(command) => usage::run(&parts, command, output).await,
        FinanceCommand::Verify => verify(&parts, output).await,
        FinanceCommand::Entity(command) => papers::entity(&parts, command, output).await,
        FinanceCommand::Invoices(command) => papers::run(&parts, command, output).await,
        FinanceCommand::Prove { charge_id, out } => {
            charges::prove(&parts, charge_id, out, output).await
        }
        FinanceCommand::Export { format, out } => {
            journal(&parts, format, out.as_deref(), output).await
        }
    })
    .await
}

async fn journal(
    parts: &SessionParts,
    format: ExportFormat,
    out: Option<&Path>,
    output: Output,
) -> Result<(), CliError> {
    let mut sink = Sink::open(out, format.is_text(), output)?;
    let done = match export(parts.pool(), format.into(), AsOf::Now, &mut sink).await {
        Err(ExportError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        done => done?,
    };
    sink.finish(output)?;
    output.say(&format!("{} transactions, {} postings", done.transactions, done.postings));
    Ok(())
}

async fn verify(parts: &SessionParts, output: Output) -> Result<(), CliError> {
    let found = BooksVerifier::default().look(parts.commands.executor.log()).await?;
    let VerifiedBooks { position, journal_transactions, wallets, holds, .. } = found;
    if output.is_json() {
        output.one(&found)?;
    } else {
        output.rows(&found.differences, &["what", "which", "message"])?;
    }
    let looked = format!("{journal_transactions} transactions, {wallets} wallets, {holds} holds");
    output.say(&format!("{looked} up to position {position}"));
    if found.differences_found == 0 {
        output.say("the books are what the log says");
        return Ok(());
    }
    let message = format!("{} differences from what the log says", found.differences_found);
    Err(CliError::new(Exit::Differs, "books_differ", message))
}

async fn show_trial_balance(
    parts: &SessionParts,
    (as_of, known_at): (Option<&str>, Option<Timestamp>),
    output: Output,
) -> Result<(), CliError> {
    let known = known_at.map_or(AsOf::Now, AsOf::Time);
    let found = trial_balance_by(parts.pool(), as_of, known).await?;
    if output.is_json() {
        output.one(&found)?;
    } else {
        let columns = ["account", "account_type", "currency", "debit", "credit", "balance"];
        output.rows(&found.accounts, &columns)?;
    }
    output.say(&format!("sum of all: {}", found.grand_total()));
    if found.balanced {
        return Ok(());
    }
    Err(CliError::new(Exit::Differs, "books_unbalanced", found.grand_total()))
}

fn period(
    (from, until): (Option<Timestamp>, Option<Timestamp>),
    on: Option<String>,
    now: Timestamp,
) -> Result<Period, CliError> {
    let everything = Period::all(now);
    let (from, until) = (from.unwrap_or(everything.from), until.unwrap_or(everything.until));
    Ok(match on {
        Some(date) => Period::day(&date, now)?,
        None => Period::range(from, until, now)?,
    })
}

async fn reconcile(
    config: &Config,
    parts: &SessionParts,
    period: Period,
    output: Output,
) -> Result<(), CliError> {
    let provider = development::provider(config)?;
    let executor = &parts.commands.executor;
    let done = finance::run(provider.as_ref(), executor, &parts.context(None), period).await?;
    let finance::Run { booked, disputes, report, recorded } = done;
    output.say(&format!(
        "payouts booked: {} paid out, {} returned, {} arrived, {} sent back by the bank",
        booked.paid_out, booked.returned, booked.arrived, booked.taken_back
    ));
    if disputes > 0 {
        output.say(&format!("disputes that no webhook had told of: {disputes}"));
    }
    if output.is_json() {
        output.one(&Kept { report: &report, cases: &recorded })?;
    } else {
        let open: Vec<_> = report.open().collect();
        output.rows(
            &open,
            &["break_id", "type", "at", "currency", "source_id", "reference", "message"],
        )?;
        let columns = ["currency", "opening_nanos", "movements_nanos", "closing_nanos", "proven"];
        output.rows(&report.proofs, &columns)?;
    }
    let (matched, expected) = (report.matched, report.expected.len());
    let before = report.open().filter(|found| found.item.at < report.from).count();
    let open =
        format!("{} breaks, {before} still open from before", report.open().count() - before);
    output.say(&format!("{matched} matched, {expected} expected, {open}"));
    if let Some(bank) = &report.bank {
        let (payouts, gaps) = (bank.matched, bank.gaps.len());
        output.say(&format!("the bank has {payouts} payouts; {gaps} gaps in its statements"));
    }
    output.say(&told(&report, &recorded));
    if report.clean {
        return Ok(());
    }
    let unproven = report.proofs.iter().filter(|proof| !proof.proven).count();
    let message = format!("{open}, {unproven} currencies not proven");
    Err(CliError::new(Exit::Differs, "reconciliation_breaks", message))
}

/// A report, and what became of the cases.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    report: &'a ReconciliationReport,
    cases: &'a Recorded,
}

fn told(report: &ReconciliationReport, recorded: &Recorded) -> String {
    let Recorded { found, reopened, restated, cleared } = recorded;
    let (found, reopened) = (found.len(), reopened.len());
    let (restated, cleared) = (restated.len(), cleared.len());
    let explained = report.disagreements().count() - report.open().count();
    format!(
        "cases: {found} new, {reopened} again, {restated} with another amount, {cleared} cleared, {explained} explained"
    )
}
