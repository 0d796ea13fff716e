//! Requests that wait, and the batch that forms of them.
use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::{AppendRequest, Appended, LogError};

/// Events of one batch.
const BATCH_EVENTS: usize = 1_024;

/// None: the command id is known and its outcome has to be looked up.
pub(crate) type Answer = Result<Option<Appended>, LogError>;

#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) request: AppendRequest,
    pub(crate) queued_at: Instant,
    pub(crate) answer: oneshot::Sender<Answer>,
}

pub(crate) fn answer_all(requests: Vec<Queued>, error: &LogError) {
    for queued in requests {
        // Nobody may be waiting any more.
        let _ = queued.answer.send(Err(error.clone()));
    }
}

/// The next batch: no stream and no command twice. What has to wait for a later one is held back in order.
#[derive(Debug, Default)]
pub(crate) struct Forming {
    batch: Vec<Queued>,
    events: usize,
    commands: HashSet<String>,
    streams: HashSet<(&'static str, String)>,
    held_back: VecDeque<Queued>,
}

impl Forming {
    pub(crate) const fn len(&self) -> usize {
        self.batch.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.events < BATCH_EVENTS && self.held_back.len() < BATCH_EVENTS
    }

    pub(crate) fn admit(&mut self, queued: Queued) {
        let request = &queued.request;
        let stream = (request.aggregate_type, request.aggregate_id.clone());
        if self.events >= BATCH_EVENTS
            || self.commands.contains(&request.command_id)
            || !self.streams.insert(stream)
        {
            self.held_back.push_back(queued);
            return;
        }
        self.commands.insert(request.command_id.clone());
        self.events += request.events.len().max(1);
        self.batch.push(queued);
    }

    /// The batch; what was held back begins the next one.
    pub(crate) fn take(&mut self) -> Vec<Queued> {
        self.events = 0;
        self.commands.clear();
        self.streams.clear();
        let batch = std::mem::take(&mut self.batch);
        for queued in std::mem::take(&mut self.held_back) {
            self.admit(queued);
        }
        batch
    }

    /// Everything, in no batch.
    pub(crate) fn all(&mut self) -> Vec<Queued> {
        self.batch.drain(..).chain(self.held_back.drain(..)).collect()
    }
}
