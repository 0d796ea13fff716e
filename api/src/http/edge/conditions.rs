//! Conditional requests: an answer carries an entity tag, a reader who has it is told so, and a change can be asked for on what
//! was seen and nothing else.
//!
//! A tag is `"<version>-<digest>"`. The version is how many events the thing's stream had; `If-Match` is held against it, where the
//! command is decided. The digest is of the answer itself, which also shows what other streams add to it, and what this caller may
//! read of it; `If-None-Match` is held against the whole. Answers that are about no single thing have a digest alone.
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cairn_commands::Expected;
use sha2::{Digest, Sha256};
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{RefOr, Required};

use crate::auth::{Caller, Person};
use crate::http::documents::{add_header, header_parameter};
use crate::problem::Problem;

/// Bytes of the digest that stand in a tag.
const DIGEST: usize = 12;

/// What an operation makes of `If-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: there is no single thing that it is about.
    None,
    /// Nothing either, but it tells the tag of what it makes.
    Made,
    /// It is held to it when it comes.
    Honoured,
    /// Without it nothing is changed.
    Demanded,
}

/// The operations that make or change a thing which has a tag; the others have no use for a condition.
const CHANGES: &[(&str, Condition)] = &[
    ("create_top_up", Condition::Made),
    ("request_allocation", Condition::Made),
    ("invite_node", Condition::Made),
    ("define_sku", Condition::Made),
    ("set_sku_price", Condition::Demanded),
    ("set_disk_price", Condition::Demanded),
    ("retire_sku", Condition::Demanded),
    ("cordon_node", Condition::Honoured),
    ("uncordon_node", Condition::Honoured),
    ("drain_node", Condition::Honoured),
    ("retire_node", Condition::Demanded),
    ("release_allocation", Condition::Honoured),
    ("reprice_allocation", Condition::Honoured),
    ("resize_allocation", Condition::Honoured),
    ("correct_usage", Condition::Demanded),
    ("create_webhook_endpoint", Condition::Made),
    ("update_webhook_endpoint", Condition::Honoured),
    ("rotate_webhook_secret", Condition::Honoured),
    ("disable_webhook_endpoint", Condition::Honoured),
    ("enable_webhook_endpoint", Condition::Honoured),
    ("delete_webhook_endpoint", Condition::Honoured),
    ("create_service_account", Condition::Made),
    ("update_service_account", Condition::Honoured),
    ("disable_service_account", Condition::Honoured),
    ("enable_service_account", Condition::Honoured),
    ("remove_service_account", Condition::Honoured),
    ("create_project", Condition::Made),
    ("rename_project", Condition::Honoured),
    ("archive_project", Condition::Honoured),
    ("define_feature_flag", Condition::Made),
    ("roll_out_feature_flag", Condition::Honoured),
    ("override_feature_flag", Condition::Honoured),
    ("clear_flag_override", Condition::Honoured),
    ("archive_feature_flag", Condition::Demanded),
];

/// What an operation makes of `If-Match`.
#[must_use]
pub fn condition(operation: &str) -> Condition {
    let row = CHANGES.iter().find(|(name, _)| *name == operation);
    row.map_or(Condition::None, |(_, condition)| *condition)
}

/// The version of what an answer is about; middleware makes it a tag.
#[derive(Debug, Clone, Copy)]
pub struct Version(pub i64);

impl Version {
    /// As the tag of an answer that shows nothing of the thing but its version.
    #[must_use]
    pub fn tag(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("\"{}\"", self.0)).ok()
    }
}

