//! What people should be told is told once to each of them, and to nobody whom it does not concern.
use cairn_fleet::{Node, NodeCommand};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Caller, SSH_KEY, Stage};

fn kinds(inbox: &Value) -> Vec<String> {
    let items = inbox["items"].as_array().unwrap().iter();
    items.map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
}

async fn read(caller: &Caller, notice: &str, how: &str) -> Answer {
    caller.post(&format!("/v1/inbox/{notice}/{how}"), &json!({})).await
}

#[sqlx::test(migrations = "../migrations")]
async fn what_concerns_one_is_told_until_it_is_read(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (operator, owner) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    let colleague = stage.caller_of(Role::Viewer, owner.organisation_id).await;
    let stranger = stage.caller(Role::Owner).await;
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let rented = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    owner.until(&format!("/v1/allocations/{rented}"), |a| a["status"] == "active").await;
    owner.post(&format!("/v1/allocations/{rented}/release"), &json!({})).await;
    let told = owner.until("/v1/inbox", |inbox| inbox["unread"] == 3).await;
    assert_eq!(kinds(&told), ["allocation.released", "allocation.activated", "payment.succeeded"]);
    assert_eq!(told["items"][0]["subject_id"], *rented);
    assert!(told["items"].as_array().unwrap().iter().all(|item| item["read"] == false));
    let ids: Vec<_> = (0..3).map(|at| told["items"][at]["notice_id"].as_str().unwrap()).collect();

    let answer = read(&owner, ids[1], "read").await;
    assert_eq!((answer.status, &answer.body["unread"]), (200, &json!(2)));
    assert_eq!(read(&owner, ids[1], "read").await.body["unread"], 2, "twice is once");
    let left = owner.get("/v1/inbox?unread=true").await;
    assert_eq!(kinds(&left.body), ["allocation.released", "payment.succeeded"]);
    let all = owner.get("/v1/inbox").await;
    let states =
        |inbox: &Value| (0..3).map(|at| inbox["items"][at]["read"] == true).collect::<Vec<_>>();
    assert_eq!(states(&all.body), [false, true, false]);
    let theirs = colleague.get("/v1/inbox").await;
    assert_eq!(theirs.body["unread"], 3, "another one has not read it");
    assert_eq!(read(&owner, ids[1], "read-until").await.body["unread"], 1);
    assert_eq!(states(&owner.get("/v1/inbox").await.body), [false, true, true]);
    assert_eq!(read(&owner, ids[2], "read-until").await.body["unread"], 1, "it goes on only");
    assert_eq!(read(&owner, ids[0], "read-until").await.body["unread"], 0);
    let first = owner.get("/v1/inbox?limit=2").await;
    let rest = format!("/v1/inbox?limit=2&cursor={}", first.text("/next_cursor"));
    assert_eq!(kinds(&owner.get(&rest).await.body), ["payment.succeeded"]);

    assert_eq!(stranger.get("/v1/inbox").await.body, json!({ "items": [], "unread": 0 }));
    for how in ["read", "read-until"] {
        let foreign = read(&stranger, ids[0], how).await;
        let missing = read(&stranger, "notice_999999", how).await;
        let said = |answer: &Answer| (answer.status, answer.body["detail"].clone());
        assert_eq!((said(&foreign), foreign.status), (said(&missing), 404));
        for malformed in ["notice_", "notice_01", "notice_-1", "x"] {
            assert_eq!(said(&read(&stranger, malformed, how).await), said(&missing), "{malformed}");
        }
    }
    let node = operator.get("/v1/nodes").await.text("/items/0/node_id");
    let at = stage.commands.clock.now();
    let quarantine = NodeCommand::Quarantine { reason: "its host key changed".to_owned(), at };
    let (executor, context) = (&stage.commands.executor, stage.context());
    executor.execute::<Node>(&node, quarantine, &context, Value::Null).await.unwrap();
    let nodes = operator.until("/v1/inbox", |inbox| inbox["unread"] == 1).await;
    assert_eq!(kinds(&nodes), ["node.quarantined"], "operators hear of nodes, not of rentals");
    assert_eq!(owner.get("/v1/inbox").await.body["unread"], 0, "and nobody else does");
    stage.strike().await;
}
