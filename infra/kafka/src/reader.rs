//! Reads a topic from its beginning to where it ends now. Blocking: in a thread of its own.
//!
//! A partition ends where the broker that sends it has no more. What brokers answer when they are asked for the end of a partition
//! may be of some time ago.
use std::collections::HashSet;
use std::time::{Duration, Instant};

use cairn_commands::ports::{PortError, Sent};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::Sender;

use crate::context::Context;
use crate::error;
use crate::producer::POSITION;

/// How long brokers may take to answer a question.
const ANSWER: Duration = Duration::from_secs(10);
/// How long nothing may come while something should.
const SILENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn read(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    each: &Sender<Sent>,
) -> Result<(), PortError> {
    let mut open = assign(consumer, topic)?;
    let mut heard = Instant::now();
    while !open.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                // Nobody wants the rest.
                if each.blocking_send(sent(&message)).is_err() {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => tracing::debug!(%error, topic, "reading goes on"),
            None => {}
        }
        if heard.elapsed() > SILENCE {
            return Err(PortError::transient("kafka", "the brokers send nothing more"));
        }
    }
    Ok(())
}

/// Takes every partition from its beginning, and answers which there are.
fn assign(consumer: &BaseConsumer<Context>, topic: &str) -> Result<HashSet<i32>, PortError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|e| error::broker(&e))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: HashSet<i32> =
        found.iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(PortError::transient("kafka", format!("the brokers have no topic {topic}")));
    }
    let mut wanted = TopicPartitionList::new();
    for &partition in &partitions {
        let added = wanted.add_partition_offset(topic, partition, Offset::Beginning);
        added.map_err(|e| error::broker(&e))?;
    }
    consumer.assign(&wanted).map_err(|e| error::broker(&e))?;
    Ok(partitions)
}

fn sent(message: &BorrowedMessage<'_>) -> Sent {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let position = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == POSITION)?;
        text(header.value?)?.parse().ok()
    });
    Sent {
        partition: message.partition(),
        key: message.key().and_then(text),
        position,
        body: message.payload().unwrap_or_default().to_vec(),
    }
}
