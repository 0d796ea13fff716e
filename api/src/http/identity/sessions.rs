//! Signing in and out: sessions in a cookie that no script reads.
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::CommandContext;
use cairn_commands::identity::people::{self, NewPassword};
use cairn_core::{SessionId, Timestamp};
use cairn_identity::{EndReason, Factor, PasskeyShown, Proof, SignIn};
use cairn_projections::identity::{organisations_query, people as people_view, people_query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::edge::session;
use super::super::own::{Once, Own, OwnOnce};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::people::{UserDone, check, user_id};
use super::{address, caught_up, new_secret, open, open_or_erased, seen};
use crate::auth::secret::{Recovery, Session as SessionKind};
use crate::auth::{Person, Secret, one_time};
use crate::problem::Problem;

/// The longest that a session lasts, however much it is used: 14 days.
const SESSION_SECS: i64 = 14 * 24 * 3_600;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, list_sessions))
        .routes(routes!(get_session))
        .routes(routes!(sign_out))
        .routes(routes!(end_session))
        .routes(routes!(change_password))
        .routes(routes!(renew_session))
}

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    /// The address of the account.
    #[schema(example = "ada@example.org")]
    email: String,
    /// Its password.
    password: String,
    /// Six digits of the device, when one-time passwords are in use.
    #[schema(example = "287082")]
    one_time_password: Option<String>,
    /// `cairn_recovery_…`, when the device is lost.
    recovery_code: Option<String>,
}

/// Passwords to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordBody {
    /// The old one.
    old_password: String,
    /// At least 10 characters, and hard to guess.
    password: String,
}

/// A session that is open now. The session itself is in the cookie.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionOpened {
    /// `sess_…`
    session_id: String,
    /// `user_…`
    user_id: String,
    /// To be sent as `X-CSRF-Token` with every change. Keep it in memory, not in the browser's storage.
    csrf_token: String,
    /// When it ends at the latest; after 24 hours without use it ends by itself.
    ends_at: String,
}

/// Whose session this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionShown {
    /// `sess_…`
    session_id: String,
    /// `user_…`
    user_id: String,
    /// The address of the account.
    email: String,
    /// What they are called.
    name: String,
    /// Whether one-time passwords are in use.
    one_time_passwords: bool,
    /// To be sent as `X-CSRF-Token` with every change.
    csrf_token: String,
    /// What they belong to; a request names one in `Cairn-Organisation` when there are several.
    organisations: Vec<MembershipShown>,
}

/// An organisation that somebody belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipShown {
    /// `org_…`
    pub organisation_id: String,
    /// What it is called.
    pub name: String,
    /// What they are there.
    pub role: String,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it demands that people have shown two factors.
    pub second_factor_demanded: bool,
}

/// Somewhere a person is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionListed {
    /// `sess_…`
    session_id: String,
    /// `password`, `one_time_password`, `recovery_code`, `identity_provider`, `identity_provider_multi_factor` or `passkey`.
    factor: String,
    /// RFC 3339.
    opened_at: String,
    /// RFC 3339, to the minute; absent when it was not used yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    /// RFC 3339.
    ends_at: String,
    /// Whether it is the one that asks.
    current: bool,
}

/// Every session of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    /// Newest first.
    items: Vec<SessionListed>,
}

/// Signs in. The session comes as a cookie.
#[utoipa::path(post, path = "/v1/sessions", operation_id = "sign_in", tag = "identity",
    request_body = SignInBody,
    responses((status = 201, description = "Signed in", body = SessionOpened)))]
async fn sign_in(
    State(api): State<Api>,
    Once { context, body }: Once<SignInBody>,
) -> Result<Response, Problem> {
    let (_, email_index) = address(&api, &body.email).await?;
    caught_up(&api, people_view::NAME).await?;
    let known = people_query::by_email(api.pool(), &email_index).await?;
    let known = proven(&api, &context, (known, body.password)).await?;
    let asked = (body.one_time_password, body.recovery_code);
    let factor = match second_factor(&api, &known, asked).await {
        Ok(factor) => factor,
        Err(problem) => {
            people::fail_sign_in(&api.commands, &context, user_id(&known)?).await?;
            return Err(problem);
        }
    };
    let proven = (&known, known.password.clone());
    let (opened, secret) = open_session(&api, &context, proven, factor).await?;
    Ok(with_cookie((StatusCode::CREATED, Json(opened)), &secret))
}

/// The account whose password this is.
pub(super) async fn proven(
    api: &Api,
    context: &CommandContext,
    (known, password): (Option<people_query::User>, String),
) -> Result<people_query::User, Problem> {
    let hash = match &known {
        Some(known) => open(api, &known.password).await?,
        None => None,
    };
    let is = api.passwords.is(password, hash).await?;
    let refused = || Problem::new("sign_in_failed", "the address or the password is wrong");
    let known = known.ok_or_else(refused)?;
    if is {
        return Ok(known);
    }
    people::fail_sign_in(&api.commands, context, user_id(&known)?).await?;
    Err(refused())
}

