//! Payment methods over HTTP: kept once, one's own, charged by their name; and nothing of them in a table readable.
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Caller, Stage};

const METHODS: &str = "/v1/payment-methods";

/// A card that is kept; answers its id.
pub async fn kept_method(owner: &Caller) -> String {
    let asked = owner.post(METHODS, &json!({ "payment_method": "pm_card_visa" })).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    owner.until(asked.header("location"), |method| method["status"] == "saved").await;
    asked.text("/payment_method_id")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_kept_card_pays_under_its_name_and_by_default(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let id = kept_method(&owner).await;
    let list = owner.get(METHODS).await;
    let shown = &list.body["items"][0];
    assert_eq!((list.status, &shown["payment_method_id"]), (200, &json!(id)), "{}", list.body);
    let seen = ["kind", "brand", "last4", "expires", "is_default"].map(|name| shown[name].clone());
    assert_eq!(
        seen.to_vec(),
        [json!("card"), json!("visa"), json!("4242"), json!("2034-04"), json!(true)]
    );
    let secret = owner.get(&format!("{METHODS}/{id}/client-secret")).await;
    assert_eq!(secret.status, 200, "{}", secret.body);

    let wish = json!({ "amount": "20.00", "currency": "USD", "payment_method_id": id });
    let would = owner.post("/v1/top-ups?preview=true", &wish).await;
    assert_eq!(
        (would.status, &would.body["costs"]["paid_in"]),
        (200, &json!("20.00")),
        "{}",
        would.body
    );
    assert_eq!(owner.get("/v1/top-ups").await.body["items"], json!([]), "it was only asked");
    let paid = owner.post("/v1/top-ups", &wish).await;
    assert_eq!(paid.status, 201, "{}", paid.body);
    owner.until(paid.header("location"), |top_up| top_up["status"] == "succeeded").await;

    let both = json!({
        "amount": "20.00", "currency": "USD", "payment_method_id": id, "payment_method": "pm_card_visa",
    });
    assert_eq!(owner.post("/v1/top-ups", &both).await.code(), "body_invalid");
    let stranger = stage.caller(Role::Owner).await;
    let foreign = stranger.post("/v1/top-ups", &wish).await;
    assert_eq!((foreign.status, foreign.code()), (404, "unknown_payment_method"));

    let second = kept_method(&owner).await;
    let path = format!("{METHODS}/{second}/default");
    assert_eq!(owner.post(&path, &json!({})).await.status, 200);
    let remove = format!("{METHODS}/{second}/remove");
    let would = owner.post(&format!("{remove}?preview=true"), &json!({})).await;
    let named = (&would.body["deletes"][0]["kind"], &would.body["deletes"][0]["id"]);
    assert_eq!(named, (&json!("payment_method"), &json!(second)), "{}", would.body);
    let removed = owner.post(&remove, &json!({})).await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    let gone = owner.get(&format!("{METHODS}/{second}")).await;
    assert_eq!((gone.status, gone.code()), (404, "unknown_payment_method"));
    let left = owner.get(&format!("{METHODS}/{id}")).await;
    assert_eq!(left.body["is_default"], Value::Bool(true), "it passed on");
    let pool = stage.commands.executor.log().pool();
    let readable = "SELECT count(*) FROM events WHERE aggregate_type = 'payment_methods' \
                    AND payload::text ~ '4242|pm_card_visa|2034-04'";
    let readable: i64 = sqlx::query_scalar(readable).fetch_one(pool).await.unwrap();
    assert_eq!(readable, 0, "what people know a card by is sealed");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refused_card_says_why_and_is_charged_with_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let asked = owner.post(METHODS, &json!({ "payment_method": "pm_card_chargeDeclined" })).await;
    let path = asked.header("location").to_owned();
    let refused = owner.until(&path, |method| method["status"] == "failed").await;
    assert_eq!(refused["failure_code"], "card_declined");
    let id = asked.text("/payment_method_id");
    let wish = json!({ "amount": "20.00", "currency": "USD", "payment_method_id": id });
    assert_eq!(owner.post("/v1/top-ups", &wish).await.code(), "payment_method_in_wrong_state");
    for wrong in ["pm card", ""] {
        let wrong = owner.post(METHODS, &json!({ "payment_method": wrong })).await;
        assert_eq!(wrong.code(), "body_invalid", "{}", wrong.body);
    }
    stage.strike().await;
}
