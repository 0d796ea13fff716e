//! Following the log for one manager: events in, state and intents and checkpoint out, in one transaction.
use std::sync::Arc;
use std::time::Instant;

use metrics::{counter, gauge};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::effects::Origin;
use cairn_core::Decider;
use cairn_event_log::{EventLog, LogError, Recorded};
use cairn_operations::{Intervention, InterventionEvent};
use cairn_spans::Spans;

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Intent};
use super::manager::AnyManager;
use super::runner::RunnerConfig;
use super::store::{self, Instance, NewIntent, Place, StoreError};
use super::take_in::Reader;
use crate::ports::Clock;

/// Events that are taken in at once.
const BATCH: i64 = 256;

/// Why following stopped for now.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process follows now.
    #[error("the lease was lost")]
    LeaseLost,
}

impl From<sqlx::Error> for FollowError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Follows the log for one manager.
#[derive(Clone)]
pub(super) struct Follower {
    pub log: EventLog,
    pub manager: Arc<dyn AnyManager>,
    pub clock: Arc<dyn Clock>,
    pub config: RunnerConfig,
    /// Told when there are new intents.
    pub intended: Arc<Notify>,
    pub spans: Spans,
}

impl Follower {
    /// Follows until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut wake = self.log.wake();
        let mut place: Option<(Place, Instant)> = None;
        while !stop.is_cancelled() {
            match self.catch_up(&mut place, &stop).await {
                Ok(()) => {}
                Err(FollowError::LeaseLost) => place = None,
                Err(error) => {
                    tracing::warn!(process = self.manager.name(), %error, "cannot follow the log");
                    counter!("cairn_process_follow_errors_total", "process" => self.manager.name())
                        .increment(1);
                    place = None;
                }
            }
            self.wait(&mut wake, &stop).await;
        }
    }

    async fn wait(&self, wake: &mut watch::Receiver<i64>, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.config.poll) => {}
            changed = wake.changed() => if changed.is_err() {
                tokio::time::sleep(self.config.poll).await;
            }
        }
    }

    async fn catch_up(
        &self,
        held: &mut Option<(Place, Instant)>,
        stop: &CancellationToken,
    ) -> Result<(), FollowError> {
        loop {
            let Some(place) = self.lease(held).await? else { return Ok(()) };
            let events = self.log.read(place.position, BATCH).await?;
            let Some(last) = events.last().map(|event| event.position) else { return Ok(()) };
            let full = i64::try_from(events.len()).unwrap_or(BATCH) == BATCH;
            self.take_in(place, &events, last).await?;
            if let Some((place, _)) = held {
                place.position = last;
            }
            gauge!("cairn_process_position", "process" => self.manager.name()).set(last as f64);
            if !full || stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// The lease, renewed when a third of it is over.
    async fn lease(
        &self,
        held: &mut Option<(Place, Instant)>,
    ) -> Result<Option<Place>, FollowError> {
        let fresh = |since: &Instant| since.elapsed() < self.config.lease / 3;
        if let Some((place, since)) = held
            && fresh(since)
        {
            return Ok(Some(*place));
        }
        let (pool, name) = (self.log.pool(), self.manager.name());
        let RunnerConfig { owner, lease, .. } = &self.config;
        let asked = Instant::now();
        *held = store::lease_manager(pool, name, owner, *lease).await?.map(|place| (place, asked));
        Ok(held.map(|(place, _)| place))
    }

    async fn take_in(
        &self,
        place: Place,
        events: &[Recorded],
        last: i64,
    ) -> Result<(), FollowError> {
        let mut tx = self.log.pool().begin().await?;
        let mut intents = 0;
        if !store::advance_in_tx(&mut tx, self.manager.name(), place, last).await? {
            return Err(FollowError::LeaseLost);
        }
        let mut unread = store::unread_in_tx(&mut tx, self.manager.name()).await?;
        let (manager, settings) = (self.manager.as_ref(), &self.config.settings);
        let reader = Reader { manager, settings, now: self.clock.now(), spans: &self.spans };
        for recorded in events {
            let happened = match Occurrence::read(recorded) {
                Ok(happened) => happened,
                Err(error) if self.concerns(recorded) => {
                    tracing::error!(process = manager.name(), %error, "an event is left for later");
                    unread.insert(recorded.aggregate_id.clone());
                    intents +=
                        self.leave_for_later(&mut tx, &recorded.aggregate_id, recorded).await?;
                    continue;
                }
                Err(_) => continue,
            };
            intents += self.obey(&mut tx, &happened).await?;
            match manager.correlate(&happened) {
                Some(key) if unread.contains(&key) => {
                    intents += self.leave_for_later(&mut tx, &key, recorded).await?;
                }
                Some(key) => match reader.step(&mut tx, &key, &happened).await {
                    Ok(born) => intents += born,
                    // Only this instance waits for it; the others go on.
                    Err(StoreError::Panicked(error)) => {
                        tracing::error!(process = manager.name(), %error, "an event is left for later");
                        intents += self.leave_for_later(&mut tx, &key, recorded).await?;
                        unread.insert(key);
                    }
                    Err(error) => return Err(error.into()),
                },
                None => {}
            }
        }
        tx.commit().await?;
        if intents > 0 {
            counter!("cairn_process_intents_total", "process" => self.manager.name())
                .increment(intents);
            self.intended.notify_one();
        }
        Ok(())
    }

    /// An operator decided about an intent of this manager: the decision is in the log, so it is never lost.
    async fn obey(
        &self,
        tx: &mut sqlx::PgConnection,
        happened: &Occurrence,
    ) -> Result<u64, FollowError> {
        let Fact::Intervention(InterventionEvent::Resolved { verb, reason, .. }) = &happened.fact
        else {
            return Ok(0);
        };
        if happened.stream.split(':').next() != Some(self.manager.name()) {
            return Ok(0);
        }
        let decision = (*verb, reason.as_str());
        let now = self.clock.now();
        let obeyed = store::intervene_in_tx(tx, &happened.stream, decision, now).await?;
        tracing::info!(id = happened.stream, ?verb, reason, obeyed, "an operator decided");
        Ok(u64::from(obeyed))
    }

    /// What cannot be read now, or comes after it in the same instance, is left for later: a worker tries until it can.
    async fn leave_for_later(
        &self,
        tx: &mut sqlx::PgConnection,
        key: &str,
        recorded: &Recorded,
    ) -> Result<u64, FollowError> {
        let (process, position) = (self.manager.name(), recorded.position);
        let intent = Intent::command(Command::ReadEvent { position });
        let new = NewIntent {
            id: format!("{process}:{position}:unread"),
            intent: &intent,
            origin: &Origin::of(&recorded.metadata, recorded.recorded_at),
            now: self.clock.now(),
        };
        store::intend_in_tx(tx, Instance { process, key }, new).await?;
        Ok(1)
    }

    /// Whether an event that cannot be read is any business of this manager.
    fn concerns(&self, recorded: &Recorded) -> bool {
        let of_mine = || recorded.aggregate_id.split(':').next() == Some(self.manager.name());
        self.manager.reads(&recorded.aggregate_type)
            || (recorded.aggregate_type == Intervention::TYPE && of_mine())
    }
}
