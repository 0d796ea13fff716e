//! One run of sending.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{FailureKind, PortError, Producer};
use cairn_commands::public::PublicEvent;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::context::{Context, Receipt};
use crate::error;

/// The header with the place in the log.
pub(crate) const POSITION: &str = "cairn_position";

/// How long leaving may take. librdkafka may wait for its brokers longer than that, in a thread of its own.
const FAREWELL: Duration = Duration::from_secs(3);
/// How soon to try again when librdkafka's queue is full.
const FULL: Duration = Duration::from_millis(10);
/// After one message failed, so long for the others to say why.
const REASONS: Duration = Duration::from_millis(500);

type Client = ThreadedProducer<Context>;

/// An idempotent producer.
pub(crate) struct KafkaProducer {
    client: Mutex<Option<Arc<Client>>>,
    topic: String,
}

impl KafkaProducer {
    pub(crate) fn new(client: Client, topic: String) -> Self {
        Self { client: Mutex::new(Some(Arc::new(client))), topic }
    }

    /// Hands an event to librdkafka, which sends it in the background.
    async fn enqueue(&self, event: &PublicEvent, receipt: Receipt) -> Result<(), PortError> {
        let mut receipt = Box::new(receipt);
        loop {
            match self.try_enqueue(event, receipt) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    receipt = back;
                }
                Err((KafkaError::MessageProduction(code), _)) => {
                    return Err(error::delivery(event.position, code));
                }
                Err((error, _)) => return Err(error::broker(&error)),
            }
            tokio::time::sleep(FULL).await;
        }
    }

    fn try_enqueue(
        &self,
        event: &PublicEvent,
        receipt: Box<Receipt>,
    ) -> Result<(), (KafkaError, Box<Receipt>)> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = client.as_ref() else { return Err((KafkaError::Canceled, receipt)) };
        let position = event.position.to_string();
        let headers = [
            (POSITION, position.as_str()),
            ("ce_id", &event.id),
            ("ce_type", &event.kind),
            ("content-type", "application/cloudevents+json"),
        ];
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = BaseRecord::with_opaque_to(&self.topic, receipt)
            .key(&event.key)
            .payload(&event.body)
            .headers(headers);
        client.send(record).map_err(|(error, record)| (error, record.delivery_opaque))
    }

    /// Lets librdkafka clear up in a thread of its own; says when it has.
    fn leave(&self) -> Option<oneshot::Receiver<()>> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (done, left) = oneshot::channel();
        std::thread::spawn(move || {
            drop(client);
            let _ = done.send(());
        });
        Some(left)
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError> {
        let (to, mut receipts) = unbounded_channel();
        for event in events {
            let receipt = Receipt { position: event.position, to: to.clone() };
            self.enqueue(event, receipt).await?;
        }
        drop(to);
        for _ in events {
            match receipts.recv().await {
                Some(Ok(())) => {}
                Some(Err((position, code))) => {
                    return Err(reason(error::delivery(position, code), receipts).await);
                }
                None => return Err(error::broker(&KafkaError::Canceled)),
            }
        }
        Ok(())
    }

    async fn close(&self) {
        let Some(left) = self.leave() else { return };
        if tokio::time::timeout(FAREWELL, left).await.is_err() {
            tracing::warn!(
                topic = self.topic,
                "librdkafka still waits for its brokers; it is left behind"
            );
        }
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

type Receipts = UnboundedReceiver<Result<(), (i64, RDKafkaErrorCode)>>;

/// A message that will never go takes others with it: its own error is the one that says something.
async fn reason(first: PortError, mut receipts: Receipts) -> PortError {
    let more = async {
        while let Some(became) = receipts.recv().await {
            if let Err((position, code)) = became {
                let error = error::delivery(position, code);
                if error.kind == FailureKind::Permanent {
                    return Some(error);
                }
            }
        }
        None
    };
    if first.kind == FailureKind::Permanent {
        return first;
    }
    tokio::time::timeout(REASONS, more).await.ok().flatten().unwrap_or(first)
}
