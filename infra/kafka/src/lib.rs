//! Kafka: the topic that public events are sent to. The only crate that names rdkafka.
//!
//! What the broker gives us: an idempotent producer writes each message once and in order per partition, as long as it
//! lives; `acks=all` is answered when every replica in sync has it. What we add: a message never times out, none is sent
//! past one that failed, and leaving takes seconds, whatever the brokers do.
mod config;
mod context;
mod error;
mod producer;
mod reader;
mod topic;

pub use config::KafkaConfig;
pub use topic::KafkaTopic;
