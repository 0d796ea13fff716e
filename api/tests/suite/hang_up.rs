//! Clients that hang up: what they asked for happens whole or not at all, and nothing is left open.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use cairn_identity::Role;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Caller, Stage, Whim};

const SEED: u64 = 2_026;
const CLIENTS: u64 = 8;
const EACH: u64 = 20;
const ALL: usize = 160;

fn body() -> Value {
    json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" })
}

/// Sends a whole request, or only its beginning, and hangs up after a while without reading.
fn send_and_leave(caller: &Caller, key: &str, whole: bool, whim: &mut Whim) {
    let body = body().to_string();
    let request = format!(
        "POST /v1/top-ups HTTP/1.1\r\nhost: cairn\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        caller.key.as_ref().unwrap(),
        body.len()
    );
    let length = u64::try_from(request.len()).unwrap();
    let sent = if whole { length } else { whim.next(length) };
    let mut stream = TcpStream::connect(caller.base.trim_start_matches("http://")).unwrap();
    stream.write_all(&request.as_bytes()[..usize::try_from(sent).unwrap()]).unwrap();
    std::thread::sleep(Duration::from_micros(whim.next(30_000)));
}

/// The keys, and whether the wish under it was sent whole.
fn crowd(caller: &Caller) -> Vec<(String, bool)> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut whim = Whim(SEED + client);
                    let mut leave = |n: u64| {
                        let (key, whole) = (format!("gone-{client}-{n}"), n % 4 != 3);
                        send_and_leave(caller, &key, whole, &mut whim);
                        (key, whole)
                    };
                    (0..EACH).map(&mut leave).collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_happens_once_whoever_waits_for_the_answer(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let caller = customer.clone();
    let keys = tokio::task::spawn_blocking(move || crowd(&caller)).await.unwrap();
    assert_eq!(keys.len(), ALL);
    let wish = body();
    let again = stream::iter(&keys).map(|(key, _)| customer.post_again(key, "/v1/top-ups", &wish));
    let again: Vec<_> = again.buffered(8).collect().await;
    let (mut ids, mut outlived) = (BTreeSet::new(), 0);
    for ((key, whole), answer) in keys.iter().zip(&again) {
        assert_eq!(answer.status, 201, "{key}: {}", answer.body);
        let happened = answer.header("idempotency-replayed") == "true";
        assert!(*whole || !happened, "{key}: half a request had an effect");
        outlived += usize::from(happened);
        ids.insert(answer.text("/top_up_id"));
    }
    assert_eq!(ids.len(), ALL, "one each");
    assert!(outlived > 0, "no wish outlived its client (seed {SEED})");
    let paid = format!("{}.00", 5 * ALL);
    customer.until("/v1/balance", |b| b["items"][0]["posted"] == *paid).await;
    let simulator = stage.payments.simulator.as_ref().unwrap();
    assert_eq!(simulator.book().charges().len(), ALL, "each card is charged once");
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
