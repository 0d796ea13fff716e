//! A log in a database of its own, brokers in this process, and ways to get between relay and topic.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{BrokerHealth, PortError, Producer, Sent, TopicPort};
use cairn_commands::public::PublicEvent;
use cairn_commands::relay::{Relay, RelayConfig, RelayStatus, Report, status, verify};
use cairn_event_log::{AppendRequest, Appended, EventLog, Metadata, NewEvent, Outcome};
use cairn_kafka::{KafkaConfig, KafkaTopic};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const TOPIC: &str = "cairn.events";
pub const SOURCE: &str = "/cairn";
pub const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

pub type Brokers = MockCluster<'static, DefaultProducerContext>;

/// Brokers with an empty topic.
pub fn brokers() -> Brokers {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic(TOPIC, PARTITIONS, 3).unwrap();
    brokers
}

pub fn topic(servers: &str) -> Arc<KafkaTopic> {
    let config = KafkaConfig { brokers: servers.to_owned(), topic: TOPIC.to_owned() };
    Arc::new(KafkaTopic::new(config))
}

pub struct World {
    pub log: EventLog,
    pub pool: PgPool,
    next: AtomicI64,
}

impl World {
    /// Acts as the application's role, so what the role may not do fails here.
    pub async fn new(pool: PgPool) -> Self {
        let log = EventLog::connect((*pool.connect_options()).clone(), 8).await.unwrap();
        Self { log, pool, next: AtomicI64::new(0) }
    }

    /// `count` public events, taking turns among `keys` SKUs, and a private one after every fifth.
    pub async fn happen(&self, keys: i64, count: i64) -> i64 {
        for _ in 0..count {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.price(&format!("sku-{}", number % keys), number / keys).await;
            if number % 5 == 0 {
                let payload = json!({ "type": "payment.submitted", "provider_id": "pi_1",
                    "at": "2026-09-21T14:13:21.000000Z" });
                self.append("payment", &format!("pay_{number}"), 0, payload).await;
            }
        }
        self.head().await
    }

    /// One public event about a SKU.
    pub async fn price(&self, sku: &str, known: i64) -> i64 {
        let payload = json!({
            "type": "sku.priced", "sku_id": sku, "at": "2026-09-21T14:13:21.000000Z",
            "price": { "version": known + 1, "currency": "USD", "nanos_per_hour": 36_000_000_000_i64,
                "effective_at": "2026-09-21T14:13:20.000000Z" },
        });
        // The stream has a short name, whatever the SKU's is.
        let stream: String = sku.chars().take(20).collect();
        self.append("sku", &stream, known, payload).await
    }

    pub async fn append(
        &self,
        aggregate_type: &'static str,
        id: &str,
        known: i64,
        payload: Value,
    ) -> i64 {
        let event = NewEvent {
            event_type: payload["type"].as_str().unwrap().to_owned(),
            event_version: payload["version"].as_str().unwrap_or("1").to_owned(),
            payload: payload.to_string(),
            book: None,
        };
        let request = AppendRequest {
            command_id: format!("{aggregate_type}/{id}/{known}"),
            command_hash: [0; 32],
            aggregate_type,
            aggregate_id: id.to_owned(),
            expected_sequence: known,
            events: vec![event],
            outcome: Outcome::Accepted { result: Value::Null },
            metadata: Metadata { correlation_id: "req_1".to_owned(), ..Metadata::default() },
        };
        match self.log.append(request).await.unwrap() {
            Appended::Done { position, .. } => position,
            other => panic!("not appended: {other:?}"),
        }
    }

    pub async fn head(&self) -> i64 {
        self.log.head().await.unwrap()
    }

    pub async fn status(&self) -> RelayStatus {
        status(&self.log, TOPIC).await.unwrap()
    }

    /// Until the relay has told of everything.
    pub async fn caught_up(&self) {
        let head = self.head().await;
        until(async || self.status().await.position >= head).await;
    }

    pub async fn compare(&self, topic: &KafkaTopic) -> Report {
        verify(&self.log, topic, SOURCE, (None, None)).await.unwrap()
    }

    /// Nothing is lost, changed, or out of order; everything in the log is in the topic.
    pub async fn all_arrived(&self, topic: &KafkaTopic) -> Report {
        self.caught_up().await;
        let report = self.compare(topic).await;
        assert!(report.agrees(), "{report:?}");
        assert!(report.public > 0 && report.found == report.public, "{report:?}");
        report
    }

    pub fn config(owner: &str) -> RelayConfig {
        let (poll, backoff) = (Duration::from_millis(50), Duration::from_millis(50));
        RelayConfig { poll, backoff, ..RelayConfig::new(owner, SOURCE) }
    }

    pub fn relay(&self, topic: Arc<dyn TopicPort>, config: RelayConfig) -> Running {
        Running::start(Relay::new(self.log.clone(), topic, config))
    }

    pub async fn close(self) {
        self.log.close().await;
        self.pool.close().await;
    }
}

/// A relay at work.
pub struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    fn start(relay: Relay) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(relay.run(stop.clone()));
        Self { tasks, stop }
    }

    /// As SIGTERM does; it has to be over within five seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.tasks.join_next()).await;
        ended.expect("the relay leaves within five seconds").unwrap().unwrap();
    }

    /// As SIGKILL does.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Looks again and again until it holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// All messages of a topic.
pub async fn messages(topic: &KafkaTopic) -> Vec<Sent> {
    let (sender, mut receiver) = mpsc::channel(16);
    let mut all = vec![];
    let gather = async {
        while let Some(sent) = receiver.recv().await {
            all.push(sent);
        }
    };
    let (read, ()) = tokio::join!(topic.read(sender), gather);
    read.unwrap();
    all
}

/// Every message looks as the schema of its type has it.
pub fn assert_valid(messages: &[Sent]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for message in messages {
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        let file = folder.join(format!("{}.json", body["type"].as_str().unwrap()));
        let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        jsonschema::validate(&schema, &body).unwrap();
    }
}

/// A topic that counts producers, and whose acknowledgements can be held back.
pub struct Between {
    pub inner: Arc<KafkaTopic>,
    pub producers: AtomicUsize,
    /// While there is one, what has been acknowledged is not yet told.
    pub gate: Option<Arc<Gate>>,
}

/// Where acknowledgements wait.
#[derive(Default)]
pub struct Gate {
    pub arrived: Notify,
    pub open: Notify,
}

impl Between {
    pub fn new(inner: Arc<KafkaTopic>, gate: Option<Arc<Gate>>) -> Arc<Self> {
        Arc::new(Self { inner, producers: AtomicUsize::new(0), gate })
    }
}

#[async_trait]
impl TopicPort for Between {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn producer(&self) -> Result<Arc<dyn Producer>, PortError> {
        self.producers.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.producer()?;
        Ok(Arc::new(Gated { inner, gate: self.gate.clone() }))
    }

    async fn read(&self, each: mpsc::Sender<Sent>) -> Result<(), PortError> {
        self.inner.read(each).await
    }

    fn health(&self) -> BrokerHealth {
        self.inner.health()
    }
}

struct Gated {
    inner: Arc<dyn Producer>,
    gate: Option<Arc<Gate>>,
}

#[async_trait]
impl Producer for Gated {
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError> {
        self.inner.send(events).await?;
        if let Some(gate) = &self.gate {
            gate.arrived.notify_one();
            gate.open.notified().await;
        }
        Ok(())
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
