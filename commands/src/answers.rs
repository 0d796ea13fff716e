//! Answers that handlers give themselves: the first answer of a repeated command, and refusals that need more than one aggregate.
use cairn_catalog::{SkuError, check_sku_id};
use cairn_core::Refusal as _;
use cairn_event_log::Outcome;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// The answer that a command id got before, if it did. Asked first by every handler that looks at facts before it
/// decides, so that a repeat is answered alike even if those facts have changed.
///
/// # Errors
/// [`ExecuteError::KeyReused`] and the errors of reading the log. A stored refusal is an answer.
pub(crate) async fn first_answer(
    commands: &Commands,
    context: &CommandContext,
) -> Result<Option<Result<Executed, ExecuteError>>, ExecuteError> {
    let Some((stored, hash)) = commands.executor.log().outcome(&context.command_id).await? else {
        return Ok(None);
    };
    if hash != context.body_hash {
        return Err(ExecuteError::KeyReused);
    }
    Ok(Some(match stored.outcome {
        Outcome::Accepted { result } => Ok(Executed {
            position: stored.position,
            aggregate_id: stored.aggregate_id,
            sequence: stored.sequence,
            result,
            replayed: true,
        }),
        Outcome::Refused { code, message } => {
            Err(ExecuteError::Refused { code, message, replayed: true })
        }
    }))
}

/// A refusal before any aggregate was asked. Nothing is stored for it.
pub(crate) fn refused(code: &str, message: impl Into<String>) -> ExecuteError {
    ExecuteError::Refused { code: code.to_owned(), message: message.into(), replayed: false }
}

/// What has not the form of a SKU id names no SKU, and no stream is opened to say so: nothing is stored.
pub(crate) fn sku_form(sku_id: &str) -> Result<(), ExecuteError> {
    let unknown = SkuError::Unknown;
    check_sku_id(sku_id).map_err(|_| refused(unknown.code(), unknown.to_string()))
}

/// `context` under a derived command id, for a handler that sends more than one command.
pub(crate) fn derived(context: &CommandContext, suffix: &str) -> CommandContext {
    use sha2::{Digest, Sha256};
    let command_id = format!("{}:{suffix}", context.command_id);
    CommandContext {
        // Not of the body: the second delivery of one report says the same at a later time.
        body_hash: Sha256::digest(&command_id).into(),
        command_id,
        ..context.clone()
    }
}