/// What `If-Match` of a request expects.
///
/// # Errors
/// `precondition_required` when the operation demands one, `precondition_invalid` when it cannot be read.
pub fn expected(headers: &HeaderMap, condition: Condition) -> Result<Expected, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if matches!(condition, Condition::None | Condition::Made) {
        return Ok(Expected::Anything);
    }
    if values.peek().is_none() {
        let detail =
            "send the ETag of what you saw as If-Match, or * to change it whatever it is now";
        let demanded = condition == Condition::Demanded;
        let refusal = demanded.then(|| Problem::new("precondition_required", detail));
        return refusal.map_or(Ok(Expected::Anything), Err);
    }
    let wrong =
        || Problem::new("precondition_invalid", "send an ETag as it was given: \"7-0a1b2c\"");
    let mut seen = vec![];
    for value in values {
        let text = value.to_str().map_err(|_| wrong())?.trim();
        if text == "*" {
            return Ok(Expected::Anything);
        }
        let found = tags(text).ok_or_else(wrong)?;
        // A weak tag never equals anything where a change depends on it.
        let strong = found.into_iter().filter_map(|tag| tag.strip_prefix('"'));
        seen.extend(strong.filter_map(version));
    }
    Ok(Expected::OneOf(seen))
}

/// The hash of a wish that is bound to what was seen: the same wish on something else is another.
#[must_use]
pub fn bound(hash: [u8; 32], expected: &Expected) -> [u8; 32] {
    match expected {
        Expected::Anything => hash,
        Expected::OneOf(seen) => {
            Sha256::new().chain_update(hash).chain_update(format!("{seen:?}")).finalize().into()
        }
    }
}

/// The version in what stands between the quotation marks; none when the tag is not of a single thing.
fn version(opaque: &str) -> Option<i64> {
    let digits = opaque.trim_end_matches('"').split('-').next()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
    digits.parse().ok().filter(|_| plain)
}

/// The tags of a list, with their quotation marks and the `W/` of weak ones.
fn tags(list: &str) -> Option<Vec<&str>> {
    let (mut found, mut rest) = (vec![], list.trim());
    while !rest.is_empty() {
        let opening = if rest.starts_with("W/") { 3 } else { 1 };
        let opens = rest.get(opening - 1..opening) == Some("\"");
        let closing = opening + rest.get(opening..)?.find('"').filter(|_| opens)?;
        found.push(&rest[..=closing]);
        let after = rest[closing + 1..].trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    (!found.is_empty()).then_some(found)
}

/// Gives what a caller reads its tag, and whoever has it already nothing but that.
pub async fn tag(request: Request, next: Next) -> Response {
    let asked = request.extensions();
    let is_known = asked.get::<Caller>().is_some() || asked.get::<Person>().is_some();
    let read = request.method().is_safe() && is_known;
    let had = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !read || response.status() != StatusCode::OK || is_stream(response.headers()) {
        return response;
    }
    let version = response.extensions().get::<Version>().copied();
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Problem::internal(&error.to_string()).into_response(),
    };
    let digest = hex::encode(&Sha256::digest(&bytes)[..DIGEST]);
    let tag = version.map_or(format!("\"{digest}\""), |at| format!("\"{}-{digest}\"", at.0));
    let is_had = had.as_ref().is_some_and(|had| matches(had, &tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if !is_had {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

/// Whether an answer has no end, so that nothing can be said of the whole of it.
fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == STREAM)
}

fn streams(operation: &Operation) -> bool {
    operation.responses.responses.values().any(|response| match response {
        RefOr::T(response) => response.content.contains_key(STREAM),
        RefOr::Ref(_) => false,
    })
}

const STREAM: &str = "text/event-stream";

/// Whether `If-None-Match` names this tag, weakly: what a proxy has made weak is still the same answer.
fn matches(had: &HeaderValue, tag: &str) -> bool {
    let text = had.to_str().unwrap_or_default();
    // What was sent compressed has the same answer in other bytes.
    let same = |had: &&str| had.trim_start_matches("W/").replace("-gzip\"", "\"") == tag;
    text.trim() == "*" || tags(text).is_some_and(|had| had.iter().any(same))
}

/// Says what `tag` does for an operation that reads.
pub fn describe_read(operation: &mut Operation) {
    if operation.security.is_none() || streams(operation) {
        return;
    }
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(header_parameter("If-None-Match", IF_NONE_MATCH, Type::String));
    let responses = &mut operation.responses.responses;
    let unchanged = ResponseBuilder::new().description("As it was seen; there is no body").build();
    responses.insert("304".to_owned(), unchanged.into());
    promise_tag(operation, &["200", "304"]);
}

/// Says what an operation that changes something makes of a condition.
pub fn describe_change(operation: &mut Operation) {
    let found = condition(operation.operation_id.as_deref().unwrap_or_default());
    let text = match found {
        Condition::None => return,
        Condition::Made => None,
        Condition::Honoured => Some(("", Required::False)),
        Condition::Demanded => Some((" It must come: 428 without it.", Required::True)),
    };
    if let Some((more, required)) = text {
        let text = format!("{IF_MATCH}{more}");
        let mut parameter = header_parameter("If-Match", &text, Type::String);
        parameter.required = required;
        operation.parameters.get_or_insert_default().push(parameter);
    }
    promise_tag(operation, &["200", "201", "202"]);
}

fn promise_tag(operation: &mut Operation, statuses: &[&str]) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && statuses.contains(&status.as_str())
        {
            add_header(response, "ETag", (ETAG, Type::String));
        }
    }
}

