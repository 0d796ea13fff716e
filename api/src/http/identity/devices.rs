//! Programs that a person lets in (RFC 8628): they show a short code, the person types it where they are signed in, and the program gets a
//! key of limited life that stands for that person in one organisation.
//!
//! The words are the RFC's; the bodies are JSON and the errors problems, as everywhere else. The key is made when the program takes its
//! answer, by whoever let it in, and only if they are still what they were then.
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use cairn_commands::CommandContext;
use cairn_commands::identity::{self, CreateKey, RevokeKey};
use cairn_core::{OrganisationId, Subject, Timestamp, UserId};
use cairn_identity::{Holder, Role};
use cairn_projections::identity::api_keys;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::admit::{self, ORGANISATION};
use super::super::opened::unopened;
use super::super::own::{Once, OwnOnce};
use super::super::state::Api;
use super::{new_key, new_secret, open_or_erased, scopes, seen};
use crate::auth::device::{self, Approved, Asked, DeviceCode, Polled, UserCode};
use crate::auth::secret::DeviceCode as DeviceCodePurpose;
use crate::auth::{ApiKeySecret, Caller, Person, Scope, Standing, Who};
use crate::problem::{FieldError, Problem};

/// For how long a key works when nothing is said, and at most: 30 days.
const LIFETIME_SECS: u32 = 30 * 24 * 3_600;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(request_device_code))
        .routes(routes!(redeem_device_code))
        .routes(routes!(look_up_device))
        .routes(routes!(approve_device))
        .routes(routes!(deny_device))
        .routes(routes!(surrender_key))
}

/// What a program asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// What it calls itself, to whoever lets it in and in the list of keys: 1 to 100 characters.
    #[schema(example = "ada@laptop")]
    name: String,
    /// What it wants, as `compute:read`; all that the person may do when absent.
    #[serde(default)]
    scopes: Vec<String>,
    /// For how many seconds its key is to work: at most 30 days, and these when absent.
    expires_in_seconds: Option<u32>,
}

/// Two codes (RFC 8628 §3.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceCodes {
    /// `cairn_device_…`, which the program asks with. Shown once.
    device_code: String,
    /// What the person types.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Where they type it.
    verification_uri: String,
    /// Seconds that both codes work.
    expires_in: i32,
    /// Seconds between two questions of the program.
    interval: i32,
}

/// A program that asks whether it was let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceTokenBody {
    /// `cairn_device_…`
    device_code: String,
}

/// What a program gets (RFC 6749 §5.1), once.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceToken {
    /// The key: `cairn_live_…`.
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds that it works.
    expires_in: i64,
    /// Its scopes, with spaces between; empty for all that the role may do.
    scope: String,
    /// `key_…`
    key_id: String,
    /// `user_…`, whom it stands for.
    user_id: String,
    /// `org_…`
    organisation_id: String,
    /// What it may do there.
    role: String,
}

/// A code that somebody typed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCodeBody {
    /// Eight letters; case and hyphen do not matter.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
}

/// A program to let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveDeviceBody {
    /// Eight letters; case and hyphen do not matter.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// What it shall have; what it asked for when absent.
    scopes: Option<Vec<String>>,
}

/// What waits to be let in.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceAsked {
    /// What it calls itself. Nobody has checked it.
    name: String,
    /// What it wants; all that one may do oneself when there is none.
    scopes: Vec<String>,
    /// For how many seconds its key would work.
    expires_in_seconds: i64,
    /// Where it asks from.
    address: String,
    /// RFC 3339.
    asked_at: String,
    /// Until when it can be decided, RFC 3339.
    expires_at: String,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceDecided {
    /// `approved` or `denied`.
    status: &'static str,
}

/// A key that is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SurrenderBody {
    /// The whole key: `cairn_live_…`.
    key: String,
}

/// What holds of a key that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub struct Surrendered {
    /// `opens_nothing`, whether it was a key or not.
    status: &'static str,
}

