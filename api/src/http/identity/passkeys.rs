//! Passkeys: adding one, showing one in place of a password, and what becomes of them.
//!
//! An attempt is a ticket in a cookie of its own, whose row holds what the answer is held against. Using it deletes it, so that of any
//! number of processes one has it, and no answer fits twice. Beginning a sign-in asks for no name and looks nobody up.
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::identity::{passkeys, people};
use cairn_commands::{CommandContext, ExecuteError};
use cairn_core::Timestamp;
use cairn_identity::{Factor, PasskeyShown};
use cairn_projections::identity::{passkeys_query, people as people_view, people_query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::edge::session;
use super::super::own::{Once, OwnOnce};
use super::super::state::Api;
use super::people::user_id;
use super::sessions::{SessionOpened, Shown, open_session, own_user, proven, with_cookie};
use super::{caught_up, further, new_secret, open, open_or_erased, seen};
use crate::auth::Person;
use crate::auth::passkey::{ATTEMPT_SECONDS, Asked, Assertion, Holder, Kept, RelyingParty};
use crate::auth::secret::Ticket as TicketPurpose;
use crate::auth::ticket;
use crate::problem::Problem;

/// What a ticket for a sign-in is for.
const SIGN_IN: &str = "passkey:sign-in";

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(begin_passkey_sign_in))
        .routes(routes!(finish_passkey_sign_in))
        .routes(routes!(begin_passkey))
        .routes(routes!(list_passkeys, add_passkey))
        .routes(routes!(rename_passkey))
        .routes(routes!(remove_passkey))
}

/// What a browser is to ask an authenticator. The attempt is in a cookie, for five minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyOptions {
    /// As `PublicKeyCredential.parseCreationOptionsFromJSON` takes it, or `parseRequestOptionsFromJSON` for a sign-in.
    #[schema(value_type = Object)]
    options: Value,
}

/// An authenticator's answer to a sign-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    /// `AuthenticationResponseJSON`: the credential's `toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Who wants to change what signs them in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyProof {
    /// The password of the account.
    password: String,
}

/// A passkey to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// What to call it.
    #[schema(example = "laptop")]
    name: String,
    /// `RegistrationResponseJSON`: the credential's `toJSON()`.
    #[schema(value_type = Object)]
    credential: Value,
}

/// Another name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyName {
    /// What to call it.
    #[schema(example = "old laptop")]
    name: String,
    /// The password of the account.
    password: String,
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyListed {
    /// Names it here.
    passkey_id: String,
    /// What its person calls it.
    name: String,
    /// What its authenticator knows it by, in base64url.
    credential_id: String,
    /// Whether it is copied to other devices.
    backed_up: bool,
    /// RFC 3339.
    added_at: String,
    /// RFC 3339; absent when it was not used yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

/// Every passkey of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Passkeys {
    /// Oldest first.
    items: Vec<PasskeyListed>,
}

/// Which passkey it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyDone {
    /// Names it here.
    passkey_id: String,
}

/// Begins a sign-in with a passkey. Nobody is named: the authenticator says who is there.
#[utoipa::path(post, path = "/v1/sign-in/passkey", operation_id = "begin_passkey_sign_in", tag = "identity",
    responses((status = 200, description = "To be answered; the attempt is in a cookie", body = PasskeyOptions)))]
async fn begin_passkey_sign_in(State(api): State<Api>) -> Result<Response, Problem> {
    let asked = relying_party(&api)?.ask_for_any()?;
    begun(&api, SIGN_IN, asked).await
}

/// Signs in whoever the passkey is of. It has verified them itself, so nothing else is asked. The session comes as a cookie.
#[utoipa::path(post, path = "/v1/sign-in/passkey/finish", operation_id = "finish_passkey_sign_in", tag = "identity",
    request_body = PasskeyAnswer,
    responses((status = 201, description = "Signed in", body = SessionOpened)))]
