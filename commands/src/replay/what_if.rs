//! The whole log decided again by today's code.
//!
//! The commands are found again from their facts ([`super::inverse`]), asked in the state before them, and what today's code decides
//! is held against what was recorded. Facts whose command cannot be found are counted, never taken for the same.
//!
//! Streams are read one after the other, so memory holds a page of events and the state of one stream.
use std::collections::BTreeMap;

use cairn_core::personal::ERASED;
use cairn_event_log::LogSource;
use serde::Serialize;
use serde_json::Value;

use super::fold::{self, Fold};
use super::stones::{self, Place, Stone};
use super::{At, ReplayError, types};
use crate::Personal;

const PAGE: i64 = 5_000;
/// Most differences that are described; all are counted.
const DESCRIBED_MAX: usize = 100;

/// Which decisions are made again.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// Of this type of aggregate; of every one when absent.
    pub aggregate_type: Option<String>,
    /// At or after this position.
    pub from: i64,
    /// Up to and including this point.
    pub to: At,
}

/// What deciding again came to.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct WhatIf {
    /// The last position that was looked at.
    pub to: i64,
    /// By type of aggregate.
    pub types: Vec<TypeAgain>,
    /// How many decisions would be others.
    pub differences_found: u64,
    /// The first hundred of them in the order of the log.
    pub differences: Vec<OtherDecision>,
}

/// One type of aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct TypeAgain {
    /// Its name.
    pub aggregate_type: String,
    /// Events looked at.
    pub events: u64,
    /// Decisions made again.
    pub decided: u64,
    /// Of which are the same.
    pub same: u64,
    /// Of which are others.
    pub other: u64,
    /// Events whose command cannot be found, by wire name.
    pub not_decided: BTreeMap<String, u64>,
}

/// A decision that today's code would not make.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherDecision {
    /// Position of its first event.
    pub position: i64,
    /// Its stream.
    pub aggregate_type: String,
    /// Its stream.
    pub aggregate_id: String,
    /// The command that decided it.
    pub command_id: String,
    /// What was recorded.
    pub recorded: Vec<Value>,
    /// What would be recorded today.
    pub today: Vec<Value>,
    /// Or why it would be refused.
    pub refused: Option<Refused>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What today's code makes of a command.
pub(crate) enum Again {
    /// The facts do not say what was asked.
    NotFound,
    /// The same facts.
    Same,
    /// Other facts, perhaps none.
    Other(Vec<Value>),
    /// A refusal.
    Refused(Refused),
}

/// Decides every command of the log again, with the texts opened that `personal` has the keys of.
///
/// # Errors
/// [`ReplayError`]; an event that does not decode ends it.
pub async fn what_if(
    log: &impl LogSource,
    personal: &Personal,
    wanted: &Decisions,
) -> Result<WhatIf, ReplayError> {
    what_if_in_pages((log, personal), wanted, PAGE).await
}

/// Like [`what_if`], reading `page` events at a time; what is found does not depend on it.
///
/// # Errors
/// As [`what_if`].
pub async fn what_if_in_pages(
    (log, personal): (&impl LogSource, &Personal),
    wanted: &Decisions,
    page: i64,
) -> Result<WhatIf, ReplayError> {
    let of_type = wanted.aggregate_type.as_deref();
    if let Some(name) = of_type.filter(|name| fold::find(name).is_none()) {
        return Err(ReplayError::UnknownType(name.to_owned(), types().join(", ")));
    }
    let mut reading = stones::reading(log).await?;
    let to = stones::position(&mut reading, wanted.to).await?;
    let mut judge = Judge { from: wanted.from, ..Judge::default() };
    let (mut after, mut command) = (Place::default(), vec![]);
    loop {
        let stones = stones::by_stream(&mut reading, &after, (of_type, to, page)).await?;
        let Some(last) = stones.last() else { break };
        after = last.place();
        for mut stone in stones {
            // What a command says is judged in the words that were said.
            let sealed = personal.open_in(&mut stone.payload, None).await;
            sealed.map_err(|error| ReplayError::Corrupt {
                position: stone.position,
                message: error.to_string(),
            })?;
            if command.last().is_some_and(|last| !same_command(last, &stone)) {
                judge.command(&std::mem::take(&mut command))?;
            }
            command.push(stone);
        }
    }
    judge.command(&command)?;
    reading.rollback().await?;
    Ok(judge.report(to))
}

