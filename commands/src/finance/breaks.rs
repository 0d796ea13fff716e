//! What people do about breaks. Each answers `{"break_id"}`.
use cairn_core::{BreakId, Nanos, Timestamp};
use cairn_finance::break_case::Means;
use cairn_finance::{BreakCase, BreakCommand};
use serde_json::json;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Who answers for a break.
#[derive(Debug, Clone)]
pub struct Assign {
    /// Which break.
    pub break_id: BreakId,
    /// Who.
    pub owner: String,
    /// By when it is to be settled.
    pub due_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// How a break is to be settled.
#[derive(Debug, Clone)]
pub struct Resolve {
    /// Which break.
    pub break_id: BreakId,
    /// By what.
    pub by: Means,
    /// What was wrong.
    pub cause: String,
    /// Above this amount, of what is posted or of the difference, a second person must approve.
    pub limit_nanos: Nanos,
}

/// Says who answers for a break, and by when.
///
/// # Errors
/// `unknown_break`, `break_not_open`, `break_owner_needed`, `break_due_in_the_past`, `reason_needed`.
pub async fn assign(
    commands: &Commands,
    context: &CommandContext,
    input: Assign,
) -> Result<Executed, ExecuteError> {
    let Assign { break_id, owner, due_at, reason } = input;
    let assign = BreakCommand::Assign { owner, due_at, reason, at: commands.clock.now() };
    send(commands, context, break_id, assign).await
}

/// Settles a break, or proposes how when the amount is above the limit. A correction is posted by the same append.
///
/// # Errors
/// `unknown_break`, `break_not_open`, `break_cause_needed`, `break_amount_invalid`, `break_accounts_not_allowed`,
/// `break_currency_differs`, `break_currency_without_books`, `break_nothing_to_write_off`, `break_of_bank`, `break_of_usage`.
pub async fn resolve(
    commands: &Commands,
    context: &CommandContext,
    input: Resolve,
) -> Result<Executed, ExecuteError> {
    let Resolve { break_id, by, cause, limit_nanos } = input;
    let (actor, at) = (context.actor.clone(), commands.clock.now());
    let resolve = BreakCommand::Resolve { by, cause, actor, limit_nanos, at };
    send(commands, context, break_id, resolve).await
}

/// Approves what somebody else proposed.
///
/// # Errors
/// `unknown_break`, `break_nothing_proposed`, `break_approver_is_proposer`, `reason_needed`.
pub async fn approve(
    commands: &Commands,
    context: &CommandContext,
    (break_id, reason): (BreakId, String),
) -> Result<Executed, ExecuteError> {
    let (actor, at) = (context.actor.clone(), commands.clock.now());
    send(commands, context, break_id, BreakCommand::Approve { actor, reason, at }).await
}

async fn send(
    commands: &Commands,
    context: &CommandContext,
    break_id: BreakId,
    command: BreakCommand,
) -> Result<Executed, ExecuteError> {
    let (stream, result) = (break_id.to_string(), json!({ "break_id": break_id }));
    commands.executor.execute::<BreakCase>(&stream, command, context, result).await
}
