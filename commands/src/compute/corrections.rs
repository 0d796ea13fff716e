//! Correcting what was metered: an operator takes seconds back, and `meter_usage` gives back what they cost.
//!
//! What is on an invoice already is followed by a credit note, which the process `credit_invoice` issues. What is to be refused is refused here,
//! before anything is changed.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, Decider as _};
use serde_json::json;

use super::invoiced;
use crate::answers::first_answer;
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// A wish to take metered seconds back.
#[derive(Debug, Clone)]
pub struct CorrectUsage {
    /// Of which rental.
    pub allocation_id: AllocationId,
    /// How many.
    pub seconds: i64,
    /// Why, in the operator's words.
    pub reason: String,
    /// What was seen of the rental.
    pub expected: Expected,
}

/// Takes metered seconds back. Answers `{"seconds"}`: how many are metered then.
///
/// # Errors
/// `unknown_allocation`, `correction_not_positive`, `correction_exceeds_usage`, `reason_needed`, `usage_invoiced`,
/// `credit_exceeds_invoice`, `credit_exceeds_usage`, `precondition_failed`.
pub async fn correct_usage(
    commands: &Commands,
    context: &CommandContext,
    input: CorrectUsage,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let CorrectUsage { allocation_id, seconds, reason, expected } = input;
    let executor = &commands.executor;
    let stream = allocation_id.to_string();
    let (rental, _) = executor.load::<Allocation>(&stream).await?;
    let at = commands.clock.now();
    let correct = AllocationCommand::CorrectUsage { seconds, reason, at };
    let corrected = rental.decide(correct.clone()).map(|facts| rental.evolve_all(facts));
    let result = match &corrected {
        Ok(rental) => json!({ "seconds": rental.metered_seconds() }),
        Err(_) => json!(null),
    };
    if let Ok(rental) = corrected {
        let refused = match invoiced::parts(executor, &rental).await? {
            Ok(parts) => invoiced::beyond(executor, &rental, (&parts, at)).await?,
            Err(refused) => Some(refused),
        };
        if let Some(refused) = refused {
            return executor.refuse::<Allocation>(&stream, refused, context).await;
        }
    }
    let stream = (stream.as_str(), expected);
    executor.execute_upon::<Allocation>(stream, correct, context, result).await
}
