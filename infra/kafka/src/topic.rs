//! A topic as the port wants it.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_commands::ports::{BrokerHealth, PortError, Producer, Sent, TopicPort};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::ThreadedProducer;
use tokio::sync::{mpsc, oneshot};

use crate::config::KafkaConfig;
use crate::context::{Context, Health};
use crate::producer::KafkaProducer;
use crate::{error, reader};

/// A topic of a Kafka cluster.
#[derive(Debug)]
pub struct KafkaTopic {
    config: KafkaConfig,
    health: Arc<Health>,
}

impl KafkaTopic {
    /// The topic of a configuration. Nothing is connected yet.
    #[must_use]
    pub fn new(config: KafkaConfig) -> Self {
        Self { config, health: Arc::default() }
    }
}

#[async_trait]
impl TopicPort for KafkaTopic {
    fn name(&self) -> &str {
        &self.config.topic
    }

    fn producer(&self) -> Result<Arc<dyn Producer>, PortError> {
        let context = Context(Arc::clone(&self.health));
        let client = ThreadedProducer::from_config_and_context(&self.config.producer(), context);
        let client = client.map_err(|error| error::broker(&error))?;
        Ok(Arc::new(KafkaProducer::new(client, self.config.topic.clone())))
    }

    async fn read(&self, each: mpsc::Sender<Sent>) -> Result<(), PortError> {
        let context = Context(Arc::clone(&self.health));
        let consumer = BaseConsumer::from_config_and_context(&self.config.consumer(), context);
        let consumer: BaseConsumer<Context> = consumer.map_err(|error| error::broker(&error))?;
        let (done, read) = oneshot::channel();
        let topic = self.config.topic.clone();
        std::thread::spawn(move || {
            let ended = reader::read(&consumer, &topic, &each);
            // Before the consumer is gone, which may take its time.
            drop(each);
            let _ = done.send(ended);
        });
        let lost = || PortError::transient("kafka", "reading ended early");
        read.await.unwrap_or_else(|_| Err(lost()))
    }

    fn health(&self) -> BrokerHealth {
        self.health.seen()
    }
}
