//! What goes into the log and what comes out of it.
use std::sync::Arc;

use cairn_core::upcast::Unreadable;
use cairn_core::{BookEntry, DomainEvent, StoredEvent, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{LogError, Payload, Told};

/// Who caused an event, and by what. Serialised as a flat map of strings, which is what postgres-es reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// Who did it: an API key, an operator, or a process.
    pub actor: String,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation_id: Option<String>,
    /// Shared by everything that one request set in motion.
    pub correlation_id: String,
    /// The command or event that this one follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The command that decided the event; the append sets it.
    pub command_id: String,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Where it came from: an IP address, `cli`, or a process name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A fact as the log holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Place in the log: dense, gapless, in commit order, from 1.
    pub position: i64,
    /// When it was appended; never earlier than the event before it.
    pub recorded_at: Timestamp,
    /// Kind of stream, for example `allocation`.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
    /// Number in the stream, from 1.
    pub sequence: i64,
    /// Wire name, for example `allocation.requested`.
    pub event_type: String,
    /// Integer version of the wire name's payload.
    pub event_version: u32,
    /// The fact itself.
    pub payload: Payload,
    /// Who caused it, and by what; empty when that cannot be read.
    pub metadata: Told,
    /// What is wrong with its metadata or version, when something is: then it does not decode.
    pub fault: Option<String>,
}

impl Recorded {
    /// Whether all around the payload is what it must be.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when it is not.
    pub fn check(&self) -> Result<(), LogError> {
        let corrupt = |fault| LogError::Corrupt(format!("position {}: {fault}", self.position));
        self.fault.as_ref().map_or(Ok(()), |fault| Err(corrupt(fault)))
    }

    /// The fact as its own type, brought up to date when an older version of the code wrote it.
    ///
    /// # Errors
    /// [`LogError::Newer`] when a newer version wrote it; [`LogError::Corrupt`] when it is not one of `E`, or not [sound](Self::check).
    pub fn decode<E: StoredEvent + 'static>(&self) -> Result<E, LogError> {
        self.check()?;
        if let Some(known) = self.payload.known::<E>() {
            return Ok(E::clone(&known));
        }
        let (position, version) = (self.position, self.event_version);
        let event_type = self.event_type.clone();
        let event = E::from_text(&self.event_type, version, self.payload.text());
        event.map_err(|unreadable| match unreadable {
            Unreadable::Newer { known } => LogError::Newer { position, event_type, version, known },
            Unreadable::Malformed(why) => LogError::Corrupt(format!(
                "position {position}: {event_type} version {version} does not decode: {why}"
            )),
        })
    }

    /// The same, kept with the event for all who read it after: several views of one log decode it once.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decoded<E: StoredEvent + 'static>(&self) -> Result<Arc<E>, LogError> {
        self.check()?;
        match self.payload.known::<E>() {
            Some(known) => Ok(known),
            None => Ok(self.payload.keep(self.decode::<E>()?)),
        }
    }
}

/// A fact to append.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Wire name.
    pub event_type: String,
    /// Integer version, as text.
    pub event_version: String,
    /// The fact as JSON text; written as it is.
    pub payload: String,
    /// What it writes into the books.
    pub book: Option<BookEntry>,
}

impl NewEvent {
    /// Encodes a fact.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when it does not serialise.
    pub fn try_new<E: DomainEvent>(event: &E, book: Option<BookEntry>) -> Result<Self, LogError> {
        let payload = serde_json::to_string(event)
            .map_err(|error| LogError::Corrupt(format!("event does not encode: {error}")))?;
        Ok(Self {
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload,
            book,
        })
    }
}

/// One command's facts and outcome, for one stream. Without events it only stores the outcome.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// Executes at most once, for ever.
    pub command_id: String,
    /// Hash of what was asked; the same id with another hash is refused.
    pub command_hash: [u8; 32],
    /// Kind of stream.
    pub aggregate_type: &'static str,
    /// Which stream.
    pub aggregate_id: String,
    /// Number of events in the stream that the decision knew of.
    pub expected_sequence: i64,
    /// The facts, in order.
    pub events: Vec<NewEvent>,
    /// What a repeat will be answered.
    pub outcome: Outcome,
    /// Written with every event.
    pub metadata: Metadata,
}

/// How a command ended. The first outcome of a command id stands for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, or had been done before.
    Accepted {
        /// What the caller is told, for example the id of the new thing.
        result: serde_json::Value,
    },
    /// A business answer: no.
    Refused {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
}

/// The stored outcome of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOutcome {
    /// How it ended.
    pub outcome: Outcome,
    /// Head of the log right after the command.
    pub position: i64,
    /// Kind of the stream it was for.
    pub aggregate_type: String,
    /// Which stream.
    pub aggregate_id: String,
    /// Events in the stream right after the command.
    pub sequence: i64,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Committed.
    Done {
        /// Position of the last event, or head of the log when there was none.
        position: i64,
        /// Events in the stream now.
        sequence: i64,
    },
    /// The command id was executed before; nothing was written.
    Repeated(StoredOutcome),
    /// The command id was used before for something else; nothing was written.
    KeyReused,
    /// The stream has other events than expected; nothing was written.
    Stale,
}
