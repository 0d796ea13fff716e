//! `cairn finance close`, `reopen` and `periods`: months of the books.
use cairn_commands::finance::close::{self, Close};
use cairn_core::Month;
use cairn_finance::Period;
use cairn_projections::finance::periods as view;
use cairn_projections::ledger::changes as journal;
use serde::Serialize;

use super::super::development;
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session::SessionParts;
use crate::config::Config;

/// A month as people read it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    period: view::Period,
    /// Whether the books still have the balances that it was closed with, and the seal is theirs.
    intact: bool,
}

pub(super) async fn close(
    config: &Config,
    parts: &SessionParts,
    month: Month,
    output: Output,
) -> Result<(), CliError> {
    let provider = development::provider(config)?;
    let (limit_nanos, clearing_days) = (config.approval_limit_nanos, config.clearing_days);
    let input = Close { month, limit_nanos, clearing_days };
    let context = parts.context(None);
    close::close(&parts.commands, &context, provider.as_ref(), input).await?;
    show(parts, month, output).await
}

pub(super) async fn reopen(
    parts: &SessionParts,
    (month, reason): (Month, String),
    output: Output,
) -> Result<(), CliError> {
    close::reopen(&parts.commands, &parts.context(None), (month, reason)).await?;
    show(parts, month, output).await
}

pub(super) async fn list(parts: &SessionParts, output: Output) -> Result<(), CliError> {
    let rows = shown(parts, None).await?;
    let columns =
        ["month", "status", "closed_at", "closed_by", "accounts", "seal", "intact", "reason"];
    output.rows(&rows, &columns)?;
    let broken: Vec<_> =
        rows.iter().filter(|row| !row.intact).map(|row| &*row.period.month).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let message =
        format!("the books have other balances than it was closed with: {}", broken.join(", "));
    Err(CliError::new(Exit::Differs, "period_differs", message))
}

async fn show(parts: &SessionParts, month: Month, output: Output) -> Result<(), CliError> {
    let rows = shown(parts, Some(month)).await?;
    let row = rows.first().ok_or_else(|| CliError::not_found("period", &month.to_string()))?;
    let (period, _) = parts.commands.executor.load::<Period>(&month.to_string()).await?;
    output.say(if period.closed { "nothing takes effect in it any more" } else { "it is open" });
    output.one(row)
}

async fn shown(parts: &SessionParts, month: Option<Month>) -> Result<Vec<Shown>, CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let month = month.map(|month| month.to_string());
    let mut rows = Vec::new();
    for period in view::list(parts.pool(), month.as_deref()).await? {
        let read = period.month.parse();
        let month =
            read.map_err(|error: cairn_core::MonthError| CliError::failure(error.to_string()))?;
        let intact = close::is_intact(&parts.commands, month).await?;
        rows.push(Shown { period, intact: intact.unwrap_or(false) });
    }
    Ok(rows)
}

pub(super) async fn changes(
    parts: &SessionParts,
    month: Month,
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let rows = view::list(parts.pool(), Some(&month.to_string())).await?;
    let Some(period) = rows.first() else {
        let message = format!("{month} was never closed; `cairn finance periods` shows what was");
        return Err(CliError::new(Exit::Refused, "period_not_closed", message));
    };
    let rows = journal::changes(parts.pool(), month, period.closed_position).await?;
    let columns = [
        "position",
        "posted_at",
        "occurred_at",
        "effective_on",
        "kind",
        "reference",
        "debit",
        "credit",
        "amount",
        "currency",
    ];
    output.rows(&rows, &columns)
}
