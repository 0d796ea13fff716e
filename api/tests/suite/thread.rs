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
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    let nodes = operator.get("/v1/nodes").await;
    assert_eq!(nodes.text("/items/0/health"), "ok");
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
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
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
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
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

#[sqlx::test(migrations = "../migrations")]
async fn an_invitation_lets_one_node_in_once(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (operator, nobody) = (stage.caller(Role::PlatformOperator).await, stage.nobody());
    let invited = operator.post_as("n1", "/v1/nodes", &json!({ "name": "n1" })).await;
    let enrolment = stage.enrolment(&invited.body);
    let again = operator.post_as("n1", "/v1/nodes", &json!({ "name": "n1" })).await;
    assert_eq!(again.body["node_id"], invited.body["node_id"]);
    assert!(again.body.get("command").is_none(), "the token is shown once");

    let with = |member: &str, value: Value| {
        let mut changed = enrolment.clone();
        changed[member] = value;
        changed
    };
    let token = enrolment["token"].as_str().unwrap();
    let guessed =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { 1 } else { 0 });
    let cases = [
        (with("token", json!(guessed)), 403, "enrolment_token_refused"),
        (with("token", json!("none")), 403, "enrolment_token_refused"),
        (with("host_keys", json!(["ssh-ed25519 zzz"])), 422, "host_key_invalid"),
        (with("address", json!("-oProxyCommand=sh")), 422, "node_address_invalid"),
        (with("surprise", json!(1)), 422, "body_invalid"),
    ];
    for (body, status, code) in cases {
        let refused = nobody.post("/v1/nodes/enrol", &body).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{}", refused.body);
    }
    assert_eq!(nobody.post("/v1/nodes/enrol", &enrolment).await.status, 200);
    assert_eq!(nobody.post("/v1/nodes/enrol", &enrolment).await.status, 200, "the answer was lost");
    let thief = nobody.post("/v1/nodes/enrol", &with("address", json!("192.0.2.66"))).await;
    assert_eq!((thief.status, thief.code()), (403, "enrolment_token_refused"));
    let path = format!("/v1/nodes/{}", invited.text("/node_id"));
    let node = operator.until(&path, |node| node["lifecycle"] == "ready").await;
    assert_eq!(node["address"], "192.0.2.7");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cordoned_node_takes_nothing_new_and_a_busy_one_is_not_retired(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("20.00").await;
    let node = operator.get("/v1/nodes").await.text("/items/0/node_id");
    let steer = async |verb: &str| {
        let wish = json!({ "reason": "maintenance" });
        operator.post_upon("*", &format!("/v1/nodes/{node}/{verb}"), &wish).await
    };
    let path = customer.post("/v1/allocations", &rental()).await.header("location").to_owned();
    customer.until(&path, |a| a["status"] == "active").await;
    assert_eq!(steer("cordon").await.body["policy"], "cordoned");
    operator.until(&format!("/v1/nodes/{node}"), |n| n["policy"] == "cordoned").await;
    let second = customer.post("/v1/allocations", &rental()).await.header("location").to_owned();
    let refused = customer.until(&second, |a| a["status"] == "rejected").await;
    assert_eq!(refused["failure"]["code"], "no_capacity");
    let busy = steer("retire").await;
    assert_eq!((busy.status, busy.code()), (409, "node_in_use"));
    let released = operator.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "an operator may release anything: {}", released.body);
    let released = customer.until(&path, |a| a["status"] == "released").await;
    assert_eq!(released["release_reason"], "operator");
    assert_eq!(steer("retire").await.status, 200);
    assert_eq!(steer("uncordon").await.code(), "node_retired");
    stage.strike().await;
}
