//! An event as the database stores it, column by column, and the bytes that stand for it.
use serde::{Deserialize, Serialize};

use crate::{Hash, merkle};

/// Names the layout. Another set of columns is another layout, with another name.
const LAYOUT: &[u8] = b"cairn.event.1";

/// Bytes that are not the canonical ones of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes of an event are {0}")]
pub struct MalformedEvent(&'static str);

fn field<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], MalformedEvent> {
    let short = MalformedEvent("cut short");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
    let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| short)?;
    let (field, rest) = rest.split_at_checked(length).ok_or(short)?;
    *bytes = rest;
    Ok(field)
}

fn number(bytes: &mut &[u8]) -> Result<i64, MalformedEvent> {
    let field = field(bytes)?.try_into().map_err(|_| MalformedEvent("not a number"))?;
    Ok(i64::from_be_bytes(field))
}

fn text(bytes: &mut &[u8]) -> Result<String, MalformedEvent> {
    let text = str::from_utf8(field(bytes)?).map_err(|_| MalformedEvent("not text"))?;
    Ok(text.to_owned())
}

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

    /// The event whose canonical bytes come first, and takes them from the front.
    ///
    /// # Errors
    /// [`MalformedEvent`] when they are not those of an event.
    pub fn take_canonical(bytes: &mut &[u8]) -> Result<Self, MalformedEvent> {
        if field(bytes)? != LAYOUT {
            return Err(MalformedEvent("of another layout"));
        }
        Ok(Self {
            position: number(bytes)?,
            recorded_at_micros: number(bytes)?,
            command_id: text(bytes)?,
            aggregate_type: text(bytes)?,
            aggregate_id: text(bytes)?,
            sequence: number(bytes)?,
            event_type: text(bytes)?,
            event_version: text(bytes)?,
            payload: text(bytes)?,
            metadata: text(bytes)?,
        })
    }

    /// Its leaf in the tree of its block.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        merkle::leaf(&self.canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::SealedEvent;

    fn event(position: i64) -> SealedEvent {
        SealedEvent {
            position,
            recorded_at_micros: -1,
            command_id: "c".to_owned(),
            aggregate_type: String::new(),
            aggregate_id: "grüße".to_owned(),
            sequence: i64::MAX,
            event_type: "thing.noted".to_owned(),
            event_version: "1".to_owned(),
            payload: "{\"a\": 1}".to_owned(),
            metadata: "null".to_owned(),
        }
    }

    #[test]
    fn canonical_bytes_say_which_event_they_are() {
        let all = [event(1).canonical(), event(2).canonical()].concat();
        let mut rest = &all[..];
        assert_eq!(SealedEvent::take_canonical(&mut rest), Ok(event(1)));
        assert_eq!(SealedEvent::take_canonical(&mut rest), Ok(event(2)));
        assert!(rest.is_empty());
    }

    #[test]
    fn bytes_cut_short_are_no_event() {
        let all = event(1).canonical();
        for length in 0..all.len() {
            assert!(SealedEvent::take_canonical(&mut &all[..length]).is_err(), "{length}");
        }
    }
}
