//! From librdkafka's errors to the caller's only question: the same again, or never as it is?
use cairn_commands::ports::PortError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Brokers could not be reached or answered with an error.
pub(crate) fn broker(error: &KafkaError) -> PortError {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => {
            PortError::permanent("kafka_config", error.to_string())
        }
        _ => PortError::transient("kafka", error.to_string()),
    }
}

/// A message did not arrive.
pub(crate) fn delivery(position: i64, code: Code) -> PortError {
    let says = format!("position {position}: {code}");
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidMessage
        | Code::InvalidRecord
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed => PortError::permanent("kafka_refused", says),
        _ => PortError::transient("kafka_undelivered", says),
    }
}
