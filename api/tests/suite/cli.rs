//! The command line: data on stdout, talk on stderr, and exit codes that mean something.
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tempfile::TempDir;

/// Where one test's commands run.
pub struct Shell {
    url: String,
    data: TempDir,
    more: Vec<(&'static str, String)>,
}

impl Shell {
    pub fn new(options: &PgConnectOptions) -> Self {
        Self {
            url: options.to_url_lossy().into(),
            data: tempfile::tempdir().unwrap(),
            more: vec![],
        }
    }

    /// With one more variable in the environment.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What is about to run.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(line.split_whitespace());
        command.env_clear().env("PATH", env!("PATH")).env("USER", "tester");
        command.env("DATABASE_URL", &self.url).env("CAIRN_DATA", self.data.path());
        command.env("CAIRN_LISTEN", "127.0.0.1:0").envs(self.more.clone());
        command
    }

    pub async fn run(&self, line: &str) -> Said {
        let mut command = self.command(line);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Said(output)
    }

    pub async fn json(&self, line: &str) -> Value {
        let said = self.run(&format!("{line} --output json")).await;
        assert_eq!(said.code(), 0, "{line}: {}", said.talk());
        serde_json::from_slice(&said.0.stdout).unwrap()
    }
}

pub struct Said(Output);

impl Said {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub fn data(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn talk(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_view_prints_json_and_a_table(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role owner --name shop").await;
    assert!(made["key"].as_str().unwrap().starts_with("cairn_test_"));
    let organisation = made["organisation_id"].as_str().unwrap();
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    shell.json("skus price small --currency USD --per-hour 0.36").await;
    let invited = shell.json("nodes enrol --name n1").await;
    assert!(invited["command"].as_str().unwrap().contains("cairn-node enrol --url"));
    let balance = format!("balance --organisation {organisation}");
    let statement = format!("finance statement --currency USD --organisation {organisation}");
    for line in [
        "keys list",
        "nodes list",
        "nodes drift",
        "skus list",
        "allocations list",
        &balance,
        &statement,
        "finance trial-balance",
        "replay verify",
        "projections status",
        "projections rebuild --all",
        "projections verify",
        "process list",
        "migrate status",
        "replay state sku small",
    ] {
        shell.json(line).await;
        let table = shell.run(line).await;
        assert_eq!(table.code(), 0, "{line}: {}", table.talk());
        assert!(table.data().starts_with('┌'), "{line} printed {}", table.data());
    }
    let keys = shell.json("keys list").await;
    assert_eq!(keys[0]["key_id"], made["key_id"]);
    assert!(!keys.to_string().contains("cairn_test_"), "a list shows secrets");
    for format in ["csv", "beancount", "hledger", "parquet", "xlsx"] {
        assert_eq!(shell.run(&format!("finance export --format {format}")).await.code(), 0);
    }
    let path = shell.data().join("journal.parquet");
    let line = format!("finance export --format parquet --out {}", path.display());
    let said = shell.run(&line).await;
    assert_eq!((said.code(), said.data()), (0, String::new()), "{}", said.talk());
    assert!(std::fs::read(&path).unwrap().starts_with(b"PAR1"));
    let first = shell.json("replay state sku small --at 2").await;
    assert_eq!(first["state"]["prices"], serde_json::json!({}), "before its price");
    let script = shell.run("completions bash").await;
    assert!(script.data().contains("_cairn"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rotated_key_ends_after_its_overlap(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    // As long as a name may be, and longer once it is sealed.
    let name = "s".repeat(100);
    let create = format!("keys create --role viewer --name {name} --expires-in 7d");
    let old = shell.json(&create).await;
    let old_id = old["key_id"].as_str().unwrap();
    let rotate = format!("keys rotate {old_id} --overlap 30m --idempotency-key r1");
    let new = shell.json(&rotate).await;
    assert_eq!((&new["replaces"], &new["role"]), (&old["key_id"], &old["role"]));
    assert_eq!(new["organisation_id"], old["organisation_id"]);
    assert_ne!(new["key"], old["key"]);
    assert!(new["expires_at"].is_null() && new["old_expires_at"] != old["expires_at"]);
    let again = shell.run(&rotate).await;
    assert_eq!(again.code(), 3, "a key is shown once: {}", again.talk());

    let keys = shell.json("keys list").await;
    assert_eq!(keys.as_array().unwrap().len(), 2, "a repeat makes no third");
    assert_eq!((&keys[0]["key_id"], &keys[0]["name"]), (&new["key_id"], &name.as_str().into()));
    assert_eq!(keys[1]["successor"], new["key_id"]);
    assert_eq!(keys[1]["expires_at"], new["old_expires_at"]);
    // What was to end anyway ends no later.
    let longer = shell.json(&format!("keys rotate {old_id} --overlap 7d")).await;
    assert_eq!(longer["old_expires_at"], new["old_expires_at"]);

    shell.json(&format!("keys revoke {old_id} --reason lost")).await;
    let revoked = shell.run(&format!("keys rotate {old_id}")).await;
    assert_eq!(revoked.code(), 3, "{}", revoked.talk());
    let none = "key_00000000000000000000000000";
    assert_eq!(shell.run(&format!("keys rotate {none}")).await.code(), 4);
    assert_eq!(shell.run(&format!("keys rotate {old_id} --overlap soon")).await.code(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn exit_codes_tell_what_happened(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role platform_operator --name ops").await;
    let key_id = made["key_id"].as_str().unwrap();
    shell.json(&format!("keys revoke {key_id} --reason lost")).await;
    let none = "00000000000000000000000000";
    let unknown_key = format!("keys revoke key_{none} --reason x");
    let unknown_node = format!("nodes cordon node_{none} --reason x");
    let unknown_drift = format!("nodes drift node_{none}");
    let unknown_allocation = format!("allocations show alloc_{none}");
    let unknown_process = format!("process show rent_node alloc_{none}");
    let cases = [
        ("no-such-command", 2, ""),
        ("allocations show alloc_1", 2, "alloc_1"),
        ("balance --organisation org_x", 2, "org_x"),
        ("skus price small --currency XXX --per-hour 1", 2, "XXX"),
        ("replay state nonsense x", 2, "nonsense"),
        ("replay state sku none --at noon", 2, "noon"),
        ("skus define BAD --cpu-millis 1 --memory-mib 64 --disk-mib 64", 3, "sku_id_invalid"),
        ("skus price none --currency USD --per-hour 1", 4, "unknown_sku"),
        ("process retry none --reason x", 4, "unknown_intent"),
        ("projections rebuild none", 4, "unknown_projection"),
        ("replay state sku none", 4, "none"),
        (&unknown_key, 4, "unknown_api_key"),
        (&unknown_node, 4, "unknown_node"),
        (&unknown_drift, 4, "unknown_node"),
        (&unknown_allocation, 4, "not_found"),
        (&unknown_process, 4, "not_found"),
        ("finance reconcile", 2, "STRIPE_SECRET_KEY"),
        ("serve", 2, "STRIPE_SECRET_KEY"),
    ];
    for (line, code, word) in cases {
        let said = shell.run(line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.data().is_empty(), "{line} printed data: {}", said.data());
        assert!(said.talk().contains(word), "{line} said: {}", said.talk());
    }
    let error = shell.run("process retry none --reason x --output json").await;
    let error: Value = serde_json::from_str(error.talk().trim()).unwrap();
    assert_eq!(error["error"]["code"], "unknown_intent");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_key_does_a_thing_once(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let define = "skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64";
    shell.json(define).await;
    let price = "skus price small --currency USD --idempotency-key k1 --per-hour";
    let first = shell.json(&format!("{price} 0.36")).await;
    shell.json("skus price small --currency USD --per-hour 0.72").await;
    assert_eq!(shell.json(&format!("{price} 0.36")).await, first, "a repeat answers alike");
    let skus = shell.json("skus list").await;
    assert_eq!(skus[0]["prices"][0]["per_hour"], "0.72", "and changes nothing");
    let reused = shell.run(&format!("{price} 9.99")).await;
    assert_eq!(reused.code(), 3);
    assert!(reused.talk().contains("idempotency_key_reused"), "{}", reused.talk());
    let key = "keys create --role owner --name shop --idempotency-key k2";
    shell.json(key).await;
    let again = shell.run(key).await;
    assert_eq!(again.code(), 3, "a key that was shown once is not shown again: {}", again.data());
    let trail = shell.json("audit --aggregate-type sku").await;
    assert_eq!(trail[0]["actor"], "operator:tester");
    assert_eq!(trail[0]["origin"], "cli");
    assert_eq!(trail.as_array().unwrap().len(), 3);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_new_key_is_printed_even_if_it_does_not_work_yet(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    shell.json("keys list").await;
    let newer = "UPDATE projection_checkpoints SET version = 99 WHERE name = 'identity/api_keys'";
    let mut owner = options.connect().await.unwrap();
    sqlx::query(newer).execute(&mut owner).await.unwrap();
    let said = shell.run("keys create --role owner --name shop --output json").await;
    assert_eq!(said.code(), 0, "{}", said.talk());
    let made: Value = serde_json::from_str(&said.data()).unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("cairn_test_"));
    assert!(said.talk().contains("warning: the key may not work yet"), "{}", said.talk());
    let listed = shell.run("keys list").await;
    assert_eq!(listed.code(), 5, "{}", listed.talk());
    assert!(listed.talk().contains("newer than version 1 of this program"), "{}", listed.talk());
    shell.json("skus list").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_command_leaves_rows_of_an_older_version_to_a_server(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    shell.json("nodes enrol --name n1").await;
    shell.json("nodes list").await;
    let mut owner = options.connect().await.unwrap();
    let older = "UPDATE projection_checkpoints SET version = 1 WHERE name = 'fleet/nodes'";
    assert_eq!(sqlx::query(older).execute(&mut owner).await.unwrap().rows_affected(), 1);
    let listed = shell.run("nodes list").await;
    assert_eq!(listed.code(), 5, "{}", listed.talk());
    assert!(listed.talk().contains("projections rebuild fleet/nodes"), "{}", listed.talk());
    shell.json("keys list").await;
    let stored = "SELECT version FROM projection_checkpoints WHERE name = 'fleet/nodes'";
    let stored: i32 = sqlx::query_scalar(stored).fetch_one(&mut owner).await.unwrap();
    assert_eq!(stored, 1, "a command rebuilt the view");
    shell.json("projections rebuild fleet/nodes").await;
    assert_eq!(shell.json("nodes list").await[0]["name"], "n1");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_so() {
    let url = "postgres://postgres@127.0.0.1:9/none".to_owned();
    let shell = Shell { url, data: tempfile::tempdir().unwrap(), more: vec![] };
    let said = shell.run("keys list").await;
    assert_eq!(said.code(), 5, "{}", said.talk());
    assert!(said.talk().contains("database_unavailable"));
}

#[sqlx::test]
async fn a_schema_that_is_behind_is_said_so(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let behind = shell.run("keys list").await;
    assert_eq!(behind.code(), 1, "{}", behind.talk());
    assert!(behind.talk().contains("cairn migrate up"));
    let up = shell.json("migrate up").await;
    assert!(up["applied"].as_u64().unwrap() > 5);
    shell.json("keys list").await;
    let down = shell.json("migrate down").await;
    assert!(down["taken_back"].is_number());
    let status = shell.json("migrate status").await;
    assert_eq!(status.as_array().unwrap().last().unwrap()["applied"], false);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_happened_is_not_taken_back_unless_told_to(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    shell.json("keys create --role platform_operator --name ops").await;
    let refused = shell.run("migrate down").await;
    assert_eq!(refused.code(), 3, "{}", refused.talk());
    assert!(refused.talk().contains("--destroy"), "{}", refused.talk());
    let all = |status: Value| status.as_array().unwrap().iter().all(|m| m["applied"] == true);
    assert!(all(shell.json("migrate status").await), "nothing was taken back");
    let down = shell.json("migrate down --destroy").await;
    assert!(down["taken_back"].is_number());
    assert!(!all(shell.json("migrate status").await));
}
