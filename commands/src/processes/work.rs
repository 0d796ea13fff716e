//! Carrying intents out: lease, act, note. At least once; the ids make it count once.
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_core::Timestamp;
use cairn_operations::{Intervention, InterventionCommand, Verb};
use cairn_spans::Spans;
use cairn_tasks::{Panicked, caught, named};
use metrics::counter;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::Executor;
use crate::effects::{self, Act, Effects};
use crate::ports::{FailureKind, PortError};
use crate::traced;

use super::gate::{Gate, Leased, Verdict};
use super::intent::{Action, Command, Timer};
use super::manager::{Alarm, AnyManager, Awoken};
use super::runner::{PART, RunnerConfig};
use super::send::send;
use super::store::{self, Ended, Instance, NewIntent, StoreError};
use super::take_in::Reader;

/// What every worker shares.
pub(super) struct Workshop {
    pub executor: Executor,
    pub effects: Effects,
    pub managers: Vec<Arc<dyn AnyManager>>,
    pub config: RunnerConfig,
    pub gate: Arc<dyn Gate>,
    /// Told when there are new intents.
    pub intended: Arc<Notify>,
    pub spans: Spans,
    /// What is being carried out here, by id and token: the same intent twice, when the first lease of it was lost.
    pub busy: Mutex<HashSet<(String, i64)>>,
}

/// Keeps the lease of one intent for as long as it lives; a worker that panics drops it.
struct Busy {
    shop: Arc<Workshop>,
    held: (String, i64),
}

impl Busy {
    fn begin(shop: Arc<Workshop>, leased: &Leased) -> Self {
        let held = (leased.id.clone(), leased.token);
        shop.busy(|busy| busy.insert(held.clone()));
        Self { shop, held }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.shop.busy(|busy| busy.remove(&self.held));
    }
}

