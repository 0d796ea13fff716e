//! Passkeys of people: what their authenticators said was checked by whoever calls here.
use cairn_core::UserId;
use cairn_identity::{Passkey, PasskeyCommand, UserCommand};

use super::people::on_user;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Asks whether a person may add a passkey now. Nothing is recorded but the answer.
///
/// # Errors
/// `sign_in_locked`, `passkeys_full`, `unknown_user`.
pub async fn begin_passkey(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
) -> Result<Executed, ExecuteError> {
    let begin = PasskeyCommand::Begin { at: commands.clock.now() };
    on_user(commands, (context, ":begin"), user_id, UserCommand::Passkey(begin)).await
}

/// Adds a passkey, by which the person signs in from then on.
///
/// # Errors
/// `passkey_in_use`, `passkeys_full`, `passkey_name_invalid`, `sign_in_locked`, `unknown_user`.
pub async fn add_passkey(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    passkey: Passkey,
) -> Result<Executed, ExecuteError> {
    let add = PasskeyCommand::Add { passkey, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, UserCommand::Passkey(add)).await
}

/// Calls a passkey something else. It is named by the SHA-256 of its credential's id.
///
/// # Errors
/// `unknown_passkey`, `passkey_name_invalid`, `sign_in_locked`.
pub async fn rename_passkey(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (credential_sha256, name): (String, String),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let rename = PasskeyCommand::Rename { credential_sha256, name, at };
    on_user(commands, (context, ""), user_id, UserCommand::Passkey(rename)).await
}

/// Removes a passkey: nobody signs in by it any more.
///
/// # Errors
/// `unknown_passkey`, `sign_in_locked`.
pub async fn remove_passkey(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    credential_sha256: String,
) -> Result<Executed, ExecuteError> {
    let remove = PasskeyCommand::Remove { credential_sha256, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, UserCommand::Passkey(remove)).await
}
