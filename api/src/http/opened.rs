//! Personal data is opened here, in answers, and nowhere else: for a customer their own, for the platform all of it.
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cairn_commands::ports::{FailureKind, PortError};
use cairn_core::Subject;
use cairn_core::personal::SEALED;
use serde_json::Value;

use super::state::Api;
use crate::auth::Caller;
use crate::problem::Problem;

/// Opens what the caller may see. What is erased reads as `erased`.
pub async fn open(State(api): State<Api>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied();
    let response = next.run(request).await;
    let Some(caller) = caller.filter(|_| is_json(&response)) else { return response };
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Problem::internal(&error.to_string()).into_response(),
    };
    if !holds_sealed(&bytes) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    match opened(&api, &caller, &bytes).await {
        Ok(bytes) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(problem) => problem.into_response(),
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

fn holds_sealed(bytes: &[u8]) -> bool {
    bytes.windows(SEALED.len()).any(|window| window == SEALED.as_bytes())
}

async fn opened(api: &Api, caller: &Caller, bytes: &Bytes) -> Result<Vec<u8>, Problem> {
    let broken = |error: serde_json::Error| Problem::internal(&error.to_string());
    let mut body: Value = serde_json::from_slice(bytes).map_err(broken)?;
    let own = caller.narrowed_to().map(Subject::organisation);
    let personal = api.commands.executor.personal();
    personal.open_in(&mut body, own.as_ref()).await.map_err(unopened)?;
    serde_json::to_vec(&body).map_err(broken)
}

fn unopened(error: PortError) -> Problem {
    match error.kind {
        FailureKind::Transient => Problem::new("database_unavailable", error.message),
        FailureKind::Permanent | FailureKind::Refused | FailureKind::Untrusted => {
            Problem::internal(&error.to_string())
        }
    }
}
