//! Brokers that fail: each test shows that the fault bit.
use std::sync::atomic::Ordering;
use std::time::Duration;

use cairn_commands::ports::TopicPort as _;
use cairn_commands::relay::RelayConfig;
use rdkafka::bindings::rd_kafka_resp_err_t as Answer;
use rdkafka::types::RDKafkaApiKey;

use super::world::{Between, World, brokers, topic, until};

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn brokers_may_go_and_come_back(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let relay = world.relay(topic.clone(), World::config("a"));
    world.happen(5, 20).await;
    world.caught_up().await;
    let before = world.head().await;
    brokers.broker_down(-1).unwrap();
    world.happen(5, 30).await;
    until(async || topic.health().errors > 0).await;
    assert_eq!(world.status().await.position, before, "nothing is taken as sent");
    brokers.broker_up(-1).unwrap();
    let report = world.all_arrived(&topic).await;
    assert_eq!(report.public, 50);
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn errors_that_pass_are_sent_through(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    brokers.request_errors(
        RDKafkaApiKey::Produce,
        &[
            Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
            Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    let relay = world.relay(topic.clone(), World::config("a"));
    world.happen(5, 40).await;
    world.all_arrived(&topic).await;
    until(async || topic.health().disconnects > 0).await;
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_producer_that_broke_is_replaced_and_begins_at_the_checkpoint(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let inner = topic(&brokers.bootstrap_servers());
    brokers.request_errors(
        RDKafkaApiKey::Produce,
        &[Answer::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH; 2],
    );
    let counted = Between::new(inner.clone(), None);
    let relay = world.relay(counted.clone(), World::config("a"));
    world.happen(5, 40).await;
    world.all_arrived(&inner).await;
    assert!(counted.producers.load(Ordering::Relaxed) > 1, "the first one broke");
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn slow_brokers_cost_neither_the_lead_nor_an_event(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    brokers.broker_round_trip_time(-1, Duration::from_millis(1_200)).unwrap();
    // Shorter than a round trip: it has to be renewed while acknowledgements are on their way.
    let config = RelayConfig { lease: Duration::from_millis(900), ..World::config("a") };
    let relay = world.relay(topic.clone(), config);
    world.happen(5, 20).await;
    until(async || world.status().await.last_error.is_some()).await;
    world.caught_up().await;
    brokers.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let report = world.all_arrived(&topic).await;
    assert_eq!(report.repeated, 0, "{report:?}");
    let token: i64 = sqlx::query_scalar("SELECT lease_token FROM relay_checkpoints")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(token, 1, "nobody else led");
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn it_leaves_in_time_when_the_brokers_are_away(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let relay = world.relay(topic.clone(), World::config("a"));
    world.happen(5, 5).await;
    world.caught_up().await;
    brokers.broker_down(-1).unwrap();
    world.happen(5, 5).await;
    until(async || topic.health().errors > 0).await;
    relay.stop().await;
    assert!(world.status().await.lag_events > 0, "it left with something unsent");
    brokers.broker_up(-1).unwrap();
    let next = world.relay(topic.clone(), World::config("b"));
    world.all_arrived(&topic).await;
    next.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn it_leaves_in_time_when_a_broker_takes_everything_and_says_nothing(pool: sqlx::PgPool) {
    let world = World::new(pool).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let topic = topic(&silent.local_addr().unwrap().to_string());
    let relay = world.relay(topic, World::config("a"));
    world.happen(5, 5).await;
    let (_connection, _) = silent.accept().await.unwrap();
    relay.stop().await;
    assert_eq!(world.status().await.position, 0);
    world.close().await;
}
