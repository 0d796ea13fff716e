//! API keys. A key is shown once and kept as a hash.
use cairn_core::{ApiKeyId, OrganisationId, Refusal as _, ServiceAccountId, Timestamp};
use cairn_identity::{ApiKey, ApiKeyCommand, Holder, Organisation, OrganisationError, Role};
use serde_json::json;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// A key to make. Its text is made by whoever can show it once; only its hash comes here.
#[derive(Debug, Clone)]
pub struct CreateKey {
    /// Whose it is.
    pub organisation_id: OrganisationId,
    /// What its holder may do.
    pub role: Role,
    /// What of it, as `compute:read`; all of it when there is none.
    pub scopes: Vec<String>,
    /// What it is called.
    pub name: String,
    /// Lower-case hex SHA-256 of the whole key.
    pub secret_sha256: String,
    /// The person it stands for, whose role it has and with whose membership it ends, or the service account that it is; it is the
    /// organisation's when absent.
    pub holder: Option<Holder>,
    /// From when on it opens nothing; it works until it is revoked when absent.
    pub expires_at: Option<Timestamp>,
}

/// Creates a key. Answers `{"key_id", "organisation_id"}`.
///
/// # Errors
/// `key_name_invalid`, `key_expiry_invalid`.
pub async fn create_key(
    commands: &Commands,
    context: &CommandContext,
    input: CreateKey,
) -> Result<Executed, ExecuteError> {
    let CreateKey { organisation_id, role, scopes, name, secret_sha256, holder, expires_at } =
        input;
    let key_id = ApiKeyId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let create = ApiKeyCommand::Create {
        key_id,
        organisation_id,
        role,
        scopes,
        name,
        secret_sha256,
        holder,
        expires_at,
        at,
    };
    let result = json!({ "key_id": key_id, "organisation_id": organisation_id });
    commands.executor.execute::<ApiKey>(&key_id.to_string(), create, context, result).await
}

/// A key to make for a service account, whose role it has.
#[derive(Debug, Clone)]
pub struct AccountKey {
    /// Whose the account is.
    pub organisation_id: OrganisationId,
    /// Which account.
    pub service_account_id: ServiceAccountId,
    /// What of its role, as `compute:read`; all of it when there is none.
    pub scopes: Vec<String>,
    /// What it is called.
    pub name: String,
    /// Lower-case hex SHA-256 of the whole key.
    pub secret_sha256: String,
    /// From when on it opens nothing; it works until it is revoked when absent.
    pub expires_at: Option<Timestamp>,
}

/// Creates a key of a service account. Answers as [`create_key`].
///
/// # Errors
/// `unknown_service_account`, and those of [`create_key`].
pub async fn create_account_key(
    commands: &Commands,
    context: &CommandContext,
    input: AccountKey,
) -> Result<Executed, ExecuteError> {
    let AccountKey { organisation_id, service_account_id, scopes, name, .. } = input;
    let (known, _) = commands.executor.load::<Organisation>(&organisation_id.to_string()).await?;
    let Some(account) = known.service_account(service_account_id) else {
        // Whoever asks again gets the first answer, also when the account was there then.
        let key_id = ApiKeyId::from_bits(commands.ids.next()).to_string();
        let unknown = OrganisationError::UnknownServiceAccount;
        let refusal = (unknown.code(), unknown.to_string());
        return commands.executor.refuse::<ApiKey>(&key_id, refusal, context).await;
    };
    let key = CreateKey {
        organisation_id,
        role: account.role,
        scopes,
        name,
        secret_sha256: input.secret_sha256,
        holder: Some(Holder::ServiceAccount(service_account_id)),
        expires_at: input.expires_at,
    };
    create_key(commands, context, key).await
}

/// A key that is to end by itself.
#[derive(Debug, Clone)]
pub struct ExpireKey {
    /// Which.
    pub key_id: ApiKeyId,
    /// From when on it opens nothing.
    pub expires_at: Timestamp,
    /// The key that takes its place.
    pub successor: Option<ApiKeyId>,
}

/// Sets when a key ends; an expiry only moves nearer.
///
/// # Errors
/// `unknown_api_key`, `api_key_revoked`, `key_expiry_invalid`.
pub async fn expire_key(
    commands: &Commands,
    context: &CommandContext,
    input: ExpireKey,
) -> Result<Executed, ExecuteError> {
    let ExpireKey { key_id, expires_at, successor } = input;
    let expire = ApiKeyCommand::SetExpiry { expires_at, successor, at: commands.clock.now() };
    let result = json!({ "key_id": key_id });
    commands.executor.execute::<ApiKey>(&key_id.to_string(), expire, context, result).await
}

/// A key to replace by one that is like it.
#[derive(Debug, Clone)]
pub struct RotateKey {
    /// Which.
    pub key_id: ApiKeyId,
    /// The new one.
    pub successor: CreateKey,
    /// From when on the old one opens nothing.
    pub ends_at: Timestamp,
}

/// What became of a rotation.
#[derive(Debug)]
pub struct Rotated {
    /// The new key.
    pub made: Executed,
    /// The end of the old one; it may have failed when the new key is there.
    pub ended: Result<Executed, ExecuteError>,
}

/// Makes a key that takes the place of another, which works on until its end.
///
/// # Errors
/// Those of [`create_key`].
pub async fn rotate_key(
    commands: &Commands,
    context: &CommandContext,
    input: RotateKey,
) -> Result<Rotated, ExecuteError> {
    let RotateKey { key_id, successor, ends_at: expires_at } = input;
    let made = create_key(commands, context, successor).await?;
    let successor = made.aggregate_id.parse().ok();
    let then =
        CommandContext { command_id: format!("{}:expire", context.command_id), ..context.clone() };
    let ended = expire_key(commands, &then, ExpireKey { key_id, expires_at, successor }).await;
    Ok(Rotated { made, ended })
}

/// A key to revoke.
#[derive(Debug, Clone)]
pub struct RevokeKey {
    /// Which.
    pub key_id: ApiKeyId,
    /// Why.
    pub reason: String,
}

/// Revokes a key, for ever.
///
/// # Errors
/// `unknown_api_key`.
pub async fn revoke_key(
    commands: &Commands,
    context: &CommandContext,
    input: RevokeKey,
) -> Result<Executed, ExecuteError> {
    let revoke = ApiKeyCommand::Revoke { reason: input.reason, at: commands.clock.now() };
    let result = json!({ "key_id": input.key_id });
    commands.executor.execute::<ApiKey>(&input.key_id.to_string(), revoke, context, result).await
}
