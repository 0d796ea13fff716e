//! What belongs to somebody else looks exactly like what is not there.
use cairn_core::{AllocationId, PaymentId, RefundId};
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::{Caller, SSH_KEY, Stage};

/// Status, headers that say something, and the body, byte for byte.
async fn whole(caller: &Caller, method: Method, path: &str, body: Option<&Value>) -> String {
    let mut request = caller.request(method, path).header("x-request-id", "the-same-request");
    if let Some(body) = body {
        let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
        request = request.header("idempotency-key", key).json(body);
    }
    let response = request.send().await.unwrap();
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "ratelimit")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let status = response.status();
    format!("{status}\n{}\n\n{}", headers.join("\n"), response.text().await.unwrap())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_foreign_id_answers_byte_for_byte_as_a_missing_one(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, owner, stranger) = (
        stage.caller(Role::PlatformOperator).await,
        stage.caller(Role::Owner).await,
        stage.caller(Role::Owner).await,
    );
    stage.open_shop(&operator).await;
    let top_up = owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let allocation = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    owner.until(&format!("/v1/allocations/{allocation}"), |a| a["status"] == "active").await;
    let refund = json!({ "top_up_id": top_up, "amount": "1.00", "currency": "USD" });
    let refund = owner.post("/v1/refunds", &refund).await.text("/refund_id");
    owner.until(&format!("/v1/refunds/{refund}"), |r| r["status"] == "succeeded").await;

    let missing = [
        (top_up.clone(), PaymentId::from_bits(7).to_string()),
        (allocation.clone(), AllocationId::from_bits(7).to_string()),
        (refund, RefundId::from_bits(7).to_string()),
    ];
    let reads = ["/v1/top-ups/{}", "/v1/allocations/{}", "/v1/refunds/{}"];
    let more = ["/v1/top-ups/{}/client-secret", "/v1/allocations/{}/timeline"];
    for (at, template) in [0, 1, 2, 0, 1].into_iter().zip(reads.into_iter().chain(more)) {
        let ask = |id: &str| template.replace("{}", id);
        let (foreign, nothing) = (ask(&missing[at].0), ask(&missing[at].1));
        assert_eq!(owner.get(&foreign).await.status, 200, "{foreign}: the owner must see it");
        let foreign = whole(&stranger, Method::GET, &foreign, None).await;
        assert_eq!(foreign, whole(&stranger, Method::GET, &nothing, None).await);
        assert!(foreign.starts_with("404"), "{foreign}");
    }
    let release = |id: &str| format!("/v1/allocations/{id}/release");
    let (foreign, nothing) = (release(&missing[1].0), release(&missing[1].1));
    let body = json!({});
    let foreign = whole(&stranger, Method::POST, &foreign, Some(&body)).await;
    assert_eq!(foreign, whole(&stranger, Method::POST, &nothing, Some(&body)).await);
    let refund = |id: &str| json!({ "top_up_id": id });
    let foreign = whole(&stranger, Method::POST, "/v1/refunds", Some(&refund(&missing[0].0))).await;
    let nothing = whole(&stranger, Method::POST, "/v1/refunds", Some(&refund(&missing[0].1))).await;
    assert_eq!(foreign, nothing);
    for list in ["/v1/top-ups", "/v1/refunds", "/v1/allocations", "/v1/statement", "/v1/balance"] {
        assert_eq!(stranger.get(list).await.body["items"], json!([]), "{list}");
    }
    let still = owner.get(&format!("/v1/allocations/{allocation}")).await;
    assert_eq!(still.body["status"], "active", "the stranger released it");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn finance_reads_every_book_and_writes_none(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (finance, owner) =
        (stage.caller(Role::PlatformFinance).await, stage.caller(Role::Owner).await);
    let top_up = owner.top_up("20.00").await;
    let whose = format!("organisation_id={}", owner.organisation_id);
    for path in ["/v1/balance", "/v1/statement"] {
        let theirs = finance.get(&format!("{path}?{whose}")).await;
        assert_eq!(theirs.body["items"].as_array().unwrap().len(), 1, "{}", theirs.body);
        let own = finance.get(path).await;
        assert_eq!(own.body["items"], json!([]), "{path}: finance has no wallet of its own");
    }
    for (currency, wallets) in [("USD", 1), ("EUR", 0)] {
        let path = format!("/v1/balance?currency={currency}&{whose}");
        let found = finance.get(&path).await;
        assert_eq!(found.body["items"].as_array().unwrap().len(), wallets, "{}", found.body);
    }
    assert_eq!(finance.get(&format!("/v1/top-ups/{top_up}")).await.status, 200);
    let stranger = stage.caller(Role::Owner).await;
    let asked = stranger.get(&format!("/v1/balance?{whose}")).await;
    assert_eq!((asked.status, asked.code()), (404, "not_found"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_is_folded_anew_is_served_and_holds_up_no_other(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    operator.post("/v1/nodes", &json!({ "name": "n1" })).await;
    operator.until("/v1/nodes", |nodes| nodes["items"][0]["name"] == "n1").await;
    // Somebody else has begun to fold it anew, and takes a while.
    let mut other = options.connect().await.unwrap();
    let begin = "UPDATE projection_checkpoints SET version = 1 WHERE name = 'fleet/nodes';
        SELECT pg_advisory_lock(hashtextextended('cairn rebuild fleet/nodes', 0))";
    sqlx::raw_sql(begin).execute(&mut other).await.unwrap();

    let invited = operator.post("/v1/nodes", &json!({ "name": "n2" })).await;
    let nodes = operator.get("/v1/nodes").await;
    assert_eq!((nodes.status, nodes.text("/items/0/name")), (200, "n1".to_owned()));
    let made = customer.post("/v1/top-ups", &json!({ "amount": "5.00", "currency": "USD" })).await;
    let at = |path: &str, position: &str| format!("{path}?min_position={position}");
    let position = made.header("cairn-position");
    assert_eq!(customer.get(&at("/v1/top-ups", position)).await.status, 200, "it waits for fleet");
    let ready = customer.get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.to_string().contains("folded anew: fleet/nodes"), "{}", ready.body);
    let late = operator.get(&at("/v1/nodes", invited.header("cairn-position"))).await;
    assert_eq!((late.status, late.code()), (503, "position_not_reached"), "{}", late.body);

    other.close().await.unwrap();
    operator.until("/v1/nodes", |nodes| nodes["items"][0]["name"] == "n2").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn one_reads_what_one_wrote(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    for _ in 0..20 {
        let made = customer.post("/v1/top-ups", &wish).await;
        let position = made.header("cairn-position");
        let path = format!("{}?min_position={position}", made.header("location"));
        let read = customer.get(&path).await;
        assert_eq!(read.status, 200, "{}", read.body);
        let at = |answer: &str| answer.parse::<i64>().unwrap();
        assert!(at(read.header("cairn-position")) >= at(position));
    }
    stage.strike().await;
}
