//! Webhooks: who sent the bytes, and what they are about. They are hints: the object itself is then read from the provider, so their order
//! and number do not matter.
use cairn_core::Timestamp;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// How far the signature's time may be from ours.
pub const TOLERANCE_SECS: i64 = 300;

/// Why a webhook is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// No secret is configured, so nothing can be believed.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// The header is not `t=<seconds>,v1=<hex>`.
    #[error("the signature header is not of the form t=…,v1=…")]
    MalformedHeader,
    /// No signature is by a secret of ours over these bytes.
    #[error("the signature does not match the body")]
    Forged,
    /// Signed too long ago, or in the future.
    #[error("the signature is {0} s away from now; at most 300 s are accepted")]
    Stale(i64),
    /// Signed, but not an event.
    #[error("the body is not an event: {0}")]
    Unreadable(String),
}

impl WebhookRefusal {
    /// Stable code in `snake_case`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSecret => "webhook_secret_missing",
            Self::MalformedHeader => "webhook_signature_malformed",
            Self::Forged => "webhook_signature_invalid",
            Self::Stale(_) => "webhook_signature_stale",
            Self::Unreadable(_) => "webhook_body_unreadable",
        }
    }
}

/// What a webhook says has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// `evt_…`; the same for every delivery.
    pub event_id: String,
    /// For example `payment_intent.succeeded`.
    pub kind: String,
    /// When it happened at the provider, by whole seconds.
    pub created_at: Timestamp,
    /// What to look at again.
    pub subject: WebhookSubject,
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookSubject {
    /// A payment (`pi_…`).
    Payment(String),
    /// A refund (`re_…`).
    Refund(String),
    /// A dispute (`du_…`, `dp_…`).
    Dispute(String),
    /// The keeping of a payment method (`seti_…`).
    Setup(String),
    /// Nothing that Cairn acts on.
    Other,
}

/// Believes the bytes only if one `v1` signature is by one of our secrets and fresh. Every signature is compared with every secret, in
/// constant time.
///
/// # Errors
/// [`WebhookRefusal`]; never says which part of a signature was wrong.
pub fn verify_webhook(
    raw: &[u8],
    signature_header: &str,
    secrets: &[String],
    now: Timestamp,
) -> Result<(), WebhookRefusal> {
    let secrets: Vec<&str> =
        secrets.iter().map(|secret| secret.trim()).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(WebhookRefusal::NoSecret);
    }
    let (signed_at, signatures) = parse_header(signature_header)?;
    let mut known = false;
    for secret in secrets {
        for signature in &signatures {
            known |= signed_by(secret, signed_at, raw, signature);
        }
    }
    if !known {
        return Err(WebhookRefusal::Forged);
    }
    let now_secs = now.as_micros().div_euclid(1_000_000);
    let distance = now_secs.saturating_sub(signed_at).saturating_abs();
    if distance > TOLERANCE_SECS {
        return Err(WebhookRefusal::Stale(distance));
    }
    Ok(())
}

/// Time and `v1` signatures. Other schemes are ignored, as Stripe asks.
fn parse_header(header: &str) -> Result<(i64, Vec<Vec<u8>>), WebhookRefusal> {
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", digits)) if signed_at.is_none() => signed_at = digits.parse::<u32>().ok(),
            Some(("t", _)) => return Err(WebhookRefusal::MalformedHeader),
            Some(("v1", text)) => signatures.extend(hex::decode(text).ok()),
            Some(_) | None => {}
        }
    }
    match signed_at {
        Some(at) if !signatures.is_empty() => Ok((i64::from(at), signatures)),
        _ => Err(WebhookRefusal::MalformedHeader),
    }
}

fn signed_by(secret: &str, signed_at: i64, raw: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(signed_at.to_string().as_bytes());
    mac.update(b".");
    mac.update(raw);
    mac.verify_slice(signature).is_ok()
}

#[derive(Deserialize)]
struct WireEvent {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    created: serde_json::Value,
    #[serde(default)]
    data: serde_json::Value,
}

/// Reads what an event is about. Kinds and objects that this version does not know are [`WebhookSubject::Other`], never an error.
///
/// # Errors
/// [`WebhookRefusal::Unreadable`] when the bytes are not a JSON object with an id.
pub fn parse_webhook(raw: &[u8]) -> Result<WebhookEvent, WebhookRefusal> {
    let event: WireEvent =
        serde_json::from_slice(raw).map_err(|e| WebhookRefusal::Unreadable(e.to_string()))?;
    Ok(WebhookEvent {
        event_id: event.id,
        kind: event.kind,
        created_at: Timestamp::from_secs(event.created.as_i64().unwrap_or_default()),
        subject: subject(&event.data["object"]),
    })
}

fn subject(object: &serde_json::Value) -> WebhookSubject {
    let text = |key: &str| object[key].as_str().map(str::to_owned);
    let payment = |id: Option<String>| id.map(WebhookSubject::Payment);
    let found = match object["object"].as_str() {
        Some("payment_intent") => payment(text("id")),
        Some("charge") => {
            let intent = &object["payment_intent"];
            payment(intent.as_str().or(intent["id"].as_str()).map(str::to_owned))
        }
        Some("refund") => text("id").map(WebhookSubject::Refund),
        Some("setup_intent") => text("id").map(WebhookSubject::Setup),
        Some("dispute") => text("id").map(WebhookSubject::Dispute),
        Some(_) | None => None,
    };
    found.unwrap_or(WebhookSubject::Other)
}
