//! Reads a topic as it is now, from its beginning. Blocking: in a thread of its own.
use std::collections::HashMap;
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
    let mut ends = assign(consumer, topic)?;
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (partition, next) = (message.partition(), message.offset() + 1);
                // Nobody wants the rest.
                if each.blocking_send(sent(&message)).is_err() {
                    return Ok(());
                }
                if ends.get(&partition).is_some_and(|end| next >= *end) {
                    ends.remove(&partition);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
            Some(Err(error)) => tracing::debug!(%error, topic, "reading goes on"),
            None => {}
        }
        if heard.elapsed() > SILENCE {
            return Err(PortError::transient("kafka", "the brokers send nothing more"));
        }
    }
    Ok(())
}

/// Takes every partition that holds something, from its beginning; answers where each ends.
fn assign(consumer: &BaseConsumer<Context>, topic: &str) -> Result<HashMap<i32, i64>, PortError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|e| error::broker(&e))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: Vec<i32> =
        found.iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(PortError::transient("kafka", format!("the brokers have no topic {topic}")));
    }
    let (mut ends, mut wanted) = (HashMap::new(), TopicPartitionList::new());
    for partition in partitions {
        let marks = consumer.fetch_watermarks(topic, partition, ANSWER);
        let (low, high) = marks.map_err(|e| error::broker(&e))?;
        if low < high {
            ends.insert(partition, high);
            wanted
                .add_partition_offset(topic, partition, Offset::Offset(low))
                .map_err(|e| error::broker(&e))?;
        }
    }
    consumer.assign(&wanted).map_err(|e| error::broker(&e))?;
    Ok(ends)
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
