//! The topic that public events are sent to, and read back from to compare.
use std::sync::Arc;

use async_trait::async_trait;

use super::PortError;
use crate::public::PublicEvent;

/// A message as the topic holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where: messages of one partition have an order.
    pub partition: i32,
    /// What it is about.
    pub key: Option<String>,
    /// Place in the log that it says it is of.
    pub position: Option<i64>,
    /// The document.
    pub body: Vec<u8>,
}

/// What the adapter has seen of the brokers since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerHealth {
    /// Times that a broker could not be reached or answered with an error.
    pub errors: u64,
    /// Connections of one producer that broke, at most.
    pub disconnects: u64,
    /// The last of them.
    pub last_error: Option<String>,
}

/// A topic of one cluster of brokers.
#[async_trait]
pub trait TopicPort: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// A new producer. Nothing needs to be reachable yet.
    ///
    /// # Errors
    /// Permanent, when the configuration makes no sense.
    fn producer(&self) -> Result<Arc<dyn Producer>, PortError>;

    /// Reads everything that the topic holds now, each partition in its order, and hands it on.
    ///
    /// # Errors
    /// Transient, when the brokers do not answer.
    async fn read(&self, each: tokio::sync::mpsc::Sender<Sent>) -> Result<(), PortError>;

    /// What happened with the brokers.
    fn health(&self) -> BrokerHealth;
}

/// One run of sending. After an error it is of no use any more: close it and begin anew where it is sure that all has arrived.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Sends in this order, by key, and returns when every one has been acknowledged by all replicas in sync. It waits for a
    /// broker that is away for as long as it takes. When one fails, none that follows it is left behind in its place.
    ///
    /// # Errors
    /// Transient, when the same may succeed with another producer; permanent, when it never will as it is.
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError>;

    /// Leaves, within seconds, whatever the brokers do. What was not acknowledged may or may not arrive.
    async fn close(&self);
}
