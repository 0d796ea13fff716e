//! What commands, process managers and effects need of the outside, as traits. Adapters in `infra/` implement them.
pub mod mail;
pub mod node;
pub mod payments;
pub mod personal;
pub mod system;
pub mod topic;
pub mod webhooks;

pub use mail::{Mail, MailPort, NoMail};
pub use node::{
    HeldThere, IntentKey, Inventory, NodeDirectory, NodePort, NodeTarget, ProbeReport, StepReport,
    TeardownReport, Tenant,
};
pub use payments::{
    NewPayment, NewRefund, PaymentPort, ProviderBalance, ProviderFee, ProviderOutcome,
    ProviderPayment, ProviderRefund, ProviderTransaction,
};
pub use personal::{Opened, PersonalPort, SubjectKey};
pub use system::{Clock, IdSource};
pub use topic::{BrokerHealth, Producer, Sent, TopicPort};
pub use webhooks::{WebhookAnswer, WebhookCall, WebhookPort};

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
}

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
        Self { kind, code: code.to_owned(), message: message.into() }
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
}