/// Asks to be let in by a person: gives two codes.
#[utoipa::path(post, path = "/v1/device/code", operation_id = "request_device_code", tag = "identity",
    request_body = DeviceBody,
    responses((status = 200, description = "Show the person the one, and ask with the other", body = DeviceCodes)))]
async fn request_device_code(
    State(api): State<Api>,
    Once { context, body }: Once<DeviceBody>,
) -> Result<Json<DeviceCodes>, Problem> {
    let DeviceBody { name, scopes: wanted, expires_in_seconds } = body;
    scopes(&wanted)?;
    let lifetime = expires_in_seconds.unwrap_or(LIFETIME_SECS);
    let wrong = |pointer: &str, detail: &str| {
        Problem::invalid(vec![FieldError::new(pointer, "body_invalid", detail)])
    };
    if !(1..=100).contains(&name.chars().count()) {
        return Err(wrong("/name", "a key's name is 1 to 100 characters"));
    }
    if !(1..=LIFETIME_SECS).contains(&lifetime) {
        return Err(wrong("/expires_in_seconds", "from a second to 30 days"));
    }
    let (name, address) = sealed(&api, name, context.origin.unwrap_or_default()).await?;
    let asked = Asked { name, scopes: wanted, lifetime_seconds: i64::from(lifetime), address };
    let device_code = new_secret::<DeviceCodePurpose>()?;
    loop {
        let user_code = crate::system::new_user_code();
        let user_code = user_code.map_err(|error| Problem::internal(&error.to_string()))?;
        // Another program may wait under the same letters.
        if device::keep(api.pool(), (&device_code, &user_code), &asked).await? {
            return Ok(Json(DeviceCodes {
                device_code: device_code.expose().to_owned(),
                user_code: user_code.shown(),
                verification_uri: format!("{}/device", api.public_url.trim_end_matches('/')),
                expires_in: device::LIFETIME_SECONDS,
                interval: device::INTERVAL_SECONDS,
            }));
        }
    }
}

/// A program's name and where it asks from, sealed while they wait: nobody knows yet whose they are.
async fn sealed(api: &Api, name: String, address: String) -> Result<(String, String), Problem> {
    let unsealed = |error: &_| unopened(error, false);
    let keys = api.commands.executor.personal().port().map_err(|error| unsealed(&error))?;
    let texts = keys.seal(&Subject::directory(), vec![name, address]).await;
    match texts.map_err(|error| unsealed(&error))?.as_deref() {
        Some([name, address]) => Ok((name.clone(), address.clone())),
        _ => Err(Problem::internal("the key of the directory was destroyed")),
    }
}

/// Asks whether somebody has let the program in; if so, gives it its key, once.
#[utoipa::path(post, path = "/v1/device/token", operation_id = "redeem_device_code", tag = "identity",
    request_body = DeviceTokenBody,
    responses((status = 200, description = "Let in; the key is shown only now", body = DeviceToken)))]
async fn redeem_device_code(
    State(api): State<Api>,
    Once { context, body }: Once<DeviceTokenBody>,
) -> Result<Json<DeviceToken>, Problem> {
    let over = || Problem::new("expired_token", "the code is unknown, over, or has had its answer");
    let code = DeviceCode::parse(body.device_code.trim()).map_err(|_| over())?;
    let Polled { hasty, approved, interval_seconds } =
        device::poll(api.pool(), &code).await?.ok_or_else(over)?;
    let wait = u32::try_from(interval_seconds).unwrap_or_default();
    match (hasty, approved) {
        (true, _) => {
            let detail = format!("ask every {wait} seconds from now on");
            Err(Problem::new("slow_down", detail).in_seconds(wait))
        }
        (false, None) => {
            Err(Problem::new("authorization_pending", "nobody has decided yet").in_seconds(wait))
        }
        (false, Some(false)) => Err(Problem::new("access_denied", "it was not let in")),
        (false, Some(true)) => {
            let approved = device::redeem(api.pool(), &code).await?.ok_or_else(over)?;
            Ok(Json(issue(&api, context, approved).await?))
        }
    }
}

