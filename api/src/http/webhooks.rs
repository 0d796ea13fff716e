//! Webhooks of the payment provider: verified over the raw bytes, stored before they are read, counted once. They are hints: what has
//! happened is then asked of the provider, so their order and number do not matter.
use axum::extract::{Request, State};
use axum::http::StatusCode;
use cairn_commands::webhooks::{self, Delivery, Notice, Received, Subject};
use cairn_stripe::{WebhookSubject, parse_webhook, verify_webhook};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::state::Api;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(receive_stripe_webhook))
}

/// Takes what Stripe tells.
#[utoipa::path(post, path = "/v1/webhooks/stripe", operation_id = "receive_stripe_webhook", tag = "webhooks",
    request_body = serde_json::Value,
    params(("Stripe-Signature" = String, Header, description = "`t=…,v1=…` over the raw body")),
    responses((status = 200, description = "Stored; what it is about will be looked up")))]
async fn receive_stripe_webhook(
    State(api): State<Api>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, stream) = request.into_parts();
    let raw = body::read(stream, body::WEBHOOK_MAX).await?;
    let header = parts.headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let (signature_header, received_at) = (header.unwrap_or_default(), api.commands.clock.now());
    verify_webhook(&raw, signature_header, &api.webhook_secrets, received_at)
        .map_err(|refusal| Problem::new(refusal.code(), refusal.to_string()))?;
    let delivery = Delivery { provider: "stripe", raw: &raw, signature_header, received_at };
    match webhooks::receive(api.pool(), delivery, read).await? {
        Received::Unreadable => Err(Problem::new("webhook_body_unreadable", "it is not an event")),
        Received::Pending(_) => {
            api.webhook_bell.notify_one();
            Ok(StatusCode::OK)
        }
        Received::Ignored | Received::Duplicate => Ok(StatusCode::OK),
    }
}

fn read(raw: &[u8]) -> Result<Notice, String> {
    let event = parse_webhook(raw).map_err(|refusal| refusal.to_string())?;
    let subject = match event.subject {
        WebhookSubject::Payment(id) => Some(Subject::Payment(id)),
        WebhookSubject::Refund(id) => Some(Subject::Refund(id)),
        WebhookSubject::Dispute(id) => Some(Subject::Dispute(id)),
        WebhookSubject::Setup(id) => Some(Subject::Setup(id)),
        WebhookSubject::Other => None,
    };
    Ok(Notice { event_id: event.event_id, kind: event.kind, created_at: event.created_at, subject })
}
