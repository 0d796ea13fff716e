//! What happens is told to those who may know, in order, once, and to the end of what was missed.
use std::collections::BTreeSet;
use std::time::Duration;

use cairn_api::live::Pace;
use cairn_commands::identity::{ExpireKey, RevokeKey, expire_key, revoke_key};
use cairn_core::{AllocationId, OrganisationId};
use cairn_identity::Role;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::listen::{Socket, Sse, Told, becomes};
use crate::support::{Caller, SSH_KEY, Stage, answer};

const TOPPED_UP: &str = "cairn.wallet.topped_up.v1";

/// Pays in without waiting for any view.
async fn pay(caller: &Caller) {
    let wish = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    let made = caller.post("/v1/top-ups", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

fn positions(told: &[Told]) -> Vec<i64> {
    told.iter().map(Told::position).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_happens_is_told_to_its_owner_and_to_nobody_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (one, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Viewer).await);
    let payer = stage.caller_of(Role::Owner, other.organisation_id).await;
    let mut streams =
        [Sse::open(&one, "/v1/events", None).await, Sse::open(&other, "/v1/events", None).await];
    tokio::join!(pay(&one), pay(&payer), pay(&one), pay(&payer));
    for (stream, caller) in streams.iter_mut().zip([&one, &other]) {
        let mut told = stream.until(TOPPED_UP).await;
        told.extend(stream.until(TOPPED_UP).await);
        assert!(positions(&told).is_sorted_by(|a, b| a < b), "{told:?}");
        let kinds: BTreeSet<_> = told.iter().map(|told| told.event.as_str()).collect();
        assert!(kinds.contains("cairn.payment.requested.v1"), "{kinds:?}");
        let own = caller.organisation_id.to_string();
        for told in &told {
            let event = told.json();
            assert_eq!(event["type"], *told.event, "the name is the CloudEvent's");
            assert_eq!(event["position"], *told.id);
            let whose = event["data"].get("organisation_id");
            assert!(whose.is_none_or(|whose| *whose == own), "{event}");
            let read = answer(caller.request(Method::GET, &path_of(&event["subject"]))).await;
            assert_eq!(read.status, 200, "what is told can be read: {event}");
        }
    }
    stage.strike().await;
}

/// Where a subject is read.
fn path_of(subject: &serde_json::Value) -> String {
    match subject.as_str().unwrap().split_once('/').unwrap() {
        ("payment", id) => format!("/v1/top-ups/{id}"),
        _ => "/v1/statement".to_owned(),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn who_breaks_off_and_comes_back_loses_nothing_and_hears_nothing_twice(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let mut open = Sse::open(&owner, "/v1/events", None).await;
    let begin = open.block().await.unwrap();
    assert_eq!(begin.comment, "open");
    drop(open);
    let payments = 8;
    let paying = async {
        for _ in 0..payments {
            tokio::join!(pay(&owner), pay(&other));
        }
    };
    // Breaks off after one, two, three, … events, while more come.
    let hearing = async {
        let (mut last, mut heard) = (begin.id.clone(), vec![]);
        for patience in 1.. {
            let mut stream = Sse::open(&owner, "/v1/events", Some(&last)).await;
            for _ in 0..patience {
                let told = stream.next().await.unwrap();
                assert_ne!(told.event, "reset");
                last.clone_from(&told.id);
                heard.push(told);
                let done = heard.iter().filter(|told| told.event == TOPPED_UP).count();
                if done == payments {
                    return heard;
                }
            }
        }
        unreachable!()
    };
    let ((), heard) = tokio::join!(paying, hearing);
    let whole = format!("/v1/events?after={}", begin.id);
    let mut whole = Sse::open(&owner, &whole, None).await;
    let mut told = vec![];
    for _ in 0..heard.len() {
        told.push(whole.next().await.unwrap());
    }
    assert_eq!(heard, told, "as if it had never broken off");
    assert!(positions(&heard).is_sorted_by(|a, b| a < b));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_of_somebody_elses_is_none(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (operator, finance) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::PlatformFinance).await);
    let (owner, stranger) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let rented = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    let at = |stream: &str| format!("/v1/events?stream={stream}");
    let own = at(&format!("org:{}", owner.organisation_id));
    let pairs = [
        (at(&format!("alloc:{rented}")), at(&format!("alloc:{}", AllocationId::from_bits(7)))),
        (own, at(&format!("org:{}", OrganisationId::from_bits(7)))),
    ];
    for (foreign, missing) in &pairs {
        drop(Sse::open(&owner, foreign, None).await);
        let (foreign, missing) = (stranger.get(foreign).await, stranger.get(missing).await);
        assert_eq!((foreign.status, missing.status), (404, 404));
        let said = |answer: &crate::support::Answer| answer.body["detail"].clone();
        assert_eq!((foreign.code(), said(&foreign)), (missing.code(), said(&missing)));
    }
    // Who reads every allocation hears of each, and of nobody's money.
    let told = Sse::open(&operator, &format!("{}&after=0", pairs[0].0), None).await;
    assert_eq!({ told }.next().await.unwrap().event, "cairn.allocation.requested.v1");
    let mut told = Sse::open(&operator, &format!("{}&after=0", pairs[1].0), None).await;
    for told in told.until("cairn.allocation.activated.v1").await {
        assert!(told.event.starts_with("cairn.allocation."), "{told:?}");
    }
    let mut told = Sse::open(&finance, &format!("{}&after=0", pairs[1].0), None).await;
    for told in told.until("cairn.wallet.hold_placed.v1").await {
        assert!(!told.event.starts_with("cairn.allocation."), "{told:?}");
    }
    let nodes = operator.get("/v1/nodes").await.text("/items/0/node_id");
    let node = at(&format!("node:{nodes}"));
    assert_eq!(owner.get(&node).await.code(), "forbidden");
    let mut node = Sse::open(&operator, &format!("{node}&after=0"), None).await;
    assert_eq!(node.next().await.unwrap().event, "cairn.node.enrolled.v1");
    let mut sku = Sse::open(&stranger, &format!("{}&after=0", at("sku:small")), None).await;
    sku.until("cairn.sku.priced.v1").await;
    for (path, code) in [
        (at("user:1"), "query_invalid"),
        (at("sku:none"), "unknown_sku"),
        ("/v1/events?after=x".to_owned(), "query_invalid"),
        ("/v1/events?afer=1".to_owned(), "query_invalid"),
    ] {
        assert_eq!(owner.get(&path).await.code(), code, "{path}");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_may_not_read_any_more_is_let_go(_: PgPoolOptions, options: PgConnectOptions) {
    let pace = Pace { recheck: Duration::from_millis(100), ..Pace::default() };
    let stage = Stage::set_streaming(options, pace).await;
    let (revoked, expired) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let stays = stage.caller(Role::Owner).await;
    let mut streams = vec![];
    for caller in [&revoked, &expired, &stays] {
        streams.push(Sse::open(caller, "/v1/events", None).await);
    }
    let key =
        async |caller: &Caller| caller.get("/v1/whoami").await.text("/key_id").parse().unwrap();
    let end = RevokeKey { key_id: key(&revoked).await, reason: "lost".to_owned() };
    revoke_key(&stage.commands, &stage.context(), end).await.unwrap();
    let expires_at = stage.commands.clock.now().plus_secs(1);
    let end = ExpireKey { key_id: key(&expired).await, expires_at, successor: None };
    expire_key(&stage.commands, &stage.context(), end).await.unwrap();
    for stream in &mut streams[..2] {
        let end = stream.next().await.unwrap();
        assert_eq!(
            (end.event.as_str(), end.json()["code"].as_str()),
            ("end", Some("unauthenticated"))
        );
        assert_eq!(stream.next().await, None, "it is closed");
    }
    pay(&stays).await;
    streams[2].until(TOPPED_UP).await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_was_away_too_long_begins_anew(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_streaming(options, Pace { behind_max: 2, ..Pace::default() }).await;
    let owner = stage.caller(Role::Owner).await;
    owner.top_up("5.00").await;
    for after in ["0", "999999"] {
        let mut stream = Sse::open(&owner, "/v1/events", Some(after)).await;
        let reset = stream.next().await.unwrap();
        assert_eq!(reset.event, "reset", "from {after}");
        assert_eq!(reset.json()["pos"], reset.position());
        let mut again = Sse::open(&owner, "/v1/events", Some(&reset.id)).await;
        pay(&owner).await;
        let (first, second) = (stream.next().await.unwrap(), again.next().await.unwrap());
        assert_eq!((first.event.as_str(), &first), ("cairn.payment.requested.v1", &second));
        stream.until(TOPPED_UP).await;
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_stops_ends_its_streams_and_they_go_on_elsewhere(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pace = Pace { heartbeat: Duration::from_millis(50), readers_max: 2, ..Pace::default() };
    let (stage, next) =
        (Stage::set_streaming(options.clone(), pace).await, Stage::set(options).await);
    let elsewhere = next.caller(Role::Owner).await;
    let owner = Caller { base: stage.base.clone(), ..elsewhere.clone() };
    let mut stream = Sse::open(&owner, "/v1/events", None).await;
    let begin = stream.block().await.unwrap();
    assert_eq!(stream.block().await.unwrap().comment, "heartbeat");
    let second = Sse::open(&owner, "/v1/events", None).await;
    let refused = owner.get("/v1/events").await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_streams"));
    drop(second);
    becomes("a stream that is closed gives its place back", || stage.api().live.readers() == 1)
        .await;
    let ((), ()) = tokio::join!(stage.strike(), async {
        let end = stream.next().await.unwrap();
        assert_eq!(end.json()["code"], "shutting_down");
        assert_eq!(stream.next().await, None);
    });
    let mut stream = Sse::open(&elsewhere, "/v1/events", Some(&begin.id)).await;
    pay(&elsewhere).await;
    stream.until(TOPPED_UP).await;
    next.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_no_position_is_refused_and_one_that_is_to_come_begins_anew(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    for position in ["", "x", "-1", "-9223372036854775808", "9223372036854775808"] {
        let asked = owner.request(Method::GET, "/v1/events").header("last-event-id", position);
        let refused = answer(asked).await;
        assert_eq!((refused.status, refused.code()), (400, "query_invalid"), "'{position}'");
    }
    for position in ["-1", "-9223372036854775808"] {
        let refused = owner.get(&format!("/v1/events?after={position}")).await;
        assert_eq!((refused.status, refused.code()), (400, "query_invalid"), "{position}");
    }
    let both = owner.request(Method::GET, "/v1/events?after=-1").header("last-event-id", "0");
    assert_eq!(answer(both).await.code(), "query_invalid", "also where nobody looks at it");
    let mut stream = Sse::open(&owner, "/v1/events", Some("9223372036854775807")).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.event, "reset", "nobody has told that yet");
    let own = format!("org:{}", owner.organisation_id);
    for after in [-1, i64::MIN, i64::MAX] {
        let subs = json!([{ "stream": own, "after": after }]);
        let mut socket = Socket::greeted(&owner, subs).await;
        assert_eq!(socket.next().await.unwrap()["type"], "reset", "{after}");
    }
    stage.strike().await;
}
