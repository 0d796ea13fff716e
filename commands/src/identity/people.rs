//! People: registering, proving an address, passwords, one-time passwords, sessions.
use cairn_core::{SessionId, Timestamp, UserId};
use cairn_identity::{
    EmailAddress, EmailAddressCommand, EndReason, LinkPurpose, Proof, SignIn, User, UserCommand,
};
use serde_json::json;

use super::Code;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Somebody who registers.
#[derive(Debug, Clone)]
pub struct Register {
    /// Their address.
    pub email: String,
    /// What it is found by.
    pub email_index: String,
    /// What they are called.
    pub name: String,
    /// The hash of their password, a PHC string.
    pub password: String,
    /// Proves that the address is theirs.
    pub code: Code,
}

/// Registers a person whose address is not verified yet, and lets the code be sent. Answers `{"user_id"}`.
///
/// # Errors
/// `user_name_invalid`.
pub async fn register(
    commands: &Commands,
    context: &CommandContext,
    input: Register,
) -> Result<Executed, ExecuteError> {
    let Register { email, email_index, name, password, code } = input;
    let user_id = UserId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let register = UserCommand::Register { user_id, email, email_index, name, password, at };
    let registered = on_user(commands, (context, ""), user_id, register).await?;
    let user_id = registered.aggregate_id.parse().unwrap_or(user_id);
    send_code(commands, (context, ":code"), user_id, (LinkPurpose::VerifyEmail, code)).await
}

/// Lets a code be sent to a person's address. Answers `{"user_id"}`.
///
/// # Errors
/// `unknown_user`, `user_closed`.
pub async fn request_code(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    wanted: (LinkPurpose, Code),
) -> Result<Executed, ExecuteError> {
    send_code(commands, (context, ""), user_id, wanted).await
}

async fn send_code(
    commands: &Commands,
    context: (&CommandContext, &str),
    user_id: UserId,
    (purpose, code): (LinkPurpose, Code),
) -> Result<Executed, ExecuteError> {
    let Code { token, token_sha256, expires_at } = code;
    let at = commands.clock.now();
    let request = UserCommand::RequestLink { purpose, token, token_sha256, expires_at, at };
    on_user(commands, context, user_id, request).await
}

/// Lets the owner of an address know that somebody tried to register it again.
///
/// # Errors
/// `unknown_user`, `user_closed`.
pub async fn remind(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
) -> Result<Executed, ExecuteError> {
    let remind = UserCommand::Remind { at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, remind).await
}

/// A person and the address that a code was sent to.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// Who.
    pub user_id: UserId,
    /// What the address is found by.
    pub email_index: String,
}

/// Proves an address with the code that was sent to it; it is the person's from then on.
///
/// # Errors
/// `email_taken`, `link_invalid`.
pub async fn verify_email(
    commands: &Commands,
    context: &CommandContext,
    who: &Addressee,
    token_sha256: String,
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let verify = UserCommand::VerifyEmail { token_sha256, at };
    claim(commands, context, who, at).await?;
    on_user(commands, (context, ""), who.user_id, verify).await
}

/// A password to set.
#[derive(Clone)]
pub struct NewPassword {
    /// Its hash, a PHC string.
    pub password: String,
    /// Why it may be set.
    pub proof: Proof,
    /// The session that goes on, and the hash of its new secret.
    pub renewed: Option<(SessionId, String)>,
}

/// Sets a password, which ends every session. With a code, the address is proven as well.
///
/// # Errors
/// `email_taken`, `link_invalid`, `unknown_session`.
pub async fn set_password(
    commands: &Commands,
    context: &CommandContext,
    who: &Addressee,
    new: NewPassword,
) -> Result<Executed, ExecuteError> {
    let NewPassword { password, proof, renewed } = new;
    let at = commands.clock.now();
    if matches!(proof, Proof::Link(_)) {
        claim(commands, context, who, at).await?;
    }
    let set = UserCommand::SetPassword { password, proof, renewed, at };
    on_user(commands, (context, ""), who.user_id, set).await
}

/// Takes the address for the person; nothing when they have it.
pub(super) async fn claim(
    commands: &Commands,
    context: &CommandContext,
    who: &Addressee,
    at: Timestamp,
) -> Result<(), ExecuteError> {
    let claim = EmailAddressCommand::Claim { user_id: who.user_id, at };
    let (context, result) = (followed(context, ":claim"), json!({ "user_id": who.user_id }));
    let executor = &commands.executor;
    executor.execute::<EmailAddress>(&who.email_index, claim, &context, result).await.map(drop)
}

