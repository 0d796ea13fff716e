//! Bodies: read within a limit, parsed strictly, and hashed in a canonical form.
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::arrival::Late;
use crate::problem::{FieldError, Problem};

/// Largest JSON body.
pub const BODY_MAX: usize = 64 << 10;
/// Largest webhook body.
pub const WEBHOOK_MAX: usize = 1 << 20;

/// The whole body.
///
/// # Errors
/// `body_too_large`, `body_timeout`, or `body_malformed` when it broke off.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| {
        if is_late(&error) {
            return Problem::new("body_timeout", "send the whole request again");
        }
        let too_large = std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit exceeded"));
        if too_large {
            Problem::new("body_too_large", format!("a body is at most {limit} bytes here"))
        } else {
            Problem::new("body_malformed", format!("the body broke off: {error}"))
        }
    })
}

fn is_late(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Late>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Reads the body as `T`. An empty body reads as `{}`.
///
/// # Errors
/// `content_type_unsupported`, `body_malformed` (not JSON), or `body_invalid` with a pointer to the member.
pub fn parse<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<(T, Value), Problem> {
    if bytes.is_empty() {
        return shape(b"{}").map(|body| (body, Value::Object(serde_json::Map::new())));
    }
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next().is_some_and(is_json));
    if !json {
        return Err(Problem::new("content_type_unsupported", "send the body as application/json"));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new("body_malformed", format!("not JSON: {error}")))?;
    match nul(&value, "") {
        Some(pointer) => {
            let detail = "holds the character U+0000, which no text here may";
            Err(Problem::invalid(vec![FieldError::new(&pointer, "body_invalid", detail)]))
        }
        None => Ok((shape(bytes)?, value)),
    }
}

/// Where a text or a name holds U+0000, which the database cannot keep.
fn nul(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| nul(item, &format!("{at}/{index}")))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            if name.contains('\0') {
                return Some(at.to_owned());
            }
            nul(member, &format!("{at}/{name}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn is_json(media_type: &str) -> bool {
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn shape<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        Problem::invalid(vec![FieldError::new(&pointer, "body_invalid", message(error.inner()))])
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Without the trailing " at line 1 column 7": the pointer says where.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(head, _)| head.to_owned())
}

/// SHA-256 over method, path and the body with sorted members: the same wish has the same hash, however it is spelt.
#[must_use]
pub fn wish_hash(method: &Method, path: &str, body: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(method.as_str());
    hash.update(b"\n");
    hash.update(path);
    hash.update(b"\n");
    let mut canonical = String::new();
    write_canonical(body, &mut canonical);
    hash.update(canonical);
    hash.finalize().into()
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<_> = members.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for key in keys {
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&members[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method};
    use serde::Deserialize;
    use serde_json::json;

    use super::{parse, wish_hash};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        n: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        inner: Inner,
    }

    fn refusal(content_type: &'static str, body: &str) -> (&'static str, Vec<String>) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        let problem = parse::<Outer>(&headers, body.as_bytes()).unwrap_err();
        (problem.code.name, problem.errors.into_iter().map(|e| e.pointer).collect())
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let json = "application/json; charset=utf-8";
        assert_eq!(refusal(json, "{"), ("body_malformed", vec![]));
        assert_eq!(refusal("text/plain", "{}").0, "content_type_unsupported");
        let invalid = |pointer: &str| ("body_invalid", vec![pointer.to_owned()]);
        assert_eq!(refusal(json, r#"{"inner":{"n":-1}}"#), invalid("/inner/n"));
        assert_eq!(refusal(json, r#"{"inner":{"n":1,"m":2}}"#), invalid("/inner/m"));
        assert_eq!(refusal(json, "{}"), invalid(""));
        assert_eq!(refusal(json, "[]"), invalid(""));
        assert_eq!(refusal(json, r#"{"a":[0,"\u0000"]}"#), invalid("/a/1"));
    }

    #[test]
    fn the_same_wish_has_the_same_hash() {
        let hash = |path: &str, body| wish_hash(&Method::POST, path, &body);
        assert_eq!(hash("/a", json!({"x": 1, "y": [1]})), hash("/a", json!({"y": [1], "x": 1})));
        assert_ne!(hash("/a", json!({"x": 1})), hash("/b", json!({"x": 1})));
        assert_ne!(hash("/a", json!({"x": 1})), hash("/a", json!({"x": "1"})));
        assert_ne!(hash("/a", json!(["ab", "c"])), hash("/a", json!(["a", "bc"])));
    }
}
