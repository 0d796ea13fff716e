//! People whom other providers vouch for.
use cairn_core::UserId;
use cairn_identity::{Identity, UserCommand};

use super::people::{Addressee, claim, on_user};
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Somebody who registers by a provider, which has seen to it that the address is theirs.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// Their address.
    pub email: String,
    /// What it is found by.
    pub email_index: String,
    /// What they are called.
    pub name: String,
    /// The hash of a password that nobody knows, a PHC string.
    pub password: String,
    /// Who they are there.
    pub identity: Identity,
}

/// Registers a person with an address that is verified and an identity that is linked. Answers `{"user_id"}`.
///
/// # Errors
/// `user_name_invalid`, `email_taken`.
pub async fn register_vouched(
    commands: &Commands,
    context: &CommandContext,
    input: Vouched,
) -> Result<Executed, ExecuteError> {
    let Vouched { email, email_index, name, password, identity } = input;
    let (user_id, at) = (UserId::from_bits(commands.ids.next()), commands.clock.now());
    let found_by = email_index.clone();
    let register = UserCommand::Register { user_id, email, email_index, name, password, at };
    let registered = on_user(commands, (context, ""), user_id, register).await?;
    let user_id = registered.aggregate_id.parse().unwrap_or(user_id);
    claim(commands, context, &Addressee { user_id, email_index: found_by }, at).await?;
    let link = UserCommand::LinkIdentity { identity, vouched: true, at };
    on_user(commands, (context, ":link"), user_id, link).await
}

/// Links an identity to a person, who signs in by it from then on.
///
/// # Errors
/// `identity_in_use`, `unknown_user`.
pub async fn link_identity(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    identity: Identity,
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let link = UserCommand::LinkIdentity { identity, vouched: false, at };
    on_user(commands, (context, ""), user_id, link).await
}

/// Unlinks an identity.
///
/// # Errors
/// `unknown_identity`.
pub async fn unlink_identity(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    identity_index: String,
) -> Result<Executed, ExecuteError> {
    let unlink = UserCommand::UnlinkIdentity { identity_index, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, unlink).await
}
