//! Playing a rehearsal: the process managers take in what is imagined, and what they want is carried out as far as nobody outside is needed.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cairn_core::Timestamp;
use serde_json::Value;

use super::{Imagined, Outlook, Still};
use crate::effects::{self, Act, Effects, Origin};
use crate::ports::{FailureKind, PortError};
use crate::processes::manager::{AnyManager, Reaction};
use crate::processes::send::send;
use crate::processes::{Action, Intent, Occurrence, Settings, Timer, all, operator};
use crate::{Commands, ExecuteError, Executed};

/// More than any wish leads to: what would go on for ever ends there.
const EVENTS_MAX: usize = 20_000;
/// The longest look into a view.
const PATIENCE: Duration = Duration::from_secs(5);

/// What rehearsals play with.
#[derive(Debug, Clone)]
pub struct Rehearsals {
    effects: Effects,
    settings: Settings,
}

impl Rehearsals {
    /// With the ports and the numbers of the processes. Of the ports only the directory of nodes is ever asked.
    #[must_use]
    pub const fn new(effects: Effects, settings: Settings) -> Self {
        Self { effects, settings }
    }

    /// Begins one, on the log as it is now.
    ///
    /// # Errors
    /// [`ExecuteError::Unavailable`].
    pub async fn begin(&self, commands: &Commands) -> Result<Rehearsal, ExecuteError> {
        let clock = Arc::new(Still::at(commands.clock.now()));
        let imagined = Imagined::after(commands.executor.log().head().await?, Arc::clone(&clock));
        let executor = commands.executor.rehearsing(imagined.clone());
        Ok(Rehearsal {
            truth: commands.clone(),
            commands: Commands { executor, clock: Arc::clone(&clock) as _, ..commands.clone() },
            effects: Effects { clock: Arc::clone(&clock) as _, ..self.effects.clone() },
            settings: self.settings,
            clock,
            imagined,
            managers: all(),
            states: HashMap::new(),
            taken_in: 0,
            deadlines: vec![],
        })
    }
}

/// One rehearsal.
pub struct Rehearsal {
    /// As it is.
    pub(super) truth: Commands,
    pub(super) commands: Commands,
    effects: Effects,
    pub(super) settings: Settings,
    pub(super) clock: Arc<Still>,
    pub(super) imagined: Imagined,
    pub(super) managers: Vec<Arc<dyn AnyManager>>,
    /// Of the instances that took part, by process and key.
    states: HashMap<(&'static str, String), Option<Value>>,
    taken_in: usize,
    pub(super) deadlines: Vec<Deadline>,
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").field("imagined", &self.imagined).finish_non_exhaustive()
    }
}

/// A timer that would be set.
pub(super) struct Deadline {
    pub(super) manager: Arc<dyn AnyManager>,
    pub(super) key: String,
    pub(super) timer: Timer,
    pub(super) due_at: Timestamp,
    pub(super) origin: Origin,
}

/// Where an intent comes from.
pub(super) struct Cause<'a> {
    pub(super) process: &'static str,
    pub(super) id: String,
    pub(super) origin: &'a Origin,
}

impl Rehearsal {
    /// What handlers are given in place of the real ones.
    #[must_use]
    pub const fn commands(&self) -> &Commands {
        &self.commands
    }

    /// How many events the stream of an imagined command has in truth: the version that was decided on.
    #[must_use]
    pub fn seen(&self, executed: &Executed) -> i64 {
        self.imagined.truly(&executed.aggregate_id, executed.sequence)
    }

    /// Plays to the end: what follows at once, then what can be seen ahead.
    ///
    /// # Errors
    /// The refusal that the wish would end with after all, or those of the log.
    pub async fn end(mut self) -> Result<Outlook, ExecuteError> {
        let mut outlook = Outlook::new(&self);
        self.follow().await?;
        let sum = outlook.read(&self, 0).await?;
        outlook.costs = sum.costs(&self, outlook.at).await?;
        let at_once = self.imagined.count();
        self.look_ahead().await?;
        outlook.read(&self, at_once).await?;
        Ok(outlook)
    }

