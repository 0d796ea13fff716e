//! Closing a month: the checklist, the balances it is closed with, and the close itself.
use cairn_core::{Month, Nanos, Timestamp};
use cairn_finance::period::{Books, Check, Item};
use cairn_finance::{Period as Closing, PeriodCommand};
use serde_json::json;
use sqlx::Executor as _;

use super::checklist::{self, Looked};
use super::{FinanceError, Period, Run, balances, run};
use crate::answers::first_answer;
use crate::ports::PaymentPort;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// How often a month is counted anew when something was posted meanwhile.
const ATTEMPTS: u32 = 5;
/// The database's name for that.
const COUNTED: &str = "ledger_periods_counted";

/// What is to be closed.
#[derive(Debug, Clone, Copy)]
pub struct Close {
    /// Which month.
    pub month: Month,
    /// An open break of more than this stands against it, and so does more than this on a clearing account for too long.
    pub limit_nanos: Nanos,
    /// What went to a clearing account later than so many days before the month's end may still be on its way.
    pub clearing_days: u16,
}

/// Closes a month, if every item of the checklist holds: reconciles up to its end, keeps what that finds as cases, looks at the rest, and
/// counts the balances. Nothing that takes effect in it can have been posted between the count and the close. Answers `{"month"}`.
///
/// # Errors
/// [`FinanceError::Case`] with `period_not_over`, `period_earlier_open`, `period_usage_unrated`, `period_not_reconciled`,
/// `period_breaks_open`, `period_clearing_open` or `period_unbalanced`; the others when something could not be looked at.
pub async fn close(
    commands: &Commands,
    context: &CommandContext,
    port: &dyn PaymentPort,
    input: Close,
) -> Result<Executed, FinanceError> {
    if let Some(first) = first_answer(commands, context).await? {
        return Ok(first?);
    }
    let month = input.month;
    let (stream, result) = (month.to_string(), json!({ "month": month }));
    for attempt in 1.. {
        let command = match commands.executor.load::<Closing>(&stream).await?.0 {
            // It says so itself, and nothing has to be looked at for that.
            closed if closed.closed => nothing_new(context, month, commands.clock.now()),
            _ => prepare(commands, context, port, input).await?,
        };
        let done = commands.executor.execute::<Closing>(&stream, command, context, result.clone());
        match done.await {
            Err(ExecuteError::Internal(why)) if why.contains(COUNTED) && attempt < ATTEMPTS => {
                tracing::info!(%month, attempt, "something was posted meanwhile: counted anew");
            }
            done => return Ok(done?),
        }
    }
    Err(ExecuteError::Conflict.into())
}

fn nothing_new(context: &CommandContext, month: Month, at: Timestamp) -> PeriodCommand {
    let books = Books { position: 0, block: None, accounts: 0, balances_sha256: String::new() };
    PeriodCommand::Close { month, checks: vec![], books, actor: context.actor.clone(), at }
}

async fn prepare(
    commands: &Commands,
    context: &CommandContext,
    port: &dyn PaymentPort,
    Close { month, limit_nanos, clearing_days }: Close,
) -> Result<PeriodCommand, FinanceError> {
    let (executor, now) = (&commands.executor, commands.clock.now());
    // From the beginning: what is older than any look back and was corrected since is proven with it.
    let period = Period::range(Timestamp::from_secs(0), month.ends_at(), now)?;
    let Run { report, .. } = run(port, executor, context, period).await?;
    let looked = Looked { month, now, limit_nanos, clearing_days };
    let mut checks: Vec<Check> = checklist::before(executor, &looked, &report).await?;
    let mut transaction = executor.log().pool().begin().await?;
    transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    checks.push(checklist::balanced(&mut transaction).await?);
    let books = balances::books(&mut transaction, month).await?;
    transaction.rollback().await?;
    checks.sort_by_key(|check| check.item);
    debug_assert_eq!(checks.len(), Item::ALL.len());
    Ok(PeriodCommand::Close { month, checks, books, actor: context.actor.clone(), at: now })
}

/// Opens a month again. Later ones must not be closed. Answers `{"month"}`.
///
/// # Errors
/// [`FinanceError::Case`] with `period_not_closed`, `period_later_closed` or `reason_needed`.
pub async fn reopen(
    commands: &Commands,
    context: &CommandContext,
    (month, reason): (Month, String),
) -> Result<Executed, FinanceError> {
    if let Some(first) = first_answer(commands, context).await? {
        return Ok(first?);
    }
    let later = checklist::closed_after(&commands.executor, month).await?;
    let (actor, at) = (context.actor.clone(), commands.clock.now());
    let command = PeriodCommand::Reopen { month, later, reason, actor, at };
    let (stream, result) = (month.to_string(), json!({ "month": month }));
    Ok(commands.executor.execute::<Closing>(&stream, command, context, result).await?)
}

/// Whether the balances that a month was closed with are those that the books have today.
///
/// # Errors
/// [`FinanceError`].
pub async fn is_intact(commands: &Commands, month: Month) -> Result<Option<bool>, FinanceError> {
    let (period, _) = commands.executor.load::<Closing>(&month.to_string()).await?;
    let Some(books) = period.books else { return Ok(None) };
    let mut connection = commands.executor.log().pool().acquire().await?;
    let (hash, accounts) = balances::counted(&mut connection, (month, books.position)).await?;
    let same = (hash, accounts) == (books.balances_sha256.clone(), books.accounts);
    Ok(Some(same && books.seal(month) == period.seal))
}
