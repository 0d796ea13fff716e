//! Answers to mutating requests: what the first outcome was, where the thing is, its version, and the position of the log.
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::Executed;
use serde::Serialize;

use super::edge::conditions::Version;
use super::reader::POSITION;

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
