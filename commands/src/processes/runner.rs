//! The runtime of the process managers: followers that turn events into intents, and workers that carry intents out.
//!
//! Any number of processes may run it on one database: each manager is followed by one of them at a time, intents are shared out.
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_spans::Spans;
use cairn_tasks::kept_up;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Executor;
use crate::effects::Effects;

use super::follow::Follower;
use super::gate::{Gate, OpenGate};
use super::manager::{AnyManager, Settings};
use super::work::Workshop;
use super::{all, store};

/// What panics of any part are counted under.
pub(super) const PART: &str = "processes";

/// How the runtime runs.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Names this process in leases; unique among those alive.
    pub owner: String,
    /// The numbers of the business.
    pub settings: Settings,
    /// Intents carried out at once.
    pub workers: usize,
    /// How long a lease lasts when its owner is gone.
    pub lease: Duration,
    /// Longest time before somebody looks without being woken.
    pub poll: Duration,
    /// Longest call of a port: longer than what its adapter allows itself, which knows better what it waits for.
    pub timeout: Duration,
    /// Wait after the first failure; doubles.
    pub backoff: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
    /// Attempts at an intent without a deadline before an operator is called.
    pub attempts_max: u32,
}

impl RunnerConfig {
    /// The defaults, under a name.
    #[must_use]
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            settings: Settings::default(),
            workers: 16,
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            timeout: Duration::from_secs(150),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            attempts_max: 20,
        }
    }
}

/// Runs every process manager.
#[derive(Clone)]
pub struct Runner {
    executor: Executor,
    effects: Effects,
    config: RunnerConfig,
    managers: Vec<Arc<dyn AnyManager>>,
    gate: Arc<dyn Gate>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runtime.
    #[must_use]
    pub fn new(executor: Executor, effects: Effects, config: RunnerConfig) -> Self {
        Self { executor, effects, config, managers: all(), gate: Arc::new(OpenGate) }
    }

    /// With managers of somebody else's in the place of all.
    #[must_use]
    pub fn with_managers(mut self, managers: Vec<Arc<dyn AnyManager>>) -> Self {
        self.managers = managers;
        self
    }

    /// With a gate that tests can close.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = gate;
        self
    }

    /// Runs until it is stopped; what was begun is ended first, and the leases are given back. Dropping the future is
    /// like a crash: nothing is lost, another runner takes over when the leases are over. A part that panics begins anew.
    pub async fn run(self, stop: CancellationToken) {
        let (intended, spans) = (Arc::new(Notify::new()), Spans::current());
        let managers = self.managers;
        let mut tasks: JoinSet<()> = JoinSet::new();
        for manager in &managers {
            let follower = Follower {
                log: self.executor.log().clone(),
                manager: Arc::clone(manager),
                clock: Arc::clone(&self.effects.clock),
                config: self.config.clone(),
                intended: Arc::clone(&intended),
                spans: spans.clone(),
            };
            let token = stop.clone();
            let follow = move || follower.clone().run(token.clone());
            tasks.spawn(kept_up(PART, stop.clone(), follow));
        }
        let shop = Arc::new(Workshop {
            executor: self.executor.clone(),
            effects: self.effects,
            managers,
            config: self.config.clone(),
            gate: self.gate,
            intended,
            spans,
            busy: Mutex::new(HashSet::new()),
        });
        // Leases are kept until the work that was begun is over.
        let over = CancellationToken::new();
        let mut keeper: JoinSet<()> = JoinSet::new();
        let (keeping, token) = (Arc::clone(&shop), over.clone());
        let keep = move || Arc::clone(&keeping).keep_leases(token.clone());
        keeper.spawn(kept_up(PART, over.clone(), keep));
        let token = stop.clone();
        tasks.spawn(kept_up(PART, stop.clone(), move || Arc::clone(&shop).run(token.clone())));
        while tasks.join_next().await.is_some() {}
        over.cancel();
        while keeper.join_next().await.is_some() {}
        if let Err(error) = store::leave(self.executor.log().pool(), &self.config.owner).await {
            tracing::warn!(%error, "could not give the leases back; they will run out");
        }
    }
}
