//! An operator takes metered seconds back: what they cost is in the wallet again, the proof of it shows them, and nobody else may.
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
use crate::support::{Caller, MASTER_KEY, Stage, answer};

pub fn nanos(value: &Value) -> i64 {
    parse_nanos(value.as_str().unwrap()).unwrap()
}

/// A rental that was charged for some seconds, and is over.
pub async fn released(stage: &Stage, owner: &Caller, operator: &Caller) -> (String, Value) {
    stage.open_shop(operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    owner.until(&path, |rental| rental["status"] == "active").await;
    owner.until("/v1/statement", |page| page["items"][0]["seconds"].as_i64() >= Some(3)).await;
    owner.post(&format!("{path}/release"), &json!({})).await;
    let rental = owner.until(&path, |rental| rental["status"] == "released").await;
    (path, rental)
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_metered_wrongly_is_given_back(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    })
    .await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    let finance = stage.caller(Role::PlatformFinance).await;
    let (path, rental) = released(&stage, &owner, &operator).await;
    let seconds = rental["active_seconds"].as_i64().unwrap();
    let (wish, url) =
        (json!({ "seconds": 1, "reason": "its clock" }), format!("{path}/corrections"));

    // Nobody else may, nothing is taken back beyond what there is, and nothing without a look at it.
    assert_eq!(owner.post_upon("*", &url, &wish).await.code(), "forbidden");
    assert_eq!(finance.post(&url, &wish).await.code(), "precondition_required");
    for (seconds, reason, code) in [
        (0, "r", "correction_not_positive"),
        (-5, "r", "correction_not_positive"),
        (seconds + 1, "r", "correction_exceeds_usage"),
        (1, " ", "reason_needed"),
    ] {
        let wrong = json!({ "seconds": seconds, "reason": reason });
        assert_eq!(finance.post_upon("*", &url, &wrong).await.code(), code);
    }

    let asked = finance.request(Method::POST, &format!("{url}?preview=true"));
    let asked = answer(asked.header("if-match", "*").json(&wish)).await;
    assert_eq!(
        (asked.status, &asked.body["costs"]["charged"]),
        (200, &json!("-0.001")),
        "{}",
        asked.body
    );
    let tag = asked.header("etag").to_owned();
    assert_eq!(owner.get(&path).await.body["charged"], rental["charged"], "nothing is done yet");
    let done = finance.post_upon(&tag, &url, &wish).await;
    assert_eq!(
        (done.status, &done.body["metered_seconds"]),
        (202, &json!(seconds - 1)),
        "{}",
        done.body
    );
    let stale = finance.post_upon(&tag, &url, &wish).await;
    assert_eq!(stale.code(), "precondition_failed", "whoever corrects it as well looks again");

    let rental = owner.until(&path, |now| now["charged"] != rental["charged"]).await;
    assert_eq!(nanos(&rental["charged"]), (seconds - 1) * 1_000_000);
    assert_eq!(
        (&rental["active_seconds"], &rental["corrected_seconds"]),
        (&json!(seconds - 1), &json!(1))
    );
    let lines = owner.until("/v1/statement", |page| page["items"][0]["kind"] == "usage_corrected");
    let line = lines.await["items"][0].clone();
    assert_eq!((&line["amount"], &line["seconds"]), (&json!("0.001"), &json!(seconds - 1)));
    let used = owner.get("/v1/usage?range=24h&by=hour").await;
    assert_eq!(nanos(&used.body["currencies"][0]["cost"]), (seconds - 1) * 1_000_000);
    proven(&stage, &owner, &line).await;

    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let id = rental["allocation_id"].as_str().unwrap();
    let more = shell.json(&format!("allocations correct {id} --seconds 1 --reason clock")).await;
    assert_eq!(more["metered_seconds"], seconds - 2);
    owner.until(&path, |now| nanos(&now["charged"]) == (seconds - 2) * 1_000_000).await;
    stage.strike().await;
}

/// The sum can be done again by whoever it was given back to.
async fn proven(stage: &Stage, owner: &Caller, line: &Value) {
    let given = proof(owner, line).await;
    assert_eq!(given.status, 200, "{}", given.body);
    let proven = ChargeProof::from_json(&given.body.to_string()).unwrap();
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    assert_eq!(proven.check(&keys), Ok(()));
    let charge = &proven.charge;
    assert_eq!((charge.corrected_seconds, charge.paid_nanos), (1, -1_000_000));
    assert_eq!(charge.before_nanos + charge.paid_nanos, charge.total_nanos);
    let mut forged = proven.clone();
    forged.charge.corrected_seconds = 2;
    assert!(forged.check(&keys).is_err());
}
