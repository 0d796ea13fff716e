//! Signing in through another provider (OpenID Connect), and linking an identity there to an account.
//!
//! An attempt is a ticket in a cookie of its own: state, nonce and the proof for the code are derived from it, so that nobody else's answer
//! fits, and using it deletes it, so that no answer fits twice. An identity that nobody has linked registers an account, if the provider
//! has seen to the address and nobody here has it; whoever has an account links the identity when they are signed in, never silently.
use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use cairn_commands::CommandContext;
use cairn_commands::identity::identities::{self, Vouched};
use cairn_core::{SessionId, Timestamp, UserId};
use cairn_identity::{Factor, Identity};
use cairn_oidc::{Attempt, OidcError, Provider};
use cairn_projections::identity::{people as people_view, people_query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::edge::session;
use super::super::opened::unopened;
use super::super::own::{OnceRead, Own, OwnOnce};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::sessions::{Shown, open_session, with_cookie};
use super::{address, caught_up, further, new_secret, open_or_erased, seen};
use crate::auth::Person;
use crate::auth::secret::Ticket as TicketPurpose;
use crate::auth::ticket::{self, Ticket};
use crate::problem::{Missing, Problem};

/// Seconds that somebody may take at the provider.
const ATTEMPT_SECONDS: i32 = 600;
/// Where a browser lands that has signed in.
const LANDING: &str = "/device";
/// Longest name that is taken over.
const NAME_MAX: usize = 100;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_sign_in_providers))
        .routes(routes!(begin_provider_sign_in))
        .routes(routes!(finish_provider_sign_in))
        .routes(routes!(list_identities, begin_identity_link))
        .routes(routes!(unlink_identity))
}

/// A provider that one may sign in through.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInProvider {
    /// Its name in the addresses here.
    #[schema(example = "google")]
    name: String,
    /// Where a browser begins.
    begin_path: String,
}

/// Every provider that one may sign in through.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInProviders {
    /// As they are configured.
    items: Vec<SignInProvider>,
}

/// What a provider sends a browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProviderAnswer {
    /// To be redeemed at the provider.
    code: Option<String>,
    /// As it was sent there.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// An identity at another provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityShown {
    /// Names it here.
    identity_id: String,
    /// The provider's name.
    provider: String,
    /// Its issuer identifier.
    issuer: String,
    /// Whom it means.
    subject: String,
    /// RFC 3339.
    linked_at: String,
}

/// Every identity of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Identities {
    /// Oldest first.
    items: Vec<IdentityShown>,
}

/// An identity to link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkBody {
    /// The provider's name here.
    #[schema(example = "google")]
    provider: String,
}

/// Where to send the browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkBegun {
    /// The provider's page. The attempt is in a cookie.
    authorization_url: String,
}

/// Which identity it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityDone {
    /// Names it here.
    identity_id: String,
}

/// Providers that one may sign in through.
#[utoipa::path(get, path = "/v1/sign-in/providers", operation_id = "list_sign_in_providers", tag = "identity",
    responses((status = 200, description = "As they are configured", body = SignInProviders)))]
async fn list_sign_in_providers(State(api): State<Api>) -> Json<SignInProviders> {
    let items = api.providers.iter().map(|provider| SignInProvider {
        name: provider.name().to_owned(),
        begin_path: format!("/v1/sign-in/oidc/{}", provider.name()),
    });
    Json(SignInProviders { items: items.collect() })
}

/// Sends a browser to a provider, to sign in there.
#[utoipa::path(get, path = "/v1/sign-in/oidc/{provider}", operation_id = "begin_provider_sign_in", tag = "identity",
    params(("provider" = String, Path, description = "Its name here")),
    responses((status = 303, description = "To the provider's page; the attempt is in a cookie")))]
async fn begin_provider_sign_in(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (url, cookie) = begin(&api, &name, None).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Takes the browser back from the provider, and signs in whoever it vouches for, or links them.
#[utoipa::path(get, path = "/v1/sign-in/oidc/{provider}/callback", operation_id = "finish_provider_sign_in",
    tag = "identity",
    params(("provider" = String, Path, description = "Its name here"), ProviderAnswer),
    responses((status = 303, description = "Signed in; the session is in a cookie")))]
