//! `cairn keys`: API keys.
use std::time::Duration;

use cairn_commands::Executed;
use cairn_commands::identity::{self, CreateKey, RevokeKey, RotateKey};
use cairn_commands::privacy::SUBJECT_ERASED;
use cairn_core::{ApiKeyId, OrganisationId, Timestamp};
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use serde_json::{Value, json};

use super::args::{KeysCommand, RoleArg};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::auth::ApiKeySecret;
use crate::config::Config;
use crate::system::new_api_key;

const COLUMNS: [&str; 8] = [
    "key_id",
    "organisation_id",
    "role",
    "name",
    "created_at",
    "last_used_at",
    "expires_at",
    "revoked_at",
];

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Finance => Self::Finance,
            RoleArg::Developer => Self::Developer,
            RoleArg::Viewer => Self::Viewer,
            RoleArg::PlatformOperator => Self::PlatformOperator,
            RoleArg::PlatformFinance => Self::PlatformFinance,
            RoleArg::PlatformSupport => Self::PlatformSupport,
            RoleArg::PlatformEngineer => Self::PlatformEngineer,
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: KeysCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        KeysCommand::Create { role, name, organisation, expires_in } => {
            let made = create(&parts, role.into(), name, (organisation, expires_in)).await?;
            show(&made, role.into(), output, json!({}))
        }
        KeysCommand::Rotate { key_id, overlap, expires_in } => {
            rotate(&parts, key_id, (overlap, expires_in), output).await
        }
        KeysCommand::Revoke { key_id, reason } => {
            let input = RevokeKey { key_id, reason };
            let done = identity::revoke_key(&parts.commands, &parts.context(None), input).await?;
            parts.reach(api_keys::NAME, done.position).await?;
            output.one(&json!({ "key_id": key_id, "revoked": true }))
        }
        KeysCommand::List => {
            parts.catch_up(&[api_keys::NAME]).await?;
            let rows = all_pages(async |after| {
                Ok(api_keys::list(parts.pool(), (None, None), after, 200).await?)
            })
            .await?;
            output.rows(&rows, &COLUMNS)
        }
    })
    .await
}

/// A key that was just made.
pub(super) struct Made {
    pub secret: ApiKeySecret,
    pub key_id: ApiKeyId,
    pub organisation_id: OrganisationId,
    pub expires_at: Option<Timestamp>,
    /// Why the key may not work yet: it exists, but the view of keys does not show it.
    pub late: Option<CliError>,
}

/// Shows a key the only time it can be shown, with what else there is to say.
fn show(made: &Made, role: Role, output: Output, more: Value) -> Result<(), CliError> {
    if let Some(late) = &made.late {
        output.say(&format!("warning: the key may not work yet: {late}"));
    }
    output.say("Keep the key: it is shown only now.");
    let mut said = json!({
        "key": made.secret.expose(),
        "key_id": made.key_id,
        "organisation_id": made.organisation_id,
        "role": role.name(),
        "expires_at": made.expires_at,
    });
    if let (Value::Object(said), Value::Object(more)) = (&mut said, more) {
        said.extend(more);
    }
    output.one(&said)
}

/// Makes a key, for a new organisation when none is named, and waits until it works, or until that takes too long.
pub(super) async fn create(
    parts: &SessionParts,
    role: Role,
    name: String,
    (organisation, expires_in): (Option<OrganisationId>, Option<Duration>),
) -> Result<Made, CliError> {
    let organisation_id =
        organisation.unwrap_or_else(|| OrganisationId::from_bits(parts.commands.ids.next()));
    let context = parts.context(Some(organisation_id));
    let (secret, key) = new_key(parts, (organisation_id, role, vec![]), name, expires_in)?;
    let done = identity::create_key(&parts.commands, &context, key.clone()).await?;
    made(parts, (secret, &key), &done).await
}

/// A secret, and the key that it is to be.
fn new_key(
    parts: &SessionParts,
    (organisation_id, role, scopes): (OrganisationId, Role, Vec<String>),
    name: String,
    expires_in: Option<Duration>,
) -> Result<(ApiKeySecret, CreateKey), CliError> {
    let secret = new_api_key(parts.mode)?;
    let expires_at = expires_in.map(|span| after(parts.commands.clock.now(), span));
    let secret_sha256 = secret.sha256();
    let holder = None;
    let key = CreateKey { organisation_id, role, scopes, name, secret_sha256, holder, expires_at };
    Ok((secret, key))
}

/// What was made, seen or not.
async fn made(
    parts: &SessionParts,
    (secret, key): (ApiKeySecret, &CreateKey),
    done: &Executed,
) -> Result<Made, CliError> {
    let unreadable = |_| CliError::new(Exit::Failure, "internal", done.aggregate_id.clone());
    let key_id = done.aggregate_id.parse().map_err(unreadable)?;
    if done.replayed {
        return Err(shown_once(key_id));
    }
    let late = parts.reach(api_keys::NAME, done.position).await.err();
    let (organisation_id, expires_at) = (key.organisation_id, key.expires_at);
    Ok(Made { secret, key_id, organisation_id, expires_at, late })
}

fn shown_once(key_id: ApiKeyId) -> CliError {
    let message = format!("{key_id} was made before, and shown only then");
    CliError::new(Exit::Refused, "shown_once", message)
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    now.plus_secs(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}

/// A new key like the old one, which ends after the overlap, or when it was to end anyway.
async fn rotate(
    parts: &SessionParts,
    old: ApiKeyId,
    (overlap, expires_in): (Duration, Option<Duration>),
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[api_keys::NAME]).await?;
    let unknown = || CliError::new(Exit::NotFound, "unknown_api_key", format!("{old} is no key"));
    let row = api_keys::get(parts.pool(), None, &old.to_string()).await?.ok_or_else(unknown)?;
    if row.revoked_at.is_some() {
        let message = format!("{old} was revoked: make a new key");
        return Err(CliError::new(Exit::Refused, "api_key_revoked", message));
    }
    let unreadable = || CliError::new(Exit::Failure, "internal", format!("{old} does not read"));
    let organisation_id = row.organisation_id.parse().map_err(|_| unreadable())?;
    let holder = row.holder().map_err(|_| unreadable())?;
    let role = Role::named(&row.role).ok_or_else(unreadable)?;
    let context = parts.context(Some(organisation_id));
    // The view has the name as it is stored: sealed.
    let name = parts.commands.executor.personal().open(&row.name).await?.ok_or_else(|| {
        let message = format!("whose {old} was is erased, and nothing new is kept of it");
        CliError::new(Exit::Refused, SUBJECT_ERASED, message)
    })?;
    let like = (organisation_id, role, row.scopes);
    let (secret, mut successor) = new_key(parts, like, name, expires_in)?;
    // Whose it was it stays: it must not outlast what they were.
    successor.holder = holder;
    let over = after(parts.commands.clock.now(), overlap);
    let ends_at = row.expires_at.map_or(over, |known| Timestamp::from(known).min(over));
    let input = RotateKey { key_id: old, successor: successor.clone(), ends_at };
    let rotated = identity::rotate_key(&parts.commands, &context, input).await?;
    if rotated.made.replayed {
        rotated.ended?;
        return made(parts, (secret, &successor), &rotated.made).await.map(drop);
    }
    let made = made(parts, (secret, &successor), &rotated.made).await?;
    let ends_at = rotated.ended.is_ok().then_some(ends_at);
    show(&made, role, output, json!({ "replaces": old, "old_expires_at": ends_at }))?;
    parts.reach(api_keys::NAME, rotated.ended?.position).await?;
    Ok(())
}
