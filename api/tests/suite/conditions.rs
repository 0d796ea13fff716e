//! Answers have tags: who has one is spared the rest, and who changes something says on what.
use cairn_identity::Role;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::openapi::operations;
use crate::support::{Answer, Caller, SSH_KEY, Stage, answer};

async fn again(caller: &Caller, path: &str, tag: &str) -> Answer {
    answer(caller.request(Method::GET, path).header("if-none-match", tag)).await
}

fn version(answer: &Answer) -> i64 {
    let tag = answer.header("etag").trim_matches('"');
    tag.split('-').next().unwrap().parse().unwrap()
}

/// Reads until what was written is seen.
async fn fresh(caller: &Caller, path: &str, written: &Answer) -> Answer {
    let position = written.header("cairn-position");
    let read = caller.get(&format!("{path}?min_position={position}")).await;
    assert_eq!(read.status, 200, "{}", read.body);
    read
}

fn price(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

async fn define(operator: &Caller) -> Answer {
    let resources = json!({
        "cpu_millis": 500, "memory_bytes": 64 << 20, "disk_bytes": 64 << 20, "pids_max": 64
    });
    operator.post("/v1/skus", &json!({ "sku_id": "small", "resources": resources })).await
}

#[sqlx::test(migrations = "../migrations")]
async fn who_has_the_answer_is_told_so_until_it_changes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    let defined = define(&operator).await;
    let path = "/v1/skus/small";
    assert_eq!((defined.header("etag"), defined.header("location")), ("\"1\"", path));
    let first = fresh(&customer, path, &defined).await;
    let tag = first.header("etag").to_owned();
    assert_eq!(version(&first), 1);
    for had in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = again(&customer, path, &had).await;
        assert_eq!((same.status, same.header("etag")), (304, &*tag), "{had}");
        assert_eq!(same.body, json!(""), "nothing is sent twice");
        assert!(!same.header("cairn-position").is_empty());
    }
    let head = customer.request(Method::HEAD, path).send().await.unwrap();
    assert_eq!(head.headers()["etag"], tag, "HEAD tells what GET would");

    let priced = operator.post_upon(&tag, &format!("{path}/prices"), &price("1.00")).await;
    assert_eq!((priced.status, priced.header("etag")), (200, "\"2\""), "{}", priced.body);
    let second = fresh(&customer, path, &priced).await;
    assert_eq!((version(&second), second.text("/prices/0/per_hour")), (2, "1.00".to_owned()));
    assert_eq!(again(&customer, path, &tag).await.status, 200, "the tag is of the past");

    // Lists have no version, and yet a tag.
    let list = customer.get("/v1/skus").await;
    let tag = list.header("etag").to_owned();
    assert_eq!(again(&customer, "/v1/skus", &tag).await.status, 304);
    operator.post_upon("\"2\"", &format!("{path}/prices"), &price("2.00")).await;
    operator.until(path, |sku| sku["prices"][0]["per_hour"] == "2.00").await;
    assert_eq!(again(&customer, "/v1/skus", &tag).await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_that_other_streams_add_to_is_never_taken_for_the_same(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, owner) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let rented = owner.post("/v1/allocations", &wish).await;
    assert_eq!(rented.header("etag"), "\"1\"");
    let path = format!("/v1/allocations/{}", rented.text("/allocation_id"));
    owner.until(&path, |a| a["status"] == "active").await;
    let released = owner.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "{}", released.body);
    let ended = owner.until(&path, |a| a["status"] == "released").await;
    let read = owner.get(&path).await;
    assert_eq!(read.body, ended);
    // The wallet's charge is no event of the allocation.
    let mut tags = [read.header("etag").to_owned(), String::new()];
    let more = "UPDATE compute_allocations SET charged_nanos = charged_nanos + 1000000000";
    sqlx::raw_sql(more).execute(stage.commands.executor.log().pool()).await.unwrap();
    let charged = again(&owner, &path, &tags[0]).await;
    assert_eq!(charged.status, 200, "what it cost has changed");
    tags[1] = charged.header("etag").to_owned();
    assert_eq!(version(&read), version(&charged));
    assert_ne!(tags[0], tags[1]);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_taken_back_is_not_done_unseen(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    assert_eq!(define(&operator).await.status, 201);
    let invited = operator.post("/v1/nodes", &json!({ "name": "n1" })).await;
    let node = format!("/v1/nodes/{}", invited.text("/node_id"));
    let reason = json!({ "reason": "old" });
    let disk = json!({ "amount": "1.00", "currency": "USD", "gib_max": 1 });
    let head = stage.commands.executor.log().head().await.unwrap();
    for (path, body) in [
        ("/v1/skus/small/prices".to_owned(), price("1.00")),
        ("/v1/skus/small/disk-prices".to_owned(), disk),
        ("/v1/skus/small/retire".to_owned(), json!({})),
        (format!("{node}/retire"), reason.clone()),
    ] {
        let unseen = operator.post(&path, &body).await;
        assert_eq!((unseen.status, unseen.code()), (428, "precondition_required"), "{path}");
        let malformed = operator.post_upon("1", &path, &body).await;
        assert_eq!((malformed.status, malformed.code()), (400, "precondition_invalid"), "{path}");
        for past in ["\"9\"", "\"0\"", "W/\"1\"", "\"abc\"", "\"2\", \"3\""] {
            let stale = operator.post_upon(past, &path, &body).await;
            assert_eq!((stale.status, stale.code()), (412, "precondition_failed"), "{path} {past}");
        }
    }
    assert_eq!(stage.commands.executor.log().head().await.unwrap(), head, "something was done");
    // Who wants it anyhow says so, and what need not be seen is done unseen.
    let cordoned = operator.post(&format!("{node}/cordon"), &reason).await;
    assert_eq!((cordoned.status, cordoned.header("etag")), (200, "\"2\""), "{}", cordoned.body);
    let stale = operator.post_upon("\"1\"", &format!("{node}/uncordon"), &reason).await;
    assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));
    let retired = operator.post_upon("\"1\", \"2\"", &format!("{node}/retire"), &reason).await;
    assert_eq!(retired.status, 200, "{}", retired.body);
    let retired = operator.post_upon("*", "/v1/skus/small/retire", &json!({})).await;
    assert_eq!(retired.status, 200, "{}", retired.body);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn of_all_who_saw_one_price_one_replaces_it(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    assert_eq!(define(&operator).await.status, 201);
    let path = "/v1/skus/small/prices";
    for seen in 1..=5 {
        let tag = format!("\"{seen}\"");
        let bodies: Vec<_> = (1..=6).map(|n| price(&format!("{seen}.{n}"))).collect();
        let asked = bodies.iter().map(|body| operator.post_upon(&tag, path, body));
        let answers = join_all(asked).await;
        let done: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
        assert_eq!(done.len(), 1, "{answers:?}");
        assert_eq!(done[0].header("etag"), format!("\"{}\"", seen + 1));
        assert_eq!(answers.iter().filter(|a| a.code() == "precondition_failed").count(), 5);
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_condition_is_part_of_the_wish(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    assert_eq!(define(&operator).await.status, 201);
    let ask = async |key: &str, tag: &str| {
        let request = operator.request(Method::POST, "/v1/skus/small/prices");
        let request = request.header("idempotency-key", key).header("if-match", tag);
        answer(request.json(&price("1.00"))).await
    };
    let first = ask("once", "\"1\"").await;
    let repeat = ask("once", "\"1-ab\"").await;
    assert_eq!((first.status, repeat.status), (200, 200), "{}", repeat.body);
    let told = (repeat.header("idempotency-replayed"), repeat.header("etag"));
    assert_eq!(told, ("true", "\"2\""), "it moved on by this very wish");
    assert_eq!(ask("once", "\"2\"").await.code(), "idempotency_key_reused");
    for replayed in ["", "true"] {
        let late = ask("late", "\"1\"").await;
        assert_eq!((late.status, late.code()), (412, "precondition_failed"));
        assert_eq!(late.header("idempotency-replayed"), replayed);
    }
    stage.strike().await;
}

#[test]
fn the_document_says_where_a_condition_is_read_and_where_it_must_come() {
    let demand = |body: &Value| {
        let parameters = body["parameters"].as_array().unwrap();
        let found = parameters.iter().find(|p| p["name"] == "If-Match");
        found.map(|parameter| parameter["required"] == true)
    };
    let with = |wanted| {
        let all = operations();
        let mut ids: Vec<_> =
            all.into_iter().filter(|o| demand(&o.body) == Some(wanted)).map(|o| o.id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        with(true),
        [
            "archive_feature_flag",
            "correct_usage",
            "retire_node",
            "retire_sku",
            "set_disk_price",
            "set_sku_price"
        ]
    );
    let honoured = [
        "archive_project",
        "clear_flag_override",
        "cordon_node",
        "delete_webhook_endpoint",
        "disable_service_account",
        "disable_webhook_endpoint",
        "drain_node",
        "enable_service_account",
        "enable_webhook_endpoint",
        "override_feature_flag",
        "release_allocation",
        "remove_service_account",
        "rename_project",
        "reprice_allocation",
        "resize_allocation",
        "roll_out_feature_flag",
        "rotate_webhook_secret",
        "uncordon_node",
        "update_service_account",
        "update_webhook_endpoint",
    ];
    assert_eq!(with(false), honoured);
    for operation in operations() {
        let reads = operation.method == Method::GET && operation.body["security"].is_array();
        let reads = reads && operation.id != "stream_events";
        let says = operation.body["responses"].get("304").is_some();
        assert_eq!(reads, says, "{}", operation.id);
    }
}
