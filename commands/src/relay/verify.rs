//! Compares the log with the topic: what should have been told, and what was.
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use cairn_event_log::{EventLog, LogError};
use serde::Serialize;
use tokio::sync::mpsc;

use super::status::status;
use crate::ports::{PortError, Sent, TopicPort};
use crate::public::translate;

const BATCH: i64 = 1_000;
/// Places that a report names of each kind.
const NAMED: usize = 20;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// First position compared.
    pub from: i64,
    /// Last position compared.
    pub to: i64,
    /// Facts of the stretch that are public.
    pub public: u64,
    /// Facts of the stretch that are private.
    pub private: u64,
    /// Public ones that the topic has.
    pub found: u64,
    /// Messages that repeat one before them. Allowed: delivery is at least once.
    pub repeated: u64,
    /// Public ones that the topic lacks.
    pub missing: Findings,
    /// Messages that say something else than the log.
    pub differing: Findings,
    /// First deliveries that come after a later one of their key, or in another partition than the rest of it.
    pub out_of_order: Findings,
    /// Messages of a position of which nothing is public.
    pub unknown: Findings,
    /// Messages without a readable position.
    pub foreign: u64,
}

/// How many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// How many.
    pub count: u64,
    /// Positions of the first of them.
    pub positions: Vec<i64>,
}

impl Findings {
    fn add(&mut self, position: i64) {
        self.count += 1;
        if self.positions.len() < NAMED {
            self.positions.push(position);
        }
    }
}

impl Report {
    /// Whether the topic tells what the log says. Repeats are allowed.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let wrong = [&self.missing, &self.differing, &self.out_of_order, &self.unknown];
        wrong.iter().all(|findings| findings.count == 0) && self.foreign == 0
    }
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The stretch makes no sense.
    #[error("{0}")]
    Range(String),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The topic.
    #[error(transparent)]
    Topic(#[from] PortError),
}

/// What a message should say, hashed: a stretch may be long.
struct Expected {
    body: u64,
    seen: bool,
}

/// What is known of a key.
struct KeySeen {
    partition: i32,
    position: i64,
}

/// Compares a stretch of the log with the topic: from the beginning and up to the relay's checkpoint when nothing is said.
///
/// # Errors
/// [`RelayError`].
pub async fn verify(
    log: &EventLog,
    topic: &dyn TopicPort,
    source: &str,
    (from, to): (Option<i64>, Option<i64>),
) -> Result<Report, RelayError> {
    let reached = status(log, topic.name()).await?.position;
    let (from, to) = (from.unwrap_or(1), to.unwrap_or(reached));
    if from < 1 {
        return Err(RelayError::Range("the log begins at position 1".to_owned()));
    }
    if to > reached {
        let why = format!(
            "the relay has come to position {reached}: nothing beyond it can be compared yet"
        );
        return Err(RelayError::Range(why));
    }
    if to < from && reached > 0 {
        return Err(RelayError::Range(format!("{from} to {to} is no stretch of the log")));
    }
    let mut comparison = Comparison::new(from, to);
    comparison.expect(log, source).await?;
    let (sender, mut messages) = mpsc::channel(1_024);
    let compare = async {
        while let Some(message) = messages.recv().await {
            comparison.take(&message);
        }
    };
    let (read, ()) = tokio::join!(topic.read(sender), compare);
    read?;
    Ok(comparison.report())
}

struct Comparison {
    report: Report,
    expected: HashMap<i64, Expected>,
    keys: HashMap<String, KeySeen>,
}

impl Comparison {
    fn new(from: i64, to: i64) -> Self {
        let report = Report { from, to, ..Report::default() };
        Self { report, expected: HashMap::new(), keys: HashMap::new() }
    }

    async fn expect(&mut self, log: &EventLog, source: &str) -> Result<(), RelayError> {
        let mut after = self.report.from - 1;
        while after < self.report.to {
            let facts = log.read(after, BATCH.min(self.report.to - after)).await?;
            let Some(last) = facts.last() else { break };
            after = last.position;
            for fact in &facts {
                match translate(fact, source)? {
                    Some(event) => {
                        let body = hashed(event.body.as_bytes(), Some(&event.key));
                        self.expected.insert(event.position, Expected { body, seen: false });
                        self.report.public += 1;
                    }
                    None => self.report.private += 1,
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Sent) {
        let report = &mut self.report;
        let Some(position) = message.position else {
            report.foreign += 1;
            return;
        };
        if position < report.from || position > report.to {
            return;
        }
        let Some(expected) = self.expected.get_mut(&position) else {
            report.unknown.add(position);
            return;
        };
        if expected.body != hashed(&message.body, message.key.as_ref()) {
            report.differing.add(position);
        }
        if std::mem::replace(&mut expected.seen, true) {
            report.repeated += 1;
            return;
        }
        report.found += 1;
        let key = message.key.clone().unwrap_or_default();
        let fresh = KeySeen { partition: message.partition, position: 0 };
        let known = self.keys.entry(key).or_insert(fresh);
        if known.partition != message.partition || position < known.position {
            report.out_of_order.add(position);
        }
        known.position = known.position.max(position);
    }

    fn report(self) -> Report {
        let Self { mut report, expected, .. } = self;
        let unseen = expected.iter().filter(|(_, expected)| !expected.seen);
        let mut missing: Vec<i64> = unseen.map(|(position, _)| *position).collect();
        missing.sort_unstable();
        missing.into_iter().for_each(|position| report.missing.add(position));
        report
    }
}

/// Of what a message says and is about.
fn hashed(body: &[u8], key: Option<&String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match serde_json::from_slice::<serde_json::Value>(body) {
        // The order of its members means nothing.
        Ok(document) => (document, key).hash(&mut hasher),
        Err(_) => (body, key).hash(&mut hasher),
    }
    hasher.finish()
}
