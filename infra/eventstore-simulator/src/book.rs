//! Streams in memory, with the server's rules: what is expected of a stream, and what is the same append once more.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::bytes::Bytes;
use tokio::sync::watch;

use crate::wire::append_req::{Expected, ProposedMessage};
use crate::wire::append_resp::{self, Current};
use crate::wire::read_resp::{Content, ReadEvent, RecordedEvent};
use crate::wire::{AppendResp, Position, ReadResp, StreamIdentifier};

/// Bytes that the log grows by with each event, so that positions are not dense, as on a real server.
const STRIDE: u64 = 100;

/// All events.
#[derive(Debug)]
pub struct Book {
    events: Mutex<Events>,
    grown: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Events {
    all: Vec<RecordedEvent>,
    /// Where in `all` the events of a stream are.
    streams: HashMap<Bytes, Vec<usize>>,
}

impl Default for Book {
    fn default() -> Self {
        Self { events: Mutex::default(), grown: watch::channel(0).0 }
    }
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of growth.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    /// Appends if the stream is as expected, or if this very append was done before.
    pub fn append(
        &self,
        stream: &Bytes,
        expected: Expected,
        messages: Vec<ProposedMessage>,
    ) -> AppendResp {
        let mut events = self.lock();
        let length = events.streams.get(stream).map_or(0, Vec::len);
        let from = match expected {
            Expected::Revision(revision) => usize::try_from(revision + 1).unwrap_or(usize::MAX),
            Expected::NoStream(()) => 0,
            Expected::Any(()) => length,
            Expected::StreamExists(()) if length > 0 => length,
            Expected::StreamExists(()) => usize::MAX,
        };
        if from != length && !events.has_at(stream, from, &messages) {
            return wrong(length, expected);
        }
        if from == length {
            events.push(stream, messages);
            self.grown.send_replace(events.all.len());
        } else {
            return events.success(stream, from + messages.len());
        }
        let length = events.streams.get(stream).map_or(0, Vec::len);
        events.success(stream, length)
    }

    /// Events of one stream from a revision on, or backwards from there; `None` when there is no such stream.
    pub fn stream(
        &self,
        stream: &Bytes,
        from: Option<u64>,
        backwards: bool,
        count: usize,
    ) -> Option<Vec<RecordedEvent>> {
        let events = self.lock();
        let places = events.streams.get(stream)?;
        let from = from.map_or(places.len(), |from| usize::try_from(from).unwrap_or(usize::MAX));
        let event = |place: &usize| events.all[*place].clone();
        Some(if backwards {
            let until = from.saturating_add(1).min(places.len());
            places[..until].iter().rev().take(count).map(event).collect()
        } else {
            places.iter().skip(from).take(count).map(event).collect()
        })
    }

    /// Events of all streams at and after a position, and how many there were to look at.
    pub fn all(&self, from: u64, count: usize) -> (Vec<RecordedEvent>, usize) {
        let events = self.lock();
        let start = events.all.partition_point(|event| event.commit_position < from);
        (events.all[start..].iter().take(count).cloned().collect(), events.all.len())
    }
}

impl Events {
    fn push(&mut self, stream: &Bytes, messages: Vec<ProposedMessage>) {
        #[allow(clippy::disallowed_methods, reason = "a server has a clock")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for message in messages {
            let place = self.all.len();
            let places = self.streams.entry(stream.clone()).or_default();
            let position = (place as u64 + 1) * STRIDE;
            let mut metadata = message.metadata;
            metadata.insert("created".to_owned(), (now.as_nanos() / 100).to_string());
            self.all.push(RecordedEvent {
                id: message.id,
                stream_identifier: Some(StreamIdentifier { stream_name: stream.clone() }),
                stream_revision: places.len() as u64,
                prepare_position: position,
                commit_position: position,
                metadata,
                custom_metadata: message.custom_metadata,
                data: message.data,
            });
            places.push(place);
        }
    }

    /// Whether the stream has these very events there.
    fn has_at(&self, stream: &Bytes, from: usize, messages: &[ProposedMessage]) -> bool {
        let places = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let there = places.get(from..).unwrap_or_default();
        there.len() >= messages.len()
            && there.iter().zip(messages).all(|(place, sent)| self.all[*place].id == sent.id)
    }

    /// The answer after an append that left the stream with so many events, or found them.
    fn success(&self, stream: &Bytes, length: usize) -> AppendResp {
        let place = self.streams.get(stream).and_then(|places| places.get(length - 1));
        let commit_position = place.map_or(0, |place| self.all[*place].commit_position);
        let position = Position { commit_position, prepare_position: commit_position };
        let success = append_resp::Success {
            current_revision: Some(length as u64 - 1),
            position: Some(position),
        };
        AppendResp { result: Some(append_resp::Result::Success(success)) }
    }
}

fn wrong(length: usize, expected: Expected) -> AppendResp {
    let current = match length {
        0 => Current::NoStream(()),
        some => Current::Revision(some as u64 - 1),
    };
    let expected = match expected {
        Expected::Revision(revision) => append_resp::Expected::Revision(revision),
        Expected::NoStream(()) => append_resp::Expected::NoStream(()),
        Expected::Any(()) => append_resp::Expected::Any(()),
        Expected::StreamExists(()) => append_resp::Expected::StreamExists(()),
    };
    let wrong =
        append_resp::WrongExpectedVersion { current: Some(current), expected: Some(expected) };
    AppendResp { result: Some(append_resp::Result::WrongExpectedVersion(wrong)) }
}

/// As an answer to a read.
pub fn shown(event: RecordedEvent) -> ReadResp {
    let commit_position = Some(event.commit_position);
    ReadResp { content: Some(Content::Event(ReadEvent { event: Some(event), commit_position })) }
}
