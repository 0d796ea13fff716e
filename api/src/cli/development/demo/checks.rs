//! What finance and an engineer check afterwards: the provider's book, the books, the exports, replay and rebuild.
use std::path::Path;
use std::process::Command;

use cairn_commands::finance::{self, Period};
use cairn_commands::replay;
use cairn_projections::Rebuild;
use cairn_projections::ledger::export::{ExportFormat, export};
use cairn_projections::ledger::trial_balance::{AsOf, trial_balance};
use sqlx::PgPool;

use super::report::{LedgerPart, RebuildPart, ReconciliationPart, ReplayPart, Report};
use super::stage::Stage;
use crate::cli::exit::CliError;
use crate::cli::session::SessionParts;

/// Everything, in the order finance would.
pub(super) async fn check(stage: &Stage, report: &mut Report) -> Result<(), CliError> {
    report.reconciliation = Some(reconcile(stage).await?);
    report.ledger = Some(ledger(stage).await?);
    let rebuilt = rebuild(&stage.parts).await?;
    let verified = replay::verify(stage.parts.commands.executor.log()).await?;
    let (identical, differences) = (verified.identical, verified.differences_found);
    report.replay = Some(ReplayPart { identical, differences });
    let events = stage.parts.commands.executor.log().head().await?;
    report.events = Some(events);
    let (views, same) = (rebuilt.views, rebuilt.identical);
    report.rebuild = Some(rebuilt);
    stage.say(&format!("{events} events replayed to the same state: {identical}"));
    stage.say(&format!("{views} views rebuilt from the log and compared, identical: {same}"));
    Ok(())
}

async fn reconcile(stage: &Stage) -> Result<ReconciliationPart, CliError> {
    let period = Period::all(stage.parts.commands.clock.now());
    let port = stage.provider.payments.port.as_ref();
    let found = finance::reconcile(port, &stage.parts.commands.executor, period).await?;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    for item in &found.breaks {
        stage.say(&format!("break {:?}: {}", item.break_type, item.item.message));
    }
    let proven = found.proofs.iter().all(|proof| proof.proven);
    let (matched, breaks) = (found.matched, found.breaks.len());
    stage.say(&format!("reconciled with the provider's book: {matched} matched, {breaks} breaks"));
    Ok(ReconciliationPart {
        breaks: count(breaks),
        matched: count(matched),
        expected: count(found.expected.len()),
        proven,
    })
}

async fn ledger(stage: &Stage) -> Result<LedgerPart, CliError> {
    let books = ledger_of(stage.parts.pool(), stage.directory()).await?;
    let LedgerPart { trial_balance, bean_check, hledger_check } = &books;
    stage.say(&format!(
        "the books sum to {trial_balance}; bean-check: {bean_check}; hledger: {hledger_check}"
    ));
    Ok(books)
}

/// What the books sum to, and what outside programs say of their exports.
pub(super) async fn ledger_of(pool: &PgPool, scratch: &Path) -> Result<LedgerPart, CliError> {
    let trial_balance = trial_balance(pool, AsOf::Now).await?.grand_total();
    let mut said = vec![];
    for (format, name) in
        [(ExportFormat::Beancount, "books.beancount"), (ExportFormat::Hledger, "books.journal")]
    {
        let path = scratch.join(name);
        let mut text = Vec::new();
        export(pool, format, AsOf::Now, &mut text).await?;
        std::fs::write(&path, text)?;
        said.push(match format {
            ExportFormat::Beancount => judge(Command::new("bean-check").arg(&path)),
            _ => judge(Command::new("hledger").arg("-f").arg(&path).arg("check")),
        });
    }
    let (hledger_check, bean_check) =
        (said.pop().unwrap_or_default(), said.pop().unwrap_or_default());
    Ok(LedgerPart { trial_balance, bean_check, hledger_check })
}

/// What an outside program says of the export.
fn judge(command: &mut Command) -> String {
    match command.output() {
        Err(_) => "not installed".to_owned(),
        Ok(said) if said.status.success() => "accepted".to_owned(),
        Ok(said) => String::from_utf8_lossy(&said.stderr).trim().to_owned(),
    }
}

/// Builds every view anew, with another batch size, and compares it with what was there before.
async fn rebuild(parts: &SessionParts) -> Result<RebuildPart, CliError> {
    let names = parts.projector.names();
    parts.catch_up(&names).await?;
    let mut identical = true;
    for name in &names {
        identical &= parts.projector.verify(name).await?.identical;
        let options = Rebuild { batch: 7, ..Rebuild::default() };
        parts.projector.rebuild(name, &options).await?;
        identical &= parts.projector.verify(name).await?.identical;
    }
    Ok(RebuildPart { identical, views: names.len() })
}