/// Makes the key, for whoever let the program in.
async fn issue(
    api: &Api,
    context: CommandContext,
    approved: Approved,
) -> Result<DeviceToken, Problem> {
    let Approved { name, scopes, lifetime_seconds, .. } = approved.clone();
    let (user_id, organisation_id, role) = still(api, &approved).await?;
    let secret = new_key(api)?;
    let input = CreateKey {
        organisation_id,
        role,
        scopes: scopes.clone(),
        name: open_or_erased(api, &name).await?,
        secret_sha256: secret.sha256(),
        holder: Some(Holder::Person(user_id)),
        expires_at: Some(api.commands.clock.now().plus_secs(lifetime_seconds)),
    };
    let (actor, organisation) = (user_id.to_string(), Some(organisation_id));
    let context = CommandContext { actor, organisation_id: organisation, ..context };
    let done = identity::create_key(&api.commands, &context, input).await?;
    seen(api, api_keys::NAME, done.position).await;
    Ok(DeviceToken {
        access_token: secret.expose().to_owned(),
        token_type: "Bearer",
        expires_in: lifetime_seconds,
        scope: scopes.join(" "),
        key_id: done.aggregate_id,
        user_id: user_id.to_string(),
        organisation_id: organisation_id.to_string(),
        role: role.name().to_owned(),
    })
}

/// Whoever let a program in, if they are signed in and what they were when they did.
async fn still(api: &Api, approved: &Approved) -> Result<(UserId, OrganisationId, Role), Problem> {
    let unreadable = || Problem::internal("a device was let in by nobody");
    let standing: Standing = approved.standing.parse().map_err(|()| unreadable())?;
    let Who::Person(person) = standing.who else { return Err(unreadable()) };
    let denied = || {
        let detail = "whoever let it in has signed out, or is not what they were there any more";
        Problem::new("access_denied", detail)
    };
    let (now, organisation) = (api.commands.clock.now(), standing.organisation_id);
    let session = match api.directory.session_named(person.session_id, now).await {
        Err(problem) if problem.code.name == "session_over" => return Err(denied()),
        found => found?,
    };
    let known = admit::membership(&session, organisation).map_err(|_| denied())?;
    if known.suspended || known.role.name() != approved.role {
        return Err(denied());
    }
    Ok((person.user_id, known.organisation_id, known.role))
}

/// What a code is about, to be read before it is let in.
#[utoipa::path(post, path = "/v1/device/lookup", operation_id = "look_up_device", tag = "identity",
    request_body = UserCodeBody, security(("session" = [])),
    responses((status = 200, description = "What waits under it", body = DeviceAsked)))]
async fn look_up_device(
    State(api): State<Api>,
    OwnOnce { body, .. }: OwnOnce<UserCodeBody>,
) -> Result<Json<DeviceAsked>, Problem> {
    let found = device::waiting(api.pool(), &typed(&body.user_code)?).await?;
    let found = found.ok_or_else(unknown)?;
    Ok(Json(DeviceAsked {
        name: open_or_erased(&api, &found.name).await?,
        scopes: found.scopes,
        expires_in_seconds: found.lifetime_seconds,
        address: open_or_erased(&api, &found.address).await?,
        asked_at: Timestamp::from(found.asked_at).to_string(),
        expires_at: Timestamp::from(found.expires_at).to_string(),
    }))
}

/// Lets a program in, as oneself, in the organisation that one acts for.
#[utoipa::path(post, path = "/v1/device/approve", operation_id = "approve_device", tag = "identity",
    request_body = ApproveDeviceBody, security(("session" = [])),
    responses((status = 200, description = "The program gets its key when it asks", body = DeviceDecided)))]
