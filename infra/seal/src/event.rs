//! An event as the database stores it, column by column, and the bytes that stand for it.
use serde::{Deserialize, Serialize};

use crate::{Hash, merkle};

/// Names the layout. Another set of columns is another layout, with another name.
const LAYOUT: &[u8] = b"cairn.event.1";

/// What is said of an event in its row of `events`; not what the sender of its command was answered.
/// Texts are as stored: JSON is not parsed, because parsing could forgive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedEvent {
    /// Place in the log.
    pub position: i64,
    /// When it was appended, in microseconds since 1970 UTC.
    pub recorded_at_micros: i64,
    /// The command that decided it.
    pub command_id: String,
    /// Kind of stream.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
    /// Number in the stream.
    pub sequence: i64,
    /// Wire name.
    pub event_type: String,
    /// Version of the wire name's payload, as text.
    pub event_version: String,
    /// The fact, as the JSON text that is stored.
    pub payload: String,
    /// Who caused it, as the JSON text that is stored.
    pub metadata: String,
}

impl SealedEvent {
    /// The bytes that stand for it: layout and columns in a fixed order, each with its length (64 bits, big endian) before it.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let numbers = [self.position, self.recorded_at_micros, self.sequence];
        let [position, recorded_at, sequence] = numbers.map(i64::to_be_bytes);
        let fields: [&[u8]; 11] = [
            LAYOUT,
            &position,
            &recorded_at,
            self.command_id.as_bytes(),
            self.aggregate_type.as_bytes(),
            self.aggregate_id.as_bytes(),
            &sequence,
            self.event_type.as_bytes(),
            self.event_version.as_bytes(),
            self.payload.as_bytes(),
            self.metadata.as_bytes(),
        ];
        let mut bytes = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
        for field in fields {
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }

    /// Its leaf in the tree of its block.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        merkle::leaf(&self.canonical())
    }
}
