//! Clients that hang up: what they asked for happens whole or not at all, and nothing is left open.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use cairn_identity::Role;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Caller, Stage};

/// Sends a whole request, or only its beginning, and hangs up after a while without reading.
fn send_and_leave(caller: &Caller, key: &str, whole: bool, after: Duration) {
    let body = r#"{"amount":"5.00","currency":"USD"}"#;
    let head = format!(
        "POST /v1/top-ups HTTP/1.1\r\nhost: cairn\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        caller.key.as_ref().unwrap(),
        body.len()
    );
    let mut stream = TcpStream::connect(caller.base.trim_start_matches("http://")).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(if whole { body.as_bytes() } else { &body.as_bytes()[..9] }).unwrap();
    std::thread::sleep(after);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_happens_once_whoever_waits_for_the_answer(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let caller = customer.clone();
    let left = tokio::task::spawn_blocking(move || {
        for n in 0..40_u64 {
            let micros = n * n * 5;
            send_and_leave(
                &caller,
                &format!("gone-{n}"),
                n % 4 != 3,
                Duration::from_micros(micros),
            );
        }
    });
    left.await.unwrap();
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let (mut ids, mut replayed, mut position) = (BTreeSet::new(), 0, 0);
    for n in 0..40 {
        let again = customer.post_as(&format!("gone-{n}"), "/v1/top-ups", &wish).await;
        assert_eq!(again.status, 201, "{}", again.body);
        replayed += usize::from(again.header("idempotency-replayed") == "true");
        position = position.max(again.header("cairn-position").parse::<i64>().unwrap());
        ids.insert(again.text("/top_up_id"));
    }
    assert_eq!(ids.len(), 40);
    assert!(replayed > 0, "no wish outlived its client");
    let all = customer.get(&format!("/v1/top-ups?limit=200&min_position={position}")).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 40, "one each");
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
         AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 second'",
    )
    .fetch_one(stage.commands.executor.log().pool())
    .await
    .unwrap();
    assert_eq!(open, 0, "a connection was left in a transaction");
    stage.strike().await;
}
