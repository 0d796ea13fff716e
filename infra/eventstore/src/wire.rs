//! How facts, outcomes and claims lie in streams of EventStoreDB.
//!
//! | stream | holds |
//! |---|---|
//! | `cairn.<type>-<id>` | the events of one aggregate: its payload as the event's data, the rest in the event's metadata |
//! | `cairn.key.<sha-256 of the command id>` | what is or was to be done under that id ([`Claim`]) |
//! | `cairn.log` | which log this is |
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use cairn_core::{BookEntry, Timestamp};
use cairn_event_log::{AppendRequest, LogError, Metadata, NewEvent, Outcome, Recorded};
use eventstore::{EventData, RecordedEvent};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Every stream of ours begins with it.
pub(crate) const PREFIX: &str = "cairn.";
/// The stream that says which log this is.
pub(crate) const IDENTITY: &str = "cairn.log";
/// Begins the streams of claims.
const KEY: &str = "cairn.key.";
/// The wire name of a claim.
const CLAIM: &str = "cairn.claim";
/// More kinds of streams than anybody has.
const KINDS: usize = 256;

/// What lies in the metadata of an event.
#[derive(Debug, Serialize, Deserialize)]
struct Around {
    version: String,
    metadata: Metadata,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    book: Option<BookEntry>,
    /// Which of how many events of its command this is.
    ordinal: usize,
    count: usize,
    /// With the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<Settled>,
}

/// How a command ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settled {
    hash: String,
    outcome: Outcome,
}

/// What is to be done under a command id, whole: whoever finds it can carry it out, and to the same effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) command_id: String,
    settled: Settled,
    aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) expected_sequence: i64,
    metadata: Metadata,
    pub(crate) events: Vec<ClaimedEvent>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClaimedEvent {
    event_type: String,
    version: String,
    /// The very text.
    payload: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    book: Option<BookEntry>,
}

/// What an event of `$all` is to us.
pub(crate) enum Found {
    /// A fact, with what is around it.
    Fact(Box<Fact>),
    /// A claim.
    Claim(Box<Claim>),
    /// Nothing.
    Other,
}

/// A fact and what its request shares with it.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) stream: (String, String),
    pub(crate) sequence: i64,
    pub(crate) position: i64,
    at: Timestamp,
    event_type: String,
    payload: String,
    around: Around,
}

pub(crate) fn corrupt(error: impl std::fmt::Display) -> LogError {
    LogError::Corrupt(error.to_string())
}

/// The stream of an aggregate.
pub(crate) fn stream_name((kind, id): (&str, &str)) -> Result<String, LogError> {
    if kind.is_empty() || kind.contains(['-', '.']) {
        return Err(corrupt(format!("'{kind}' is no kind of stream")));
    }
    Ok(format!("{PREFIX}{kind}-{id}"))
}

/// The stream of the claims of a command id.
pub(crate) fn key_name(command_id: &str) -> String {
    format!("{KEY}{}", hex::encode(Sha256::digest(command_id)))
}

impl Claim {
    pub(crate) fn of(request: &AppendRequest) -> Self {
        let event = |event: &NewEvent| ClaimedEvent {
            event_type: event.event_type.clone(),
            version: event.event_version.clone(),
            payload: event.payload.clone(),
            book: event.book.clone(),
        };
        let hash = hex::encode(request.command_hash);
        Self {
            command_id: request.command_id.clone(),
            settled: Settled { hash, outcome: request.outcome.clone() },
            aggregate_type: request.aggregate_type.to_owned(),
            aggregate_id: request.aggregate_id.clone(),
            expected_sequence: request.expected_sequence,
            metadata: Metadata {
                command_id: request.command_id.clone(),
                ..request.metadata.clone()
            },
            events: request.events.iter().map(event).collect(),
        }
    }

    pub(crate) fn stream(&self) -> (&str, &str) {
        (&self.aggregate_type, &self.aggregate_id)
    }

    pub(crate) const fn outcome(&self) -> &Outcome {
        &self.settled.outcome
    }

    pub(crate) fn hash(&self) -> Result<[u8; 32], LogError> {
        hash(&self.settled)
    }

    /// Events in the stream when it is carried out.
    pub(crate) fn sequence_after(&self) -> i64 {
        self.expected_sequence + i64::try_from(self.events.len()).unwrap_or(i64::MAX)
    }

    /// The claim itself as an event; its id is new each time, because the second of two who claim must lose.
    pub(crate) fn data(&self) -> Result<EventData, LogError> {
        EventData::json(CLAIM, self).map_err(corrupt)
    }

    /// The events of the claim that is number `attempt` of its command id. Their ids are always the same, so that doing it twice
    /// is doing it once.
    pub(crate) fn facts(&self, attempt: u64) -> Result<Vec<EventData>, LogError> {
        let count = self.events.len();
        self.events
            .iter()
            .zip(1..)
            .map(|(event, ordinal)| {
                let around = Around {
                    version: event.version.clone(),
                    metadata: self.metadata.clone(),
                    book: event.book.clone(),
                    ordinal,
                    count,
                    settled: (ordinal == count).then(|| self.settled.clone()),
                };
                let payload: &RawValue = serde_json::from_str(&event.payload).map_err(corrupt)?;
                let data = EventData::json(&event.event_type, &payload).map_err(corrupt)?;
                let data = data.id(event_id(&self.command_id, attempt, ordinal));
                data.metadata_as_json(&around).map_err(corrupt)
            })
            .collect()
    }

