//! What goes wrong outside.
use std::time::Duration;

/// What went wrong outside, sorted by the only question a caller has: what now?
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PortError {
    /// What to do about it.
    pub kind: FailureKind,
    /// Stable code in `snake_case`.
    pub code: String,
    /// For people. Never holds a secret.
    pub message: String,
    /// How long to wait, when the other side was not asked at all: that is no attempt.
    pub unasked: Option<Duration>,
}

/// What is tried again although somebody answered, or although it was us who could not ask.
const ANSWERED: [&str; 8] = [
    "provider_unauthorised",
    "provider_answer_unreadable",
    "mail_login_refused",
    "mail_deferred",
    "node_answer_invalid",
    "node_not_trusted",
    "control_not_admitted",
    "certificate_not_made",
];

/// What a caller may do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing happened, or it may have: try again with the same key.
    Transient,
    /// It will not work this way, however often it is tried.
    Permanent,
    /// The other side said no for a business reason, for example a declined card.
    Refused,
    /// The other side is not who it must be; stop talking to it.
    Untrusted,
}

impl PortError {
    /// An error of one kind.
    pub fn new(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), unasked: None }
    }

    /// Nothing was settled: try again with the same key.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, code, message)
    }

    /// It will never work this way.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, code, message)
    }

    /// A business refusal.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, code, message)
    }

    /// Whether nobody answered, or nobody who could: a neighbour that does so is left alone for a while. A refusal is an answer.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        self.kind == FailureKind::Transient && !ANSWERED.contains(&self.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureKind, PortError};

    #[test]
    fn only_what_nobody_answered_is_silence() {
        for code in ["provider_timeout", "provider_unavailable", "node_unreachable", "timeout"] {
            assert!(PortError::transient(code, "").is_silence(), "{code}");
        }
        for code in ["mail_deferred", "provider_unauthorised", "control_not_admitted"] {
            assert!(!PortError::transient(code, "").is_silence(), "{code}");
        }
        for kind in [FailureKind::Permanent, FailureKind::Refused, FailureKind::Untrusted] {
            assert!(!PortError::new(kind, "provider_timeout", "").is_silence(), "{kind:?}");
        }
    }
}
