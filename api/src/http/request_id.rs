//! Every request has an id: the caller's, if it is harmless, or a new one. Answers and problems carry it. It also has a trace.
use std::fmt;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::state::Api;
use super::traced;
use crate::problem::Problem;

const HEADER: &str = "x-request-id";

/// Names one request in logs, problems and the audit trail.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_harmless(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (8..=64).contains(&id.len()) && id.bytes().all(allowed)
}

/// What was told about the request besides the problem itself.
fn keep(mut told: HeaderMap, headers: &mut HeaderMap) {
    told.remove(header::CONTENT_LENGTH);
    for (name, value) in &told {
        if !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
}

/// Gives the request its id and its trace, and every problem on its way out the same one.
pub async fn name_request(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    let id = given
        .filter(|id| is_harmless(id))
        .map_or_else(|| format!("req_{:032x}", api.commands.ids.next()), str::to_owned);
    let (work, trace) = traced::begin(&api, &request);
    request.extensions_mut().insert(trace);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = work.run(next.run(request)).await;
    traced::end(&work, &response);
    drop(work);
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.clone());
        let replayed = response.headers_mut().remove("idempotency-replayed").is_some();
        problem.replayed = replayed;
        let told = std::mem::take(response.headers_mut());
        response = problem.into_response();
        keep(told, response.headers_mut());
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
