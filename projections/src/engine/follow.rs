//! Following the log: one task per projection, woken when the log grows and polling in any case.
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::{EventLog, Recorded};
use cairn_spans::{Cause, Kind, Spans, Work};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::advance::{Batch, advance};
use super::checkpoint;
use super::rebuild::{self, Rebuild};
use super::rows::Rows;
use super::{EngineError, Projection};

/// How soon to look again when another process has the lease.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How soon to look again when another process rebuilds the projection.
const REBUILDING_PAUSE: Duration = Duration::from_secs(1);
/// Traces that a batch is told in; one that has a part in it beyond those does not show it.
const SHARES_MAX: usize = 32;
const FAULT_PAUSE_MIN: Duration = Duration::from_millis(100);
const FAULT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What one attempt to catch up came to.
enum Caught {
    Up,
    Busy,
    Outdated,
}

/// One projection and what it needs to follow the log.
pub(crate) struct Follower {
    pub log: EventLog,
    pub projection: Arc<dyn Projection>,
    pub batch: i64,
    pub head: watch::Receiver<i64>,
    pub moved: watch::Sender<u64>,
    /// How many projections may hold a connection at once.
    pub turns: Arc<Semaphore>,
    pub token: CancellationToken,
    /// Whether rows of an older version are folded anew; otherwise somebody else must.
    pub rebuilds: bool,
    pub spans: Spans,
}

impl Follower {
    /// Runs until the token is cancelled; a batch that has begun is finished first.
    pub(crate) async fn run(mut self) {
        let mut pause = FAULT_PAUSE_MIN;
        while !self.token.is_cancelled() {
            let head = *self.head.borrow_and_update();
            let caught = match self.catch_up(head).await {
                Ok(Caught::Outdated) => self.rebuild().await.map(|()| Caught::Busy),
                other => other,
            };
            match caught {
                Ok(Caught::Up) => {
                    pause = FAULT_PAUSE_MIN;
                    self.wait_for_growth().await;
                }
                Ok(_) => self.rest(BUSY_PAUSE).await,
                Err(EngineError::Cancelled) => return,
                Err(error) => {
                    let name = self.projection.name();
                    tracing::warn!(projection = name, %error, "projection waits for a fault to pass");
                    metrics::counter!("cairn_projection_faults_total", "projection" => name)
                        .increment(1);
                    checkpoint::note_error(self.log.pool(), name, &error.to_string()).await;
                    self.rest(pause).await;
                    pause = (pause * 2).min(FAULT_PAUSE_MAX);
                }
            }
        }
    }

    async fn catch_up(&self, head: i64) -> Result<Caught, EngineError> {
        let projection = &*self.projection;
        let (name, known) = (projection.name(), projection.version());
        let checkpoint = checkpoint::read_or_create(self.log.pool(), projection).await?;
        match checkpoint.version.cmp(&known) {
            std::cmp::Ordering::Less => return Ok(Caught::Outdated),
            std::cmp::Ordering::Greater => {
                let (name, stored) = (name.to_owned(), checkpoint.version);
                return Err(EngineError::Newer { name, stored, known });
            }
            std::cmp::Ordering::Equal => {}
        }
        let types = projection.interest().types();
        let mut live = Rows::live(&self.log, name, checkpoint);
        while live.checkpoint.position < head && !self.token.is_cancelled() {
            let _turn = self.turns.acquire().await;
            let after = live.checkpoint.position;
            let until = head.min(after + self.batch);
            let events = self.log.read_types((after, until), types.as_deref()).await?;
            let events: Vec<_> = events.iter().collect();
            let shares = self.shares(&events);
            if !advance(&mut live, projection, Batch { events: &events, until }).await? {
                return Ok(Caught::Busy);
            }
            drop(shares);
            let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
            metrics::counter!("cairn_projection_events_total", "projection" => name)
                .increment(count);
            self.moved.send_modify(|batches| *batches = batches.wrapping_add(1));
        }
        Ok(Caught::Up)
    }

    /// What the traces that the events are part of see of it.
    fn shares(&self, events: &[&Recorded]) -> Vec<Work> {
        let of = |fact: &&Recorded| {
            Cause::of(fact.metadata.traceparent.as_deref(), fact.recorded_at.as_micros())
        };
        let name = || Cow::Owned(format!("project {}", self.projection.name()));
        let shares =
            self.spans.begin_all(Kind::Consumer, name, (events.iter().map(of), SHARES_MAX));
        for share in &shares {
            share.set("cairn.projection", self.projection.name());
            share.set("messaging.batch.message_count", i64::try_from(events.len()).unwrap_or(0));
        }
        shares
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        if !self.rebuilds {
            self.rest(REBUILDING_PAUSE).await;
            return Ok(());
        }
        let options = Rebuild { token: self.token.clone(), ..Rebuild::default() };
        let views = vec![(Arc::clone(&self.projection), options)];
        for rebuilt in rebuild::rebuild(&self.log, views).await {
            match rebuilt {
                Ok(_) => {}
                Err(EngineError::AlreadyRebuilding(_)) => self.rest(REBUILDING_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn wait_for_growth(&mut self) {
        tokio::select! {
            () = self.token.cancelled() => {}
            grown = self.head.changed() => if grown.is_err() { self.token.cancel() },
        }
    }

    async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = self.token.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