const IF_NONE_MATCH: &str = "An `ETag`: 304 when the answer would be the same";
const IF_MATCH: &str = "An `ETag` of the thing: it is changed as it was then, or not at all (412). `*` is whatever it is.";
const ETAG: &str = "Version of what this is about, and digest of the answer";

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};
    use cairn_commands::Expected;

    use super::{Condition, expected, matches};

    fn asked(values: &[&'static str], condition: Condition) -> Result<Expected, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        expected(&headers, condition).map_err(|problem| problem.code.name)
    }

    #[test]
    fn if_match_expects_the_versions_of_strong_tags() {
        let one_of = |versions: &[i64]| Ok(Expected::OneOf(versions.to_vec()));
        for (value, versions) in [
            ("\"7-0a1b\"", &[7][..]),
            ("\"7\"", &[7]),
            ("\"7-0a\", \"9-0b\"", &[7, 9]),
            ("\"7-0a\",W/\"9-0b\"", &[7]),
            ("W/\"7-0a\"", &[]),
            ("\"0a1b\"", &[]),
            ("\"a,b\"", &[]),
            ("\"\"", &[]),
        ] {
            assert_eq!(asked(&[value], Condition::Demanded), one_of(versions), "{value}");
        }
        assert_eq!(asked(&["\"7\"", "\"8\""], Condition::Honoured), one_of(&[7, 8]));
        assert_eq!(asked(&["*"], Condition::Demanded), Ok(Expected::Anything));
    }

    #[test]
    fn if_match_is_demanded_read_or_ignored_as_the_operation_has_it() {
        assert_eq!(asked(&[], Condition::Demanded), Err("precondition_required"));
        assert_eq!(asked(&[], Condition::Honoured), Ok(Expected::Anything));
        assert_eq!(asked(&["\"7\""], Condition::None), Ok(Expected::Anything));
        for wrong in ["7", "\"7", "W/7", "\"7\" \"8\"", "7\"", ",", "W"] {
            let said = asked(&[wrong], Condition::Honoured);
            assert_eq!(said, Err("precondition_invalid"), "{wrong}");
        }
    }

    #[test]
    fn if_none_match_knows_a_tag_in_any_company() {
        let knows = |text| matches(&HeaderValue::from_static(text), "\"7-0a\"");
        for text in ["\"7-0a\"", "W/\"7-0a\"", "\"1\", \"7-0a\"", "\"7-0a-gzip\"", "*"] {
            assert!(knows(text), "{text}");
        }
        for text in ["\"7\"", "7-0a", "\"7-0a", ""] {
            assert!(!knows(text), "{text}");
        }
    }
}
