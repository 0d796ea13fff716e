//! `cairn keys`: API keys.
use cairn_commands::identity::{self, CreateKey, RevokeKey};
use cairn_core::OrganisationId;
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use serde_json::json;

use super::args::{KeysCommand, RoleArg};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::auth::ApiKeySecret;
use crate::config::Config;
use crate::http::guard::role_name;
use crate::system::new_api_key;

const COLUMNS: [&str; 6] =
    ["key_id", "organisation_id", "role", "name", "created_at", "revoked_at"];

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Finance => Self::Finance,
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: KeysCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        KeysCommand::Create { role, name, organisation } => {
            let made = create(&parts, role.into(), name, organisation).await?;
            if let Some(late) = &made.late {
                output.say(&format!("warning: the key may not work yet: {late}"));
            }
            output.say("Keep the key: it is shown only now.");
            output.one(&json!({
                "key": made.secret.expose(),
                "key_id": made.key_id,
                "organisation_id": made.organisation_id,
                "role": role_name(role.into()),
            }))
        }
        KeysCommand::Revoke { key_id, reason } => {
            let input = RevokeKey { key_id, reason };
            let done = identity::revoke_key(&parts.commands, &parts.context(None), input).await?;
            parts.reach(api_keys::NAME, done.position).await?;
            output.one(&json!({ "key_id": key_id, "revoked": true }))
        }
        KeysCommand::List => {
            parts.catch_up(&[api_keys::NAME]).await?;
            let rows =
                all_pages(async |after| Ok(api_keys::list(parts.pool(), None, after, 200).await?))
                    .await?;
            output.rows(&rows, &COLUMNS)
        }
    })
    .await
}

/// A key that was just made.
pub(super) struct Made {
    pub secret: ApiKeySecret,
    pub key_id: String,
    pub organisation_id: OrganisationId,
    /// Why the key may not work yet: it exists, but the view of keys does not show it.
    pub late: Option<CliError>,
}

/// Makes a key, for a new organisation when none is named, and waits until it works, or until that takes too long.
pub(super) async fn create(
    parts: &SessionParts,
    role: Role,
    name: String,
    organisation: Option<OrganisationId>,
) -> Result<Made, CliError> {
    let secret = new_api_key()?;
    let organisation_id =
        organisation.unwrap_or_else(|| OrganisationId::from_bits(parts.commands.ids.next()));
    let input = CreateKey { organisation_id, role, name, secret_sha256: secret.sha256() };
    let context = parts.context(Some(organisation_id));
    let done = identity::create_key(&parts.commands, &context, input).await?;
    if done.replayed {
        let message = format!("{} was made before, and shown only then", done.aggregate_id);
        return Err(CliError::new(Exit::Refused, "shown_once", message));
    }
    let late = parts.reach(api_keys::NAME, done.position).await.err();
    Ok(Made { secret, key_id: done.aggregate_id, organisation_id, late })
}
