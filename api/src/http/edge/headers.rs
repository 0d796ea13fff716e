//! What every answer says to browsers and caches, and who else's pages may read it.
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::dated::{CURRENT, VERSION};
use crate::http::state::Api;

/// Answers below this many bytes are sent as they are.
const COMPRESSED_MIN: u16 = 1_024;
/// How long a browser may remember that it may ask.
const PREFLIGHT: Duration = Duration::from_secs(600);
const YEARS: &str = "max-age=63072000; includeSubDomains";

/// An answer is data: it loads nothing, is framed nowhere, and is read as what it says it is. A page says otherwise itself.
const ALWAYS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// What a page of another origin may send.
const SENT: &[&str] = &[
    "authorization",
    "cairn-act-for",
    "cairn-min-position",
    "cairn-organisation",
    "cairn-version",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "x-csrf-token",
    "x-request-id",
];

/// What it may read of an answer.
const READ: &[&str] = &[
    "cairn-position",
    "cairn-version",
    "deprecation",
    "etag",
    "idempotency-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "sunset",
    "x-request-id",
];

/// Whose pages may ask.
#[derive(Debug, Clone, Default)]
pub struct Origins(pub Vec<HeaderValue>);

/// Puts all of this around a service.
pub fn around(router: Router, api: &Api) -> Router {
    let origins = api.origins.0.clone();
    let big = SizeAbove::new(COMPRESSED_MIN).and(DefaultPredicate::new());
    let router = router.layer(CompressionLayer::new().compress_when(big));
    let router = if origins.is_empty() { router } else { router.layer(cors(origins)) };
    let is_safe = api.public_url.starts_with("https://");
    router.layer(from_fn_with_state(Arc::new(always(is_safe)), add))
}

fn always(is_safe: bool) -> HeaderMap {
    let pairs = ALWAYS.iter().chain(is_safe.then_some(&("strict-transport-security", YEARS)));
    let pairs =
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    pairs.chain([(VERSION, HeaderValue::from_static(CURRENT))]).collect()
}

async fn add(State(all): State<Arc<HeaderMap>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in all.iter() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        mark(headers);
    }
    response
}

/// The same answer in other bytes has another tag.
fn mark(headers: &mut HeaderMap) {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let marked = tag.and_then(|tag| tag.strip_suffix('"')).map(|tag| format!("{tag}-gzip\""));
    if let Some(marked) = marked.and_then(|marked| HeaderValue::from_str(&marked).ok()) {
        headers.insert(header::ETAG, marked);
    }
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    let names = |names: &[&'static str]| -> Vec<_> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(names(SENT))
        .expose_headers(names(READ))
        // Only what is on the list is told so; cookies of other sites come with nothing, see `session`.
        .allow_credentials(true)
        .max_age(PREFLIGHT)
}

#[cfg(test)]
mod tests {
    use super::always;

    #[test]
    fn only_what_is_reached_by_tls_insists_on_it() {
        assert!(always(true).contains_key("strict-transport-security"));
        assert!(!always(false).contains_key("strict-transport-security"));
    }
}
