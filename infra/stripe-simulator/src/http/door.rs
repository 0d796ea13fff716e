//! The door of the API: who asks, what goes wrong on purpose, and the first answer of a key.
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::routes::{self, Call};
use super::{ApiError, control};
use crate::faults::Fault;
use crate::form;
use crate::state::{Desk, Shared};

/// One answer, perhaps late.
struct Answer {
    status: u16,
    body: Value,
    replayed: bool,
    late: Duration,
}

/// Every call of the API.
pub(crate) async fn enter(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let early = shared.desk().slowness();
    if !early.is_zero() {
        shared.pause(early).await;
    }
    let call = read(&method, &uri, &headers, &body);
    let answer = match call {
        Ok(call) => carry_out(&shared, &call),
        Err(error) => refusal(error),
    };
    if !answer.late.is_zero() {
        shared.pause(answer.late).await;
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(answer.body)).into_response();
    if answer.replayed {
        response.headers_mut().insert("idempotent-replayed", control::TRUE);
    }
    response
}

fn refusal(error: ApiError) -> Answer {
    Answer { status: error.status, body: error.body(), replayed: false, late: Duration::ZERO }
}

fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Call, ApiError> {
    authorise(headers)?;
    let text = match *method {
        Method::POST => std::str::from_utf8(body)
            .map_err(|_| ApiError::parameter("The body is not UTF-8", "body"))?,
        _ => uri.query().unwrap_or_default(),
    };
    let params = form::parse(text).map_err(|message| ApiError::parameter(message, "body"))?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let path = uri.path().trim_start_matches("/v1/").trim_end_matches('/').to_owned();
    let (post, delete) = (*method == Method::POST, *method == Method::DELETE);
    Ok(Call { post, delete, path, params, key })
}

/// Test keys only: nobody shall believe that this is the real thing.
fn authorise(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let test_key = |prefix| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    if test_key("sk_test_") || test_key("rk_test_") {
        return Ok(());
    }
    let message = "Invalid API Key provided. This is a simulator: it takes sk_test_… only.";
    Err(ApiError::invalid(401, "api_key_invalid", message))
}

fn carry_out(shared: &Arc<Shared>, call: &Call) -> Answer {
    let mut desk = shared.desk();
    let key = call.key.as_deref().filter(|_| call.post);
    if let Some(key) = key {
        if desk.answers.knows(key) && desk.strikes(Fault::KeyExpired) {
            desk.answers.forget(key);
        }
        match desk.answers.recall(key, &call.path, &call.params) {
            Ok(None) => {}
            Ok(Some((status, body))) => {
                return Answer { status, body, replayed: true, late: Duration::ZERO };
            }
            Err(error) => return refusal(error),
        }
    }
    if desk.strikes(Fault::ServerError) {
        return refusal(ApiError::server());
    }
    let (status, body) = match routes::dispatch(&mut desk, call) {
        Ok(body) => (200, body),
        Err(error) => (error.status, error.body()),
    };
    let acted = call.post && status == 200;
    let (status, body) = match acted && desk.strikes(Fault::ServerErrorAfterSuccess) {
        true => (500, ApiError::server().body()),
        false => (status, body),
    };
    if let Some(key) = key {
        desk.answers.keep(key, (&call.path, &call.params), (status, &body));
    }
    let late = lateness(&mut desk, acted);
    shared.follow_up(&mut desk);
    Answer { status, body, replayed: false, late }
}

fn lateness(desk: &mut Desk, acted: bool) -> Duration {
    if acted && desk.strikes(Fault::TimeoutAfterSuccess) {
        return Duration::from_millis(desk.mischief.faults.timeout_millis);
    }
    Duration::ZERO
}
