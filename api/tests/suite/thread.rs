//! The thin thread: from the HTTP request to the node and back to the books.
use cairn_commands::ports::PortError;
use cairn_compute::Step;
use cairn_identity::Role;
use cairn_ssh::{Call, When};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{SSH_KEY, Stage};

fn rental() -> Value {
    json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY })
}

#[sqlx::test(migrations = "../migrations")]
async fn a_customer_pays_rents_releases_and_gets_the_rest_back(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::Operator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    let top_up = customer.top_up("20.00").await;

    let asked = customer.post("/v1/allocations", &rental()).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let path = asked.header("location").to_owned();
    let active = customer.until(&path, |a| a["status"] == "active").await;
    assert_eq!(active["ssh"]["address"], "192.0.2.7");
    assert!(active["ssh"]["known_hosts"].as_str().unwrap().starts_with("@cert-authority "));
    let held = customer.get("/v1/balance").await;
    assert_ne!(held.text("/items/0/held"), "0.00");

    customer.until(&path, |a| a["active_seconds"].as_i64() >= Some(2)).await;
    let released = customer.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "{}", released.body);
    let released = customer.until(&path, |a| a["status"] == "released").await;
    let seconds = released["active_seconds"].as_i64().unwrap();
    let charged = format!("0.{seconds:03}").trim_end_matches('0').to_owned();
    assert_eq!(released["charged"], charged, "3.60 an hour is 0.001 a second");
    assert!(stage.nodes.left().is_empty());
    let steps = customer.get(&format!("{path}/timeline")).await;
    let steps: Vec<_> = steps.body["items"].as_array().unwrap().iter().collect();
    assert_eq!(steps.iter().filter(|s| s["entry"] == "step_completed").count(), 6);

    let refund = customer.post("/v1/refunds", &json!({ "top_up_id": top_up })).await;
    assert_eq!(refund.status, 201, "{}", refund.body);
    let path = refund.header("location").to_owned();
    let refund = customer.until(&path, |r| r["status"] == "succeeded").await;
    assert_eq!(refund["amount"], "19.99");
    let balance = customer.get("/v1/balance").await;
    assert_eq!(
        (balance.text("/items/0/held"), balance.text("/items/0/owed")),
        ("0.00".to_owned(), "0.00".to_owned())
    );
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_failed_step_leaves_no_trace_and_costs_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::Operator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("10.00").await;
    let error = PortError::permanent("step_failed", "by script");
    stage.nodes.fail(Call::Ensure(Step::Access), When::Before, error, None);

    let asked = customer.post("/v1/allocations", &rental()).await;
    let path = asked.header("location").to_owned();
    let failed = customer.until(&path, |a| a["status"] == "failed").await;
    assert!(stage.nodes.bites() > 0, "the failure never struck");
    assert_eq!(failed["failure"]["step"], "access");
    assert_eq!(failed["charged"], "0.00");
    assert!(stage.nodes.left().is_empty());
    customer.until("/v1/balance", |b| b["items"][0]["available"] == "10.00").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unreachable_node_fails_the_rental_and_says_why(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::Operator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    let broke = customer.post("/v1/allocations", &rental()).await;
    let path = broke.header("location").to_owned();
    let rejected = customer.until(&path, |a| a["status"] == "rejected").await;
    assert_eq!(rejected["failure"]["code"], "insufficient_funds");

    customer.top_up("10.00").await;
    let error = PortError::permanent("node_unreachable", "no route to host");
    stage.nodes.fail(Call::Ensure(Step::Uid), When::Before, error, None);
    let asked = customer.post("/v1/allocations", &rental()).await;
    let path = asked.header("location").to_owned();
    let failed = customer.until(&path, |a| a["status"] == "failed").await;
    assert_eq!(failed["failure"]["code"], "node_unreachable");
    stage.strike().await;
}
