//! Alerts over HTTP: set by those who see to the money, told by mail and webhook, and again only when there is reason.
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::{Mailbox, Person};
use crate::receiver::Receiver;
use crate::support::{Answer, Caller, SSH_KEY, Stage, answer};

const REACHED: &str = "cairn.wallet.alert_reached.v1";
const PROJECT_REACHED: &str = "cairn.wallet.project_alert_reached.v1";

async fn put(caller: &Caller, key: &str, body: &Value) -> Answer {
    put_to(caller, key, "/v1/alerts", body).await
}

async fn put_to(caller: &Caller, key: &str, path: &str, body: &Value) -> Answer {
    let request = caller.request(Method::PUT, path);
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

/// As soon as the node proves that it was used, more than nothing is.
#[sqlx::test(migrations = "../migrations")]
async fn a_project_is_told_of_its_own_sum_by_mail_and_webhook(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation_id = ada.found("Engines").await;
    let owner = stage.caller_of(Role::Owner, organisation_id).await;
    let developer = stage.caller_of(Role::Developer, organisation_id).await;
    let receiver = Receiver::answering(&[]).await;
    let wish = json!({ "url": receiver.url, "event_types": [PROJECT_REACHED] });
    assert_eq!(owner.post("/v1/webhook-endpoints", &wish).await.status, 201);
    owner.top_up("20.00").await;
    let made = owner.post("/v1/projects", &json!({ "name": "search" })).await;
    let project = made.text("/project_id");
    let path = format!("/v1/projects/{project}/alerts");

    let of = |on: &str, amount: &str| json!({ "currency": "USD", "alerts": [{ "on": on, "amount": amount }] });
    let set = put_to(&owner, "set", &path, &of("spent", "0.001")).await;
    assert_eq!((set.status, &set.body["project_id"]), (200, &json!(project)), "{}", set.body);
    let shown = dollars(&set.body);
    let alert = json!({ "on": "spent", "amount": "0.001", "told": false });
    assert_eq!((&shown["alerts"], &shown["spent"]), (&json!([alert]), &json!("0.00")));
    assert_eq!(developer.get(&path).await.body, set.body, "whoever rents sees them");
    for (caller, key, path, body, code) in [
        (&developer, "a", path.as_str(), of("spent", "1"), "forbidden"),
        (&owner, "b", "/v1/projects/nothing/alerts", of("spent", "1"), "unknown_project"),
        (&owner, "c", &path, of("balance_below", "1"), "alerts_invalid"),
        (&owner, "d", &path, of("spent", "0"), "body_invalid"),
    ] {
        let refused = put_to(caller, key, path, &body).await;
        assert_eq!(refused.code(), code, "{}", refused.body);
    }
    let stranger = stage.caller(Role::Owner).await;
    assert_eq!(stranger.get(&path).await.code(), "unknown_project");

    let rent = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY, "project_id": project });
    let rented = owner.post("/v1/allocations", &rent).await.header("location").to_owned();
    let used = |rental: &Value| rental["active_seconds"].as_i64() > Some(0);
    owner.until(&rented, used).await;
    owner.post(&format!("{rented}/release"), &json!({})).await;
    let data = receiver.have(1).await[0].event()["data"].clone();
    assert_eq!((&data["project_id"], &data["alert"]["on"]), (&json!(project), &json!("spent")));
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    mailbox.says("Subject: You have used what you wanted to be told of").await;
    mailbox.says(&project).await;
    let shown = dollars(&owner.get(&path).await.body);
    assert_eq!(shown["alerts"][0]["told"], true, "{shown}");
    let whole = dollars(&owner.get("/v1/alerts").await.body);
    assert_eq!(whole["alerts"], json!([]), "{whole}");
    stage.strike().await;
}