async fn finish_passkey_sign_in(
    State(api): State<Api>,
    headers: HeaderMap,
    Once { context, body }: Once<PasskeyAnswer>,
) -> Result<Response, Problem> {
    let party = relying_party(&api)?;
    let kept = used_up(&api, &headers, SIGN_IN).await?;
    let assertion = Assertion::read(&body.credential)?;
    caught_up(&api, people_view::NAME).await?;
    let known = passkeys_query::by_credential(api.pool(), &assertion.credential_sha256()).await?;
    let claimed = assertion.user_id().map(|user_id| user_id.to_string());
    // The id of a credential alone says nothing: its authenticator must have it from the same person.
    let known = known.filter(|known| Some(&known.user_id) == claimed.as_ref()).ok_or_else(none)?;
    let passkey = Kept {
        public_key: open(&api, &known.public_key).await?.ok_or_else(none)?,
        algorithm: known.algorithm,
        backup: known.backup,
    };
    let shown = party.shown(&kept, &assertion, &passkey)?;
    let owner = people_query::user(api.pool(), &known.user_id).await?.ok_or_else(none)?;
    let mut response = signed_in(&api, &context, &owner, shown).await?;
    response.headers_mut().append(header::SET_COOKIE, session::CLEAR_PASSKEY);
    Ok(response)
}

fn none() -> Problem {
    Problem::new("unknown_passkey", "no such passkey is here: it was removed, or never added")
}

async fn signed_in(
    api: &Api,
    context: &CommandContext,
    owner: &people_query::User,
    passkey: PasskeyShown,
) -> Result<Response, Problem> {
    let shown = Shown { passkey: Some(passkey), ..Shown::of(Factor::Passkey) };
    match open_session(api, context, (owner, String::new()), shown).await {
        Ok((opened, secret)) => Ok(with_cookie((StatusCode::CREATED, Json(opened)), &secret)),
        Err(problem) => {
            // Whoever has a copy of it is heard of in the log.
            if problem.code.name == "passkey_cloned" {
                let failed = further(context, ":failed");
                people::fail_sign_in(&api.commands, &failed, user_id(owner)?).await?;
            }
            Err(problem)
        }
    }
}

/// Begins to add a passkey. The password is asked for: a session that somebody took over is not enough.
#[utoipa::path(post, path = "/v1/me/passkeys/begin", operation_id = "begin_passkey", tag = "identity",
    request_body = PasskeyProof, security(("session" = [])),
    responses((status = 200, description = "To be answered; the attempt is in a cookie", body = PasskeyOptions)))]
async fn begin_passkey(
    State(api): State<Api>,
    OwnOnce { person, context, body }: OwnOnce<PasskeyProof>,
) -> Result<Response, Problem> {
    let party = relying_party(&api)?;
    passkeys::begin_passkey(&api.commands, &context, person.user_id).await?;
    let known = own_user(&api, person).await?;
    let known = proven(&api, &context, (Some(known), body.password)).await?;
    let holder = Holder {
        user_id: person.user_id,
        email: open_or_erased(&api, &known.email).await?,
        name: open_or_erased(&api, &known.name).await?,
    };
    let held = passkeys_query::of_user(api.pool(), &known.user_id).await?;
    let mut ids = vec![];
    for passkey in held {
        ids.extend(open(&api, &passkey.credential_id).await?);
    }
    begun(&api, &adding(person), party.ask_for_new(&holder, &ids)?).await
}

/// What a ticket is for with which this session adds a passkey.
fn adding(person: Person) -> String {
    format!("passkey:add:{}", person.session_id)
}

/// Adds the passkey that an authenticator made.
#[utoipa::path(post, path = "/v1/me/passkeys", operation_id = "add_passkey", tag = "identity",
    request_body = NewPasskey, security(("session" = [])),
    responses((status = 201, description = "It signs in from now on", body = PasskeyDone)))]
async fn add_passkey(
    State(api): State<Api>,
    headers: HeaderMap,
    OwnOnce { person, context, body }: OwnOnce<NewPasskey>,
) -> Result<Response, Problem> {
    let party = relying_party(&api)?;
    let kept = used_up(&api, &headers, &adding(person)).await?;
    let passkey = party.made(&kept, &body.credential, body.name)?;
    caught_up(&api, people_view::NAME).await?;
    let passkey_id = passkey.credential_sha256.clone();
    if passkeys_query::by_credential(api.pool(), &passkey_id).await?.is_some() {
        return Err(Problem::new("passkey_in_use", "this passkey is added already"));
    }
    let done = passkeys::add_passkey(&api.commands, &context, person.user_id, passkey).await?;
    seen(&api, people_view::NAME, done.position).await;
    let added = (StatusCode::CREATED, Json(PasskeyDone { passkey_id }));
    Ok(([(header::SET_COOKIE, session::CLEAR_PASSKEY)], added).into_response())
}