async fn finish_provider_sign_in(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(answer): Query<ProviderAnswer>,
    headers: HeaderMap,
    OnceRead(context): OnceRead,
) -> Result<Response, Problem> {
    let provider = provider(&api, &name)?;
    let ticket = own_attempt(&headers, &answer)?;
    let purpose = purpose(&name);
    let standing = ticket::redeem(api.pool(), &ticket, &purpose)
        .await?
        .ok_or_else(|| invalid("this attempt is over or was used: begin the sign-in again"))?;
    if let Some(error) = answer.error {
        return Err(Problem::new("provider_refused", format!("the provider answers: {error}")));
    }
    if answer.iss.is_some_and(|issuer| issuer != provider.issuer()) {
        return Err(invalid("another provider answers than the one that was asked"));
    }
    let code = answer.code.ok_or_else(|| invalid("the provider sends no code"))?;
    let found = provider.identify(code, &attempt(&ticket)).await.map_err(of_provider)?;
    let text = format!("{}\n{}", found.issuer, found.subject);
    let index = api.commands.executor.personal().index(&text).await;
    let identity = Identity {
        provider: name,
        issuer: found.issuer.clone(),
        subject: found.subject.clone(),
        identity_index: index.map_err(|error| unopened(&error, false))?,
    };
    caught_up(&api, people_view::NAME).await?;
    let mut response = match standing.as_str() {
        "" => sign_in(&api, &context, identity, found).await?,
        person => link(&api, &context, person, identity).await?,
    };
    response.headers_mut().append(header::SET_COOKIE, session::CLEAR_ATTEMPT);
    Ok(response)
}

/// Begins an attempt: where to send the browser, and the cookie that it keeps.
async fn begin(
    api: &Api,
    name: &str,
    person: Option<Person>,
) -> Result<(String, HeaderValue), Problem> {
    let provider = provider(api, name)?;
    let ticket = new_secret::<TicketPurpose>()?;
    let url = provider.authorize(&attempt(&ticket)).await.map_err(of_provider)?;
    let standing = person.map(|person| format!("{}/{}", person.user_id, person.session_id));
    let kept = (purpose(name), standing.unwrap_or_default());
    ticket::keep_for(api.pool(), &ticket, (&kept.0, &kept.1), ATTEMPT_SECONDS).await?;
    let cookie = session::set_attempt(&ticket, ATTEMPT_SECONDS);
    Ok((url, cookie.ok_or_else(|| Problem::internal("a ticket makes no cookie"))?))
}

fn provider<'a>(api: &'a Api, name: &str) -> Result<&'a Provider, Problem> {
    let found = api.providers.iter().find(|provider| provider.name() == name);
    found.ok_or_else(|| Problem::missing(Missing::Provider))
}

/// What a ticket for an attempt at this provider is for.
fn purpose(name: &str) -> String {
    format!("oidc:{name}")
}

/// What only who has the cookie can have.
fn attempt(ticket: &Ticket) -> Attempt {
    let derived = |what| ticket.derived(what);
    Attempt { state: derived("state"), nonce: derived("nonce"), verifier: derived("verifier") }
}