/// Remembers a secret that is shared with a device, which must prove that it has it.
///
/// # Errors
/// `totp_in_use`.
pub async fn begin_totp(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    secret: String,
) -> Result<Executed, ExecuteError> {
    let begin = UserCommand::BeginTotp { secret, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, begin).await
}

/// Demands one-time passwords from now on.
///
/// # Errors
/// `totp_not_begun`, `totp_in_use`.
pub async fn confirm_totp(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (step, recovery_sha256): (u64, Vec<String>),
) -> Result<Executed, ExecuteError> {
    let confirm = UserCommand::ConfirmTotp { step, recovery_sha256, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, confirm).await
}

/// Demands one-time passwords no longer.
///
/// # Errors
/// `unknown_user`.
pub async fn remove_totp(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
) -> Result<Executed, ExecuteError> {
    let remove = UserCommand::RemoveTotp { at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, remove).await
}

/// Opens a session for somebody whose proofs were checked.
///
/// # Errors
/// `sign_in_locked`, `email_unverified`, `password_changed`, `one_time_password_needed`, `one_time_password_used`, `unknown_identity`,
/// `unknown_passkey`, `passkey_cloned`.
pub async fn sign_in(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    sign_in: SignIn,
) -> Result<Executed, ExecuteError> {
    on_user(commands, (context, ""), user_id, UserCommand::SignIn(sign_in)).await
}

/// Records that somebody did not prove who they are.
///
/// # Errors
/// `unknown_user`.
pub async fn fail_sign_in(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
) -> Result<Executed, ExecuteError> {
    let fail = UserCommand::FailSignIn { at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, fail).await
}

/// Gives a session another secret. `secret_sha256` is the hash of it.
///
/// # Errors
/// `unknown_session`.
pub async fn renew_session(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (session_id, secret_sha256): (SessionId, String),
) -> Result<Executed, ExecuteError> {
    let at = commands.clock.now();
    let renew = UserCommand::RenewSession { session_id, secret_sha256, at };
    on_user(commands, (context, ""), user_id, renew).await
}

/// Ends a session.
///
/// # Errors
/// `unknown_session`.
pub async fn end_session(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (session_id, why): (SessionId, EndReason),
) -> Result<Executed, ExecuteError> {
    let end = UserCommand::EndSession { session_id, why, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, end).await
}

/// Ends every session of somebody, by whoever runs this; nothing when there is none. Answers `{"user_id"}`.
///
/// # Errors
/// `reason_needed`, `unknown_user`.
pub async fn end_sessions(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    reason: String,
) -> Result<Executed, ExecuteError> {
    let end = UserCommand::EndSessions { reason, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, end).await
}

/// Takes somebody's password and second factors away, and sends the code for a new password to their address. Answers `{"user_id"}`.
///
/// # Errors
/// `reason_needed`, `unknown_user`, `user_closed`.
pub async fn reset_factors(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    (reason, code): (String, Code),
) -> Result<Executed, ExecuteError> {
    let reset = UserCommand::ResetFactors { reason, at: commands.clock.now() };
    on_user(commands, (context, ""), user_id, reset).await?;
    send_code(commands, (context, ":code"), user_id, (LinkPurpose::ResetPassword, code)).await
}

/// Closes an account: every session is over, and its address is free again.
///
/// # Errors
/// `unknown_user`.
pub async fn close(
    commands: &Commands,
    context: &CommandContext,
    user_id: UserId,
    reason: String,
) -> Result<Executed, ExecuteError> {
    let (known, _) = commands.executor.load::<User>(&user_id.to_string()).await?;
    let at = commands.clock.now();
    let release = EmailAddressCommand::Release { user_id, at };
    let (further, result) = (followed(context, ":release"), json!({ "user_id": user_id }));
    let executor = &commands.executor;
    executor.execute::<EmailAddress>(&known.email_index, release, &further, result).await?;
    on_user(commands, (context, ""), user_id, UserCommand::Close { reason, at }).await
}

pub(super) async fn on_user(
    commands: &Commands,
    (context, suffix): (&CommandContext, &str),
    user_id: UserId,
    command: UserCommand,
) -> Result<Executed, ExecuteError> {
    let (context, result) = (followed(context, suffix), json!({ "user_id": user_id }));
    commands.executor.execute::<User>(&user_id.to_string(), command, &context, result).await
}

/// The context of a further command of the same wish.
pub(super) fn followed(context: &CommandContext, suffix: &str) -> CommandContext {
    let command_id = format!("{}{suffix}", context.command_id);
    CommandContext { command_id, ..context.clone() }
}
