//! What went wrong at Stripe, sorted by what the caller may do: transient, permanent, refused.
use cairn_commands::ports::{FailureKind, PortError};
use stripe::{ApiErrors, StripeError};

/// Codes of invalid requests that are a business answer, not a mistake of ours.
const REFUSALS: [&str; 4] =
    ["charge_already_refunded", "charge_disputed", "balance_insufficient", "amount_too_small"];

/// Sorts an error of the client.
pub(crate) fn classify(error: StripeError) -> PortError {
    match error {
        StripeError::Timeout => PortError::transient(
            "provider_timeout",
            "the payment provider did not answer in time; it may have acted",
        ),
        StripeError::ClientError(message) => PortError::transient(
            "provider_unreachable",
            format!("the payment provider could not be reached: {message}"),
        ),
        StripeError::JSONDeserialize(message) => unreadable(message),
        StripeError::ConfigError(message) => PortError::permanent("provider_config", message),
        StripeError::Stripe(error, status) => answered(&error, status),
    }
}

/// An answer that could not be read: whatever was done stays done, and the same key asks again.
pub(crate) fn unreadable(message: impl std::fmt::Display) -> PortError {
    PortError::transient(
        "provider_answer_unreadable",
        format!("the payment provider's answer could not be read: {message}"),
    )
}

fn answered(error: &ApiErrors, status: u16) -> PortError {
    let code = error.code.as_ref().map(ToString::to_string);
    let kind = error.type_.to_string();
    let message = error.message.clone().unwrap_or_else(|| format!("status {status}"));
    let (failure, fallback) = match (status, kind.as_str()) {
        (402, _) | (_, "card_error") => (FailureKind::Refused, "card_declined"),
        // A wrong key is the operator's to mend; until then nothing was decided about the payment.
        (401 | 403, _) => (FailureKind::Transient, "provider_unauthorised"),
        (409 | 424 | 429, _) | (500.., _) => (FailureKind::Transient, "provider_unavailable"),
        (_, "idempotency_error") => (FailureKind::Permanent, "provider_key_reused"),
        (404, _) => (FailureKind::Permanent, "resource_missing"),
        _ if code.as_deref().is_some_and(|code| REFUSALS.contains(&code)) => {
            (FailureKind::Refused, "refused")
        }
        _ => (FailureKind::Permanent, "invalid_request"),
    };
    let code = match failure {
        FailureKind::Transient => None,
        _ if kind == "idempotency_error" => None,
        _ => code,
    };
    PortError::new(failure, code.as_deref().unwrap_or(fallback), message)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use cairn_commands::ports::FailureKind;
    use stripe::StripeError;

    fn check(status: u16, body: &str, kind: FailureKind, code: &str) {
        let error = miniserde::json::from_str(body).unwrap();
        let sorted = classify(StripeError::Stripe(Box::new(error), status));
        assert_eq!((sorted.kind, sorted.code.as_str()), (kind, code), "{status} {body}");
    }

    #[test]
    fn a_declined_card_is_refused_with_its_code() {
        let body = r#"{"type": "card_error", "code": "card_declined", "message": "no"}"#;
        check(402, body, FailureKind::Refused, "card_declined");
        let body = r#"{"type": "card_error", "code": "a_code_of_tomorrow"}"#;
        check(402, body, FailureKind::Refused, "a_code_of_tomorrow");
    }

    #[test]
    fn limits_and_outages_are_transient() {
        let body = r#"{"type": "an_error_of_tomorrow"}"#;
        for status in [409, 429, 500, 502, 503] {
            check(status, body, FailureKind::Transient, "provider_unavailable");
        }
        check(401, body, FailureKind::Transient, "provider_unauthorised");
        assert_eq!(classify(StripeError::Timeout).kind, FailureKind::Transient);
        let garbage = StripeError::JSONDeserialize("<html>".to_owned());
        assert_eq!(classify(garbage).kind, FailureKind::Transient);
    }

    #[test]
    fn mistakes_of_ours_are_permanent() {
        let body = r#"{"type": "invalid_request_error", "code": "parameter_missing"}"#;
        check(400, body, FailureKind::Permanent, "parameter_missing");
        check(404, body, FailureKind::Permanent, "parameter_missing");
        check(
            400,
            r#"{"type": "idempotency_error"}"#,
            FailureKind::Permanent,
            "provider_key_reused",
        );
    }

    #[test]
    fn a_refund_of_what_was_refunded_is_refused() {
        let body = r#"{"type": "invalid_request_error", "code": "charge_already_refunded"}"#;
        check(400, body, FailureKind::Refused, "charge_already_refunded");
    }
}