/// This person's passkeys.
#[utoipa::path(get, path = "/v1/me/passkeys", operation_id = "list_passkeys", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "All that sign in", body = Passkeys)))]
async fn list_passkeys(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<Passkeys>, Problem> {
    Ok(Json(Passkeys { items: listed(&api, person).await? }))
}

/// The passkeys of a person, the oldest first.
pub(super) async fn listed(api: &Api, person: Person) -> Result<Vec<PasskeyListed>, Problem> {
    let rows =
        passkeys_query::of_user(&mut *api.read_for(person).await?, &person.user_id.to_string())
            .await?;
    let mut items = vec![];
    for row in rows {
        items.push(PasskeyListed {
            name: open_or_erased(api, &row.name).await?,
            credential_id: open_or_erased(api, &row.credential_id).await?,
            passkey_id: row.credential_sha256,
            backed_up: row.backup == "exists",
            added_at: Timestamp::from(row.added_at).to_string(),
            last_used_at: row.used_at.map(|at| Timestamp::from(at).to_string()),
        });
    }
    Ok(items)
}

/// Calls a passkey something else.
#[utoipa::path(post, path = "/v1/me/passkeys/{passkey_id}/name", operation_id = "rename_passkey", tag = "identity",
    request_body = PasskeyName, security(("session" = [])),
    params(("passkey_id" = String, Path, description = "As the list names it")),
    responses((status = 200, description = "Renamed", body = PasskeyDone)))]
async fn rename_passkey(
    State(api): State<Api>,
    Path(passkey_id): Path<String>,
    OwnOnce { person, context, body }: OwnOnce<PasskeyName>,
) -> Result<Json<PasskeyDone>, Problem> {
    let known = own_user(&api, person).await?;
    proven(&api, &context, (Some(known), body.password)).await?;
    let renamed = (passkey_id.clone(), body.name);
    let done = passkeys::rename_passkey(&api.commands, &context, person.user_id, renamed);
    changed(&api, done.await, passkey_id).await
}

/// Removes a passkey: nobody signs in by it any more. The password still does.
#[utoipa::path(post, path = "/v1/me/passkeys/{passkey_id}/remove", operation_id = "remove_passkey", tag = "identity",
    request_body = PasskeyProof, security(("session" = [])),
    params(("passkey_id" = String, Path, description = "As the list names it")),
    responses((status = 200, description = "Removed", body = PasskeyDone)))]
async fn remove_passkey(
    State(api): State<Api>,
    Path(passkey_id): Path<String>,
    OwnOnce { person, context, body }: OwnOnce<PasskeyProof>,
) -> Result<Json<PasskeyDone>, Problem> {
    let known = own_user(&api, person).await?;
    proven(&api, &context, (Some(known), body.password)).await?;
    let id = passkey_id.clone();
    let done = passkeys::remove_passkey(&api.commands, &context, person.user_id, id);
    changed(&api, done.await, passkey_id).await
}

async fn changed(
    api: &Api,
    done: Result<cairn_commands::Executed, ExecuteError>,
    passkey_id: String,
) -> Result<Json<PasskeyDone>, Problem> {
    seen(api, people_view::NAME, done?.position).await;
    Ok(Json(PasskeyDone { passkey_id }))
}

/// Whose passkeys this server's are.
fn relying_party(api: &Api) -> Result<RelyingParty, Problem> {
    let pages = api.origins.0.iter().filter_map(|origin| origin.to_str().ok());
    RelyingParty::of(&api.public_url, pages)
}

/// Keeps what an answer is held against, and gives the browser the ticket for it.
async fn begun(api: &Api, purpose: &str, asked: Asked) -> Result<Response, Problem> {
    let ticket = new_secret::<TicketPurpose>()?;
    let kept = (purpose, asked.kept.as_str());
    ticket::keep_for(api.pool(), &ticket, kept, ATTEMPT_SECONDS).await?;
    let cookie: HeaderValue = session::set_passkey(&ticket, ATTEMPT_SECONDS)
        .ok_or_else(|| Problem::internal("a ticket makes no cookie"))?;
    let options = Json(PasskeyOptions { options: asked.options });
    Ok(([(header::SET_COOKIE, cookie)], options).into_response())
}

/// What the answer is held against, once.
async fn used_up(api: &Api, headers: &HeaderMap, purpose: &str) -> Result<String, Problem> {
    let over = || {
        let detail = "this browser began no such attempt, or it is over or was used: begin again";
        Problem::new("passkey_attempt_invalid", detail)
    };
    let ticket = session::passkey(headers).and_then(Result::ok).ok_or_else(over)?;
    ticket::redeem(api.pool(), &ticket, purpose).await?.ok_or_else(over)
}
