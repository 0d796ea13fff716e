//! The one route that writes for people without a key.
use cairn_core::NodeId;
use cairn_fleet::{Node, NodeCommand};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Caller, Stage};

const ROUTE: &str = "/v1/nodes/enrol";

async fn invite(operator: &Caller, name: &str) -> Answer {
    let invited = operator.post("/v1/nodes", &json!({ "name": name })).await;
    assert_eq!(invited.status, 201, "{}", invited.body);
    invited
}

fn with(enrolment: &Value, member: &str, value: Value) -> Value {
    let mut changed = enrolment.clone();
    changed[member] = value;
    changed
}

async fn commands(stage: &Stage) -> (i64, i64) {
    let log = stage.commands.executor.log();
    let counted = sqlx::query_scalar("SELECT count(*) FROM commands").fetch_one(log.pool()).await;
    (counted.unwrap(), log.head().await.unwrap())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_token_that_is_not_good_leaves_nothing_behind(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, nobody) = (stage.caller(Role::PlatformOperator).await, stage.nobody());
    let invited = invite(&operator, "n1").await;
    let node = format!("/v1/nodes/{}", invited.text("/node_id"));
    operator.until(&node, |node| node["lifecycle"] == "invited").await;
    let enrolment = stage.enrolment(&invited.body);
    let before = commands(&stage).await;
    for number in 0..20_u128 {
        let node_id = match number % 2 {
            0 => NodeId::from_bits(number + 1).to_string(),
            _ => invited.text("/node_id"),
        };
        let guessed = json!(format!("{node_id}.{number:064x}"));
        let refused = nobody.post(ROUTE, &with(&enrolment, "token", guessed)).await;
        assert_eq!((refused.status, refused.code()), (403, "enrolment_token_refused"));
    }
    assert_eq!(commands(&stage).await, before);
    assert_eq!(nobody.post(ROUTE, &enrolment).await.status, 200, "the invitation is as good");
    assert_ne!(commands(&stage).await, before);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_repeat_is_signed_only_for_a_node_that_is_trusted(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, nobody) = (stage.caller(Role::PlatformOperator).await, stage.nobody());
    let invited = invite(&operator, "n1").await;
    let enrolment = stage.enrolment(&invited.body);
    assert_eq!(nobody.post(ROUTE, &enrolment).await.status, 200);
    let path = format!("/v1/nodes/{}", invited.text("/node_id"));
    operator.until(&path, |node| node["lifecycle"] == "ready").await;
    let again = nobody.post(ROUTE, &enrolment).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let answer: Value = serde_json::from_str(again.body["answer"].as_str().unwrap()).unwrap();
    assert_eq!(answer["node_id"], invited.body["node_id"]);

    let quarantine = NodeCommand::Quarantine {
        reason: "its host key changed".to_owned(),
        at: stage.commands.clock.now(),
    };
    let (node, context) = (invited.text("/node_id"), stage.context());
    let executor = &stage.commands.executor;
    executor.execute::<Node>(&node, quarantine, &context, Value::Null).await.unwrap();
    let refused = nobody.post(ROUTE, &enrolment).await;
    assert_eq!((refused.status, refused.code()), (403, "enrolment_token_refused"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn two_nodes_never_share_an_address(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (operator, nobody) = (stage.caller(Role::PlatformOperator).await, stage.nobody());
    let first = invite(&operator, "n1").await;
    assert_eq!(nobody.post(ROUTE, &stage.enrolment(&first.body)).await.status, 200);
    let path = format!("/v1/nodes/{}", first.text("/node_id"));
    operator.until(&path, |node| node["lifecycle"] == "ready").await;

    let second = stage.enrolment(&invite(&operator, "n2").await.body);
    let before = commands(&stage).await;
    for same in ["192.0.2.7", "::ffff:192.0.2.7"] {
        let refused = nobody.post(ROUTE, &with(&second, "address", json!(same))).await;
        assert_eq!((refused.status, refused.code()), (409, "node_address_in_use"), "{same}");
    }
    assert_eq!(commands(&stage).await, before);
    let corrected = with(&second, "address", json!("192.0.2.8"));
    assert_eq!(nobody.post(ROUTE, &corrected).await.status, 200, "the token is as good as before");

    let wish = json!({ "reason": "sold" });
    let retired = operator.post_upon("*", &format!("{path}/retire"), &wish).await;
    assert_eq!(retired.status, 200, "{}", retired.body);
    operator.until(&path, |node| node["policy"] == "retired").await;
    let third = stage.enrolment(&invite(&operator, "n3").await.body);
    assert_eq!(nobody.post(ROUTE, &third).await.status, 200, "a retired node has no address");
    stage.strike().await;
}
