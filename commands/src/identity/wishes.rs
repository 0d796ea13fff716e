//! What a person agreed to, and whether they want to be forgotten.
use cairn_core::{Refusal as _, Timestamp, UserId};
use cairn_identity::{
    Consent, Document, EmailAddress, EmailAddressCommand, Said, User, UserCommand, UserError,
};
use serde_json::json;

use super::people::{followed, on_user};
use crate::answers::refused;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Records that a person agreed to a version of a document, or took it back.
///
/// # Errors
/// `consent_version_invalid`, `unknown_user`, `user_closed`.
pub async fn consent(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (document, consent, said): (Document, Consent, Said),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let suffix = if said == Said::Registering { ":consent" } else { "" };
    let command = UserCommand::Consent { document, consent, said, at };
    on_user(commands, (context, suffix), user_id, command).await
}

/// Lets a person be forgotten at an instant, unless they think better of it. Whoever asks has checked who they are.
///
/// # Errors
/// `sign_in_locked`, `unknown_user`, `user_closed`.
pub async fn request_erasure(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    due_at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let request = UserCommand::RequestErasure { due_at, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, request).await
}

/// They thought better of it.
///
/// # Errors
/// `unknown_user`, `user_closed`.
pub async fn cancel_erasure(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
) -> Result<Executed, ExecuteError> {
    let cancel = UserCommand::CancelErasure { at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, cancel).await
}

/// Whether a person's erasure is due.
///
/// # Errors
/// `erasure_not_due`.
pub async fn check_due(commands: &Commands, user_id: UserId) -> Result<(), ExecuteError> {
    let (known, _) = commands.executor.load::<User>(&user_id.to_string()).await?;
    let due = known.erasure_due_at.is_some_and(|due_at| due_at <= commands.clock.now());
    let not_due = UserError::ErasureNotDue;
    if due { Ok(()) } else { Err(refused(not_due.code(), not_due.to_string())) }
}

/// Closes the account of a person whose erasure is due: from then on nobody can cancel it.
///
/// # Errors
/// `erasure_not_due`, `unknown_user`.
pub async fn close_due(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    reason: String,
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let close = UserCommand::CloseDue { reason, at };
    let closed = on_user(commands, (context, ":due"), user_id, close).await?;
    let (known, _) = commands.executor.load::<User>(&user_id.to_string()).await?;
    let release = EmailAddressCommand::Release { user_id, at };
    let (further, result) = (followed(context, ":due-release"), json!({ "user_id": user_id }));
    let executor = &commands.executor;
    executor.execute::<EmailAddress>(&known.email_index, release, &further, result).await?;
    Ok(closed)
}
