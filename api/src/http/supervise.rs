//! Every request runs in a task of its own, tracked until it ends: a client that hangs up stops nothing half way, and a shutdown waits.
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cairn_tasks::{named, telling};
use metrics::{counter, histogram};
use tokio::task::JoinError;
use tracing::Instrument as _;

use super::arrival::Arrival;
use super::guard::Operation;
use super::request_id::RequestId;
use super::state::Api;
use super::traced;
use crate::problem::Problem;
use crate::reports::Fault;
use crate::trace::Trace;

/// Runs the rest of the request in a tracked task, and waits for its answer a limited time; a panic is an `internal` problem.
pub async fn supervise(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.tasks.is_closed() {
        let detail = "it finishes what it has begun and takes nothing new";
        return Problem::new("shutting_down", detail).into_response();
    }
    let method = request.method().clone();
    let (request_id, trace_id, span_id) = names(&request);
    let path = request.uri().path();
    let span = tracing::info_span!("request", %method, path, request_id, trace_id, span_id);
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map(|matched| format!("{method} {}", matched.as_str()));
    let arrival = Arrival::default();
    let request = request.map(|body| arrival.watch(body, api.limits.body));
    let known = Fault { route, request_id, trace_id, ..Fault::default() };
    let work = cairn_spans::carried(next.run(request)).instrument(span);
    // Also of a panic after the caller has had an answer.
    let told = api.reports.of_panics(known.clone());
    let task = api.tasks.spawn(named("request", telling(told, work)));
    let handler = task.abort_handle();
    let mut is_told = false;
    let response = match tokio::time::timeout(api.limits.answer, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            is_told = error.is_panic();
            Problem::internal(&format!("the handler died: {}", said(error))).into_response()
        }
        Err(_) if arrival.refuse() || method.is_safe() => {
            handler.abort();
            Problem::new("timeout", "the answer was not ready in time").into_response()
        }
        Err(_) => {
            let detail = "it goes on; the same Idempotency-Key will tell what happened";
            Problem::new("outcome_in_doubt", detail).into_response()
        }
    };
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR && !is_told {
        let problem = response.extensions().get::<Problem>();
        let message = problem.map(|it| it.cause.as_ref().unwrap_or(&it.detail).clone());
        let message = message.unwrap_or_default();
        api.reports.tell(Fault { kind: "internal", message, ..known });
    }
    response
}

/// What a task that died said last.
fn said(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "it was cut off".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("nothing").to_owned()
}

/// What a request's log lines are found by.
fn names(request: &Request) -> (Option<String>, Option<String>, Option<String>) {
    let (extensions, owned) = (request.extensions(), |id: &str| id.to_owned());
    let trace = extensions.get::<Trace>();
    let trace_id = trace.map(|trace| owned(trace.trace_id()));
    let span_id = trace.and_then(Trace::span_id).map(owned);
    (extensions.get::<RequestId>().map(RequestId::to_string), trace_id, span_id)
}

/// Counts and times requests by operation and status, and writes one line for each.
pub async fn measure(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (request_id, trace_id, span_id) = names(&request);
    let response = next.run(request).await;
    let operation = response.extensions().get::<Operation>();
    let operation = operation.map_or_else(|| "none".to_owned(), |o| o.0.to_string());
    let status = response.status().as_u16().to_string();
    let seconds = began.elapsed().as_secs_f64();
    if !traced::is_watch(&path) {
        let millis = seconds * 1_000.0;
        tracing::info!(
            %method, path, operation, status, millis, request_id, trace_id, span_id, "answered"
        );
    }
    histogram!("cairn_http_request_seconds", "operation" => operation.clone()).record(seconds);
    counter!("cairn_http_requests_total", "operation" => operation, "status" => status)
        .increment(1);
    response
}
