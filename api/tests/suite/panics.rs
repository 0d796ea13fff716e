//! Panics behind the requests: each is counted and told under the name of the work, and the work is done in the end.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::StatusCode;
use cairn_commands::ports::{
    BrokerHealth, PortError, Producer, Sent, TopicPort, WebhookAnswer, WebhookCall, WebhookPort,
};
use cairn_commands::public::PublicEvent;
use cairn_commands::relay::RelayConfig;
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::mpsc;

use crate::reports::{lines, receiver};
use crate::support::{PATIENCE, Stage};

/// A sender of webhooks and a topic that each blow up once, and then work.
#[derive(Default)]
struct Mine {
    posts: AtomicUsize,
    producers: AtomicUsize,
    relayed: Mutex<Vec<String>>,
}

#[async_trait]
impl WebhookPort for Mine {
    fn check(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn post(&self, call: WebhookCall) -> Result<WebhookAnswer, PortError> {
        let before = self.posts.fetch_add(1, Ordering::SeqCst);
        assert!(before > 0, "the sender blew up at {}", call.url);
        Ok(WebhookAnswer { status: 200, begins: String::new(), retry_after: None })
    }
}

struct Topic(Arc<Mine>);

#[async_trait]
impl TopicPort for Topic {
    fn name(&self) -> &'static str {
        "mined"
    }

    fn producer(&self) -> Result<Arc<dyn Producer>, PortError> {
        assert!(self.0.producers.fetch_add(1, Ordering::SeqCst) > 0, "the relay blew up");
        Ok(Arc::new(Topic(Arc::clone(&self.0))))
    }

    async fn read(&self, _: mpsc::Sender<Sent>) -> Result<(), PortError> {
        Ok(())
    }

    fn health(&self) -> BrokerHealth {
        BrokerHealth::default()
    }
}

#[async_trait]
impl Producer for Topic {
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError> {
        let ids = events.iter().map(|event| event.id.clone());
        self.0.relayed.lock().unwrap().extend(ids);
        Ok(())
    }

    async fn close(&self) {}
}

/// As often as it was counted, in the whole process.
async fn counted(stage: &Stage, work: &str) -> u32 {
    let figures = stage.nobody().get("/metrics").await.body;
    let line = format!("cairn_panics_total{{where=\"{work}\"}} ");
    let found = figures.as_str().unwrap().lines().find_map(|it| it.strip_prefix(&line));
    found.unwrap_or_else(|| panic!("{work} is not counted")).parse().unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_panics_behind_the_requests_is_counted_and_told_and_done_in_the_end(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (dsn, came, _serving) = receiver(StatusCode::OK).await;
    let mine = Arc::new(Mine::default());
    let stage = Stage::set_among(options, |outside| {
        outside.webhooks = Arc::clone(&mine) as _;
        outside.relay = Some((Arc::new(Topic(Arc::clone(&mine))), RelayConfig::new("it", "/test")));
        outside.reports = Some(dsn.parse().unwrap());
    })
    .await;
    assert_eq!(counted(&stage, "sealer").await, 0, "they are counted from the beginning");
    let customer = stage.caller(Role::Owner).await;
    let endpoint = json!({
        "url": "https://canary.example.org/hook", "event_types": ["cairn.payment.requested.v1"],
    });
    let made = customer.post("/v1/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    assert_eq!(customer.post("/v1/top-ups", &wish).await.status, 201);
    until("the webhook is sent again", || mine.posts.load(Ordering::SeqCst) == 2).await;
    until("the relay begins anew", || !mine.relayed.lock().unwrap().is_empty()).await;
    let deliveries = format!("/v1/webhook-endpoints/{}/deliveries", made.text("/endpoint_id"));
    customer.until(&deliveries, |all| all["items"][0]["status"] == "delivered").await;
    assert_eq!((counted(&stage, "webhooks").await, counted(&stage, "relay").await), (1, 1));
    let ready = stage.nobody().get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    stage.strike().await;
    let came = came.lock().unwrap();
    let mut told: Vec<Value> = came.iter().map(|(_, body)| lines(body).swap_remove(2)).collect();
    told.sort_by_key(|event| event["transaction"].to_string());
    let said =
        |event: &Value| (event["transaction"].clone(), event["exception"]["values"][0].clone());
    assert_eq!(told.len(), 2, "the faults bit, once each: {told:?}");
    let (relay, webhooks) = (said(&told[0]), said(&told[1]));
    assert_eq!(relay, (json!("relay"), json!({ "type": "panic", "value": "the relay blew up" })));
    assert_eq!(webhooks.0, "webhooks");
    assert_eq!(webhooks.1["value"], "the sender blew up at …", "addresses are nobody's business");
    for event in &told {
        let place = event["tags"]["place"].as_str().unwrap();
        assert!(place.starts_with("api/tests/suite/panics.rs:"), "{place}");
    }
}
