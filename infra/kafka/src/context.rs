//! What librdkafka tells us on the side: errors, figures, log lines, and what became of a message.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cairn_commands::ports::BrokerHealth;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use tokio::sync::mpsc::UnboundedSender;

/// Shared by all clients of a topic.
#[derive(Debug, Default)]
pub(crate) struct Health {
    errors: AtomicU64,
    disconnects: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Health {
    pub(crate) fn seen(&self) -> BrokerHealth {
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        BrokerHealth {
            errors: self.errors.load(Ordering::Relaxed),
            disconnects: self.disconnects.load(Ordering::Relaxed),
            last_error,
        }
    }
}

/// Told of everything by one client.
#[derive(Debug, Clone)]
pub(crate) struct Context(pub(crate) Arc<Health>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error as well.
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn stats(&self, statistics: Statistics) {
        let broken: i64 = statistics.brokers.values().filter_map(|broker| broker.disconnects).sum();
        self.0.disconnects.fetch_max(broken.unsigned_abs(), Ordering::Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a broker is in trouble");
        self.0.errors.fetch_add(1, Ordering::Relaxed);
        let mut last = self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(reason.to_owned());
    }
}

impl ConsumerContext for Context {}

/// Where to say what became of a message.
pub(crate) struct Receipt {
    pub(crate) position: i64,
    pub(crate) to: UnboundedSender<Result<(), (i64, RDKafkaErrorCode)>>,
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Receipt>;

    fn delivery(&self, result: &DeliveryResult<'_>, receipt: Self::DeliveryOpaque) {
        let Receipt { position, to } = *receipt;
        let became = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                Err((position, error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)))
            }
        };
        // Nobody waits any more when the relay has left.
        let _ = to.send(became);
    }
}
