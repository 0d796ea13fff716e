//! A running rental goes on as another SKU: previewed, done, charged at both prices, and provable.
use cairn_api::charges::ChargeProof;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::charges::proof;
use crate::cli::Shell;
use crate::privacy::ssh_key;
use crate::support::{self, Caller, MASTER_KEY, Stage, answer};

/// Another SKU than the shop's, in dollars.
pub async fn sell(operator: &Caller, sku_id: &str, disk_mib: u64, per_hour: &str) {
    support::sell(operator, sku_id, (1_000, 128, disk_mib), per_hour).await;
}

/// The sum of every charge can be done again, at the price that it was charged at.
async fn proven(stage: &Stage, owner: &Caller, total: &Value) {
    let lines = owner.get("/v1/statement").await.body["items"].as_array().unwrap().clone();
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    let (mut versions, mut sum) = (vec![], 0);
    for line in lines.iter().filter(|line| line["kind"] == "usage") {
        let given = proof(owner, line).await;
        let proven = ChargeProof::from_json(&given.body.to_string()).unwrap();
        assert_eq!(proven.check(&keys), Ok(()), "{line}");
        versions.push(proven.charge.nanos_per_hour);
        sum += proven.charge.paid_nanos;
    }
    versions.dedup();
    assert_eq!(versions, [7_200_000_000, 3_600_000_000], "the newest first");
    assert_eq!(sum, parse_nanos(total.as_str().unwrap()).unwrap());
}

/// What is refused is refused alike, and a preview says what it would cost and that it stops for it.
async fn previewed(stage: &Stage, owner: &Caller, url: &str) {
    let into = |sku_id: &str| json!({ "sku_id": sku_id });
    let preview = async |sku_id: &str| {
        let asked = owner.request(Method::POST, &format!("{url}?preview=true"));
        answer(asked.json(&into(sku_id))).await
    };
    for (sku_id, code) in
        [("small", "resize_unchanged"), ("flat", "disk_shrinks"), ("none", "unknown_sku")]
    {
        assert_eq!(owner.post(url, &into(sku_id)).await.code(), code);
        assert_eq!(preview(sku_id).await.code(), code);
    }
    assert_eq!(preview("huge").await.code(), "no_capacity");
    assert_eq!(preview("dear").await.code(), "insufficient_funds");
    let stranger = stage.caller(Role::Owner).await;
    assert_eq!(stranger.post(url, &into("large")).await.code(), "unknown_allocation");
    let would = preview("large").await;
    let costs = &would.body["costs"];
    assert_eq!(
        (&costs["per_hour_before"], &costs["per_hour"], &would.body["stops"][0]["why"]),
        (&json!("3.60"), &json!("7.20"), &json!("resize")),
        "{}",
        would.body
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_becomes_another_sku_and_keeps_what_it_cost(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    })
    .await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    sell(&operator, "large", 64, "7.20").await;
    sell(&operator, "flat", 32, "7.20").await;
    sell(&operator, "huge", 1 << 40, "7.20").await;
    sell(&operator, "dear", 64, "7000.00").await;
    owner.top_up("50.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    owner.until(&path, |rental| rental["status"] == "active").await;
    owner.until("/v1/statement", |page| page["items"][0]["seconds"].as_i64() >= Some(1)).await;

    let url = format!("{path}/resize");
    previewed(&stage, &owner, &url).await;
    let done = owner.post(&url, &json!({ "sku_id": "large" })).await;
    assert_eq!((done.status, &done.body["sku_id"]), (202, &json!("large")), "{}", done.body);
    let large =
        owner.until(&path, |now| now["sku_id"] == "large" && now["status"] == "active").await;
    assert_eq!(
        (&large["per_hour"], &large["resources"]["cpu_millis"]),
        (&json!("7.20"), &json!(1_000))
    );
    assert!(large.get("resize").is_none(), "{large}");
    let used = large["active_seconds"].as_i64().unwrap();
    owner
        .until("/v1/statement", |page| page["items"][0]["seconds"].as_i64() > Some(used + 1))
        .await;
    owner.post(&format!("{path}/release"), &json!({})).await;
    let over = owner.until(&path, |rental| rental["status"] == "released").await;
    proven(&stage, &owner, &over["charged"]).await;
    let told = owner.get(&format!("{path}/timeline")).await;
    let told = told.body["items"].as_array().unwrap();
    assert!(told.iter().any(|told| told["entry"] == "resized" && told["detail"] == "large"));

    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let id = over["allocation_id"].as_str().unwrap();
    let late = shell.run(&format!("allocations resize {id} --sku small")).await;
    assert!(late.talk().contains("allocation_in_wrong_state"), "{}", late.talk());
    stage.strike().await;
}
