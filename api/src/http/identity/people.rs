//! Registering, proving an address, and a new password for who forgot it. Nobody learns here who has an account.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cairn_commands::identity::people::{self, Addressee, NewPassword, Register};
use cairn_commands::identity::{Code, wishes};
use cairn_commands::{CommandContext, Executed};
use cairn_core::UserId;
use cairn_identity::{Consent, Document, LinkPurpose, Proof, Said};
use cairn_projections::identity::{people as people_view, people_query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::own::Once;
use super::super::state::Api;
use super::{address, caught_up, code_hash, new_code, open, seen};
use crate::auth::{Person, password};
use crate::problem::Problem;

/// How long an address may be verified.
const VERIFY_SECS: i64 = 24 * 3_600;
/// How long a password may be reset.
const RESET_SECS: i64 = 3_600;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(register_user))
        .routes(routes!(resend_code))
        .routes(routes!(verify_email))
        .routes(routes!(request_password_reset))
        .routes(routes!(reset_password))
}

/// Somebody who registers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    /// Where mail reaches them.
    #[schema(example = "ada@example.org")]
    email: String,
    /// What they are called.
    #[schema(example = "Ada")]
    name: String,
    /// At least 10 characters, and hard to guess.
    password: String,
    /// The version of the terms that they agree to; needed where this server names one.
    #[schema(example = "2026-11")]
    terms_version: Option<String>,
}

/// An address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailBody {
    /// Where mail reaches somebody.
    #[schema(example = "ada@example.org")]
    email: String,
}

/// A code that was sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    /// `cairn_code_…`
    code: String,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    /// `cairn_code_…`
    code: String,
    /// At least 10 characters, and hard to guess.
    password: String,
}

/// What happens now.
#[derive(Debug, Serialize, ToSchema)]
pub struct CodeSent {
    /// `code_sent`: if the address can have one.
    status: &'static str,
}

/// Who it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserDone {
    /// `user_…`
    user_id: String,
}

impl UserDone {
    /// Of whoever is signed in.
    pub(super) fn of(person: Person) -> Self {
        Self { user_id: person.user_id.to_string() }
    }
}

const SENT: (StatusCode, Json<CodeSent>) =
    (StatusCode::ACCEPTED, Json(CodeSent { status: "code_sent" }));

type Sent = (StatusCode, Json<CodeSent>);

/// Answers at once, and does the work behind: how long it takes tells nobody whether there is an account.
fn unseen(api: &Api, work: impl Future<Output = Result<(), Problem>> + Send + 'static) -> Sent {
    api.tasks.spawn(async move {
        if let Err(problem) = work.await {
            tracing::warn!(code = problem.code.name, detail = problem.detail, "no code is sent");
        }
    });
    SENT
}

async fn register_or_remind(
    api: Api,
    context: CommandContext,
    (input, terms): (Register, Option<String>),
) -> Result<(), Problem> {
    let known = people_query::by_email(api.pool(), &input.email_index).await?;
    match known.filter(|known| known.verified_at.is_some()) {
        Some(known) => people::remind(&api.commands, &context, user_id(&known)?).await?,
        None => registered(&api, &context, (input, terms)).await?,
    };
    Ok(())
}

async fn registered(
    api: &Api,
    context: &CommandContext,
    (input, terms): (Register, Option<String>),
) -> Result<Executed, Problem> {
    let done = people::register(&api.commands, context, input).await?;
    if let (Some(version), Ok(user_id)) = (terms, done.aggregate_id.parse()) {
        let said = (Document::Terms, Consent { version, given: true }, Said::Registering);
        wishes::consent(&api.commands, context, user_id, said).await?;
    }
    Ok(done)
}

/// The version of the terms that somebody agrees to; where the server names one, that and no other.
fn agreed(api: &Api, said: Option<String>) -> Result<Option<String>, Problem> {
    match &api.promises.terms {
        Some(wanted) if said.as_ref() != Some(wanted) => {
            let detail = format!("agree to the terms: terms_version is {wanted}");
            Err(Problem::new("terms_not_accepted", detail))
        }
        Some(_) => Ok(said),
        // What nobody asked for is no consent.
        None => Ok(None),
    }
}

/// Sends a code to whoever has an account with the address, and one to verify only while it is not.
async fn send_code(
    api: Api,
    context: CommandContext,
    (email_index, wanted): (String, (LinkPurpose, Code)),
) -> Result<(), Problem> {
    let known = people_query::by_email(api.pool(), &email_index).await?;
    let waits = |known: &people_query::User| {
        wanted.0 == LinkPurpose::ResetPassword || known.verified_at.is_none()
    };
    if let Some(known) = known.filter(waits) {
        people::request_code(&api.commands, &context, user_id(&known)?, wanted).await?;
    }
    Ok(())
}

fn named(name: &str) -> Result<(), Problem> {
    match name.chars().count() {
        1..=100 => Ok(()),
        _ => Err(Problem::new("user_name_invalid", "a name is 1 to 100 characters")),
    }
}