fn has_erased(value: &Value) -> bool {
    match value {
        Value::String(text) => text == ERASED,
        Value::Array(items) => items.iter().any(has_erased),
        Value::Object(members) => members.values().any(has_erased),
        _ => false,
    }
}

fn same_command(one: &Stone, other: &Stone) -> bool {
    (&one.command_id, &one.aggregate_type, &one.aggregate_id)
        == (&other.command_id, &other.aggregate_type, &other.aggregate_id)
}

#[derive(Default)]
struct Judge {
    from: i64,
    /// The stream under way.
    stream: Option<((String, String), Box<dyn Fold>)>,
    types: BTreeMap<String, TypeAgain>,
    differences_found: u64,
    differences: BTreeMap<i64, OtherDecision>,
}

impl Judge {
    /// All facts of one command: one decision.
    fn command(&mut self, facts: &[Stone]) -> Result<(), ReplayError> {
        let Some(first) = facts.first() else { return Ok(()) };
        let mut folded = self.folded(first)?;
        if first.position >= self.from {
            let corrupt = |message| ReplayError::Corrupt { position: first.position, message };
            // Nobody knows any more what the command of an erased text said.
            let erased = facts.iter().any(|stone| has_erased(&stone.payload));
            let again =
                if erased { Again::NotFound } else { folded.again(facts).map_err(corrupt)? };
            self.tally(facts, again);
        }
        for stone in facts {
            let corrupt = |message| ReplayError::Corrupt { position: stone.position, message };
            folded.add(stone).map_err(corrupt)?;
        }
        let name = (first.aggregate_type.clone(), first.aggregate_id.clone());
        self.stream = Some((name, folded));
        Ok(())
    }

    /// The state before a fact.
    fn folded(&mut self, stone: &Stone) -> Result<Box<dyn Fold>, ReplayError> {
        let stream = (&stone.aggregate_type, &stone.aggregate_id);
        match self.stream.take() {
            Some(((kind, id), folded)) if (&kind, &id) == stream => Ok(folded),
            _ => fold::start(stream.0).ok_or_else(|| ReplayError::Corrupt {
                position: stone.position,
                message: format!("no aggregate is a '{}'", stream.0),
            }),
        }
    }

    fn tally(&mut self, facts: &[Stone], again: Again) {
        let Some(first) = facts.first() else { return };
        let tally = self.types.entry(first.aggregate_type.clone()).or_default();
        tally.events += u64::try_from(facts.len()).unwrap_or(u64::MAX);
        let (today, refused) = match again {
            Again::NotFound => {
                for fact in facts {
                    *tally.not_decided.entry(fact.event_type.clone()).or_default() += 1;
                }
                return;
            }
            Again::Same => {
                tally.same += 1;
                return;
            }
            Again::Other(today) => (today, None),
            Again::Refused(refused) => (vec![], Some(refused)),
        };
        tally.other += 1;
        self.differences_found += 1;
        let other = OtherDecision {
            position: first.position,
            aggregate_type: first.aggregate_type.clone(),
            aggregate_id: first.aggregate_id.clone(),
            command_id: first.command_id.clone(),
            recorded: facts.iter().map(|stone| stone.payload.clone()).collect(),
            today,
            refused,
        };
        self.differences.insert(first.position, other);
        if self.differences.len() > DESCRIBED_MAX {
            self.differences.pop_last();
        }
    }

    fn report(self, to: i64) -> WhatIf {
        let named = self.types.into_iter().map(|(aggregate_type, tally)| TypeAgain {
            aggregate_type,
            decided: tally.same + tally.other,
            ..tally
        });
        WhatIf {
            to,
            types: named.collect(),
            differences_found: self.differences_found,
            differences: self.differences.into_values().collect(),
        }
    }
}