impl Workshop {
    /// Leases and carries out until it is stopped; then ends what it has begun.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut hands: JoinSet<()> = JoinSet::new();
        while !stop.is_cancelled() {
            let wait = match self.fill(&mut hands, &stop).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "cannot lease intents");
                    self.config.poll
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.intended.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(_) = hands.join_next() => {}
            }
        }
        while hands.join_next().await.is_some() {}
    }

    /// Gives every free hand an intent that is due. Answers how long there is nothing more to do.
    async fn fill(
        self: &Arc<Self>,
        hands: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Duration, StoreError> {
        let pool = self.executor.log().pool();
        while hands.try_join_next().is_some() {}
        while hands.len() < self.config.workers && !stop.is_cancelled() {
            let now = self.effects.clock.now();
            let RunnerConfig { owner, lease, .. } = &self.config;
            let Some(leased) = store::lease_intent(pool, owner, now, *lease).await? else {
                return Ok(self.idle_for(store::next_due(pool, now).await?));
            };
            let shop = Arc::clone(self);
            let busy = Busy::begin(shop, &leased);
            let work = async move { busy.shop.carry_out(leased).await };
            hands.spawn(named(PART, work));
        }
        Ok(self.config.poll)
    }

    fn idle_for(&self, next: Option<Timestamp>) -> Duration {
        let now = self.effects.clock.now().as_micros();
        let until = next.map_or(i64::MAX, |due| due.as_micros().saturating_sub(now));
        let until = Duration::from_micros(u64::try_from(until).unwrap_or(0));
        until.clamp(Duration::from_millis(1), self.config.poll)
    }

    fn busy<T>(&self, change: impl FnOnce(&mut HashSet<(String, i64)>) -> T) -> T {
        change(&mut self.busy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the leases of what is being carried out, until it is stopped.
    pub async fn keep_leases(self: Arc<Self>, stop: CancellationToken) {
        let mut beat = tokio::time::interval(self.config.lease / 3);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let busy: Vec<_> = self.busy(|busy| busy.iter().cloned().collect());
            let pool = self.executor.log().pool();
            if !busy.is_empty()
                && let Err(error) = store::keep_leases(pool, self.config.lease, &busy).await
            {
                tracing::warn!(%error, "cannot keep the leases of intents");
            }
        }
    }

    async fn carry_out(&self, mut leased: Leased) {
        let work = traced::intent(&self.spans, &leased);
        leased.origin = leased.origin.through(&work, self.effects.clock.now());
        let line = traced::line(leased.origin.traceparent.as_deref(), &work);
        if let Err(panicked) = caught(work.run(self.carry_out_now(&leased)).instrument(line)).await
        {
            self.panicked(&leased, &panicked).await;
        }
    }

    async fn carry_out_now(&self, leased: &Leased) {
        let ended = match &leased.action {
            Action::Timer(timer) => self.ring(leased, *timer).await,
            Action::Command(_) | Action::Effect(_) => {
                let ended = self.attempt(leased).await;
                let noted = store::note(self.executor.log().pool(), leased, &ended).await;
                noted.map_err(StoreError::from)
            }
        };
        say(leased, ended);
    }

    /// An attempt that panicked has failed like another, and comes back like another. A timer does not give up: nothing else would ring.
    async fn panicked(&self, leased: &Leased, panicked: &Panicked) {
        let ended = match &leased.action {
            Action::Timer(_) => {
                let due_at = self.next_try(leased, self.effects.clock.now());
                Ended::Retry { due_at, error: panicked.to_string() }
            }
            Action::Command(_) | Action::Effect(_) => {
                let failure = PortError::transient("internal", panicked.to_string());
                self.failed(leased, &self.act(leased), failure).await
            }
        };
        let noted = store::note(self.executor.log().pool(), leased, &ended).await;
        say(leased, noted.map_err(StoreError::from));
    }

    /// One attempt at a command or an effect.
    async fn attempt(&self, leased: &Leased) -> Ended {
        let mut act = self.act(leased);
        if let Some(reason) = &leased.skip_reason {
            return self.skip(leased, &act, reason).await;
        }
        loop {
            let passed = self.gate.before(leased).await;
            let done = match (passed, &leased.action) {
                (Err(failure), _) => Err(failure),
                (Ok(()), Action::Command(Command::ReadEvent { position })) => {
                    self.read(leased, *position).await
                }
                (Ok(()), Action::Command(command)) => Box::pin(send(&act, command)).await,
                (Ok(()), Action::Effect(effect)) => Box::pin(effects::perform(&act, effect)).await,
                (Ok(()), Action::Timer(_)) => Ok(()),
            };
            match done {
                Ok(()) if self.gate.after(leased).await == Verdict::Repeat => act.stem.push('!'),
                Ok(()) if leased.called => return self.recovered(leased, &act).await,
                Ok(()) => return Ended::Done,
                Err(failure) => return self.failed(leased, &act, failure).await,
            }
        }
    }

    /// An event that its follower left for later.
    async fn read(&self, leased: &Leased, position: i64) -> Result<(), PortError> {
        let manager = self.managers.iter().find(|manager| manager.name() == leased.process);
        let Some(manager) = manager else {
            return Err(PortError::permanent("internal", "there is no such manager"));
        };
        let (settings, now) = (&self.config.settings, self.effects.clock.now());
        let reader = Reader { manager: manager.as_ref(), settings, now, spans: &self.spans };
        reader.step_late(self.executor.log(), leased, position).await?;
        self.intended.notify_one();
        Ok(())
    }

    /// An operator says that it is done: what it would have recorded is recorded.
    async fn skip(&self, leased: &Leased, act: &Act<'_>, reason: &str) -> Ended {
        let assumed = match &leased.action {
            Action::Effect(effect) => effects::assume_done(act, effect, reason).await,
            Action::Command(_) | Action::Timer(_) => Ok(()),
        };
        match assumed {
            Ok(()) => Ended::Skipped,
            Err(failure) => self.failed(leased, act, failure).await,
        }
    }

    fn act<'a>(&'a self, leased: &'a Leased) -> Act<'a> {
        Act {
            executor: &self.executor,
            effects: &self.effects,
            process: &leased.process,
            intent_id: &leased.id,
            stem: leased.stem(),
            attempt: leased.attempts,
            origin: &leased.origin,
            timeout: self.config.timeout,
            settings: &self.config.settings,
            asked: AtomicBool::new(false),
        }
    }

    async fn failed(&self, leased: &Leased, act: &Act<'_>, failure: PortError) -> Ended {
        let now = act.now();
        let error = failure.to_string();
        cairn_spans::failed(failure.code.clone());
        let over = match leased.give_up_at {
            Some(give_up_at) => now >= give_up_at,
            None => leased.attempts >= self.config.attempts_max,
        };
        let (process, name) = (&leased.process, leased.action.name());
        if let Some(wait) = failure.unasked
            && leased.give_up_at.is_none_or(|give_up_at| now < give_up_at)
        {
            // Only what was asked is an attempt; and whoever waits does not come back before there is a point in it.
            let is_attempt = act.asked.load(Ordering::Relaxed);
            let due_at = self.next_try(leased, later(now, wait));
            tracing::debug!(id = leased.id, process, name, error, %due_at, "waits for a neighbour");
            if leased.called {
                return Ended::NeedsOperator { retry_at: Some(due_at), error };
            }
            return Ended::Unasked { due_at, error, is_attempt };
        }
        let persists = leased.action.persists();
        if (failure.kind == FailureKind::Transient || persists) && !over {
            let due_at = self.next_try(leased, now);
            tracing::info!(id = leased.id, process, name, error, %due_at, "will be tried again");
            return Ended::Retry { due_at, error };
        }
        let call = InterventionCommand::Call {
            process: leased.process.clone(),
            key: leased.key.clone(),
            intent: name.clone(),
            error: error.clone(),
            at: now,
        };
        let next = self.next_try(leased, now);
        match act.execute::<Intervention>("call", &leased.id, call).await {
            Ok(_) if leased.called => Ended::NeedsOperator { retry_at: Some(next), error },
            Ok(_) => {
                tracing::error!(id = leased.id, process, name, error, "needs an operator");
                let process = leased.process.clone();
                counter!("cairn_process_needs_operator_total", "process" => process).increment(1);
                Ended::NeedsOperator { retry_at: persists.then_some(next), error }
            }
            // The call is not in the log: do not stop before it is.
            Err(_) => Ended::Retry { due_at: next, error },
        }
    }

    /// Done after all, while it waited for an operator: nobody need look any more.
    async fn recovered(&self, leased: &Leased, act: &Act<'_>) -> Ended {
        let now = act.now();
        let reason = "it was tried again and is done".to_owned();
        let resolve = InterventionCommand::Resolve { verb: Verb::Retry, reason, at: now };
        match act.execute::<Intervention>("recovered", &leased.id, resolve).await {
            Err(failure) if failure.kind == FailureKind::Transient => {
                let (retry_at, error) = (Some(self.next_try(leased, now)), failure.to_string());
                Ended::NeedsOperator { retry_at, error }
            }
            Ok(_) | Err(_) => Ended::Done,
        }
    }

    /// Doubling, capped, and spread by a hash of the intent so that many do not come back at once.
    fn next_try(&self, leased: &Leased, now: Timestamp) -> Timestamp {
        let doubled = 2_u32.saturating_pow(leased.attempts.saturating_sub(1).min(20));
        let wait = self.config.backoff.saturating_mul(doubled).min(self.config.backoff_max);
        let spread = Sha256::digest(format!("{}:{}", leased.id, leased.attempts))[0];
        later(now, wait.mul_f64(0.5 + f64::from(spread) / 510.0))
    }

    /// A timer came due. Rung again by mistake, it does nothing.
    async fn ring(&self, leased: &Leased, timer: Timer) -> Result<bool, StoreError> {
        if let Err(error) = self.gate.before(leased).await {
            tracing::warn!(id = leased.id, %error, "the gate is closed");
            return Ok(false);
        }
        let mut rung = self.awake(leased, timer).await?;
        while rung && self.gate.after(leased).await == Verdict::Repeat {
            rung = !self.awake(leased, timer).await?;
        }
        Ok(rung)
    }

    /// What the manager wants now, and the timer set anew or ended, in one transaction. False when the lease was lost.
    async fn awake(&self, leased: &Leased, timer: Timer) -> Result<bool, StoreError> {
        let now = self.effects.clock.now();
        let mut tx = self.executor.log().pool().begin().await?;
        let awoken = match store::state_in_tx(&mut tx, &leased.process, &leased.key).await? {
            Some((state, status)) if status != "abandoned" => {
                let manager = self.managers.iter().find(|m| m.name() == leased.process);
                let alarm = Alarm { timer, at: now, due_at: leased.due_at, run: leased.run };
                let due = manager.map(|m| m.due(state, alarm, &self.config.settings));
                due.transpose()?.unwrap_or_default()
            }
            Some(_) | None => Awoken::default(),
        };
        let instance = Instance { process: &leased.process, key: &leased.key };
        for (ordinal, intent) in awoken.intents.iter().enumerate() {
            // The one of the last time is still on its way, or stuck: it says the same, so one is enough.
            if store::is_open_in_tx(&mut tx, instance, &intent.action).await? {
                continue;
            }
            let id = format!("{}:{}:{ordinal}", leased.id, leased.run);
            let new = NewIntent { id, intent, origin: &leased.origin, now };
            store::intend_in_tx(&mut tx, instance, new).await?;
        }
        if !store::rewind_in_tx(&mut tx, leased, awoken.again_at).await? {
            return Ok(false);
        }
        tx.commit().await?;
        if !awoken.intents.is_empty() {
            self.intended.notify_one();
        }
        Ok(true)
    }
}

/// One line of how it ended.
fn say(leased: &Leased, ended: Result<bool, StoreError>) {
    let (id, process, name) = (&leased.id, &leased.process, leased.action.name());
    match ended {
        Ok(true) => tracing::debug!(id, process, name, key = leased.key, "carried out"),
        Ok(false) => tracing::warn!(id, process, name, "the lease was lost"),
        Err(error) => tracing::warn!(id, process, name, %error, "was not noted"),
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_add(wait))
}