/// What was shown beside the password, or in its place.
pub(super) struct Shown {
    pub factor: Factor,
    /// What the linked identity is found by that a provider vouched for.
    pub identity: Option<String>,
    pub passkey: Option<PasskeyShown>,
    pub step: Option<u64>,
    pub recovery_sha256: Option<String>,
}

impl Shown {
    /// Nothing but this.
    pub fn of(factor: Factor) -> Self {
        Self { factor, identity: None, passkey: None, step: None, recovery_sha256: None }
    }
}

async fn second_factor(
    api: &Api,
    known: &people_query::User,
    (password, recovery): (Option<String>, Option<String>),
) -> Result<Shown, Problem> {
    let plain = Shown::of(Factor::Password);
    let (true, Some(secret)) = (known.totp == "on", &known.totp_secret) else { return Ok(plain) };
    match (password, recovery) {
        (Some(password), _) => {
            let erased = || Problem::new("one_time_password_wrong", "its secret was erased");
            let secret = open(api, secret).await?.ok_or_else(erased)?;
            let step = Some(one_time::step(&secret, &password, api.commands.clock.now())?);
            Ok(Shown { factor: Factor::OneTimePassword, step, ..plain })
        }
        (None, Some(code)) => {
            let code = Secret::<Recovery>::parse(code.trim())
                .map_err(|error| Problem::new("one_time_password_wrong", error.to_string()))?;
            let recovery_sha256 = Some(code.sha256());
            Ok(Shown { factor: Factor::RecoveryCode, recovery_sha256, ..plain })
        }
        // The account itself says that one is needed.
        (None, None) => Ok(plain),
    }
}

/// Opens a session for whoever proved everything. `password` is as it is remembered.
pub(super) async fn open_session(
    api: &Api,
    context: &CommandContext,
    (known, password): (&people_query::User, String),
    Shown { factor, identity, passkey, step, recovery_sha256 }: Shown,
) -> Result<(SessionOpened, Secret<SessionKind>), Problem> {
    let (user_id, secret) = (user_id(known)?, new_secret::<SessionKind>()?);
    let session_id = SessionId::from_bits(api.commands.ids.next());
    let at = api.commands.clock.now();
    let ends_at = at.plus_secs(SESSION_SECS);
    let sign_in = SignIn {
        session_id,
        secret_sha256: secret.sha256(),
        password,
        factor,
        identity,
        passkey,
        recovery_sha256,
        step,
        ends_at,
        at,
    };
    let done = people::sign_in(&api.commands, context, user_id, sign_in).await?;
    seen(api, people_view::NAME, done.position).await;
    let opened = SessionOpened {
        session_id: session_id.to_string(),
        user_id: user_id.to_string(),
        csrf_token: session::csrf_token(&secret),
        ends_at: ends_at.to_string(),
    };
    Ok((opened, secret))
}

pub(super) fn with_cookie(answer: impl IntoResponse, secret: &Secret<SessionKind>) -> Response {
    let mut response = answer.into_response();
    if let Some(cookie) = session::set(secret, SESSION_SECS) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Whose session this is, what they belong to, and the token for changes.
#[utoipa::path(get, path = "/v1/session", operation_id = "get_session", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "This session", body = SessionShown)))]
async fn get_session(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
    headers: HeaderMap,
) -> Result<Json<SessionShown>, Problem> {
    let known = own_user(&api, person).await?;
    let secret = session::cookie(&headers).and_then(Result::ok);
    let secret = secret.ok_or_else(|| Problem::new("unauthenticated", "nobody is signed in"))?;
    Ok(Json(SessionShown {
        session_id: person.session_id.to_string(),
        user_id: person.user_id.to_string(),
        email: open_or_erased(&api, &known.email).await?,
        name: open_or_erased(&api, &known.name).await?,
        one_time_passwords: known.totp == "on",
        csrf_token: session::csrf_token(&secret),
        organisations: memberships(&api, person).await?,
    }))
}

/// What a person belongs to, the oldest membership first.
pub(super) async fn memberships(
    api: &Api,
    person: Person,
) -> Result<Vec<MembershipShown>, Problem> {
    let rows = organisations_query::memberships(
        &mut *api.read_for(person).await?,
        &person.user_id.to_string(),
    )
    .await?;
    let mut shown = vec![];
    for row in rows {
        shown.push(MembershipShown {
            name: open_or_erased(api, &row.name).await?,
            organisation_id: row.organisation_id,
            role: row.role,
            suspended: row.suspended,
            second_factor_demanded: row.second_factor_demanded,
        });
    }
    Ok(shown)
}

/// The account of whoever is signed in.
pub(super) async fn own_user(api: &Api, person: Person) -> Result<people_query::User, Problem> {
    let known =
        people_query::user(&mut *api.read_for(person).await?, &person.user_id.to_string()).await?;
    known.ok_or_else(|| Problem::new("unauthenticated", "the account was closed"))
}

/// Everywhere that this person is signed in.
#[utoipa::path(get, path = "/v1/sessions", operation_id = "list_sessions", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "All that are open", body = Sessions)))]
async fn list_sessions(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<Sessions>, Problem> {
    Ok(Json(Sessions { items: open_sessions(&api, person).await? }))
}

/// Where somebody is signed in, newest first.
pub(super) async fn open_sessions(
    api: &Api,
    person: Person,
) -> Result<Vec<SessionListed>, Problem> {
    let rows =
        people_query::sessions(&mut *api.read_for(person).await?, &person.user_id.to_string())
            .await?;
    let current = person.session_id.to_string();
    let items = rows.into_iter().map(|row| SessionListed {
        current: row.session_id == current,
        session_id: row.session_id,
        factor: row.factor,
        opened_at: Timestamp::from(row.opened_at).to_string(),
        last_used_at: row.last_used_at.map(|at| Timestamp::from(at).to_string()),
        ends_at: Timestamp::from(row.ends_at).to_string(),
    });
    Ok(items.collect())
}

/// Ends this session, and takes its cookie away.
#[utoipa::path(post, path = "/v1/session/end", operation_id = "sign_out", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    responses((status = 200, description = "Signed out", body = UserDone)))]
async fn sign_out(
    State(api): State<Api>,
    OwnOnce { person, context, .. }: OwnOnce<Nothing>,
) -> Result<Response, Problem> {
    let ended = (person.session_id, EndReason::SignedOut);
    let done = end(&api, &context, person, ended).await?;
    Ok(([(header::SET_COOKIE, session::CLEAR)], done).into_response())
}

/// Ends another session of this person.
#[utoipa::path(post, path = "/v1/sessions/{session_id}/end", operation_id = "end_session", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    params(
        ("session_id" = String, Path, description = "`sess_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It is over", body = UserDone)))]
