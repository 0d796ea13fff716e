//! Automatic top-up over HTTP: set by those who may, previewed, charged, declined, and switched on again by a person.
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Caller, Stage, answer};

const PATH: &str = "/v1/auto-top-up";

pub async fn put(caller: &Caller, (key, query): (&str, &str), body: &Value) -> Answer {
    let request = caller.request(Method::PUT, &format!("{PATH}{query}"));
    answer(request.header("idempotency-key", key).json(body)).await
}

/// The one in dollars, as it is shown.
pub fn dollars(shown: &Value) -> &Value {
    let items = shown["items"].as_array().unwrap();
    items.iter().find(|item| item["currency"] == "USD").unwrap()
}

fn wish(payment_method: &str) -> Value {
    json!({
        "currency": "USD", "enabled": true, "threshold": "5.00", "amount": "20.00",
        "monthly_cap": "50.00", "payment_method": payment_method
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wallet_is_filled_by_itself_as_its_preview_says_and_goes_on_after_a_decline(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let preview = put(&owner, ("unused", "?preview=true"), &wish("pm_card_visa")).await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    let costs = &preview.body["costs"];
    let seen = (&costs["paid_in"], &costs["available_after"]);
    assert_eq!(seen, (&json!("20.00"), &json!("20.00")), "{}", preview.body);
    let shown = owner.get(PATH).await.body;
    assert_eq!(dollars(&shown)["status"], "off", "nothing is done by asking");

    let lost = put(&owner, ("lost", ""), &wish("pm_card_chargeDeclinedExpiredCard")).await;
    assert_eq!((lost.status, dollars(&lost.body)["status"].as_str()), (200, Some("on")));
    let seen = owner.until(PATH, |it| dollars(it)["status"] == "suspended").await;
    let (found, last) = (dollars(&seen), &dollars(&seen)["last"]);
    assert_eq!((&found["reason"], &found["taken"]), (&json!("expired_card"), &json!("0.00")));
    assert_eq!((&last["status"], &last["failure_code"]), (&json!("declined"), &found["reason"]));

    let again = json!({ "currency": "USD", "enabled": true, "payment_method": "pm_card_visa" });
    assert_eq!(put(&owner, ("again", ""), &again).await.status, 200);
    let seen = owner.until(PATH, |it| dollars(it)["last"]["status"] == "succeeded").await;
    let found = dollars(&seen);
    let money = (&found["taken"], &found["left"], &found["threshold"]);
    assert_eq!(money, (&json!("20.00"), &json!("30.00"), &json!("5.00")), "{found}");
    assert_eq!((found.get("reason"), found["not_before"].is_string()), (None, true), "it pauses");
    let top_up = format!("/v1/top-ups/{}", found["last"]["top_up_id"].as_str().unwrap());
    assert_eq!(owner.get(&top_up).await.body["status"], "succeeded", "a top-up like any other");
    owner.until("/v1/balance", |it| it["items"][0]["available"] == "20.00").await;
    let off = put(&owner, ("off", ""), &json!({ "currency": "USD", "enabled": false })).await;
    let found = dollars(&off.body);
    assert_eq!((&found["status"], &found["amount"]), (&json!("off"), &json!("20.00")));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn it_is_set_by_those_who_see_to_the_money_and_a_slip_is_named(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let finance = stage.caller_of(Role::Finance, owner.organisation_id).await;
    let developer = stage.caller_of(Role::Developer, owner.organisation_id).await;
    let with = |member: &str, said: Value| {
        let mut body = wish("pm_card_visa");
        body[member] = said;
        body
    };
    for (key, body, code) in [
        ("cap", with("monthly_cap", json!("19.99")), "auto_top_up_invalid"),
        ("small", with("amount", json!("0.50")), "amount_out_of_range"),
        ("cents", with("amount", json!("20.001")), "not_whole_minor_units"),
        ("bare", json!({ "currency": "USD", "enabled": true }), "auto_top_up_invalid"),
    ] {
        let found = put(&owner, (key, ""), &body).await;
        assert_eq!((found.status, found.code()), (422, code), "{}", found.body);
    }
    let wrong = json!({
        "currency": "usd", "enabled": true, "threshold": "0", "amount": "much",
        "payment_method": "a card", "payment_method_id": "method_1"
    });
    let found = put(&owner, ("wrong", ""), &wrong).await;
    let errors = found.body["errors"].as_array().unwrap();
    let named: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    let all = [
        "/currency",
        "/threshold",
        "/amount",
        "/monthly_cap",
        "/payment_method",
        "/payment_method_id",
    ];
    assert_eq!((found.status, &named[..]), (422, &all[..]), "{}", found.body);

    let mut euros = wish("pm_card_visa");
    (euros["currency"], euros["enabled"]) = (json!("EUR"), json!(false));
    let set = put(&finance, ("euros", ""), &euros).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(dollars(&set.body).get("amount"), None, "each currency by itself");
    assert_eq!(developer.get(PATH).await.body, set.body, "whoever rents sees it");
    let refused = put(&developer, ("no", ""), &euros).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let theirs = stage.caller(Role::Owner).await.get(PATH).await.body;
    assert!(theirs["items"].as_array().unwrap().iter().all(|item| item.get("amount").is_none()));
    stage.strike().await;
}
