//! Delivers events as Stripe does: signed, at least once, with retries; and not in order when told so.
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::book::{Event, render_any};
use crate::clock;
use crate::faults::Fault;
use crate::state::Shared;

const ATTEMPTS_MAX: u32 = 12;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A held back webhook goes after this, should no other come.
const HELD_BACK_MAX: Duration = Duration::from_secs(2);

/// How the webhooks fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebhookCounts {
    /// Answered with 2xx, duplicates included.
    pub delivered: u64,
    /// Attempts that were not, each of which is tried again.
    pub failed_attempts: u64,
    /// Given up.
    pub abandoned: u64,
    /// Not yet either.
    pub pending: u64,
}

/// Where webhooks go and how they are signed.
#[derive(Clone)]
pub(crate) struct Target {
    pub url: Option<String>,
    pub secret: String,
}

/// The `Stripe-Signature` header of a body: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>">`.
#[must_use]
pub fn sign(secret: &str, signed_at: i64, body: &[u8]) -> String {
    let mut signature = String::new();
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(format!("{signed_at}.").as_bytes());
        mac.update(body);
        signature = hex::encode(mac.finalize().into_bytes());
    }
    format!("t={signed_at},v1={signature}")
}

/// Takes events as they happen, until the end.
pub(crate) async fn deliver(shared: Arc<Shared>, mut events: mpsc::UnboundedReceiver<Event>) {
    let mut held_back: Option<Event> = None;
    loop {
        let next = tokio::select! {
            () = shared.stop.cancelled() => return,
            event = events.recv() => event,
            () = tokio::time::sleep(HELD_BACK_MAX), if held_back.is_some() => None,
        };
        if let Some(event) = next {
            if held_back.is_none() && strikes(&shared, Fault::WebhookReorder) {
                held_back = Some(event);
                continue;
            }
            let overtaking = dispatch(&shared, event);
            if held_back.is_some() {
                // Bounded, because the one that overtakes may have to be tried many times.
                let _ = tokio::time::timeout(HELD_BACK_MAX, overtaking.wait()).await;
            }
        }
        if let Some(event) = held_back.take() {
            dispatch(&shared, event);
        }
    }
}

/// Counts only if there is somebody to disturb.
fn strikes(shared: &Shared, fault: Fault) -> bool {
    let mut desk = shared.desk();
    desk.target.url.is_some() && desk.strikes(fault)
}

/// Sends an event on its way; the answer is done when every copy has come to its end.
fn dispatch(shared: &Arc<Shared>, event: Event) -> TaskTracker {
    let on_their_way = TaskTracker::new();
    on_their_way.close();
    if shared.desk().target.url.is_none() {
        return on_their_way;
    }
    let copies = if strikes(shared, Fault::WebhookDuplicate) { 2 } else { 1 };
    let delay = if strikes(shared, Fault::WebhookDelay) {
        Duration::from_millis(shared.desk().mischief.faults.webhook_delay_millis)
    } else {
        Duration::ZERO
    };
    for _ in 0..copies {
        shared.desk().webhook_counts.pending += 1;
        let (shared_there, event) = (Arc::clone(shared), event.clone());
        shared.tasks.spawn(on_their_way.track_future(async move {
            shared_there.pause(delay).await;
            let outcome = tokio::select! {
                delivered = insist(&shared_there, &event) => delivered,
                () = shared_there.stop.cancelled() => false,
            };
            let mut desk = shared_there.desk();
            desk.webhook_counts.pending -= 1;
            *(if outcome {
                &mut desk.webhook_counts.delivered
            } else {
                &mut desk.webhook_counts.abandoned
            }) += 1;
        }));
    }
    on_their_way
}

/// Tries until it is delivered, or often enough.
async fn insist(shared: &Shared, event: &Event) -> bool {
    let mut wait = FIRST_RETRY;
    for attempt in 1..=ATTEMPTS_MAX {
        let target = shared.desk().target.clone();
        let Some(url) = target.url else { return false };
        let body = render_any(&shared.desk().book, &event.id).unwrap_or_default().to_string();
        let signature = sign(&target.secret, clock::now_secs(), body.as_bytes());
        let request = shared
            .client
            .post(&url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("stripe-signature", signature)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) => {
                tracing::warn!(event = event.id, attempt, status = %answer.status(), "webhook refused");
            }
            Err(error) => {
                tracing::warn!(event = event.id, attempt, %error, "webhook not delivered")
            }
        }
        shared.desk().webhook_counts.failed_attempts += 1;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
    false
}
