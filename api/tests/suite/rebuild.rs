//! `cairn projections rebuild`, killed and used as an operator does.
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

use crate::cli::Shell;

const VIEW: &str = "operations/audit";
/// Fills the log directly: what is folded here reads no payload.
const FILL: &str = "
    ALTER TABLE events DISABLE TRIGGER USER;
    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
        metadata, position, recorded_at, command_id)
      SELECT 'sku', 'sku_' || n % 97, n, 'sku.retired', '1', '{}', json_build_object('actor', 'test',
        'correlation_id', 'c' || n, 'command_id', 'f' || n), n, to_timestamp(n), 'f' || n
      FROM generate_series(1, 6000) AS n;
    UPDATE log_head SET position = 6000;
    ALTER TABLE events ENABLE TRIGGER USER;";

async fn built(pool: &PgPool) -> Option<i64> {
    let position = "SELECT min(position) FROM view_building.projection_checkpoints";
    sqlx::query_scalar(position).fetch_one(pool).await.unwrap()
}

fn start(options: &PgConnectOptions, data: &std::path::Path) -> Child {
    let line = ["projections", "rebuild", VIEW, "--rate", "2000", "--workers", "2", "--restart"];
    Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(line)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("DATABASE_URL", options.to_url_lossy().as_str())
        .env("CAIRN_DATA", data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rebuild_killed_with_sigkill_goes_on_and_comes_to_the_rows_of_one_that_was_not(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = pool.connect_with(options.clone()).await.unwrap();
    sqlx::raw_sql(FILL).execute(&pool).await.unwrap();
    let shell = Shell::new(&options);
    let whole = shell.json(&format!("projections rebuild {VIEW} --keep 0s")).await;
    assert_eq!((&whole[0]["position"], &whole[0]["resumed_from"]), (&6_000.into(), &Value::Null));
    let digest = shell.json(&format!("projections digest {VIEW}")).await;
    let data = tempfile::tempdir().unwrap();
    let mut child = start(&options, data.path());
    let patience = Instant::now() + Duration::from_secs(60);
    while built(&pool).await.is_none_or(|position| position == 0) {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let midway = built(&pool).await.unwrap();
    assert!((1..6_000).contains(&midway), "killed at {midway}");
    assert_eq!(shell.json(&format!("projections digest {VIEW}")).await, digest);
    let status = shell.json("projections status").await;
    let view = status.as_array().unwrap().iter().find(|view| view["name"] == VIEW).unwrap();
    assert_eq!(view["building_position"], midway);
    // The claim of who was killed goes when the server notices.
    let line = format!("projections rebuild {VIEW} --output json");
    let again = loop {
        let again = shell.run(&line).await;
        if again.code() != 3 {
            break again;
        }
        assert!(again.talk().contains("already_rebuilding"), "{}", again.talk());
    };
    let again: Value = serde_json::from_str(&again.data()).unwrap();
    let resumed = again[0]["resumed_from"].as_i64().unwrap();
    assert!((midway..6_000).contains(&resumed), "killed at {midway}, went on at {resumed}");
    assert_eq!((&again[0]["differing"], &again[0]["position"]), (&0.into(), &6_000.into()));
    assert_eq!(shell.json(&format!("projections digest {VIEW}")).await, digest);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_people_do_to_views_is_kept_with_their_reasons(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = pool.connect_with(options.clone()).await.unwrap();
    let shell = Shell::new(&options);
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    let nothing = shell.run("projections rollback catalog/skus --reason odd").await;
    assert_eq!(nothing.code(), 4, "{}", nothing.talk());
    shell.json("projections status").await;
    sqlx::raw_sql("UPDATE catalog_skus SET cpu_millis = 1").execute(&pool).await.unwrap();
    let tried = shell.run("projections rebuild catalog/skus --dry-run").await;
    assert_eq!(tried.code(), 7, "{}", tried.talk());
    assert!(tried.talk().contains(r#"catalog_skus: 1 rows differ, of 1: {"sku_id": "small"}"#));
    let sampled = shell.run("projections verify catalog/skus --sample 1").await;
    assert_eq!(sampled.code(), 7, "{}", sampled.talk());
    shell.json("projections rebuild catalog/skus").await;
    let back = shell.json("projections rollback catalog/skus --reason odd").await;
    assert_eq!((&back["differing"], &back["rows"]), (&1.into(), &1.into()));
    let actions = shell.json("projections actions catalog/skus").await;
    let told: Vec<_> = actions.as_array().unwrap().iter().map(|action| &action["verb"]).collect();
    assert_eq!(told, ["rollback", "rebuild"]);
    assert_eq!(
        (&actions[0]["reason"], &actions[0]["actor"]),
        (&"odd".into(), &"operator:tester".into())
    );
    for line in ["projections rebuild", "projections rebuild catalog/skus --keep forever"] {
        assert_eq!(shell.run(line).await.code(), 2, "{line}");
    }
}