async fn end_session(
    State(api): State<Api>,
    Path(session_id): Path<String>,
    Own { person, context, .. }: Own<Nothing>,
) -> Result<Json<UserDone>, Problem> {
    let unknown = |_| Problem::new("unknown_session", "there is no such session");
    let session_id = session_id.parse().map_err(unknown)?;
    end(&api, &context, person, (session_id, EndReason::Revoked)).await
}

async fn end(
    api: &Api,
    context: &CommandContext,
    person: Person,
    ended: (SessionId, EndReason),
) -> Result<Json<UserDone>, Problem> {
    let done = people::end_session(&api.commands, context, person.user_id, ended).await?;
    seen(api, people_view::NAME, done.position).await;
    api.directory.forget(person.user_id);
    Ok(Json(UserDone::of(person)))
}

/// Changes the password. Every other session is over, and this one goes on under a new cookie.
#[utoipa::path(post, path = "/v1/password", operation_id = "change_password", tag = "identity",
    request_body = ChangePasswordBody, security(("session" = [])),
    responses((status = 200, description = "Changed", body = SessionOpened)))]
async fn change_password(
    State(api): State<Api>,
    OwnOnce { person, context, body }: OwnOnce<ChangePasswordBody>,
) -> Result<Response, Problem> {
    let known = own_user(&api, person).await?;
    let known = proven(&api, &context, (Some(known), body.old_password)).await?;
    check(&api, &known, &body.password).await?;
    let password = api.passwords.hash(body.password).await?;
    let email_index = known.email_index;
    let who = people::Addressee { user_id: person.user_id, email_index };
    let secret = new_secret::<SessionKind>()?;
    let renewed = Some((person.session_id, secret.sha256()));
    let new = NewPassword { password, proof: Proof::OldPassword, renewed };
    let done = people::set_password(&api.commands, &context, &who, new).await?;
    renewed_session(&api, person, (done.position, secret)).await
}

/// Gives this session another secret, in a new cookie.
#[utoipa::path(post, path = "/v1/session/renew", operation_id = "renew_session", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    responses((status = 200, description = "Renewed", body = SessionOpened)))]
async fn renew_session(
    State(api): State<Api>,
    OwnOnce { person, context, .. }: OwnOnce<Nothing>,
) -> Result<Response, Problem> {
    let secret = new_secret::<SessionKind>()?;
    let renewed = (person.session_id, secret.sha256());
    let done = people::renew_session(&api.commands, &context, person.user_id, renewed).await?;
    renewed_session(&api, person, (done.position, secret)).await
}

async fn renewed_session(
    api: &Api,
    person: Person,
    (position, secret): (i64, Secret<SessionKind>),
) -> Result<Response, Problem> {
    seen(api, people_view::NAME, position).await;
    api.directory.forget(person.user_id);
    let row = people_query::session(api.pool(), &secret.sha256()).await?;
    let ends_at = row.map(|row| Timestamp::from(row.ends_at).to_string());
    let opened = SessionOpened {
        session_id: person.session_id.to_string(),
        user_id: person.user_id.to_string(),
        csrf_token: session::csrf_token(&secret),
        ends_at: ends_at.unwrap_or_default(),
    };
    Ok(with_cookie(Json(opened), &secret))
}