/// The attempt in the cookie, if it is the one that is answered.
fn own_attempt(headers: &HeaderMap, answer: &ProviderAnswer) -> Result<Ticket, Problem> {
    let ticket = session::attempt(headers).and_then(Result::ok);
    let ticket = ticket.ok_or_else(|| {
        invalid("this browser began no sign-in, or too long ago: begin it again here")
    })?;
    let state = answer.state.clone().unwrap_or_default();
    match session::same(state.as_bytes(), attempt(&ticket).state.as_bytes()) {
        true => Ok(ticket),
        false => Err(invalid("this answers another attempt than this browser's last one")),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new("sign_in_attempt_invalid", detail)
}

/// What comes of a provider that vouches for nobody.
fn of_provider(error: OidcError) -> Problem {
    match error {
        OidcError::Unavailable(_) => Problem::new("provider_unavailable", error.to_string()),
        OidcError::Refused(_) | OidcError::Weak(_) | OidcError::Untrusted(_) => {
            Problem::new("provider_refused", error.to_string())
        }
        OidcError::Misconfigured(_) => Problem::internal(&error.to_string()),
    }
}

/// Signs in whoever has linked the identity, or registers them.
async fn sign_in(
    api: &Api,
    context: &CommandContext,
    identity: Identity,
    found: cairn_oidc::Identity,
) -> Result<Response, Problem> {
    let index = identity.identity_index.clone();
    let factor = match found.multi_factor {
        true => Factor::IdentityProviderMultiFactor,
        false => Factor::IdentityProvider,
    };
    let known = match people_query::by_identity(api.pool(), &index).await? {
        Some(known) => known,
        None => register(api, context, identity, found).await?,
    };
    let shown = Shown { identity: Some(index), ..Shown::of(factor) };
    let context = further(context, ":sign-in");
    let (_, secret) = open_session(api, &context, (&known, String::new()), shown).await?;
    Ok(with_cookie(Redirect::to(LANDING), &secret))
}

/// Registers somebody whom a provider vouches for, address and all.
async fn register(
    api: &Api,
    context: &CommandContext,
    identity: Identity,
    found: cairn_oidc::Identity,
) -> Result<people_query::User, Problem> {
    let email = found.email.filter(|_| found.email_verified).ok_or_else(|| {
        let detail = "the provider does not say that your address is yours: register with a password, and link it";
        Problem::new("identity_unknown", detail)
    })?;
    let (email, email_index) = address(api, &email).await?;
    let known = people_query::by_email(api.pool(), &email_index).await?;
    if known.is_some_and(|known| known.verified_at.is_some()) {
        let detail = "an account has this address: sign in to it, and link the identity there";
        return Err(Problem::new("identity_unlinked", detail));
    }
    if api.promises.terms.is_some() {
        let detail = "whoever registers here agrees to the terms: register with a password, and link the identity";
        return Err(Problem::new("terms_not_accepted", detail));
    }
    let local = email.split('@').next().unwrap_or_default().to_owned();
    let name = found.name.filter(|name| !name.trim().is_empty()).unwrap_or(local);
    let name = name.chars().take(NAME_MAX).collect();
    // Nobody knows it; with a code by mail another can be set.
    let password = new_secret::<TicketPurpose>()?.expose().to_owned();
    let password = api.passwords.hash(password).await?;
    let vouched = Vouched { email, email_index, name, password, identity };
    let index = vouched.identity.identity_index.clone();
    let done = identities::register_vouched(&api.commands, context, vouched).await?;
    seen(api, people_view::NAME, done.position).await;
    let known = people_query::by_identity(api.pool(), &index).await?;
    known.ok_or_else(|| Problem::new("database_unavailable", "the account is not seen yet"))
}

/// Links the identity to whoever began the attempt, if they are still signed in.
async fn link(
    api: &Api,
    context: &CommandContext,
    person: &str,
    identity: Identity,
) -> Result<Response, Problem> {
    let (user_id, session_id) = person_of(person)?;
    api.directory.session_named(session_id, api.commands.clock.now()).await?;
    let known = people_query::by_identity(api.pool(), &identity.identity_index).await?;
    if known.is_some_and(|known| known.user_id != user_id.to_string()) {
        let detail = "another account has linked this identity: unlink it there first";
        return Err(Problem::new("identity_in_use", detail));
    }
    let context = CommandContext { actor: user_id.to_string(), ..context.clone() };
    let done = identities::link_identity(&api.commands, &context, user_id, identity).await?;
    seen(api, people_view::NAME, done.position).await;
    Ok(Redirect::to(LANDING).into_response())
}

fn person_of(standing: &str) -> Result<(UserId, SessionId), Problem> {
    let parts = standing.split_once('/');
    let found = parts.and_then(|(user, session)| Some((user.parse().ok()?, session.parse().ok()?)));
    found.ok_or_else(|| Problem::internal("an attempt was begun by nobody"))
}

/// Who else vouches for this person.
#[utoipa::path(get, path = "/v1/me/identities", operation_id = "list_identities", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "All that are linked", body = Identities)))]
async fn list_identities(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<Identities>, Problem> {
    let rows =
        people_query::identities(&mut *api.read_for(person).await?, &person.user_id.to_string())
            .await?;
    let mut items = vec![];
    for row in rows {
        items.push(IdentityShown {
            subject: open_or_erased(&api, &row.subject).await?,
            identity_id: row.identity_index,
            provider: row.provider,
            issuer: row.issuer,
            linked_at: Timestamp::from(row.linked_at).to_string(),
        });
    }
    Ok(Json(Identities { items }))
}

/// Begins to link an identity: tells where to send this browser.
#[utoipa::path(post, path = "/v1/me/identities", operation_id = "begin_identity_link", tag = "identity",
    request_body = LinkBody, security(("session" = [])),
    responses((status = 200, description = "Go there; the attempt is in a cookie", body = LinkBegun)))]
async fn begin_identity_link(
    State(api): State<Api>,
    OwnOnce { person, body, .. }: OwnOnce<LinkBody>,
) -> Result<Response, Problem> {
    let (authorization_url, cookie) = begin(&api, &body.provider, Some(person)).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(LinkBegun { authorization_url })).into_response())
}

/// Unlinks an identity: nobody signs in by it any more.
#[utoipa::path(post, path = "/v1/me/identities/{identity_id}/unlink", operation_id = "unlink_identity", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    params(
        ("identity_id" = String, Path, description = "As the list names it"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It vouches for nobody here", body = IdentityDone)))]
async fn unlink_identity(
    State(api): State<Api>,
    Path(identity_id): Path<String>,
    Own { person, context, .. }: Own<Nothing>,
) -> Result<Json<IdentityDone>, Problem> {
    let (user_id, index) = (person.user_id, identity_id.clone());
    let done = identities::unlink_identity(&api.commands, &context, user_id, index).await?;
    seen(&api, people_view::NAME, done.position).await;
    Ok(Json(IdentityDone { identity_id }))
}
