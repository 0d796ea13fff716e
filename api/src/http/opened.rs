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
    let is_wish = !request.method().is_safe();
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
        Err(error) => {
            let is_done = is_wish && parts.status.is_success();
            unopened(&error, is_done).into_response()
        }
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

fn holds_sealed(bytes: &[u8]) -> bool {
    bytes.windows(SEALED.len()).any(|window| window == SEALED.as_bytes())
}

async fn opened(api: &Api, caller: &Caller, bytes: &Bytes) -> Result<Vec<u8>, PortError> {
    let broken = |error: serde_json::Error| PortError::permanent("internal", error.to_string());
    let mut body: Value = serde_json::from_slice(bytes).map_err(broken)?;
    let own = caller.narrowed_to().map(Subject::organisation);
    let personal = api.commands.executor.personal();
    personal.open_in(&mut body, own.as_ref()).await?;
    serde_json::to_vec(&body).map_err(broken)
}

/// What is said instead of something that cannot be opened. A wish is carried out by then, and nobody may be told that nothing was done.
pub fn unopened(error: &PortError, is_done: bool) -> Problem {
    match error.kind {
        _ if is_done => {
            tracing::error!(%error, "the answer to a wish cannot be opened");
            let detail =
                "its answer cannot be read now; the same Idempotency-Key will tell what happened";
            Problem::new("outcome_in_doubt", detail)
        }
        FailureKind::Transient => Problem::new("database_unavailable", error.message.clone()),
        FailureKind::Permanent | FailureKind::Refused | FailureKind::Untrusted => {
            Problem::internal(&error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PortError, unopened};

    #[test]
    fn a_wish_that_was_carried_out_is_never_denied() {
        let away = PortError::transient("keys_unavailable", "the database is away");
        let broken = PortError::permanent("keys_unusable", "another master key");
        for (error, is_done, code) in [
            (&away, true, "outcome_in_doubt"),
            (&broken, true, "outcome_in_doubt"),
            (&away, false, "database_unavailable"),
            (&broken, false, "internal"),
        ] {
            let said = serde_json::to_value(unopened(error, is_done).details()).unwrap();
            assert_eq!(said["code"], code, "{error}");
        }
    }
}
