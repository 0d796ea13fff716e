//! Webhooks as they really arrive: over HTTP, signed by our simulator and, as a stranger's opinion, by localstripe.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use cairn_commands::ports::PaymentPort;
use cairn_stripe::{WebhookEvent, WebhookSubject, parse_webhook, verify_webhook};
use cairn_stripe_simulator::{Chance, Faults, SimulatorConfig};
use common::{now, payment, refund, until};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const SECRET: &str = "whsec_delivery";

/// Verifies and keeps what arrives; may refuse the first few.
struct Inbox {
    url: String,
    events: Arc<Mutex<Vec<WebhookEvent>>>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Door {
    events: Arc<Mutex<Vec<WebhookEvent>>>,
    refuse: Arc<Mutex<u32>>,
}

async fn accept(State(door): State<Door>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let mut refuse = door.refuse.lock().await;
    if *refuse > 0 {
        *refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let header = headers["stripe-signature"].to_str().unwrap();
    verify_webhook(&raw, header, &[SECRET.to_owned()], now()).unwrap();
    door.events.lock().await.push(parse_webhook(&raw).unwrap());
    StatusCode::OK
}

impl Inbox {
    async fn open(refuse_first: u32) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let refuse = Arc::new(Mutex::new(refuse_first));
        let door = Door { events: Arc::clone(&events), refuse };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        let app = Router::new().route("/hook", post(accept)).with_state(door);
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, events, _server: server }
    }

    async fn kinds(&self) -> Vec<String> {
        self.events.lock().await.iter().map(|event| event.kind.clone()).collect()
    }

    async fn holds(&self, count: usize) -> Vec<WebhookEvent> {
        until(&format!("{count} webhooks"), || async {
            let events = self.events.lock().await;
            (events.len() >= count).then(|| events.clone())
        })
        .await
    }
}

fn to(inbox: &Inbox, faults: Faults) -> SimulatorConfig {
    SimulatorConfig {
        webhook_url: Some(inbox.url.clone()),
        webhook_secret: SECRET.to_owned(),
        faults,
        seed: 42,
        ..SimulatorConfig::default()
    }
}

#[tokio::test]
async fn the_simulator_s_webhooks_are_believed_and_name_their_payment() {
    let inbox = Inbox::open(0).await;
    let provider = common::simulator_with(to(&inbox, Faults::default())).await;
    let made = provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let events = inbox.holds(3).await;
    let subject = WebhookSubject::Payment(made.provider_id);
    assert!(events.iter().all(|event| event.subject == subject), "{events:?}");
    let mut kinds = inbox.kinds().await;
    kinds.sort();
    let expected = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn localstripe_s_webhooks_are_believed_and_name_their_payment() {
    let Some(provider) = common::localstripe().await else { return };
    let inbox = Inbox::open(0).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/_config/webhooks/cairn", provider.base_url))
        .header("content-type", "application/json")
        .body(format!(r#"{{"url": "{}", "secret": "{SECRET}"}}"#, inbox.url))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    let made = provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let events = inbox.holds(1).await;
    assert_eq!(events[0].kind, "payment_intent.succeeded");
    assert_eq!(events[0].subject, WebhookSubject::Payment(made.provider_id));
}

#[tokio::test]
async fn a_refused_webhook_is_delivered_again() {
    let inbox = Inbox::open(2).await;
    let provider = common::simulator_with(to(&inbox, Faults::default())).await;
    provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    inbox.holds(3).await;
    let simulator = provider.simulator.as_ref().unwrap();
    let counts = until("all delivered", || async {
        Some(simulator.webhooks()).filter(|counts| counts.pending == 0)
    })
    .await;
    assert_eq!((counts.delivered, counts.failed_attempts, counts.abandoned), (3, 2, 0));
}

#[tokio::test]
async fn a_duplicate_has_the_same_event_id() {
    let inbox = Inbox::open(0).await;
    let faults = Faults { webhook_duplicate: Chance::next(3), ..Faults::default() };
    let provider = common::simulator_with(to(&inbox, faults)).await;
    provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let mut ids: Vec<_> = inbox.holds(6).await.into_iter().map(|event| event.event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(provider.simulator.as_ref().unwrap().counts().webhook_duplicate, 3);
}

#[tokio::test]
async fn a_held_back_webhook_arrives_after_a_later_one() {
    let inbox = Inbox::open(0).await;
    let provider = common::simulator_with(to(&inbox, Faults::default())).await;
    let simulator = provider.simulator.as_ref().unwrap();
    let made = provider.payments.create_payment(&payment(None)).await.unwrap();
    inbox.holds(1).await;
    simulator.set_faults(Faults { webhook_reorder: Chance::next(1), ..Faults::default() });
    let second = provider.payments.create_payment(&payment(None)).await.unwrap();
    let last = provider.payments.create_payment(&payment(None)).await.unwrap();
    let subjects: Vec<_> = inbox.holds(3).await.into_iter().map(|event| event.subject).collect();
    let expected = [made, last, second].map(|paid| WebhookSubject::Payment(paid.provider_id));
    assert_eq!(subjects, expected);
    assert_eq!(simulator.counts().webhook_reorder, 1);
}

#[tokio::test]
async fn a_delayed_webhook_arrives_late_but_arrives() {
    let inbox = Inbox::open(0).await;
    let faults =
        Faults { webhook_delay: Chance::next(1), webhook_delay_millis: 1_500, ..Faults::default() };
    let provider = common::simulator_with(to(&inbox, faults)).await;
    provider.payments.create_payment(&payment(None)).await.unwrap();
    let second = provider.payments.create_payment(&payment(None)).await.unwrap();
    let events = inbox.holds(2).await;
    assert_eq!(events[0].subject, WebhookSubject::Payment(second.provider_id));
    assert_eq!(provider.simulator.as_ref().unwrap().counts().webhook_delay, 1);
}

#[tokio::test]
async fn a_refund_that_fails_later_says_so() {
    let inbox = Inbox::open(0).await;
    let faults = Faults { refund_settles_after_millis: 50, ..Faults::default() };
    let provider = common::simulator_with(to(&inbox, faults)).await;
    let card = payment(Some("pm_card_refundFail"));
    let charge = provider.payments.create_payment(&card).await.unwrap().charge_id.unwrap();
    let made = provider.payments.create_refund(&refund(&charge, 500)).await.unwrap();
    let subject = WebhookSubject::Refund(made.provider_id);
    until("refund.failed", || async {
        let events = inbox.events.lock().await;
        events.iter().find(|e| e.kind == "refund.failed" && e.subject == subject).cloned()
    })
    .await;
}
