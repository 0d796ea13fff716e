//! Commands of the operations context: what a person did to a stuck process, and why (`processes::operator` acts on it), and settings
//! that change while a server runs.
pub mod flags;

use cairn_operations::{
    Configuration, ConfigurationCommand, Intervention, InterventionCommand, Verb,
};
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

/// A setting that a running server takes up.
#[derive(Debug, Clone)]
pub struct ChangeSetting {
    /// Which server.
    pub server: String,
    /// The setting's key.
    pub setting: String,
    /// What it was.
    pub from: String,
    /// What it will be.
    pub to: String,
    /// Where that stands.
    pub said_in: String,
}

/// Records that a server takes up a setting. Answers `{"setting"}`.
///
/// # Errors
/// When the log cannot be written.
pub async fn change_setting(
    commands: &Commands,
    context: &CommandContext,
    input: ChangeSetting,
) -> Result<Executed, ExecuteError> {
    let ChangeSetting { server, setting, from, to, said_in } = input;
    let result = json!({ "setting": setting });
    let at = commands.clock.now();
    let change = ConfigurationCommand::Change { setting, from, to, said_in, at };
    commands.executor.execute::<Configuration>(&server, change, context, result).await
}
