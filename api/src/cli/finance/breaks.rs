//! `cairn finance breaks`: what disagrees with the payment provider's book, who answers for it, and how it is settled.
use cairn_commands::Executed;
use cairn_commands::finance::breaks::{self, Assign, Resolve};
use cairn_core::money::format_nanos;
use cairn_core::{BreakId, Timestamp};
use cairn_finance::break_case::Means;
use cairn_finance::{BreakCase, Status};
use cairn_projections::finance::breaks as view;
use serde::Serialize;
use serde_json::json;

use super::super::exit::CliError;
use super::super::nearest::did_you_mean;
use super::super::output::Output;
use super::super::pages::all_pages;
use super::super::session::SessionParts;
use super::args::{BreaksCommand, ResolveArgs};
use crate::config::Config;

/// How long somebody has for a break when nothing else is said.
const DUE_SECS: i64 = 3 * 86_400;

/// A break as people read it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    found: view::Break,
    /// By how much the provider's book is above ours; what late usage would cost.
    difference: String,
    /// What is posted, or would be.
    amount: Option<String>,
    /// Days since it was found: `0-1`, `2-3`, `4-7`, `8-30` or `30+`.
    age_days: &'static str,
    /// Whether it is open and past its day.
    overdue: bool,
}

impl Shown {
    fn of(found: view::Break, now: Timestamp) -> Self {
        Self {
            difference: format_nanos(found.difference_nanos),
            amount: found.amount_nanos.map(format_nanos),
            age_days: found.age(now),
            overdue: found.is_open() && found.due_at.is_some_and(|due| due.0 < now),
            found,
        }
    }
}

pub(super) async fn run(
    config: &Config,
    parts: &SessionParts,
    command: BreaksCommand,
    output: Output,
) -> Result<(), CliError> {
    let (commands, context) = (&parts.commands, parts.context(None));
    let now = commands.clock.now();
    match command {
        BreaksCommand::List { open: _, all } => list(parts, !all, output).await,
        BreaksCommand::Show { break_id } => {
            known(parts, break_id).await?;
            parts.catch_up(&[view::NAME]).await?;
            let row = view::get(parts.pool(), &break_id.to_string()).await?;
            let row = row.ok_or_else(|| CliError::not_found("break", &break_id.to_string()))?;
            output.one(&Shown::of(row, now))
        }
        BreaksCommand::Assign { break_id, to, due, reason } => {
            known(parts, break_id).await?;
            let due_at = due.unwrap_or_else(|| now.plus_secs(DUE_SECS));
            let input = Assign { break_id, owner: to, due_at, reason };
            told(parts, &breaks::assign(commands, &context, input).await?, output).await
        }
        BreaksCommand::Resolve(args) => {
            known(parts, args.break_id).await?;
            let input = resolution(args, config);
            told(parts, &breaks::resolve(commands, &context, input).await?, output).await
        }
        BreaksCommand::Approve { break_id, reason } => {
            known(parts, break_id).await?;
            let input = (break_id, reason);
            told(parts, &breaks::approve(commands, &context, input).await?, output).await
        }
    }
}

fn resolution(args: ResolveArgs, config: &Config) -> Resolve {
    let ResolveArgs { break_id, cause, explained: _, write_off, post } = args;
    let by = match post {
        Some(transfer) => Means::Post(transfer),
        None if write_off => Means::WriteOff,
        None => Means::Explain,
    };
    Resolve { break_id, by, cause, limit_nanos: config.approval_limit_nanos }
}

async fn list(parts: &SessionParts, open_only: bool, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let now = parts.commands.clock.now();
    let rows = all_pages(async |after| Ok(view::list(parts.pool(), open_only, after, 200).await?));
    let rows: Vec<_> = rows.await?.into_iter().map(|row| Shown::of(row, now)).collect();
    let columns = [
        "break_id",
        "type",
        "status",
        "currency",
        "difference",
        "age_days",
        "owner",
        "due_at",
        "overdue",
        "message",
    ];
    output.rows(&rows, &columns)
}

/// An id that names no case is told at once, with those that may have been meant: nothing is asked of it, and nothing stored.
async fn known(parts: &SessionParts, break_id: BreakId) -> Result<(), CliError> {
    let id = break_id.to_string();
    let (case, _) = parts.commands.executor.load::<BreakCase>(&id).await?;
    if case.status != Status::Unknown {
        return Ok(());
    }
    parts.catch_up(&[view::NAME]).await?;
    let rows =
        all_pages(async |after| Ok(view::list(parts.pool(), false, after, 200).await?)).await?;
    let meant = did_you_mean(&id, rows.iter().map(|row| row.break_id.as_str()));
    let error = CliError::not_found("break", &id);
    let meant =
        if meant.is_empty() { "; `cairn finance breaks list` shows all".to_owned() } else { meant };
    Err(CliError { message: format!("{}{meant}", error.message), ..error })
}

/// Where the case stands after it: what was above the limit waits for somebody else, and it is said so.
async fn told(parts: &SessionParts, done: &Executed, output: Output) -> Result<(), CliError> {
    let (case, _) = parts.commands.executor.load::<BreakCase>(&done.aggregate_id).await?;
    if case.status == Status::Proposed {
        output.say("above finance.approval_limit: somebody else approves it");
    }
    output.one(
        &json!({ "break_id": done.aggregate_id, "status": case.status, "position": done.position }),
    )
}
