//! Where the brokers are, and how librdkafka is set up.
use rdkafka::ClientConfig;

/// Where public events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Brokers to ask first: `host:port`, separated by commas. Plain TCP.
    pub brokers: String,
    /// The topic. Its number of partitions must never change: keys would move to others.
    pub topic: String,
}

impl KafkaConfig {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "cairn")
            // A broker that takes a request and never answers counts as gone.
            .set("socket.timeout.ms", "10000")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000");
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What follows a message that failed is not sent in its place.
            .set("enable.gapless.guarantee", "true")
            // It waits for the brokers as long as it takes: a timeout would leave a gap.
            .set("message.timeout.ms", "0")
            // As Java's clients do it, so that everybody finds a key where it belongs.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            .set("statistics.interval.ms", "1000");
        config
    }

    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // librdkafka wants a name; without a subscription nobody joins a group.
            .set("group.id", "cairn-relay-verify")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        config
    }
}
