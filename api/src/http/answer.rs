//! Answers to mutating requests: what the first outcome was, where the thing is, its version, and the position of the log; and
//! what became of one whose answer was lost.
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::Executed;
use cairn_event_log::{Outcome, StoredOutcome};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edge::conditions::Version;
use super::reader::POSITION;
use super::state::Api;
use crate::auth::Caller;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_command))
}

/// Whether what was asked under an `Idempotency-Key` happened. 404 says that nothing has yet: what is still on its way may.
#[utoipa::path(get, path = "/v1/commands/{key}", operation_id = "get_command", tag = "commands",
    params(("key" = String, Path, description = "The Idempotency-Key, percent-encoded")),
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "Its first outcome, which stands", body = CommandOutcome)))]
async fn get_command(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
) -> Result<Json<CommandOutcome>, Problem> {
    let id = command_id(&caller, &key);
    let found = api.commands.executor.log().outcome(&id).await?;
    let (stored, _) = found.ok_or_else(|| Problem::missing(Missing::Command))?;
    Ok(Json(CommandOutcome::of(key, stored)))
}

/// Names a wish of an organisation's in the log.
#[must_use]
pub fn command_id(caller: &Caller, key: &str) -> String {
    format!("http:{}:{key}", caller.organisation_id)
}

/// What became of a wish.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandOutcome {
    /// The Idempotency-Key.
    pub key: String,
    /// `accepted` or `refused`.
    pub outcome: &'static str,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Id of what was made or changed; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Place in the log that it is at.
    pub position: i64,
}

impl CommandOutcome {
    fn of(key: String, stored: StoredOutcome) -> Self {
        let StoredOutcome { outcome, position, aggregate_id, .. } = stored;
        let said = Self { key, outcome: "accepted", code: None, detail: None, id: None, position };
        match outcome {
            Outcome::Accepted { result } => {
                // What was made is named in the result; what was changed is what the command was for.
                let members = result.as_object().into_iter().flat_map(|members| members.values());
                let made = members.filter_map(Value::as_str).next().map(str::to_owned);
                Self { id: made.or(Some(aggregate_id)), ..said }
            }
            Outcome::Refused { code, message } => {
                Self { outcome: "refused", code: Some(code), detail: Some(message), ..said }
            }
        }
    }
}

/// A carried-out command.
#[derive(Debug)]
pub struct Done<T> {
    status: StatusCode,
    location: Option<String>,
    position: i64,
    version: Option<Version>,
    replayed: bool,
    body: T,
}

impl<T: Serialize> Done<T> {
    /// Something new is at `location`.
    pub fn created(executed: &Executed, location: String, body: T) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(executed, body) }
    }

    /// Something will happen; `location` shows how it goes.
    pub fn accepted(executed: &Executed, location: String, body: T) -> Self {
        Self { status: StatusCode::ACCEPTED, location: Some(location), ..Self::ok(executed, body) }
    }

    /// It is so.
    pub const fn ok(executed: &Executed, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            location: None,
            position: executed.position,
            version: Some(Version(executed.sequence)),
            replayed: executed.replayed,
            body,
        }
    }

    /// What is answered about is not what the command was for: its version says nothing.
    #[must_use]
    pub fn without_version(self) -> Self {
        Self { version: None, ..self }
    }
}

impl<T: Serialize> IntoResponse for Done<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(POSITION, HeaderValue::from(self.position));
        if let Some(location) = self.location.and_then(|l| HeaderValue::from_str(&l).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(tag) = self.version.and_then(Version::tag) {
            headers.insert(header::ETAG, tag);
        }
        if self.replayed {
            headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}
