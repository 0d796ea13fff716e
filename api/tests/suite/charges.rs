//! What a charge was made of can be had by whoever paid it, and by nobody else; the sum can be done again with the public keys alone.
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cairn_api::charges::{ChargeError, ChargeProof};
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::privacy::ssh_key;
use crate::support::{Answer, Caller, MASTER_KEY, PATIENCE, Stage};

/// Rents for a few seconds; answers the charges of the statement, the last first.
async fn charged(stage: &Stage, owner: &Caller) -> Vec<Value> {
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    owner.until(&path, |rental| rental["status"] == "active").await;
    owner.until("/v1/statement", |page| page["items"][0]["kind"] == "usage").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let released = owner.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "{}", released.body);
    owner.until(&path, |rental| rental["status"] == "released").await;
    let statement = owner.get("/v1/statement").await;
    let lines = statement.body["items"].as_array().unwrap().clone();
    lines.into_iter().filter(|line| line["kind"] == "usage").collect()
}

fn public_keys(stage: &Stage) -> PathBuf {
    KeyDirectory::at(stage.path("keys")).public_path()
}

/// Asks until the log is sealed that far.
pub async fn proof(owner: &Caller, charge: &Value) -> Answer {
    let path = format!("/v1/charges/{}/proof", charge["charge_id"].as_str().unwrap());
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = owner.get(&path).await;
            if answer.code() != "charge_not_sealed" {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    asked.await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_paid_can_do_the_sum_again(_: PgPoolOptions, options: PgConnectOptions) {
    // Usage is charged as soon as the node proves it, and it is asked each second.
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    });
    let stage = stage.await;
    let owner = stage.caller(Role::Owner).await;
    let charges = charged(&stage, &owner).await;
    assert!(charges.len() > 1, "one while it runs, one at its end: {charges:?}");
    let answer = proof(&owner, &charges[0]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let keys = PublicKeys::read(&public_keys(&stage)).unwrap();
    let proven = ChargeProof::from_json(&answer.body.to_string()).unwrap();
    assert_eq!(proven.check(&keys), Ok(()));
    let charge = &proven.charge;
    assert_eq!(charge.nanos_per_hour, 3_600_000_000);
    assert_eq!(charge.total_nanos, charge.seconds * 1_000_000);
    assert!(charge.before_nanos > 0, "what was charged before is part of it");
    assert_eq!(charge.before_nanos + charge.paid_nanos, charge.total_nanos);

    forge(&proven, &keys);

    let stranger = stage.caller(Role::Owner).await;
    let path = format!("/v1/charges/{}/proof", charges[0]["charge_id"].as_str().unwrap());
    assert_eq!(stranger.get(&path).await.code(), "unknown_charge", "it is nobody else's business");
    for id in ["charge_0", "charge_1", "charge_999999", "charge_-1", "charge_x", "pay_1"] {
        assert_eq!(owner.get(&format!("/v1/charges/{id}/proof")).await.code(), "unknown_charge");
    }
    elsewhere(&stage, &options, &charges[0]).await;
    stage.strike().await;
}

/// Whatever is changed in it is noticed.
fn forge(proven: &ChargeProof, keys: &PublicKeys) {
    let mut dearer = proven.clone();
    dearer.charge.paid_nanos += 1;
    assert!(matches!(dearer.check(keys), Err(ChargeError::Differs { .. })));
    let mut shorter = proven.clone();
    shorter.charge.seconds -= 1;
    assert!(matches!(shorter.check(keys), Err(ChargeError::Differs { .. })));
    let mut cheaper = proven.clone();
    let requested = &mut cheaper.events[0].event;
    assert_eq!(requested.event_type, "allocation.requested");
    requested.payload = requested.payload.replace("3600000000", "3600000001");
    assert!(matches!(cheaper.check(keys), Err(ChargeError::Event(..))));
    for left_out in 0..proven.events.len() {
        let mut less = proven.clone();
        less.events.remove(left_out);
        assert!(less.check(keys).is_err(), "event {left_out} is needed");
    }
    let mut twice = proven.clone();
    twice.events.push(proven.events[0].clone());
    assert!(matches!(twice.check(keys), Err(ChargeError::Evidence(_))));
}

/// The same on the command line, and the sum where there is neither database nor configuration.
async fn elsewhere(stage: &Stage, options: &PgConnectOptions, charge: &Value) {
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let id = charge["charge_id"].as_str().unwrap();
    let made = shell.run(&format!("finance prove {id} --out {}", path("charge.json"))).await;
    assert_eq!(made.code(), 0, "{}", made.talk());
    fs::copy(public_keys(stage), path("keys.pem")).unwrap();
    let check = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(["audit", "check-proof", &path(file), "--key", &path("keys.pem")]);
        command.args(["--output", "json"]);
        command.env_clear().current_dir(place.path()).output().unwrap()
    };
    let said = check("charge.json");
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let shown: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&shown["per_hour"], &shown["owed"]), (&json!("3.60"), &json!("0.00")));
    let forged =
        fs::read_to_string(path("charge.json")).unwrap().replace("3600000000", "1800000000");
    fs::write(path("forged.json"), forged).unwrap();
    assert_eq!(check("forged.json").status.code(), Some(7));
    for (wrong, code, word) in
        [("charge_1", 4, "charge_1"), ("charge_one", 2, "charge_"), ("pay_1", 2, "charge_")]
    {
        let said = shell.run(&format!("finance prove {wrong}")).await;
        assert_eq!((said.code(), said.talk().contains(word)), (code, true), "{}", said.talk());
    }
}
