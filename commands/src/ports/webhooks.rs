//! Webhooks on their way out: one signed message to one address of a customer's.
use std::time::Duration;

use async_trait::async_trait;
use cairn_core::Timestamp;

use super::PortError;

/// A message to an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookCall {
    /// The same in every attempt, and whenever the event is told again.
    pub id: String,
    /// Where to.
    pub url: String,
    /// When this attempt is made.
    pub at: Timestamp,
    /// Every secret that signs it, `whsec_…`.
    pub secrets: Vec<String>,
    /// The JSON document.
    pub body: String,
}

/// Shows neither the address, which may hold a token, nor the secrets.
impl std::fmt::Debug for WebhookCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookCall").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// HTTP status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What its answer begins with.
    pub begins: String,
}

/// Delivers webhooks as Standard Webhooks 1.0.0 has it.
#[async_trait]
pub trait WebhookPort: Send + Sync {
    /// Whether an address may be one, as far as it can be told without looking its name up.
    ///
    /// # Errors
    /// `webhook_url_refused`, with why.
    fn check(&self, url: &str) -> Result<(), PortError>;

    /// One attempt. Whatever an endpoint answers is an answer; an error means that there was none, or that its address may not be called.
    async fn post(&self, call: WebhookCall) -> Result<WebhookAnswer, PortError>;
}
