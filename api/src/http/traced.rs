//! The span of a request, by the semantic conventions of OpenTelemetry: method and template of the route, status, scheme. No path, query,
//! header, address or name: they may say who asks, or open something.
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use cairn_spans::{Cause, Kind, Work};

use super::state::Api;
use crate::problem::Problem;
use crate::trace::Trace;

/// What is asked again and again by whoever watches.
pub(super) fn is_watch(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/startupz" | "/metrics")
}

/// Begins the span of a request, and its trace: the caller's, if there is one.
pub(super) fn begin(api: &Api, request: &Request) -> (Work, Trace) {
    let (ids, headers) = (api.commands.ids.as_ref(), request.headers());
    let spans = api.traces.spans();
    if !spans.is_on() || is_watch(request.uri().path()) {
        return (Work::untraced(), Trace::of(headers, ids));
    }
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "_OTHER",
    };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let name = match (method, route) {
        ("_OTHER", _) => "HTTP".to_owned(),
        (method, Some(route)) => format!("{method} {route}"),
        (method, None) => method.to_owned(),
    };
    let given = Trace::given(headers);
    let cause = Cause::caller(given.as_ref().map(Trace::traceparent).as_deref());
    let work = spans.begin(Kind::Server, name, cause);
    if work.is_seen() {
        work.set("http.request.method", method.to_owned());
        if let Some(route) = route {
            work.set("http.route", route.to_owned());
        }
        let is_safe = api.public_url.starts_with("https:");
        work.set("url.scheme", if is_safe { "https" } else { "http" });
    }
    let trace = match work.traceparent() {
        Some(traceparent) => Trace::of_span(traceparent),
        None => given.unwrap_or_else(|| Trace::begin(ids)),
    };
    (work, trace)
}

/// How it was answered; only faults of ours are errors.
pub(super) fn end(work: &Work, response: &Response) {
    if !work.is_seen() {
        return;
    }
    let status = response.status();
    work.set("http.response.status_code", i64::from(status.as_u16()));
    let code = response.extensions().get::<Problem>().map(|problem| problem.code.name);
    if status.is_server_error() {
        work.fail(code.map_or_else(|| status.as_u16().to_string(), str::to_owned));
    } else if let Some(code) = code {
        work.set("cairn.problem.code", code);
    }
}
