//! A topic that fails is left alone, and has every event once when it is well again.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::neighbours::{NeighbourConfig, Neighbours};
use cairn_commands::ports::{BrokerHealth, Clock, PortError, Producer, Sent, TopicPort};
use cairn_commands::public::PublicEvent;
use cairn_commands::relay::RelayConfig;
use cairn_core::Timestamp;
use cairn_kafka::KafkaTopic;
use cairn_neighbours::State;
use rdkafka::bindings::rd_kafka_resp_err_t as Answer;
use rdkafka::types::RDKafkaApiKey;
use tokio::sync::mpsc;

use super::world::{World, brokers, topic, until};

/// Moved by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Counts what is handed to the brokers.
struct Counted {
    inner: Arc<KafkaTopic>,
    sent: Arc<AtomicUsize>,
}

struct Counting {
    inner: Arc<dyn Producer>,
    sent: Arc<AtomicUsize>,
}

#[async_trait]
impl TopicPort for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn producer(&self) -> Result<Arc<dyn Producer>, PortError> {
        let (inner, sent) = (self.inner.producer()?, Arc::clone(&self.sent));
        Ok(Arc::new(Counting { inner, sent }))
    }

    async fn read(&self, each: mpsc::Sender<Sent>) -> Result<(), PortError> {
        self.inner.read(each).await
    }

    fn health(&self) -> BrokerHealth {
        self.inner.health()
    }
}

#[async_trait]
impl Producer for Counting {
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.inner.send(events).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_topic_that_fails_is_left_alone_and_has_every_event_once_when_it_is_well(
    pool: sqlx::PgPool,
) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let inner = topic(&brokers.bootstrap_servers());
    let (sent, clock) =
        (Arc::<AtomicUsize>::default(), Arc::new(Hand(AtomicI64::new(1_800_000_000))));
    let neighbours = Neighbours::new(NeighbourConfig::default(), Arc::clone(&clock) as _);
    let state =
        || neighbours.standings().into_iter().find(|it| it.neighbour == "topic").unwrap().state;
    let sends = || sent.load(Ordering::SeqCst);
    // What breaks a producer for good, each time anew.
    let broken = [Answer::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH; 500];
    brokers.request_errors(RDKafkaApiKey::Produce, &broken);
    let counted = Counted { inner: Arc::clone(&inner), sent: Arc::clone(&sent) };
    let backoff_max = Duration::from_millis(60);
    let config = RelayConfig { backoff_max, ..World::config("a") };
    let relay = world.relay(neighbours.topic(Arc::new(counted)), config);
    world.happen(5, 40).await;
    until(async || state() == State::Open).await;
    assert_eq!(sends(), 5, "the fault bit");
    // The relay comes again and again, and nothing goes to the brokers.
    let left = async || world.status().await.last_error.unwrap_or_default();
    until(async || left().await.contains("neighbour_left_alone")).await;
    tokio::time::sleep(backoff_max * 5).await;
    assert_eq!((sends(), state()), (5, State::Open));
    assert_eq!(world.status().await.position, 0, "nothing is taken as sent");
    // One tries, in vain.
    clock.0.fetch_add(5, Ordering::SeqCst);
    until(async || sends() == 6 && state() == State::Open).await;
    tokio::time::sleep(backoff_max * 5).await;
    assert_eq!((sends(), state()), (6, State::Open));
    brokers.clear_request_errors(RDKafkaApiKey::Produce);
    clock.0.fetch_add(10, Ordering::SeqCst);
    let report = world.all_arrived(&inner).await;
    assert_eq!((report.public, report.repeated), (40, 0), "none is lost, and none is there twice");
    assert_eq!(state(), State::Closed);
    relay.stop().await;
    world.close().await;
}
