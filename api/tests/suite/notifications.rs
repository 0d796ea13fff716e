//! The same over a WebSocket: who may open one, what goes over it, and how it ends.
use std::time::Duration;

use cairn_api::live::Pace;
use cairn_commands::identity::{RevokeKey, revoke_key};
use cairn_identity::Role;
use futures::future::join_all;
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::listen::{PROTOCOL, Socket, Sse, becomes, ticket};
use crate::support::{CONSOLE, Caller, Stage, answer};

const TOPPED_UP: &str = "cairn.wallet.topped_up.v1";
const OFFERED: (&str, &str) = ("sec-websocket-protocol", PROTOCOL);

async fn pay(caller: &Caller) {
    let wish = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    assert_eq!(caller.post("/v1/top-ups", &wish).await.status, 201);
}

fn own(caller: &Caller) -> String {
    format!("org:{}", caller.organisation_id)
}

#[sqlx::test(migrations = "../migrations")]
async fn only_whom_it_is_for_may_open_one(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let plain = stage.nobody().get("/v1/notifications").await;
    assert_eq!((plain.status, plain.code()), (426, "upgrade_required"));
    let refused = |headers: Vec<(&'static str, &'static str)>| {
        let base = stage.base.clone();
        async move { Socket::open(&base, &headers).await.err() }
    };
    let says = |status, code: &str| Some((status, code.to_owned()));
    assert_eq!(refused(vec![]).await, says(400, "subprotocol_missing"));
    let other = ("sec-websocket-protocol", "chat");
    assert_eq!(refused(vec![other]).await, says(400, "subprotocol_missing"));
    for evil in ["https://evil.example", "null", "https://console.example.org.evil.example"] {
        assert_eq!(refused(vec![OFFERED, ("origin", evil)]).await, says(403, "origin_refused"));
    }
    assert_eq!(refused(vec![OFFERED, ("origin", CONSOLE)]).await, None);
    let ours = stage.base.clone();
    assert!(Socket::open(&ours, &[OFFERED, ("origin", &ours)]).await.is_ok(), "our own pages");
    let hellos = [
        (json!({ "type": "hello", "ticket": "cairn_ticket_x" }), "ticket_invalid"),
        (json!({ "type": "hello" }), "hello_invalid"),
        (json!({ "type": "ping" }), "hello_invalid"),
        (json!({ "type": "hello", "ticket": "x", "token": "y" }), "hello_invalid"),
        (json!("x".repeat(17 << 10)), ""),
    ];
    for (hello, code) in hellos {
        let mut socket = Socket::open(&stage.base, &[OFFERED]).await.unwrap();
        socket.say(&hello).await;
        let end = socket.next().await;
        let said = end.as_ref().map_or("", |end| end["code"].as_str().unwrap());
        assert_eq!(said, code, "{end:?}");
        assert_eq!(socket.next().await, None, "it is closed");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_opens_once_whichever_process_is_asked(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let second = stage.beside(options.clone()).await;
    let made = ticket(&owner).await;
    let hello = json!({ "type": "hello", "ticket": made });
    let bases = [&stage.base, &second.base, &stage.base, &second.base];
    let tries = bases.map(|base| async {
        let mut socket = Socket::open(base, &[OFFERED]).await.unwrap();
        socket.say(&hello).await;
        socket.next().await.unwrap()
    });
    let answers = join_all(tries).await;
    let opened = answers.iter().filter(|answer| answer["type"] == "welcome").count();
    let refused = answers.iter().filter(|answer| answer["code"] == "ticket_invalid").count();
    assert_eq!((opened, refused), (1, 3), "{answers:?}");
    // Nothing of a ticket is kept but its hash, and what is over opens nothing.
    let late = ticket(&owner).await;
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let kept = "SELECT count(*) FROM edge_tickets WHERE edge_tickets::text LIKE '%cairn_ticket%'";
    let readable: i64 = sqlx::query_scalar(kept).fetch_one(&pool).await.unwrap();
    assert_eq!(readable, 0);
    let over = "UPDATE edge_tickets SET expires_at = now() - interval '1 second'";
    assert_eq!(sqlx::query(over).execute(&pool).await.unwrap().rows_affected(), 1);
    let mut socket = Socket::open(&stage.base, &[OFFERED]).await.unwrap();
    socket.say(&json!({ "type": "hello", "ticket": late })).await;
    assert_eq!(socket.next().await.unwrap()["code"], "ticket_invalid");
    let other = owner.request(Method::POST, "/v1/tickets").json(&json!({ "purpose": "else" }));
    assert_eq!(answer(other).await.code(), "body_invalid");
    pool.close().await;
    second.strike().await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn it_tells_what_the_other_way_tells_and_goes_on_where_it_broke_off(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let mut reference = Sse::open(&owner, "/v1/events?after=0", None).await;
    let subs = |after: i64| json!([{ "stream": own(&owner), "after": after }]);
    let hearing = async {
        let (mut last, mut heard) = (0, vec![]);
        for patience in 1.. {
            let mut socket = Socket::greeted(&owner, subs(last)).await;
            for _ in 0..patience {
                let told = socket.next().await.unwrap();
                last = told["pos"].as_i64().unwrap();
                heard.push(told);
                if heard.iter().filter(|told| told["type"] == TOPPED_UP).count() == 5 {
                    return heard;
                }
            }
        }
        unreachable!()
    };
    let paying = async {
        for _ in 0..5 {
            tokio::join!(pay(&owner), pay(&other));
        }
    };
    let (heard, ()) = tokio::join!(hearing, paying);
    for told in heard {
        let event = reference.next().await.unwrap();
        let whole = event.json();
        assert_eq!(told["pos"], event.position());
        assert_eq!(
            (&told["type"], &told["id"], &told["at"]),
            (&whole["type"], &whole["id"], &whole["time"])
        );
        assert_eq!(
            (&told["v"], &told["data"], &told["stream"]),
            (&json!(1), &whole["data"], &json!(own(&owner)))
        );
        let subject = format!(
            "{}/{}",
            told["subject"]["kind"].as_str().unwrap(),
            told["subject"]["id"].as_str().unwrap()
        );
        assert_eq!(whole["subject"], subject);
    }
    let mut refused = Socket::open(&stage.base, &[OFFERED]).await.unwrap();
    let hello = json!({ "type": "hello", "ticket": ticket(&owner).await, "subs": [{ "stream": own(&other) }] });
    refused.say(&hello).await;
    assert_eq!(refused.next().await.unwrap()["code"], "not_found", "a foreign stream is none");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_does_not_keep_up_is_told_that_something_is_lost(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_streaming(options, Pace { queue: 2, ..Pace::default() }).await;
    let owner = stage.caller(Role::Owner).await;
    // Every event goes over it twenty times, so that what lies between the two ends is soon full.
    let subs: Vec<Value> = (0..20).map(|_| json!({ "stream": own(&owner) })).collect();
    let mut slow = Socket::greeted(&owner, json!(subs)).await;
    assert_eq!(stage.api().live.readers(), 1);
    let mut quick = Sse::open(&owner, "/v1/events", None).await;
    let mut reading = JoinSet::new();
    reading.spawn(async move { while quick.next().await.is_some() {} });
    let mut paid = 0;
    while stage.api().live.overflowed() == 0 {
        join_all((0..20).map(|_| pay(&owner))).await;
        paid += 20;
        assert!(paid < 2_000, "the reader is never too slow");
    }
    let told = slow.until("reset").await;
    let (reset, before) = told.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|told| told["type"] != "reset"));
    let position = reset["pos"].as_i64().unwrap();
    assert!(before.iter().all(|told| told["pos"].as_i64().unwrap() < position));
    for _ in 1..20 {
        assert_eq!(slow.next().await.unwrap()["type"], "reset", "each of its streams");
    }
    pay(&owner).await;
    let next = slow.next().await.unwrap();
    assert!(next["type"] == "reset" || next["pos"].as_i64().unwrap() > position, "{next}");
    drop(reading);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_does_not_answer_is_not_there(_: PgPoolOptions, options: PgConnectOptions) {
    let pace = Pace { heartbeat: Duration::from_millis(100), ..Pace::default() };
    let stage = Stage::set_streaming(options, pace).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let silent = Socket::greeted(&other, json!([])).await;
    let mut alive = Socket::greeted(&owner, json!([])).await;
    // Whoever answers stays for many heartbeats, whoever does not is gone after two.
    let mut pings = 0;
    while stage.api().live.readers() == 2 || pings < 5 {
        let message = alive.0.next().await.expect("it closed").unwrap();
        pings += usize::from(message.is_ping());
        alive.0.flush().await.unwrap();
    }
    assert_eq!(stage.api().live.readers(), 1);
    drop((silent, alive));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn it_answers_and_ends_when_nobody_may_read_any_more(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pace = Pace { recheck: Duration::from_millis(100), ..Pace::default() };
    let stage = Stage::set_streaming(options, pace).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let mut socket = Socket::greeted(&owner, json!([])).await;
    socket.0.send(Message::Ping(vec![7].into())).await.unwrap();
    while socket.0.next().await.unwrap().unwrap() != Message::Pong(vec![7].into()) {}
    socket.say(&json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await.unwrap()["type"], "pong");
    let key_id = owner.get("/v1/whoami").await.text("/key_id").parse().unwrap();
    let input = RevokeKey { key_id, reason: "lost".to_owned() };
    revoke_key(&stage.commands, &stage.context(), input).await.unwrap();
    assert_eq!(socket.next().await.unwrap()["code"], "unauthenticated");
    assert_eq!(socket.next().await, None);
    becomes("nobody is there", || stage.api().live.readers() == 0).await;
    let mut last = Socket::greeted(&other, json!([])).await;
    let ((), ()) = tokio::join!(stage.strike(), async {
        assert_eq!(last.next().await.unwrap()["code"], "shutting_down");
        assert_eq!(last.next().await, None);
    });
}
