//! The webhook port.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{PortError, WebhookAnswer, WebhookCall, WebhookPort};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};

use crate::resolver::{Lookup, NotPublic, SystemLookup, Vetted};
use crate::signature::signature;
use crate::target::Strangers;

/// Of an answer so much is read and kept.
const BEGINS_MAX: usize = 512;
/// Nobody asks for longer than that.
const RETRY_AFTER_MAX: u64 = 24 * 3_600;

/// How webhooks are sent.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Whom this server calls.
    pub strangers: Strangers,
    /// Until there is a connection.
    pub connect: Duration,
    /// For the whole attempt.
    pub timeout: Duration,
}

impl WebhookConfig {
    /// The usual patience: that of Standard Webhooks.
    #[must_use]
    pub const fn calling(strangers: Strangers) -> Self {
        Self { strangers, connect: Duration::from_secs(5), timeout: Duration::from_secs(20) }
    }
}

/// Sends webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    client: Client,
    strangers: Strangers,
}

impl WebhookSender {
    /// Looks names up as this machine does.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn try_new(config: &WebhookConfig) -> Result<Self, PortError> {
        Self::looking_up(config, Arc::new(SystemLookup))
    }

    /// Looks names up in another way.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn looking_up(config: &WebhookConfig, lookup: Arc<dyn Lookup>) -> Result<Self, PortError> {
        let strangers = config.strangers;
        let client = Client::builder()
            .dns_resolver(Arc::new(Vetted { lookup, strangers }))
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .connect_timeout(config.connect)
            .timeout(config.timeout)
            .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|why| PortError::permanent("webhook_config", says(&why)))?;
        Ok(Self { client, strangers })
    }

    fn target(&self, url: &str) -> Result<reqwest::Url, PortError> {
        let refused = |why| PortError::permanent("webhook_url_refused", why);
        self.strangers.target(url).map_err(refused)
    }
}

#[async_trait]
impl WebhookPort for WebhookSender {
    fn check(&self, url: &str) -> Result<(), PortError> {
        self.target(url).map(drop)
    }

    async fn post(&self, call: WebhookCall) -> Result<WebhookAnswer, PortError> {
        let url = self.target(&call.url)?;
        let seconds = call.at.as_micros().div_euclid(1_000_000);
        let signed = signature(&call.id, seconds, &call.body, &call.secrets);
        let none =
            || PortError::permanent("webhook_secret_invalid", "there is no secret to sign with");
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &call.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signed.ok_or_else(none)?)
            .body(call.body);
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        Ok(WebhookAnswer { status, retry_after, begins: begins(response).await })
    }
}

/// Seconds only: who says it by the calendar is taken for one who says nothing.
fn retry_after(response: &Response) -> Option<Duration> {
    let said = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    said.trim().parse().ok().map(|seconds: u64| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)))
}

/// The beginning of an answer; what does not come, or is no text, is not worth an error.
async fn begins(mut response: Response) -> String {
    let mut bytes = vec![];
    while bytes.len() < BEGINS_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(BEGINS_MAX)]),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(BEGINS_MAX);
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

/// There was no answer. The error says why, and not where: an address may hold a token.
fn unanswered(error: &reqwest::Error) -> PortError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(inside) = cause.downcast_ref::<NotPublic>() {
            return PortError::permanent("webhook_address_refused", inside.to_string());
        }
        source = cause.source();
    }
    if error.is_timeout() {
        return PortError::transient("webhook_timeout", "no answer in time");
    }
    PortError::transient("webhook_unreachable", says(error))
}

fn says(error: &reqwest::Error) -> String {
    let deepest = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    deepest.last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}