async fn approve_device(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
    headers: HeaderMap,
    OwnOnce { body, .. }: OwnOnce<ApproveDeviceBody>,
) -> Result<Json<DeviceDecided>, Problem> {
    let code = typed(&body.user_code)?;
    scopes(body.scopes.as_deref().unwrap_or_default())?;
    let organisation = admit::named(&headers, &ORGANISATION)?;
    let session = api.directory.session_named(person.session_id, api.commands.clock.now()).await?;
    let known = admit::membership(&session, organisation)?;
    if known.suspended {
        let detail = "nobody is let into a suspended organisation";
        return Err(Problem::new("organisation_suspended", detail));
    }
    let caller = Caller {
        who: Who::Person(person),
        organisation_id: known.organisation_id,
        role: known.role,
        scope: Scope::Own,
    };
    let (standing, role) = (Standing::of(&caller).to_string(), known.role.name());
    let let_in = (standing.as_str(), role, body.scopes.as_deref());
    let is_decided = device::approve(api.pool(), &code, let_in).await?;
    is_decided.then_some(Json(DeviceDecided { status: "approved" })).ok_or_else(unknown)
}

/// Does not let a program in.
#[utoipa::path(post, path = "/v1/device/deny", operation_id = "deny_device", tag = "identity",
    request_body = UserCodeBody, security(("session" = [])),
    responses((status = 200, description = "The program is told so", body = DeviceDecided)))]
async fn deny_device(
    State(api): State<Api>,
    OwnOnce { body, .. }: OwnOnce<UserCodeBody>,
) -> Result<Json<DeviceDecided>, Problem> {
    let is_decided = device::deny(api.pool(), &typed(&body.user_code)?).await?;
    is_decided.then_some(Json(DeviceDecided { status: "denied" })).ok_or_else(unknown)
}

fn typed(text: &str) -> Result<UserCode, Problem> {
    UserCode::parse(text).ok_or_else(|| {
        let detail = "a code is eight letters, none of them a vowel, as the program shows them";
        Problem::invalid(vec![FieldError::new("/user_code", "body_invalid", detail)])
    })
}

fn unknown() -> Problem {
    Problem::new("link_invalid", "this code is unknown, was used, or is over: ask the program anew")
}

/// Ends a key for ever. Whoever has it may; the answer is the same whether it was a key or not.
#[utoipa::path(post, path = "/v1/key-surrenders", operation_id = "surrender_key", tag = "identity",
    request_body = SurrenderBody,
    responses((status = 200, description = "It opens nothing", body = Surrendered)))]
async fn surrender_key(
    State(api): State<Api>,
    Once { context, body }: Once<SurrenderBody>,
) -> Result<Json<Surrendered>, Problem> {
    if let Ok(secret) = ApiKeySecret::parse(body.key.trim()) {
        surrender(&api, context, &secret).await?;
    }
    Ok(Json(Surrendered { status: "opens_nothing" }))
}

async fn surrender(
    api: &Api,
    context: CommandContext,
    secret: &ApiKeySecret,
) -> Result<(), Problem> {
    let found = api_keys::find_by_sha256(api.pool(), &secret.sha256()).await?;
    let Some(found) = found else { return Ok(()) };
    let unreadable = |_| Problem::internal("a key has no id");
    let key_id = found.key_id.parse().map_err(unreadable)?;
    let organisation_id = found.organisation_id.parse().map_err(unreadable)?;
    let (actor, organisation) = (found.key_id, Some(organisation_id));
    let context = CommandContext { actor, organisation_id: organisation, ..context };
    let input = RevokeKey { key_id, reason: "given up by whoever had it".to_owned() };
    let done = identity::revoke_key(&api.commands, &context, input).await?;
    seen(api, api_keys::NAME, done.position).await;
    api.directory.forget_key(key_id);
    Ok(())
}
