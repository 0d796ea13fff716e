//! Alerts over HTTP: set by those who see to the money, told by mail and webhook, and again only when there is reason.
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::{Mailbox, Person};
use crate::receiver::Receiver;
use crate::support::{Answer, Caller, Stage, answer};

const REACHED: &str = "cairn.wallet.alert_reached.v1";

async fn put(caller: &Caller, key: &str, body: &Value) -> Answer {
    let request = caller.request(Method::PUT, "/v1/alerts");
    answer(request.header("idempotency-key", key).json(body)).await
}

/// What is shown of dollars.
fn dollars(shown: &Value) -> Value {
    let items = shown["items"].as_array().unwrap();
    items.iter().find(|item| item["currency"] == "USD").unwrap().clone()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_balance_that_falls_is_told_by_mail_and_webhook(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation_id = ada.found("Engines").await;
    let owner = stage.caller_of(Role::Owner, organisation_id).await;
    let receiver = Receiver::answering(&[]).await;
    let wish = json!({ "url": receiver.url, "event_types": [REACHED] });
    assert_eq!(owner.post("/v1/webhook-endpoints", &wish).await.status, 201);
    let top_up = owner.top_up("20.00").await;
    let alerts =
        json!([{ "on": "balance_below", "amount": "15" }, { "on": "spent", "amount": "1" }]);
    let set = put(&owner, "set", &json!({ "currency": "USD", "alerts": alerts })).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let shown = dollars(&set.body);
    let told = |shown: &Value| -> Vec<_> {
        let alerts = shown["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| (alert["amount"].clone(), alert["told"].clone())).collect()
    };
    assert_eq!(told(&shown), [(json!("1.00"), json!(false)), (json!("15.00"), json!(false))]);
    assert_eq!((&shown["spent"], &shown["balance"]), (&json!("0.00"), &json!("20.00")));
    let again = put(&owner, "set", &json!({ "currency": "USD", "alerts": alerts })).await;
    assert_eq!(again.body, set.body, "a repeat is answered as it was first");

    let refund = json!({ "top_up_id": top_up, "amount": "6.00", "currency": "USD" });
    assert!(owner.post("/v1/refunds", &refund).await.status < 300);
    let data = receiver.have(1).await[0].event()["data"].clone();
    assert_eq!(data["alert"]["on"], "balance_below");
    assert_eq!(data["alert"]["amount"], json!({ "amount": "15.00", "currency": "USD" }));
    assert_eq!(data["seen"]["amount"], "14.00");
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    mailbox.says("Subject: Your balance is lower than you wanted to be told of").await;
    mailbox.says("There are 14.00 USD left").await;
    let shown = dollars(&owner.get("/v1/alerts").await.body);
    assert_eq!(told(&shown)[1], (json!("15.00"), json!(true)));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn alerts_are_set_by_those_who_see_to_the_money_and_a_slip_is_named(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let finance = stage.caller_of(Role::Finance, owner.organisation_id).await;
    let developer = stage.caller_of(Role::Developer, owner.organisation_id).await;
    let twice = json!([{ "on": "spent", "amount": "1" }, { "on": "spent", "amount": "1.0" }]);
    let found = put(&owner, "a", &json!({ "currency": "USD", "alerts": twice })).await;
    assert_eq!((found.status, found.code()), (422, "alerts_invalid"), "{}", found.body);
    let slips = json!([{ "on": "spent", "amount": "5" }, { "on": "spent", "amount": "0" },
                       { "on": "balance_below", "amount": "much" }]);
    let found = put(&owner, "b", &json!({ "currency": "usd", "alerts": slips })).await;
    let errors = found.body["errors"].as_array().unwrap();
    let wrong: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(
        (found.status, &wrong[..]),
        (422, &["/currency", "/alerts/1/amount", "/alerts/2/amount"][..])
    );
    let found = put(
        &owner,
        "c",
        &json!({ "currency": "USD", "alerts": [{ "on": "rain", "amount": "1" }] }),
    )
    .await;
    assert_eq!((found.status, found.code()), (422, "body_invalid"), "{}", found.body);

    let one = json!({ "currency": "EUR", "alerts": [{ "on": "spent", "amount": "5" }] });
    let set = put(&finance, "d", &one).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(developer.get("/v1/alerts").await.body, set.body, "whoever rents sees them");
    let refused = put(&developer, "e", &one).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let none = put(&owner, "f", &json!({ "currency": "EUR", "alerts": [] })).await;
    let items = none.body["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["alerts"] == json!([])), "{}", none.body);
    stage.strike().await;
}
