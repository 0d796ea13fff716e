//! Commands that check, compare and refuse.
use std::process::Command;

use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

#[sqlx::test(migrations = "../migrations")]
async fn what_the_grammar_does_not_have_is_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let none = "00000000000000000000000000";
    let silent = format!("nodes cordon node_{none} --reason=");
    for (line, word) in [
        ("process list --status typo", "needs_operator"),
        ("audit --limit 0", "--limit"),
        (silent.as_str(), "say why"),
        ("finance reconcile --on 2026-01-31 --from 2026-01-01T00:00:00Z", "cannot be used with"),
        ("finance reconcile --on yesterday", "yesterday"),
    ] {
        let said = shell.run(line).await;
        assert_eq!(said.code(), 2, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    let said = shell.run("process list --status typo --output json").await;
    let error: Value = serde_json::from_str(said.talk().trim()).unwrap();
    assert_eq!((said.code(), &error["error"]["code"]), (2, &Value::from("usage")));
}

#[sqlx::test(migrations = "../migrations")]
async fn checks_are_well_until_somebody_tampers(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    for number in 0..3 {
        let line = format!("skus define s{number} --cpu-millis 1 --memory-mib 64 --disk-mib 64");
        shell.json(&line).await;
    }
    let findings = shell.json("doctor").await;
    let database = findings.as_array().unwrap().iter().find(|f| f["check"] == "projections");
    assert_eq!(database.unwrap()["ok"], true, "{findings}");
    assert_eq!(shell.json("projections parked list").await, Value::Array(vec![]));
    let digest = shell.json("projections digest operations/audit").await;
    assert_eq!((&digest[0]["rows"], digest[0]["sha256"].as_str().unwrap().len()), (&3.into(), 64));
    assert_eq!(shell.json("audit --limit 2").await.as_array().unwrap().len(), 2);
    let mut owner = options.connect().await.unwrap();
    let tamper = "UPDATE operations_audit_entries SET actor = 'nobody' WHERE position = 1";
    assert_eq!(sqlx::query(tamper).execute(&mut owner).await.unwrap().rows_affected(), 1);
    let differs = shell.run("projections verify operations/audit").await;
    assert_eq!(differs.code(), 7, "{}", differs.talk());
    assert_ne!(shell.json("projections digest operations/audit").await, digest);
}

#[test]
fn a_command_begins_no_cluster_where_there_is_none() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    command.args(["keys", "list"]).env_clear().env("PATH", env!("PATH"));
    let said = command.env("CAIRN_DATA", data.path()).output().unwrap();
    let talk = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(5), "{talk}");
    assert!(talk.contains("there is no Cairn in"), "{talk}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}