    /// Lets the process managers take in whatever is imagined, until nothing more comes of it.
    pub(super) async fn follow(&mut self) -> Result<(), ExecuteError> {
        while let Some(recorded) = self.imagined.get(self.taken_in) {
            self.taken_in += 1;
            if self.taken_in > EVENTS_MAX {
                return Err(ExecuteError::Internal("a rehearsal has no end".to_owned()));
            }
            let happened = Occurrence::read(&recorded)?;
            for manager in self.managers.clone() {
                if manager.reads(&recorded.aggregate_type)
                    && let Some(key) = manager.correlate(&happened)
                {
                    self.step(&manager, key, &happened).await?;
                }
            }
        }
        Ok(())
    }

    async fn step(
        &mut self,
        manager: &Arc<dyn AnyManager>,
        key: String,
        happened: &Occurrence,
    ) -> Result<(), ExecuteError> {
        let state = self.state(manager.name(), &key).await?;
        let reaction = manager.step(state, happened, &self.settings).map_err(unreadable)?;
        let Some(Reaction { state, intents, .. }) = reaction else { return Ok(()) };
        self.states.insert((manager.name(), key.clone()), Some(state));
        let origin = Origin::of(&happened.metadata, happened.recorded_at);
        for (ordinal, intent) in intents.into_iter().enumerate() {
            if let (Action::Timer(timer), Some(due_at)) = (&intent.action, intent.due_at) {
                let (manager, timer, key) = (Arc::clone(manager), *timer, key.clone());
                let origin = origin.clone();
                self.deadlines.push(Deadline { manager, key, timer, due_at, origin });
                continue;
            }
            let id = format!("rehearsal:{}:{}:{ordinal}", manager.name(), happened.position);
            self.carry_out(Cause { process: manager.name(), id, origin: &origin }, intent).await?;
        }
        Ok(())
    }

    /// What an instance remembers; of one that did not take part yet, what it remembers in truth.
    pub(super) async fn state(
        &self,
        process: &'static str,
        key: &str,
    ) -> Result<Option<Value>, ExecuteError> {
        if let Some(state) = self.states.get(&(process, key.to_owned())) {
            return Ok(state.clone());
        }
        let found = operator::show(self.truth.executor.log().pool(), process, key).await;
        let found = found.map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
        Ok(found.map(|details| details.state))
    }

    /// Carries out what is wanted now, as a worker would.
    pub(super) async fn carry_out(
        &self,
        cause: Cause<'_>,
        intent: Intent,
    ) -> Result<(), ExecuteError> {
        if intent.due_at.is_some_and(|due_at| due_at > self.imagined.now()) {
            return Ok(());
        }
        let act = Act {
            executor: &self.commands.executor,
            effects: &self.effects,
            process: cause.process,
            intent_id: &cause.id,
            stem: cause.id.clone(),
            attempt: 1,
            origin: cause.origin,
            timeout: PATIENCE,
            settings: &self.settings,
            asked: AtomicBool::new(false),
        };
        let done = match &intent.action {
            Action::Command(command) => Box::pin(send(&act, command)).await,
            Action::Effect(effect) => Box::pin(effects::rehearse(&act, effect)).await,
            Action::Timer(_) => Ok(()),
        };
        done.map_err(unplayed)
    }
}

pub(super) fn unreadable(error: serde_json::Error) -> ExecuteError {
    ExecuteError::Internal(error.to_string())
}

/// What stopped a step stops the rehearsal: in truth it would be tried again, or an operator called.
fn unplayed(error: PortError) -> ExecuteError {
    let PortError { kind, code, message, .. } = error;
    match kind {
        FailureKind::Refused => ExecuteError::Refused { code, message, replayed: false },
        FailureKind::Transient => ExecuteError::Unavailable(format!("{code}: {message}")),
        FailureKind::Permanent | FailureKind::Untrusted => {
            ExecuteError::Internal(format!("{code}: {message}"))
        }
    }
}