    /// The request that a claim without events is.
    pub(crate) fn into_request(self) -> Result<AppendRequest, LogError> {
        Ok(AppendRequest {
            command_hash: self.hash()?,
            command_id: self.command_id,
            aggregate_type: kind(&self.aggregate_type)?,
            aggregate_id: self.aggregate_id,
            expected_sequence: self.expected_sequence,
            events: vec![],
            outcome: self.settled.outcome,
            metadata: self.metadata,
        })
    }
}

fn hash(settled: &Settled) -> Result<[u8; 32], LogError> {
    let bytes = hex::decode(&settled.hash).map_err(corrupt)?;
    bytes.try_into().map_err(|_| corrupt("a hash of another size"))
}

/// The id of an event, which nobody else's has.
pub(crate) fn event_id(command_id: &str, attempt: u64, ordinal: usize) -> Uuid {
    let digest = Sha256::new()
        .chain_update(command_id.len().to_be_bytes())
        .chain_update(command_id)
        .chain_update(attempt.to_be_bytes())
        .chain_update(ordinal.to_be_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A kind of stream by the name that the process keeps for it.
fn kind(name: &str) -> Result<&'static str, LogError> {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = known.get(name) {
        return Ok(kept);
    }
    if known.len() >= KINDS {
        return Err(corrupt(format!("'{name}' would be more kinds of streams than there are")));
    }
    let kept: &'static str = String::leak(name.to_owned());
    known.insert(kept);
    Ok(kept)
}

/// Reads an event of any stream.
pub(crate) fn read(event: &RecordedEvent) -> Result<Found, LogError> {
    let at = || format!("revision {} of {}", event.revision, event.stream_id);
    let wrong = |error: &dyn std::fmt::Display| corrupt(format!("{}: {error}", at()));
    if event.stream_id.starts_with(KEY) {
        let claim = serde_json::from_slice(&event.data).map_err(|error| wrong(&error))?;
        return Ok(Found::Claim(claim));
    }
    let name = event.stream_id.strip_prefix(PREFIX).filter(|_| event.stream_id != IDENTITY);
    let Some((kind, id)) = name.and_then(|name| name.split_once('-')) else {
        return Ok(Found::Other);
    };
    let payload = std::str::from_utf8(&event.data).map_err(|error| wrong(&error))?;
    let around = serde_json::from_slice(&event.custom_metadata).map_err(|error| wrong(&error))?;
    Ok(Found::Fact(Box::new(Fact {
        stream: (kind.to_owned(), id.to_owned()),
        sequence: number(event.revision)? + 1,
        position: number(event.position.commit)?,
        at: created(event),
        event_type: event.event_type.clone(),
        payload: payload.to_owned(),
        around,
    })))
}

pub(crate) fn number(number: u64) -> Result<i64, LogError> {
    i64::try_from(number).map_err(corrupt)
}

/// The server counts in 100 nanoseconds.
fn created(event: &RecordedEvent) -> Timestamp {
    let ticks = event.metadata.get("created").and_then(|ticks| ticks.parse::<i64>().ok());
    Timestamp::from_micros(ticks.unwrap_or_default() / 10)
}

impl Fact {
    pub(crate) fn command_id(&self) -> &str {
        &self.around.metadata.command_id
    }

    /// As whoever reads the log sees it.
    pub(crate) fn recorded(self) -> Result<Recorded, LogError> {
        serde_json::from_str::<IgnoredAny>(&self.payload).map_err(corrupt)?;
        let parsed = self.around.version.parse();
        let fault = parsed.is_err().then(|| format!("event version '{}'", self.around.version));
        Ok(Recorded {
            position: self.position,
            recorded_at: self.at,
            aggregate_type: self.stream.0,
            aggregate_id: self.stream.1,
            sequence: self.sequence,
            event_type: self.event_type,
            event_version: parsed.unwrap_or_default(),
            payload: self.payload.into(),
            metadata: self.around.metadata.into(),
            fault,
        })
    }
}

/// Facts on their way to becoming the request that wrote them. One append lies in one piece.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    facts: Vec<Fact>,
}

impl Assembly {
    /// The request, when this was its last fact.
    pub(crate) fn add(&mut self, fact: Fact) -> Result<Option<AppendRequest>, LogError> {
        let (ordinal, count) = (fact.around.ordinal, fact.around.count);
        if ordinal == 1 {
            self.facts.clear();
        }
        let fits = self.facts.last().is_none_or(|last| {
            last.stream == fact.stream
                && last.sequence + 1 == fact.sequence
                && last.command_id() == fact.command_id()
        });
        if ordinal != self.facts.len() + 1 || !fits {
            let (kind, id) = &fact.stream;
            return Err(corrupt(format!(
                "number {} of {kind} {id} is fact {ordinal} of {count}, and those before it are elsewhere",
                fact.sequence
            )));
        }
        self.facts.push(fact);
        if ordinal < count {
            return Ok(None);
        }
        request(std::mem::take(&mut self.facts)).map(Some)
    }
}

fn request(facts: Vec<Fact>) -> Result<AppendRequest, LogError> {
    let (Some(first), Some(last)) = (facts.first(), facts.last()) else {
        return Err(corrupt("a request without facts"));
    };
    let settled = last.around.settled.clone();
    let settled =
        settled.ok_or_else(|| corrupt("the last fact of a request without its outcome"))?;
    Ok(AppendRequest {
        command_id: last.command_id().to_owned(),
        command_hash: hash(&settled)?,
        aggregate_type: kind(&first.stream.0)?,
        aggregate_id: first.stream.1.clone(),
        expected_sequence: first.sequence - 1,
        outcome: settled.outcome,
        metadata: last.around.metadata.clone(),
        events: facts
            .into_iter()
            .map(|fact| NewEvent {
                event_type: fact.event_type,
                event_version: fact.around.version,
                payload: fact.payload,
                book: fact.around.book,
            })
            .collect(),
    })
}
