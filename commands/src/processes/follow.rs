//! Following the log for one manager: events in, state and intents and checkpoint out, in one transaction.
use std::sync::Arc;
use std::time::Instant;

use metrics::{counter, gauge};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::effects::Origin;
use cairn_event_log::{EventLog, LogError};
use cairn_operations::InterventionEvent;

use super::fact::{Fact, Occurrence};
use super::manager::{AnyManager, Settings};
use super::runner::RunnerConfig;
use super::store::{self, Instance, NewIntent, Place, StoreError};
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
pub(super) struct Follower {
    pub log: EventLog,
    pub manager: Arc<dyn AnyManager>,
    pub clock: Arc<dyn Clock>,
    pub config: RunnerConfig,
    /// Told when there are new intents.
    pub intended: Arc<Notify>,
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
            let events: Result<Vec<_>, _> = events.iter().map(Occurrence::read).collect();
            self.take_in(place, &events?, last).await?;
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
        events: &[Occurrence],
        last: i64,
    ) -> Result<(), FollowError> {
        let mut tx = self.log.pool().begin().await?;
        let mut intents = 0;
        if !store::advance_in_tx(&mut tx, self.manager.name(), place, last).await? {
            return Err(FollowError::LeaseLost);
        }
        for happened in events {
            intents += self.obey(&mut tx, happened).await?;
            if let Some(key) = self.manager.correlate(happened) {
                intents += self.step(&mut tx, &key, happened).await?;
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

    async fn step(
        &self,
        tx: &mut sqlx::PgConnection,
        key: &str,
        happened: &Occurrence,
    ) -> Result<u64, FollowError> {
        let instance = Instance { process: self.manager.name(), key };
        let before = store::state_in_tx(tx, instance.process, key).await?;
        let state = match before {
            Some((_, status)) if status == "abandoned" => return Ok(0),
            before => before.map(|(state, _)| state),
        };
        let settings: &Settings = &self.config.settings;
        let reaction = self.manager.step(state, happened, settings).map_err(StoreError::from)?;
        let Some(reaction) = reaction else { return Ok(0) };
        let status = (reaction.status.name(), happened.position);
        store::keep_state_in_tx(tx, instance, &reaction.state, status).await?;
        let (origin, now) = (Origin::of(&happened.metadata), self.clock.now());
        for (ordinal, intent) in (0_u64..).zip(&reaction.intents) {
            let id = format!("{}:{}:{ordinal}", instance.process, happened.position);
            let new = NewIntent { id, intent, origin: &origin, now };
            store::intend_in_tx(tx, instance, new).await?;
        }
        Ok(reaction.intents.len().try_into().unwrap_or(u64::MAX))
    }
}
