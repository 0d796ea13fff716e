//! Commands of the operations context: what a person did to a stuck process, and why. `processes::operator` acts on it.
use cairn_operations::{Intervention, InterventionCommand, Verb};
use serde_json::json;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// What a person decided about an intent that waits.
#[derive(Debug, Clone)]
pub struct Intervene {
    /// Which intent.
    pub intent_id: String,
    /// What to do.
    pub verb: Verb,
    /// Why.
    pub reason: String,
}

/// Records an operator's decision. Answers `{"intent_id"}`.
///
/// # Errors
/// `intent_not_waiting`, `reason_needed`.
pub async fn intervene(
    commands: &Commands,
    context: &CommandContext,
    input: Intervene,
) -> Result<Executed, ExecuteError> {
    let Intervene { intent_id, verb, reason } = input;
    let resolve = InterventionCommand::Resolve { verb, reason, at: commands.clock.now() };
    let result = json!({ "intent_id": intent_id });
    commands.executor.execute::<Intervention>(&intent_id, resolve, context, result).await
}
