//! Faults of ours: a panic is an answer, and whoever is to be told of it hears what went wrong and nothing of who asked.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use cairn_commands::ports::{PortError, WebhookAnswer, WebhookCall, WebhookPort};
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Answer, Caller, PATIENCE, Stage, answer};

/// Stands in everything that a request says of itself.
const CANARY: &str = "canary-7f3a";
const REQUEST: &str = "req-of-the-fault";

/// A port that dies of one address.
struct Brittle;

#[async_trait]
impl WebhookPort for Brittle {
    fn check(&self, url: &str) -> Result<(), PortError> {
        assert!(!url.contains("deadly"), "cannot take {url:?} of ada@example.org at 192.0.2.7");
        Ok(())
    }

    async fn post(&self, _: WebhookCall) -> Result<WebhookAnswer, PortError> {
        Err(PortError::transient("webhook_unreachable", "nobody is there"))
    }
}

pub type Came = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server that speaks Sentry's protocol, as far as it is needed; or one that refuses everything.
pub async fn receiver(status: StatusCode) -> (String, Came, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dsn = format!("http://public-key@{}/42", listener.local_addr().unwrap());
    let came = Came::default();
    let take = move |State(came): State<Came>, headers: HeaderMap, body: Bytes| async move {
        came.lock().unwrap().push((headers, body));
        status
    };
    let router = Router::new().route("/api/42/envelope/", post(take)).with_state(Arc::clone(&came));
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (dsn, came, serving)
}

async fn stage(options: PgConnectOptions, dsn: Option<&str>) -> Stage {
    Stage::set_among(options, |outside| {
        outside.webhooks = Arc::new(Brittle);
        outside.reports = dsn.map(|dsn| dsn.parse().unwrap());
    })
    .await
}

async fn wish(caller: &Caller) -> Answer {
    let body = json!({ "url": format!("https://{CANARY}.example.org/deadly") });
    let request = caller
        .request(Method::POST, "/v1/webhook-endpoints")
        .header("idempotency-key", CANARY)
        .header("x-request-id", REQUEST)
        .header("cookie", format!("taste={CANARY}"))
        .json(&body);
    answer(request).await
}

/// The lines of the envelope: what it is, what the item is, and the item.
pub fn lines(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_panic_is_an_answer_of_500_and_the_server_goes_on(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = stage(options, None).await;
    let customer = stage.caller(Role::Owner).await;
    let died = wish(&customer).await;
    assert_eq!((died.status, &died.body["code"]), (500, &json!("internal")), "{}", died.body);
    assert_eq!(died.body["request_id"], REQUEST);
    assert!(!died.body.to_string().contains("ada@"), "{}", died.body);
    assert_eq!(customer.get("/v1/allocations").await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_panic_is_reported_with_its_route_and_nothing_of_who_asked(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (dsn, came, _serving) = receiver(StatusCode::OK).await;
    let stage = stage(options, Some(&dsn)).await;
    let customer = stage.caller(Role::Owner).await;
    assert_eq!(customer.get("/v1/no-such-thing").await.status, 404);
    assert_eq!(wish(&customer).await.status, 500);
    // What waits is sent before the server has stopped.
    stage.strike().await;
    let came = came.lock().unwrap();
    assert_eq!(came.len(), 1, "only faults of ours are reported");
    let (headers, body) = &came[0];
    assert!(headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=public-key"));
    let lines = lines(body);
    assert_eq!(lines[1]["type"], "event");
    let event = &lines[2];
    assert_eq!(event["transaction"], "POST /v1/webhook-endpoints");
    assert_eq!(event["release"], concat!("cairn@", env!("CARGO_PKG_VERSION")));
    assert_eq!(event["tags"]["request_id"], REQUEST);
    let place = event["tags"]["place"].as_str().unwrap();
    assert!(place.starts_with("api/tests/suite/reports.rs:"), "{place}");
    assert_eq!(event["exception"]["values"][0]["type"], "panic");
    assert_eq!(event["exception"]["values"][0]["value"], "cannot take '…' of … at …");
    let told = event.as_object().unwrap().keys().map(String::as_str);
    let known = ["event_id", "level", "timestamp", "transaction", "release", "exception", "tags"];
    let more: Vec<_> = told.filter(|name| !known.contains(name)).collect();
    assert!(more.is_empty(), "{more:?}");
    let whole = String::from_utf8_lossy(body);
    for canary in [CANARY, "ada@", "192.0.2.7", "127.0.0.1", customer.key.as_deref().unwrap()] {
        assert!(!whole.contains(canary), "{canary} in {whole}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_receiver_that_refuses_holds_nobody_up(_: PgPoolOptions, options: PgConnectOptions) {
    let (dsn, came, _serving) = receiver(StatusCode::SERVICE_UNAVAILABLE).await;
    let stage = stage(options, Some(&dsn)).await;
    let customer = stage.caller(Role::Owner).await;
    assert_eq!(wish(&customer).await.status, 500);
    assert_eq!(customer.get("/v1/allocations").await.status, 200);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let figures = stage.nobody().get("/metrics").await.body.as_str().unwrap().to_owned();
        let failed = figures
            .lines()
            .find(|line| line.starts_with("cairn_error_reports_total{") && line.contains("failed"));
        if failed.is_some_and(|line| !line.ends_with(" 0")) {
            break;
        }
        assert!(Instant::now() < deadline, "{failed:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(came.lock().unwrap().len(), 1, "the fault bit");
    stage.strike().await;
}
