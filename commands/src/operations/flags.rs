//! Commands of feature flags: what is on, and for whom.
use cairn_core::{OrganisationId, Refusal as _, Timestamp};
use cairn_operations::{FeatureFlag, FeatureFlagCommand, FeatureFlagError, check_flag_name};
use serde_json::json;

use crate::answers::refused;
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// What is to become of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// On for so many of a hundred organisations: 0 is off, 100 is on.
    RollOut(u8),
    /// On or off for one organisation, whatever the percentage.
    Override(OrganisationId, bool),
    /// The percentage decides for it again.
    ClearOverride(OrganisationId),
    /// Off for everybody, for good.
    Archive,
}

impl Wish {
    fn command(self, reason: String, at: Timestamp) -> FeatureFlagCommand {
        use FeatureFlagCommand as C;
        match self {
            Self::RollOut(percentage) => C::RollOut { percentage, reason, at },
            Self::Override(organisation_id, on) => C::Override { organisation_id, on, reason, at },
            Self::ClearOverride(organisation_id) => {
                C::ClearOverride { organisation_id, reason, at }
            }
            Self::Archive => C::Archive { reason, at },
        }
    }
}

/// Defines a flag; it is off. Answers `{"flag"}`.
///
/// # Errors
/// `feature_flag_name_invalid`, `feature_flag_description_invalid`, `feature_flag_exists`, `feature_flag_archived`.
pub async fn define(
    commands: &Commands,
    context: &CommandContext,
    (flag, description): (String, String),
) -> Result<Executed, ExecuteError> {
    check_flag_name(&flag).map_err(|error| refused(error.code(), error.to_string()))?;
    let stream = flag.clone();
    let define = FeatureFlagCommand::Define { flag, description, at: commands.clock.now() };
    send(commands, context, (&stream, Expected::Anything), define).await
}

/// Changes a flag. Answers `{"flag"}`.
///
/// # Errors
/// `unknown_feature_flag`, `feature_flag_archived`, `feature_flag_percentage_invalid`, `feature_flag_overrides_full`, `reason_needed`,
/// `precondition_failed`.
pub async fn change(
    commands: &Commands,
    context: &CommandContext,
    ((flag, expected), wish, reason): ((&str, Expected), Wish, String),
) -> Result<Executed, ExecuteError> {
    let unknown = FeatureFlagError::Unknown;
    check_flag_name(flag).map_err(|_| refused(unknown.code(), unknown.to_string()))?;
    let command = wish.command(reason, commands.clock.now());
    send(commands, context, (flag, expected), command).await
}

async fn send(
    commands: &Commands,
    context: &CommandContext,
    stream: (&str, Expected),
    command: FeatureFlagCommand,
) -> Result<Executed, ExecuteError> {
    let result = json!({ "flag": stream.0 });
    commands.executor.execute_upon::<FeatureFlag>(stream, command, context, result).await
}
