//! The same key means the same wish, however often and however many at once.
use cairn_identity::Role;
use futures::future::join_all;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::Stage;

#[sqlx::test(migrations = "../migrations")]
async fn a_repeat_gets_the_first_answer_and_does_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let first = customer.post_as("once", "/v1/top-ups", &wish).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    let spelt_otherwise = json!({ "currency": "USD", "amount": "5.00" });
    let again = customer.post_as("once", "/v1/top-ups", &spelt_otherwise).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("location"), first.header("location"));

    let other = json!({ "amount": "6.00", "currency": "USD" });
    let reused = customer.post_as("once", "/v1/top-ups", &other).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency_key_reused"));
    let elsewhere = customer.post_as("once", "/v1/refunds", &json!({ "top_up_id": "x" })).await;
    assert_ne!(elsewhere.status, 201);
    let somebody_else = stage.caller(Role::Owner).await;
    let theirs = somebody_else.post_as("once", "/v1/top-ups", &other).await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (201, ""));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_is_repeated_as_well(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "0.01", "currency": "USD" });
    let first = customer.post_as("low", "/v1/top-ups", &wish).await;
    let again = customer.post_as("low", "/v1/top-ups", &wish).await;
    assert_eq!((first.code(), again.code()), ("amount_out_of_range", "amount_out_of_range"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn many_at_once_have_one_effect(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    let answers = join_all((0..10).map(|_| customer.post_as("same", "/v1/top-ups", &wish))).await;
    let (made, waits): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    let fresh = made.iter().filter(|a| a.header("idempotency-replayed").is_empty()).count();
    assert_eq!(fresh, 1);
    for answer in &waits {
        assert_eq!((answer.status, answer.code()), (409, "command_in_flight"));
        assert_eq!((answer.header("retry-after"), &answer.body["retryable"]), ("1", &json!(true)));
    }
    let again = customer.post_as("same", "/v1/top-ups", &wish).await;
    for answer in made.into_iter().chain([&again]) {
        assert_eq!((answer.status, &answer.body), (201, &again.body));
    }
    customer.until("/v1/balance", |b| b["items"][0]["posted"] == "5.00").await;
    let all = customer.get("/v1/top-ups").await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 1);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_on_its_way_is_said_to_be_and_once_it_has_landed_it_is_answered(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let mut barred = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE").execute(&mut barred).await.unwrap();
    let hindered = customer.post_as("slow", "/v1/top-ups", &wish);
    let meanwhile = async {
        // A request that comes before the first one has begun would be the first.
        while stage.api().in_flight.count() == 0 {
            tokio::task::yield_now().await;
        }
        let again = customer.post_as("slow", "/v1/top-ups", &wish).await;
        assert_eq!((again.status, again.code()), (409, "command_in_flight"));
        let other = json!({ "amount": "6.00", "currency": "USD" });
        let other = customer.post_as("slow", "/v1/top-ups", &other).await;
        assert_eq!(other.code(), "command_in_flight", "another body is not looked at yet");
        barred.close().await.unwrap();
    };
    let (made, ()) = tokio::join!(hindered, meanwhile);
    assert_eq!(made.status, 201, "{}", made.body);
    let again = customer.post_as("slow", "/v1/top-ups", &wish).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(stage.api().in_flight.count(), 0);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_lost_the_answer_can_ask_whether_it_happened(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (owner, stranger) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let before = owner.get("/v1/commands/pay%2F1").await;
    assert_eq!((before.status, before.code()), (404, "unknown_command"));
    let wish = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    let made = owner.post_as("pay/1", "/v1/top-ups", &wish("5.00")).await;
    let happened = owner.get("/v1/commands/pay%2F1").await;
    assert_eq!(happened.body["outcome"], "accepted");
    assert_eq!(happened.text("/key"), "pay/1");
    assert_eq!(happened.body["id"], made.body["top_up_id"]);
    assert_eq!(happened.body["position"].to_string(), made.header("cairn-position"));
    owner.post_as("low", "/v1/top-ups", &wish("0.01")).await;
    let refused = owner.get("/v1/commands/low").await;
    assert_eq!(refused.body["outcome"], "refused");
    assert_eq!(refused.text("/code"), "amount_out_of_range");
    assert_eq!(stranger.get("/v1/commands/low").await.code(), "unknown_command");
    owner.post_as("bad", "/v1/top-ups", &json!({})).await;
    assert_eq!(owner.get("/v1/commands/bad").await.status, 404, "the key is as new");
    stage.strike().await;
}
