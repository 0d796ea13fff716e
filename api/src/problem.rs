//! Problems (RFC 9457): the only shape in which anything goes wrong over HTTP, and the codes that the CLI shares.
pub mod catalogue;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_commands::ExecuteError;
use cairn_commands::ports::{FailureKind, PortError};
use cairn_event_log::LogError;
use cairn_projections::{EngineError, QueryError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::catalogue::Code;

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

/// What went wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Its row in the catalogue.
    pub code: &'static Code,
    /// What happened this time.
    pub detail: String,
    /// Names this request in the server's log.
    pub request_id: Option<String>,
    /// Errors of single members of the body.
    pub errors: Vec<FieldError>,
    /// Seconds to wait before the same request, when it may simply be sent again.
    pub wait_seconds: u32,
    /// Whether this is the stored first answer to the same Idempotency-Key.
    pub replayed: bool,
    /// Why, when it is a fault of ours; never told to the caller.
    pub cause: Option<String>,
}

/// What went wrong, as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails<'a> {
    /// Page of the code, relative to the server.
    #[serde(rename = "type")]
    kind: String,
    /// One line, the same for every problem of this code.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// Stable code.
    code: &'static str,
    /// Whether the same request may simply be sent again (with the same Idempotency-Key).
    retryable: bool,
    /// Whether it may have happened nevertheless.
    in_doubt: bool,
    /// Names this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// Errors of single members of the body.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Missing {
    Payment,
    PaymentMethod,
    Refund,
    Allocation,
    Node,
    Sku,
    WebhookEndpoint,
    WebhookDelivery,
    Command,
    Organisation,
    Key,
    Notice,
    Provider,
    Page,
    Charge,
    Invoice,
    FeatureFlag,
    ServiceAccount,
    Project,
    Discount,
}

impl Problem {
    /// A problem with a code of the catalogue; an unknown code is `internal`.
    #[must_use]
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let (code, detail) = match catalogue::find(code) {
            Some(code) => (code, detail),
            None => (catalogue::internal(), format!("{code}: {detail}")),
        };
        let (errors, replayed) = (vec![], false);
        Self { code, detail, request_id: None, errors, wait_seconds: 1, replayed, cause: None }
    }

    /// Nothing to see: what is not there and what belongs to somebody else look the same.
    #[must_use]
    pub fn missing(what: Missing) -> Self {
        let (code, name) = match what {
            Missing::Payment => ("unknown_payment", "payment"),
            Missing::PaymentMethod => ("unknown_payment_method", "payment method"),
            Missing::Refund => ("unknown_refund", "refund"),
            Missing::Allocation => ("unknown_allocation", "allocation"),
            Missing::Node => ("unknown_node", "node"),
            Missing::Command => ("unknown_command", "command: nothing has happened under this key"),
            Missing::WebhookEndpoint => ("unknown_webhook_endpoint", "webhook endpoint"),
            Missing::WebhookDelivery => ("unknown_webhook_delivery", "webhook delivery"),
            Missing::Sku => ("unknown_sku", "SKU"),
            Missing::Organisation => ("not_found", "organisation"),
            Missing::Key => ("unknown_api_key", "API key"),
            Missing::Notice => ("not_found", "notice"),
            Missing::Provider => ("not_found", "provider"),
            Missing::Page => ("not_found", "page"),
            Missing::Charge => ("unknown_charge", "charge"),
            Missing::Invoice => ("unknown_invoice", "invoice"),
            Missing::FeatureFlag => ("unknown_feature_flag", "feature flag"),
            Missing::ServiceAccount => ("unknown_service_account", "service account"),
            Missing::Project => ("unknown_project", "project"),
            Missing::Discount => ("unknown_discount", "discount"),
        };
        Self::new(code, format!("there is no such {name}"))
    }

    /// A fault of ours: the cause goes to the log, not to the caller.
    #[must_use]
    pub fn internal(cause: &str) -> Self {
        tracing::error!(cause, "internal problem");
        let detail = "the cause is in the server's log under this request_id";
        Self { cause: Some(cause.to_owned()), ..Self::new("internal", detail) }
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

    /// With what is wrong with single members.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// Not again before so many seconds are over.
    #[must_use]
    pub fn in_seconds(self, wait_seconds: u32) -> Self {
        Self { wait_seconds, ..self }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn details(&self) -> ProblemDetails<'_> {
        ProblemDetails {
            kind: format!("/docs/errors/{}", self.code.name),
            title: self.code.title,
            status: self.code.status.as_u16(),
            detail: &self.detail,
            code: self.code.name,
            retryable: self.code.retryable,
            in_doubt: self.code.name == "outcome_in_doubt",
            request_id: self.request_id.as_deref(),
            errors: &self.errors,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status;
        let mut response = (status, Json(self.details())).into_response();
        let headers = response.headers_mut();
        // Whoever counts requests says for how long.
        let waits = self.code.retryable && self.code.name != "rate_limited";
        if waits && status != StatusCode::REQUEST_TIMEOUT {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.wait_seconds));
        }
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "application/problem+json");
        if status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, "Bearer");
        }
        if self.replayed {
            set(HeaderName::from_static("idempotency-replayed"), "true");
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

/// Of a query; whatever writes goes through the log.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        LogError::reading(&error).into()
    }
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

#[cfg(test)]
mod tests {
    use sqlx::error::{DatabaseError, ErrorKind};
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::fmt;

    use super::Problem;

    /// What the database says with a SQLSTATE.
    #[derive(Debug)]
    struct Says(&'static str);

    impl fmt::Display for Says {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Says {}

    impl DatabaseError for Says {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn code(error: sqlx::Error) -> &'static str {
        Problem::from(error).code.name
    }

    #[test]
    fn what_passes_is_unavailable_and_what_is_ours_is_internal() {
        for state in ["57014", "57P01", "55P03", "40001", "40P01", "25006", "53300", "08006"] {
            let error = sqlx::Error::Database(Box::new(Says(state)));
            assert_eq!(code(error), "database_unavailable", "{state}");
        }
        for state in ["42P01", "42703", "22P02"] {
            assert_eq!(code(sqlx::Error::Database(Box::new(Says(state)))), "internal", "{state}");
        }
        assert_eq!(code(sqlx::Error::Protocol("cut".to_owned())), "database_unavailable");
        assert_eq!(code(sqlx::Error::PoolTimedOut), "database_unavailable");
        assert_eq!(code(sqlx::Error::RowNotFound), "internal");
    }
}
