//! How long the server waits: for a head, a body, an answer, and for the end.
use std::time::Duration;

use cairn_api::http::limits::Limits;
use cairn_identity::Role;
use reqwest::Method;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Caller, PATIENCE, Stage, answer};

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);

/// Says hello and leaves it at that.
async fn begin(caller: &Caller, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(caller.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The head of a wish whose body never comes.
fn head_of_a_wish(caller: &Caller, path: &str) -> String {
    let key = caller.key.as_deref().unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nhost: cairn\r\nauthorization: Bearer {key}\r\nidempotency-key: slow\r\n\
         content-type: application/json\r\ncontent-length: 20\r\n\r\n{{"
    )
}

/// What is answered until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut said = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut said));
    read.await.expect("the connection stays open").unwrap();
    said
}

async fn until_it_runs(stage: &Stage) {
    while stage.api().tasks.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Makes reads of one table wait until the transaction ends.
async fn bar(options: &PgConnectOptions, table: &str) -> PgConnection {
    let mut other = options.clone().connect().await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(&lock).execute(&mut other).await.unwrap();
    other
}

#[sqlx::test(migrations = "../migrations")]
async fn a_client_that_never_sends_its_body_does_not_keep_the_server_up(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let limits = Limits { head: LONG, body: LONG, answer: LONG, drain: SHORT };
    let stage = Stage::set_within(options, limits).await;
    let idle =
        begin(&stage.nobody(), &head_of_a_wish(&stage.nobody(), "/v1/webhooks/stripe")).await;
    let half_a_head = begin(&stage.nobody(), "GET /livez HT").await;
    until_it_runs(&stage).await;
    let struck = tokio::time::timeout(PATIENCE, stage.strike()).await;
    assert!(struck.is_ok(), "the server waits for a body that never comes");
    drop((idle, half_a_head));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_does_not_come_is_a_problem_and_not_in_doubt(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let limits = Limits { body: SHORT, ..Limits::default() };
    let stage = Stage::set_within(options, limits).await;
    let customer = stage.caller(Role::Owner).await;
    for (caller, path) in [(&customer, "/v1/top-ups"), (&stage.nobody(), "/v1/webhooks/stripe")] {
        let said = rest(begin(caller, &head_of_a_wish(caller, path)).await).await;
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        assert!(said.contains("\"code\":\"body_timeout\""), "{said}");
        assert!(said.contains("\"in_doubt\":false"), "{said}");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_without_its_body_is_not_in_doubt_however_long_it_takes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let limits = Limits { body: LONG, answer: SHORT, ..Limits::default() };
    let stage = Stage::set_within(options, limits).await;
    let customer = stage.caller(Role::Owner).await;
    let said = rest(begin(&customer, &head_of_a_wish(&customer, "/v1/top-ups")).await).await;
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    assert!(said.contains("\"code\":\"timeout\""), "{said}");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_that_takes_too_long_is_in_doubt_only_for_a_wish(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let limits = Limits { answer: SHORT, ..Limits::default() };
    let stage = Stage::set_within(options.clone(), limits).await;
    let customer = stage.caller(Role::Owner).await;
    let barred = bar(&options, "payments_payments").await;
    let read = customer.get("/v1/top-ups").await;
    assert_eq!((read.status, read.code()), (503, "timeout"), "{}", read.body);
    assert_eq!(read.body["in_doubt"], false);
    let head = customer.request(Method::HEAD, "/v1/top-ups").send().await.unwrap();
    assert_eq!(head.status(), 503);
    barred.close().await.unwrap();
    let barred = bar(&options, "events").await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let asked = customer.post_as("late", "/v1/top-ups", &wish).await;
    assert_eq!((asked.status, asked.code()), (503, "outcome_in_doubt"), "{}", asked.body);
    assert_eq!(asked.body["in_doubt"], true);
    barred.close().await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let again = customer.post_as("late", "/v1/top-ups", &wish).await;
        if again.status == 201 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never told: {}", again.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn half_a_head_is_cut(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_within(options, Limits { head: SHORT, ..Limits::default() }).await;
    let said = rest(begin(&stage.nobody(), "GET /livez HTTP/1.1\r\nhost: ca").await).await;
    assert!(!said.contains("200"), "{said}");
    assert_eq!(stage.nobody().get("/livez").await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_stops_takes_nothing_new(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    stage.api().tasks.close();
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let refused = customer.post("/v1/top-ups", &wish).await;
    assert_eq!((refused.status, refused.code()), (503, "shutting_down"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "1");
    let refused = answer(customer.request(Method::GET, "/v1/balance")).await;
    assert_eq!((refused.status, refused.code()), (503, "shutting_down"));
    stage.strike().await;
}
