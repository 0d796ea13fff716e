//! `cairn relay` on the command line, and what the doctor says of it, with brokers in this process.
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::ports::TopicPort as _;
use cairn_commands::relay::{Relay, RelayConfig, status};
use cairn_event_log::EventLog;
use cairn_kafka::{KafkaConfig, KafkaTopic};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Shell;

const TOPIC: &str = "cairn.events";
const PATIENCE: Duration = Duration::from_secs(60);

fn brokers() -> MockCluster<'static, DefaultProducerContext> {
    let brokers = MockCluster::new(1).unwrap();
    for topic in [TOPIC, "another"] {
        brokers.create_topic(topic, 1, 1).unwrap();
    }
    brokers
}

/// What the doctor says of the relay, whatever else it finds.
async fn doctor(shell: &Shell) -> Value {
    let said = shell.run("doctor --output json").await;
    let findings: Vec<Value> = serde_json::from_str(&said.data()).unwrap();
    findings.into_iter().find(|finding| finding["check"] == "relay").unwrap()
}

/// A server's relay at work on the log and the topic that the commands are told of.
async fn lead(options: &PgConnectOptions, servers: &str) -> (JoinSet<()>, CancellationToken) {
    let log = EventLog::connect(options.clone(), 4).await.unwrap();
    let config = KafkaConfig { brokers: servers.to_owned(), topic: TOPIC.to_owned() };
    let topic = Arc::new(KafkaTopic::new(config));
    let (head, name) = (log.head().await.unwrap(), topic.name().to_owned());
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let relay = Relay::new(log.clone(), topic, RelayConfig::new("server-1", "/cairn"));
    tasks.spawn(relay.run(stop.clone()));
    let arrived = async {
        while status(&log, &name).await.unwrap().position < head {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.expect("the relay tells of everything");
    (tasks, stop)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_relay_is_shown_compared_and_missed_when_nobody_leads(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let without = Shell::new(&options).run("relay status").await;
    assert_eq!(without.code(), 2, "{}", without.talk());
    assert!(without.talk().contains("no_brokers"), "{}", without.talk());

    let brokers = brokers();
    let servers = brokers.bootstrap_servers();
    let shell = Shell::new(&options).with("CAIRN_KAFKA_BROKERS", servers.as_str());
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    shell.json("skus price small --currency USD --per-hour 0.36").await;
    let alone = shell.json("relay status").await;
    let seen = (&alone["leader"], &alone["position"], &alone["lag_events"]);
    assert_eq!(seen, (&Value::Null, &0.into(), &2.into()));
    let missed = doctor(&shell).await;
    assert_eq!(missed["ok"], false, "{missed}");
    assert!(missed["detail"].as_str().unwrap().starts_with("nobody leads"), "{missed}");
    let beyond = shell.run("relay verify --to 2").await;
    assert_eq!(beyond.code(), 2, "{}", beyond.talk());
    assert!(beyond.talk().contains("has come to position 0"), "{}", beyond.talk());

    let (mut tasks, stop) = lead(&options, &servers).await;
    let led = shell.json("relay status").await;
    let seen = (&led["leader"], &led["position"], &led["lag_events"], &led["sent"]);
    assert_eq!(seen, (&"server-1".into(), &2.into(), &0.into(), &2.into()));
    let well = doctor(&shell).await;
    assert!(well["ok"] == true && well["detail"].as_str().unwrap().contains("server-1"), "{well}");
    let report = shell.json("relay verify").await;
    assert_eq!((&report["public"], &report["found"]), (&2.into(), &2.into()));
    assert!(shell.run("relay verify --from 2 --to 2").await.data().starts_with('┌'));
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    let left = doctor(&shell).await;
    assert!(left["detail"].as_str().unwrap().contains("nobody leads"), "{left}");

    // The checkpoint says that a topic was told, and it is empty: another one, or somebody deleted it.
    let pool = PgPoolOptions::new().connect_with(options.clone()).await.unwrap();
    let lost = "UPDATE relay_checkpoints SET topic = 'another' WHERE topic = $1";
    assert_eq!(sqlx::query(lost).bind(TOPIC).execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;
    let other = shell.with("CAIRN_KAFKA_TOPIC", "another");
    let differs = other.run("relay verify --output json").await;
    assert_eq!(differs.code(), 7, "{}", differs.talk());
    assert!(differs.talk().contains("relay_differs"), "{}", differs.talk());
    let report: Value = serde_json::from_str(&differs.data()).unwrap();
    assert_eq!(report["missing"]["count"], 2);
    drop(brokers);
    let away = other.run("relay verify").await;
    assert_eq!(away.code(), 5, "{}", away.talk());
}
