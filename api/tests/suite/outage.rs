//! A stopped database: 503 with the cause, nothing lost, and recovery without a restart.
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_event_log::MIGRATOR;
use cairn_identity::Role;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::{PATIENCE, Stage};

async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_recover_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = ClusterConfig {
        directory: directory.path().join("postgres"),
        durable: true,
        settings: vec![],
    };
    let mut cluster = off_the_runtime(|| {
        let cluster = Cluster::start(config).unwrap();
        cluster.create_database("cairn").unwrap();
        cluster
    })
    .await;
    let options = PgConnectOptions::from_str(&cluster.url("cairn")).unwrap();
    let mut owner = options.clone().connect().await.unwrap();
    MIGRATOR.run(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    let before = customer.post_as("before", "/v1/top-ups", &wish).await;
    assert_eq!(before.status, 201);
    customer.until("/v1/balance", |b| b["items"][0]["posted"] == "5.00").await;

    cluster = off_the_runtime(move || {
        cluster.kill_tree();
        cluster
    })
    .await;
    let read = customer.get("/v1/balance").await;
    assert_eq!((read.status, read.code()), (503, "database_unavailable"), "{}", read.body);
    assert!(read.header("retry-after").parse::<u32>().is_ok());
    assert_eq!(read.body["retryable"], true);
    let written = customer.post_as("during", "/v1/top-ups", &wish).await;
    assert_eq!(written.status, 503, "{}", written.body);
    assert!(["database_unavailable", "outcome_in_doubt"].contains(&written.code()));
    let ready = customer.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["ready"]), (503, &json!(false)));
    assert_eq!(customer.get("/livez").await.status, 200);

    let cluster = off_the_runtime(move || {
        cluster.restart().unwrap();
        cluster
    })
    .await;
    let deadline = Instant::now() + PATIENCE;
    let again = loop {
        let again = customer.post_as("during", "/v1/top-ups", &wish).await;
        if again.status == 201 {
            break again;
        }
        assert!(Instant::now() < deadline, "it did not recover: {}", again.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(again.text("/top_up_id").starts_with("pay_"));
    let first = customer.post_as("before", "/v1/top-ups", &wish).await;
    assert_eq!(first.body, before.body, "the answer from before the crash still stands");
    customer.until("/v1/balance", |b| b["items"][0]["posted"] == "10.00").await;
    customer.until("/readyz", |ready| ready["ready"] == true).await;
    stage.strike().await;
    off_the_runtime(move || cluster.remove()).await;
}
