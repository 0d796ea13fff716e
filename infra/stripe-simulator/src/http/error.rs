//! Stripe's error document.
use serde_json::{Value, json};

/// A refusal, as Stripe words it.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub status: u16,
    error: Value,
}

impl ApiError {
    /// The request cannot be carried out as it is.
    pub fn invalid(status: u16, code: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let error = json!({"type": "invalid_request_error", "code": code, "message": message});
        Self { status, error }
    }

    /// Without a code, as for most mistakes in parameters.
    pub fn parameter(message: impl Into<String>, param: &str) -> Self {
        let message: String = message.into();
        let error = json!({"type": "invalid_request_error", "message": message, "param": param});
        Self { status: 400, error }
    }

    /// There is no such object.
    pub fn missing(kind: &str, id: &str) -> Self {
        Self::invalid(404, "resource_missing", format!("No such {kind}: '{id}'")).about("id")
    }

    /// The key was used before with other parameters.
    pub fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were \
             first used with. Try using a key other than '{key}' if you meant to execute a \
             different request."
        );
        Self { status: 400, error: json!({"type": "idempotency_error", "message": message}) }
    }

    /// Nobody knows why.
    pub fn server() -> Self {
        let message = "An unknown error occurred";
        Self { status: 500, error: json!({"type": "api_error", "message": message}) }
    }

    /// The card was declined.
    pub fn declined(
        code: &str,
        decline_code: &str,
        message: &str,
        charge: String,
        intent: Value,
    ) -> Self {
        let error = json!({
            "type": "card_error", "code": code, "decline_code": decline_code, "message": message,
            "charge": charge, "payment_intent": intent,
        });
        Self { status: 402, error }
    }

    /// A card was declined, and no charge was made for it.
    pub fn refused(code: &str, decline_code: &str, message: &str) -> Self {
        let error = json!({
            "type": "card_error", "code": code, "decline_code": decline_code, "message": message,
        });
        Self { status: 402, error }
    }

    /// Names the parameter at fault.
    pub fn about(mut self, param: &str) -> Self {
        self.error["param"] = json!(param);
        self
    }

    /// The answer's body.
    pub fn body(self) -> Value {
        json!({"error": self.error})
    }
}
