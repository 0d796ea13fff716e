//! Webhooks: forged ones are refused, and duplicates, disorder and loss change nothing.
use cairn_api::system::SystemClock;
use cairn_commands::ports::Clock;
use cairn_identity::Role;
use cairn_stripe_simulator::{Chance, Faults, sign};
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Stage, answer};

const EVENT: &str = r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded","created":1700000000,
    "data":{"object":{"id":"pi_unknown","object":"payment_intent"}}}"#;

fn seconds() -> i64 {
    SystemClock.now().as_micros() / 1_000_000
}

async fn deliver(stage: &Stage, body: &str, signature: &str) -> Answer {
    let request = stage.nobody().request(Method::POST, "/v1/webhooks/stripe");
    let request = request.header("stripe-signature", signature).body(body.to_owned());
    answer(request).await
}

#[sqlx::test(migrations = "../migrations")]
async fn only_what_stripe_signed_lately_is_taken(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let secret = stage.provider.payments.webhook_secrets[0].clone();
    let good = sign(&secret, seconds(), EVENT.as_bytes());
    let cases = [
        (EVENT, String::new(), 400, "webhook_signature_malformed"),
        (EVENT, sign("whsec_other", seconds(), EVENT.as_bytes()), 400, "webhook_signature_invalid"),
        (r#"{"id":"evt_2"}"#, good.clone(), 400, "webhook_signature_invalid"),
        (EVENT, sign(&secret, seconds() - 400, EVENT.as_bytes()), 400, "webhook_signature_stale"),
        ("nonsense", sign(&secret, seconds(), b"nonsense"), 400, "webhook_body_unreadable"),
    ];
    for (body, signature, status, code) in cases {
        let refused = deliver(&stage, body, &signature).await;
        assert_eq!((refused.status, refused.code()), (status, code));
    }
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(deliver(&stage, &large, &good).await.code(), "body_too_large");
    assert_eq!(deliver(&stage, EVENT, &good).await.status, 200);
    assert_eq!(deliver(&stage, EVENT, &good).await.status, 200, "a duplicate is taken calmly");
    let pool = stage.commands.executor.log().pool();
    let stored: Vec<(String, i64)> = sqlx::query_as(
        "SELECT CASE WHEN status IN ('pending', 'processed') THEN 'taken' ELSE status END AS s, count(*)
         FROM payments_webhook_inbox GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let counted = |name: &str, n: i64| (name.to_owned(), n);
    assert_eq!(stored, [counted("duplicate", 1), counted("taken", 1), counted("unreadable", 1)]);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn disorder_and_duplicates_count_once(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let simulator = &stage.provider.simulator;
    simulator.set_faults(Faults {
        webhook_duplicate: Chance::probability(1.0),
        webhook_reorder: Chance::probability(0.5),
        ..Faults::default()
    });
    let customer = stage.caller(Role::Owner).await;
    let mut paid = vec![];
    for _ in 0..3 {
        paid.push(customer.top_up("10.00").await);
    }
    for id in &paid {
        let wish = json!({ "top_up_id": id, "amount": "4.00", "currency": "USD" });
        let asked = customer.post("/v1/refunds", &wish).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let path = asked.header("location").to_owned();
        customer.until(&path, |r| r["status"] == "succeeded").await;
    }
    assert!(simulator.counts().webhook_duplicate > 0, "no duplicate was sent");
    let balance = customer.get("/v1/balance").await;
    assert_eq!(balance.text("/items/0/posted"), "18.00");
    let lines = customer.get("/v1/statement").await;
    assert_eq!(lines.body["items"].as_array().unwrap().len(), 6);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn without_any_webhook_the_money_still_arrives(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let simulator = &stage.provider.simulator;
    simulator.set_webhook("http://127.0.0.1:9/nobody", "whsec_none");
    let customer = stage.caller(Role::Owner).await;
    customer.top_up("10.00").await;
    let failed =
        json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_chargeDeclined" });
    let asked = customer.post("/v1/top-ups", &failed).await;
    let path = asked.header("location").to_owned();
    let failed = customer.until(&path, |t| t["status"] == "failed").await;
    assert!(failed["failure_code"].is_string(), "{failed}");
    stage.strike().await;
}
