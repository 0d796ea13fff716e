//! What would have been appended: events that exist nowhere else, in the order in which they were decided.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_core::Timestamp;
use cairn_event_log::{LogError, Metadata, NewEvent, Recorded};

use super::Still;
use crate::ports::Clock as _;

/// The events of one rehearsal. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Imagined {
    /// Position of the last event that is real.
    head: i64,
    clock: Arc<Still>,
    events: Arc<Mutex<Vec<Recorded>>>,
}

impl Imagined {
    pub(super) fn after(head: i64, clock: Arc<Still>) -> Self {
        Self { head, clock, events: Arc::default() }
    }

    fn events(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was decided on a stream of so many events. Answers the position of the last.
    pub(crate) fn take(
        &self,
        (aggregate_type, aggregate_id, before): (&str, &str, i64),
        decided: Vec<NewEvent>,
        metadata: &Metadata,
    ) -> Result<i64, LogError> {
        let mut events = self.events();
        for (sequence, new) in (before + 1..).zip(decided) {
            let number = i64::try_from(events.len()).unwrap_or(i64::MAX);
            let version = new.event_version.parse();
            events.push(Recorded {
                position: self.head + 1 + number,
                recorded_at: self.clock.now(),
                aggregate_type: aggregate_type.to_owned(),
                aggregate_id: aggregate_id.to_owned(),
                sequence,
                event_type: new.event_type,
                event_version: version
                    .map_err(|_| LogError::Corrupt("a version is no number".to_owned()))?,
                payload: new.payload.into(),
                metadata: metadata.clone().into(),
                fault: None,
            });
        }
        Ok(self.head + i64::try_from(events.len()).unwrap_or(i64::MAX))
    }

    pub(super) const fn head(&self) -> i64 {
        self.head
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn get(&self, number: usize) -> Option<Recorded> {
        self.events().get(number).cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.events().len()
    }

    /// How many events a stream has in truth that has so many with the imagined ones.
    pub(super) fn truly(&self, aggregate_id: &str, sequence: i64) -> i64 {
        let events = self.events();
        let first = events.iter().find(|it| it.aggregate_id == aggregate_id);
        first.map_or(sequence, |first| sequence.min(first.sequence - 1))
    }
}
