//! What the routes of people, organisations and keys share: secrets and codes, addresses, sealed texts, and seeing what was just done.
use std::time::Duration;

use cairn_commands::CommandContext;
use cairn_commands::identity::{Code, normalised};
use cairn_core::Timestamp;
use cairn_core::personal::ERASED;
use cairn_identity::Role;

use super::super::opened::unopened;
use super::super::state::Api;
use crate::auth::secret::{self, Purpose};
use crate::auth::{ApiKeySecret, Secret, table};
use crate::problem::{FieldError, Problem};
use crate::system;

/// How long what was just changed may take to be seen.
const PATIENCE: Duration = Duration::from_secs(5);

/// A secret of the operating system's randomness.
pub(super) fn new_secret<P: Purpose>() -> Result<Secret<P>, Problem> {
    system::new_secret().map_err(|error| Problem::internal(&error.to_string()))
}

/// A new API key.
pub(super) fn new_key(api: &Api) -> Result<ApiKeySecret, Problem> {
    system::new_api_key(api.mode).map_err(|error| Problem::internal(&error.to_string()))
}

/// A code to send, which works for so long.
pub(super) fn new_code(now: Timestamp, seconds: i64) -> Result<Code, Problem> {
    system::new_code(now, seconds).map_err(|error| Problem::internal(&error.to_string()))
}

/// The hash of a code as somebody typed it.
pub(super) fn code_hash(text: &str) -> Result<String, Problem> {
    let code = Secret::<secret::Code>::parse(text.trim());
    code.map(|code| code.sha256()).map_err(|error| {
        Problem::invalid(vec![FieldError::new("/code", "body_invalid", error.to_string())])
    })
}

/// The context of a further command of the same wish.
pub(super) fn further(context: &CommandContext, suffix: &str) -> CommandContext {
    let command_id = format!("{}{suffix}", context.command_id);
    CommandContext { command_id, ..context.clone() }
}

/// An address, and what it is found by.
pub(super) async fn address(api: &Api, text: &str) -> Result<(String, String), Problem> {
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
pub(super) async fn open(api: &Api, text: &str) -> Result<Option<String>, Problem> {
    let opened = api.commands.executor.personal().open(text).await;
    opened.map_err(|error| unopened(&error, false))
}

/// A text as it was said, or the word that stands where it was.
pub(super) async fn open_or_erased(api: &Api, text: &str) -> Result<String, Problem> {
    Ok(open(api, text).await?.unwrap_or_else(|| ERASED.to_owned()))
}

/// A role that organisations give.
pub(super) fn role(name: &str) -> Result<Role, Problem> {
    let found = Role::named(name).filter(|role| !role.is_platform());
    found.ok_or_else(|| {
        let detail = "a role is owner, admin, finance, developer or viewer";
        Problem::invalid(vec![FieldError::new("/role", "body_invalid", detail)])
    })
}

/// Refuses what is no scope.
pub(super) fn scopes(texts: &[String]) -> Result<(), Problem> {
    let Some(at) = texts.iter().position(|scope| !table::is_scope(scope)) else { return Ok(()) };
    let known = table::CONTEXTS.join(", ");
    let detail = format!("a scope is one of {known}, then :read or :write");
    let pointer = format!("/scopes/{at}");
    Err(Problem::invalid(vec![FieldError::new(&pointer, "body_invalid", detail)]))
}

/// Waits until a view shows everything that has happened, if that does not take too long.
pub(super) async fn caught_up(api: &Api, view: &'static str) -> Result<(), Problem> {
    let head = api.commands.executor.log().head().await?;
    seen(api, view, head).await;
    Ok(())
}

/// Waits until a view shows what was just done, so that whoever did it sees it. If that takes too long, it is done all the same.
pub(super) async fn seen(api: &Api, view: &'static str, position: i64) {
    if let Err(problem) = api.views.reach(view, Some(position), PATIENCE).await {
        tracing::warn!(detail = problem.detail, view, "what was done is not seen yet");
    }
}
