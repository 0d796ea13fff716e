//! Problems (RFC 9457): the only shape in which anything goes wrong over HTTP, and the codes that the CLI shares.
pub mod catalogue;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::ExecuteError;
use cairn_commands::ports::{FailureKind, PortError};
use cairn_event_log::LogError;
use cairn_projections::{EngineError, QueryError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error of one member of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body, for example `/amount`.
    pub pointer: String,
    /// Stable code of this error.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl FieldError {
    /// An error at a pointer.
    #[must_use]
    pub fn new(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), code: code.to_owned(), detail: detail.into() }
    }
}

/// What went wrong, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Page of the code, relative to the server.
    #[serde(rename = "type")]
    pub kind: String,
    /// One line, the same for every problem of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Stable code.
    pub code: String,
    /// Whether the same request may simply be sent again (with the same Idempotency-Key).
    pub retryable: bool,
    /// Whether it may have happened nevertheless.
    pub in_doubt: bool,
    /// Names this request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Errors of single members of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Whether this is the stored first answer to the same Idempotency-Key.
    #[serde(skip)]
    pub replayed: bool,
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Missing {
    Payment,
    Refund,
    Allocation,
    Node,
    Organisation,
    Page,
}

impl Problem {
    /// A problem with a code of the catalogue; an unknown code is `internal`.
    #[must_use]
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let Some(code) = catalogue::find(code) else {
            return Self::new("internal", format!("{code}: {detail}"));
        };
        Self {
            kind: format!("/docs/errors/{}", code.name),
            title: code.title.to_owned(),
            status: code.status.as_u16(),
            detail,
            code: code.name.to_owned(),
            retryable: code.retryable,
            in_doubt: code.name == "outcome_in_doubt",
            request_id: None,
            errors: vec![],
            replayed: false,
        }
    }

    /// Nothing to see: what is not there and what belongs to somebody else look the same.
    #[must_use]
    pub fn missing(what: Missing) -> Self {
        let (code, name) = match what {
            Missing::Payment => ("unknown_payment", "payment"),
            Missing::Refund => ("unknown_refund", "refund"),
            Missing::Allocation => ("unknown_allocation", "allocation"),
            Missing::Node => ("unknown_node", "node"),
            Missing::Organisation => ("not_found", "organisation"),
            Missing::Page => ("not_found", "page"),
        };
        Self::new(code, format!("there is no such {name}"))
    }

    /// A fault of ours: the cause goes to the log, not to the caller.
    #[must_use]
    pub fn internal(cause: &str) -> Self {
        tracing::error!(cause, "internal problem");
        Self::new("internal", "the cause is in the server's log under this request_id")
    }

    /// The body's members are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|e| format!("{}: {}", e.pointer, e.detail))
            .collect::<Vec<_>>()
            .join("; ");
        Self { errors, ..Self::new("body_invalid", detail) }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then(|| HeaderValue::from_static("1"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.replayed {
            headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused { code, message, replayed } => {
                Self { replayed, ..Self::new(&code, message) }
            }
            ExecuteError::KeyReused => Self::new(
                "idempotency_key_reused",
                "this Idempotency-Key belongs to a request with another path or body",
            ),
            ExecuteError::Conflict => {
                Self::new("conflict", "the same thing changed too often meanwhile; send it again")
            }
            ExecuteError::Unavailable(cause) => Self::new("database_unavailable", cause),
            ExecuteError::InDoubt(cause) => Self::new(
                "outcome_in_doubt",
                format!("{cause}; the same Idempotency-Key will tell what happened"),
            ),
            ExecuteError::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        ExecuteError::from(error).into()
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadCursor(_) => Self::new("cursor_invalid", error.to_string()),
            QueryError::Database(error) => error.into(),
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Log(error) => error.into(),
            EngineError::Database(error) => error.into(),
            other => Self::internal(&other.to_string()),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::new("database_unavailable", error.to_string()),
            sqlx::Error::Database(e) if is_outage(e.code().as_deref()) => {
                Self::new("database_unavailable", e.message().to_owned())
            }
            _ => Self::internal(&error.to_string()),
        }
    }
}

/// Connection exceptions, too many connections, and a server that stops or starts.
fn is_outage(sqlstate: Option<&str>) -> bool {
    sqlstate.is_some_and(|s| s.starts_with("08") || s.starts_with("53") || s.starts_with("57P"))
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error.kind {
            FailureKind::Transient => Self::new("provider_unavailable", error.message),
            FailureKind::Permanent | FailureKind::Refused | FailureKind::Untrusted => {
                Self::internal(&error.to_string())
            }
        }
    }
}
