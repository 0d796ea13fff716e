//! What a person may ask about their own data: what they agreed to, everything that is held on them, and to be forgotten.
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cairn_commands::identity::{normalised, wishes};
use cairn_commands::privacy;
use cairn_identity::{Consent, Document, Said};
use cairn_projections::identity::wishes as view;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::own::{Own, OwnOnce};
use super::super::preview::{Answer, StagedOwn};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::sessions::{own_user, proven};
use super::{open_or_erased, seen};
use crate::auth::Person;
use crate::erasure;
use crate::problem::{FieldError, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_consents, record_consent))
        .routes(routes!(get_erasure, request_erasure))
        .routes(routes!(cancel_erasure))
}

/// What somebody agrees to.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentName {
    /// The terms of service.
    Terms,
    /// What is done with personal data.
    Privacy,
    /// Being written to about what is new.
    Marketing,
}

impl From<DocumentName> for Document {
    fn from(name: DocumentName) -> Self {
        match name {
            DocumentName::Terms => Self::Terms,
            DocumentName::Privacy => Self::Privacy,
            DocumentName::Marketing => Self::Marketing,
        }
    }
}

/// What is said of a document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentBody {
    /// Which.
    document: DocumentName,
    /// The version that was shown: 1 to 40 of letters, digits, `.`, `-` and `_`.
    #[schema(example = "2026-11")]
    version: String,
    /// Or taken back.
    given: bool,
}

/// What was said of a document.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentShown {
    /// `terms`, `privacy` or `marketing`.
    document: String,
    /// Of which version.
    version: String,
    /// Or taken back.
    given: bool,
    /// `registering` or `signed_in`.
    said: String,
    /// When.
    said_at: String,
}

/// All that a person ever said of documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct Consents {
    /// The last first; of each document the first here counts.
    items: Vec<ConsentShown>,
    /// The version of the terms that whoever registers now agrees to.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_version: Option<String>,
}

/// A wish to be forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureBody {
    /// The password of the account.
    password: String,
    /// The address of the account, typed once more.
    #[schema(example = "ada@example.org")]
    confirm: String,
}

/// Whether somebody is to be forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureShown {
    /// `none` or `pending`.
    status: &'static str,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_at: Option<String>,
    /// From when on it is carried out. Until then it can be cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// Organisations that need another owner first: others are in them, or money is.
    kept_by: Vec<String>,
}

pub(super) async fn consents(api: &Api, person: Person) -> Result<Vec<ConsentShown>, Problem> {
    let rows =
        view::consents(&mut *api.read_for(person).await?, &person.user_id.to_string()).await?;
    let shown = rows.into_iter().map(|row| ConsentShown {
        document: row.document,
        version: row.version,
        given: row.given,
        said: row.said,
        said_at: row.said_at.to_string(),
    });
    Ok(shown.collect())
}

/// What this person agreed to, and took back.
#[utoipa::path(get, path = "/v1/me/consents", operation_id = "list_consents", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "Everything that was ever said", body = Consents)))]
async fn list_consents(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<Consents>, Problem> {
    let terms_version = api.promises.terms.clone();
    Ok(Json(Consents { items: consents(&api, person).await?, terms_version }))
}

/// Agrees to a version of a document, or takes it back.
#[utoipa::path(post, path = "/v1/me/consents", operation_id = "record_consent", tag = "identity",
    request_body = ConsentBody, security(("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "Recorded", body = Consents)))]
async fn record_consent(
    State(api): State<Api>,
    Own { person, context, body }: Own<ConsentBody>,
) -> Result<Json<Consents>, Problem> {
    let ConsentBody { document, version, given } = body;
    let said = (document.into(), Consent { version, given }, Said::SignedIn);
    let done = wishes::consent(&api.commands, &context, person.user_id, said).await?;
    seen(&api, view::NAME, done.position).await;
    list_consents(State(api), Extension(person)).await
}

pub(super) async fn shown(api: &Api, person: Person) -> Result<ErasureShown, Problem> {
    let pending =
        view::pending(&mut *api.read_for(person).await?, &person.user_id.to_string()).await?;
    let subject = cairn_core::Subject::user(person.user_id);
    let organisations = erasure::organisations(api.pool(), &subject).await?;
    let kept = privacy::kept_by(&api.commands, (person.user_id, &organisations)).await?;
    Ok(ErasureShown {
        status: if pending.is_some() { "pending" } else { "none" },
        requested_at: pending.as_ref().map(|pending| pending.requested_at.to_string()),
        due_at: pending.as_ref().map(|pending| pending.due_at.to_string()),
        kept_by: kept.iter().map(ToString::to_string).collect(),
    })
}

/// Whether this person is to be forgotten, and when.
#[utoipa::path(get, path = "/v1/me/erasure", operation_id = "get_erasure", tag = "identity",
    security(("session" = [])),
    responses((status = 200, description = "As it stands", body = ErasureShown)))]
async fn get_erasure(
    State(api): State<Api>,
    Extension(person): Extension<Person>,
) -> Result<Json<ErasureShown>, Problem> {
    Ok(Json(shown(&api, person).await?))
}

/// Asks to be forgotten: after some days the account is closed, and nothing personal can be read any more.
#[utoipa::path(post, path = "/v1/me/erasure", operation_id = "request_erasure", tag = "identity",
    request_body = ErasureBody, security(("session" = [])),
    responses((status = 202, description = "It is carried out at `due_at`", body = ErasureShown)))]
async fn request_erasure(
    State(api): State<Api>,
    StagedOwn { own, stage }: StagedOwn<ErasureBody>,
) -> Result<Response, Problem> {
    let OwnOnce { person, context, body } = own;
    let known = own_user(&api, person).await?;
    let known = proven(&api, &context, (Some(known), body.password)).await?;
    if normalised(&body.confirm) != open_or_erased(&api, &known.email).await? {
        let detail = "type the address of the account";
        return Err(Problem::new("confirmation_wrong", detail).with_errors(vec![FieldError::new(
            "/confirm",
            "confirmation_wrong",
            detail,
        )]));
    }
    let now = shown(&api, person).await?;
    if !now.kept_by.is_empty() {
        let detail = format!("make somebody else an owner of {} first", now.kept_by.join(", "));
        return Err(Problem::new("last_owner", detail));
    }
    let due_at = api.commands.clock.now().plus_secs(api.promises.erasure_secs);
    let commands = stage.commands(&api);
    let asked = wishes::request_erasure(commands, &context, person.user_id, due_at).await?;
    if let Some(would) = stage.would(&asked).await? {
        return Ok(Answer::<()>::from(would.without_version()).into_response());
    }
    seen(&api, view::NAME, asked.position).await;
    Ok((StatusCode::ACCEPTED, Json(shown(&api, person).await?)).into_response())
}

/// Thinks better of it.
#[utoipa::path(post, path = "/v1/me/erasure/cancel", operation_id = "cancel_erasure", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "Nothing is erased", body = ErasureShown)))]
async fn cancel_erasure(
    State(api): State<Api>,
    Own { person, context, .. }: Own<Nothing>,
) -> Result<Json<ErasureShown>, Problem> {
    let done = wishes::cancel_erasure(&api.commands, &context, person.user_id).await?;
    seen(&api, view::NAME, done.position).await;
    Ok(Json(shown(&api, person).await?))
}
