//! Identity: who the caller is; people, organisations and keys.
pub mod factors;
pub mod keys;
pub mod members;
pub mod organisations;
pub mod people;
pub mod sessions;
pub mod support;

use std::time::Duration;

use axum::Json;
use axum::extract::Extension;
use cairn_commands::identity::{Code, normalised};
use cairn_core::Timestamp;
use cairn_identity::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::opened::unopened;
use super::state::Api;
use crate::auth::secret::{self, Purpose};
use crate::auth::{Caller, Secret, Who};
use crate::problem::{FieldError, Problem};

/// How long what was just changed may take to be seen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_whoami))
}

/// Whom this key or session stands for.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhoAmI {
    /// `key_…`, when it is a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// `user_…`, when it is a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `grant_…`, when it is support, for as long as it may look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    /// `org_…`
    pub organisation_id: String,
    /// `owner`, `admin`, `finance`, `developer`, `viewer`, or one of the platform's, as `platform_operator`.
    pub role: String,
}

/// Whom this key or session stands for.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "get_whoami", tag = "identity",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "The caller", body = WhoAmI)))]
async fn get_whoami(Extension(caller): Extension<Caller>) -> Json<WhoAmI> {
    let (key_id, user_id, grant_id) = match caller.who {
        Who::Key(key_id) => (Some(key_id.to_string()), None, None),
        Who::Person(person) => (None, Some(person.user_id.to_string()), None),
        Who::Support(key_id, grant_id) => {
            (Some(key_id.to_string()), None, Some(grant_id.to_string()))
        }
    };
    Json(WhoAmI {
        key_id,
        user_id,
        grant_id,
        organisation_id: caller.organisation_id.to_string(),
        role: caller.role.name().to_owned(),
    })
}

/// A secret of the operating system's randomness.
fn new_secret<P: Purpose>() -> Result<Secret<P>, Problem> {
    let random = crate::system::random::<40>();
    let random = random.map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Secret::from_random(&random))
}

/// A code to send, which works for so long.
fn new_code(now: Timestamp, seconds: i64) -> Result<Code, Problem> {
    let code = new_secret::<secret::Code>()?;
    Ok(Code {
        token: code.expose().to_owned(),
        token_sha256: code.sha256(),
        expires_at: now.plus_secs(seconds),
    })
}

/// The hash of a code as somebody typed it.
fn code_hash(text: &str) -> Result<String, Problem> {
    let code = Secret::<secret::Code>::parse(text.trim());
    code.map(|code| code.sha256()).map_err(|error| {
        Problem::invalid(vec![FieldError::new("/code", "body_invalid", error.to_string())])
    })
}

/// An address, and what it is found by.
async fn address(api: &Api, text: &str) -> Result<(String, String), Problem> {
    let email = normalised(text);
    let wrong = || {
        let detail = "an address of mail has one @ with something on both sides, and no spaces";
        Problem::invalid(vec![FieldError::new("/email", "body_invalid", detail)])
    };
    let (local, domain) = email.rsplit_once('@').ok_or_else(wrong)?;
    let clean = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    if !clean(local) || !clean(domain) || local.contains('@') || email.len() > 254 {
        return Err(wrong());
    }
    let index = api.commands.executor.personal().index(&email).await;
    Ok((email, index.map_err(|error| unopened(&error, false))?))
}

/// A text as it was said; `None` when it was erased.
async fn open(api: &Api, text: &str) -> Result<Option<String>, Problem> {
    let opened = api.commands.executor.personal().open(text).await;
    opened.map_err(|error| unopened(&error, false))
}

/// A role that organisations give.
fn role(name: &str) -> Result<Role, Problem> {
    let found = Role::named(name).filter(|role| !role.is_platform());
    found.ok_or_else(|| {
        let detail = "a role is owner, admin, finance, developer or viewer";
        Problem::invalid(vec![FieldError::new("/role", "body_invalid", detail)])
    })
}

/// Waits until a view shows what was just done, so that whoever did it sees it. If that takes too long, it is done all the same.
async fn seen(api: &Api, view: &'static str, position: i64) {
    if let Err(problem) = api.views.reach(view, Some(position), PATIENCE).await {
        tracing::warn!(detail = problem.detail, view, "what was done is not seen yet");
    }
}