/// Registers. A code is sent to the address; who has an account already is told so there, and nowhere else.
#[utoipa::path(post, path = "/v1/users", operation_id = "register_user", tag = "identity",
    request_body = RegisterBody,
    responses((status = 202, description = "A code is on its way", body = CodeSent)))]
async fn register_user(
    State(api): State<Api>,
    Once { context, body }: Once<RegisterBody>,
) -> Result<Sent, Problem> {
    let (email, email_index) = address(&api, &body.email).await?;
    password::check(&body.password, &[&email, &body.name])?;
    named(&body.name)?;
    let terms = agreed(&api, body.terms_version)?;
    let password = api.passwords.hash(body.password).await?;
    let code = new_code(api.commands.clock.now(), VERIFY_SECS)?;
    let input = Register { email, email_index, name: body.name, password, code };
    Ok(unseen(&api, register_or_remind(api.clone(), context, (input, terms))))
}

/// Sends the code that proves an address once more.
#[utoipa::path(post, path = "/v1/users/code", operation_id = "resend_code", tag = "identity",
    request_body = EmailBody,
    responses((status = 202, description = "A code is on its way, if the address waits for one", body = CodeSent)))]
async fn resend_code(
    State(api): State<Api>,
    Once { context, body }: Once<EmailBody>,
) -> Result<Sent, Problem> {
    let (_, email_index) = address(&api, &body.email).await?;
    let wanted = (LinkPurpose::VerifyEmail, new_code(api.commands.clock.now(), VERIFY_SECS)?);
    Ok(unseen(&api, send_code(api.clone(), context, (email_index, wanted))))
}

/// Proves an address with the code that was sent to it. From then on its owner can sign in.
#[utoipa::path(post, path = "/v1/email-verifications", operation_id = "verify_email", tag = "identity",
    request_body = CodeBody,
    responses((status = 200, description = "It is theirs", body = UserDone)))]
async fn verify_email(
    State(api): State<Api>,
    Once { context, body }: Once<CodeBody>,
) -> Result<Json<UserDone>, Problem> {
    let hash = code_hash(&body.code)?;
    let (who, _) = addressee(&api, (&hash, "verify_email")).await?;
    let done = people::verify_email(&api.commands, &context, &who, hash).await?;
    seen(&api, people_view::NAME, done.position).await;
    Ok(Json(UserDone { user_id: who.user_id.to_string() }))
}

/// Sends a code with which a new password can be set.
#[utoipa::path(post, path = "/v1/password-resets", operation_id = "request_password_reset", tag = "identity",
    request_body = EmailBody,
    responses((status = 202, description = "A code is on its way, if the address has an account", body = CodeSent)))]
async fn request_password_reset(
    State(api): State<Api>,
    Once { context, body }: Once<EmailBody>,
) -> Result<Sent, Problem> {
    let (_, email_index) = address(&api, &body.email).await?;
    let wanted = (LinkPurpose::ResetPassword, new_code(api.commands.clock.now(), RESET_SECS)?);
    Ok(unseen(&api, send_code(api.clone(), context, (email_index, wanted))))
}

/// Sets a new password with the code that was sent. Every session of the account is over.
#[utoipa::path(post, path = "/v1/password-resets/confirm", operation_id = "reset_password", tag = "identity",
    request_body = ResetBody,
    responses((status = 200, description = "Set", body = UserDone)))]
async fn reset_password(
    State(api): State<Api>,
    Once { context, body }: Once<ResetBody>,
) -> Result<Json<UserDone>, Problem> {
    let hash = code_hash(&body.code)?;
    let (who, known) = addressee(&api, (&hash, "reset_password")).await?;
    check(&api, &known, &body.password).await?;
    let password = api.passwords.hash(body.password).await?;
    let new = NewPassword { password, proof: Proof::Link(hash), renewed: None };
    let done = people::set_password(&api.commands, &context, &who, new).await?;
    seen(&api, people_view::NAME, done.position).await;
    api.directory.forget(who.user_id);
    Ok(Json(UserDone { user_id: who.user_id.to_string() }))
}

/// Refuses a weak password, knowing whose it is to be.
pub(super) async fn check(
    api: &Api,
    known: &people_query::User,
    password: &str,
) -> Result<(), Problem> {
    let (email, name) = (open(api, &known.email).await?, open(api, &known.name).await?);
    password::check(password, &[&email.unwrap_or_default(), &name.unwrap_or_default()])
}

/// Who a code was sent to.
async fn addressee(
    api: &Api,
    code: (&str, &str),
) -> Result<(Addressee, people_query::User), Problem> {
    // The letter may have been quicker than the view.
    caught_up(api, people_view::NAME).await?;
    let known = people_query::by_code(api.pool(), code).await?.ok_or_else(|| {
        Problem::new("link_invalid", "this code is unknown, was used, or is over: ask for another")
    })?;
    let email_index = known.email_index.clone();
    Ok((Addressee { user_id: user_id(&known)?, email_index }, known))
}

pub(super) fn user_id(known: &people_query::User) -> Result<UserId, Problem> {
    let unreadable = |_| Problem::internal(&format!("{} is no user", known.user_id));
    known.user_id.parse().map_err(unreadable)
}
