//! The executor: load, decide, append. One command, at most once, whatever its caller does meanwhile.
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_core::{Decider, Refusal, Subject};
use cairn_event_log::{
    AppendRequest, Appended, EventLog, LogError, NewEvent, Outcome, Snapshot, StoredOutcome,
};
use cairn_spans::{Kind, Work};
use cairn_tasks::named;
use metrics::counter;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::context::{CommandContext, ExecuteError, Executed};
use crate::expected::Expected;
use crate::privacy::{Personal, SUBJECT_ERASED, Sealed};
use crate::rehearsal::Imagined;
use crate::streams::{Known, Streams, Turn};
use crate::traced;

/// Streams whose state is kept in memory.
const CACHED_STREAMS: usize = 20_000;
/// A stream gets a snapshot each time it has grown by this many events.
const SNAPSHOT_EVERY: i64 = 256;
/// What makes a snapshot: one made by another version of the code is not used, it may have folded otherwise.
/// The number is that of the latest digest of the golden log, so it grows when a state gains a field or folds otherwise.
pub const MADE_BY: &str = concat!("cairn-commands ", env!("CARGO_PKG_VERSION"), " states 11");
/// How often a decision is made anew after a conflict or a lost connection.
const ATTEMPTS: u32 = 16;
/// How long a command tries to find out what became of it when the connection was lost.
const DOUBT_MAX: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Runs commands. Clones share one cache.
#[derive(Debug, Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: EventLog,
    personal: Personal,
    streams: Arc<Streams>,
    tasks: TaskTracker,
    /// Takes what would be appended, when nothing is.
    imagined: Option<Imagined>,
}

impl Executor {
    /// Over a log that holds nothing personal: every text is stored as it is.
    #[must_use]
    pub fn new(log: EventLog) -> Self {
        Self::sealing(log, Personal::default())
    }

    /// Over a log in which personal texts are sealed.
    #[must_use]
    pub fn sealing(log: EventLog, personal: Personal) -> Self {
        let (tasks, streams) = (TaskTracker::new(), Arc::new(Streams::new(CACHED_STREAMS)));
        Self { inner: Arc::new(Inner { log, personal, streams, tasks, imagined: None }) }
    }

    /// The same, over another handle on the same log. They share one cache, and end together.
    #[must_use]
    pub fn over(&self, log: EventLog) -> Self {
        let Inner { personal, streams, tasks, imagined, .. } = &*self.inner;
        let (personal, streams, tasks) = (personal.clone(), Arc::clone(streams), tasks.clone());
        let imagined = imagined.clone();
        Self { inner: Arc::new(Inner { log, personal, streams, tasks, imagined }) }
    }

    /// One that decides on the same log and appends nothing. Its streams are its own: they go on as if it had.
    pub(crate) fn rehearsing(&self, imagined: Imagined) -> Self {
        let Inner { log, personal, tasks, .. } = &*self.inner;
        let (log, personal, tasks) = (log.clone(), personal.unmade(), tasks.clone());
        let (streams, imagined) = (Arc::new(Streams::new(CACHED_STREAMS)), Some(imagined));
        Self { inner: Arc::new(Inner { log, personal, streams, tasks, imagined }) }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.inner.log
    }

    /// What seals and opens personal texts.
    #[must_use]
    pub fn personal(&self) -> &Personal {
        &self.inner.personal
    }

    /// Executes a command at most once, in a task of its own: a caller that goes away does not stop it.
    ///
    /// # Errors
    /// [`ExecuteError`]; a repeat of a refused command is refused again, in the same words.
    pub async fn execute<A: Decider>(
        &self,
        aggregate_id: &str,
        command: A::Command,
        context: &CommandContext,
        result: serde_json::Value,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        let stream = (aggregate_id, Expected::Anything);
        self.execute_upon::<A>(stream, command, context, result).await
    }

    /// The same, but only on what the caller has seen of the stream; else it is refused. The condition is judged where the command is
    /// decided: what is appended is appended to that very state, and a refusal is held against the log.
    ///
    /// # Errors
    /// As [`Executor::execute`], or a refusal with the code [`crate::PRECONDITION_FAILED`], stored like any other.
    pub async fn execute_upon<A: Decider>(
        &self,
        (aggregate_id, expected): (&str, Expected),
        command: A::Command,
        context: &CommandContext,
        result: serde_json::Value,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        self.run::<A>(aggregate_id, Wish::Command { command, result, expected }, context).await
    }

    /// Refuses a command before its aggregate is asked, because of what its handler found elsewhere. The refusal is stored under
    /// the command id like any other, so that a repeat is refused alike even if those facts have changed.
    ///
    /// # Errors
    /// The refusal, or the first answer of this command id; else as [`Executor::execute`].
    pub async fn refuse<A: Decider>(
        &self,
        aggregate_id: &str,
        (code, message): (&str, String),
        context: &CommandContext,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        let refusal = Outcome::Refused { code: code.to_owned(), message };
        self.run::<A>(aggregate_id, Wish::Refusal(refusal), context).await
    }

    async fn run<A: Decider>(
        &self,
        aggregate_id: &str,
        wish: Wish<A::Command>,
        context: &CommandContext,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        let work = traced::command::<A>(wish.command());
        if self.inner.imagined.is_some() {
            work.set("cairn.command.rehearsed", true);
        }
        let mut context = context.clone();
        // What it leads to names the very span that decided it.
        context.traceparent = work.traceparent().or(context.traceparent);
        let (inner, aggregate_id) = (Arc::clone(&self.inner), aggregate_id.to_owned());
        let job = Job::<A> { inner, aggregate_id, wish, context };
        let task = async move {
            let done = work.run(job.run(&work)).await;
            traced::executed(&work, &done);
            done
        };
        let task = named("commands", task.in_current_span());
        let done = self.inner.tasks.spawn(task).await;
        done.unwrap_or_else(|error| Err(ExecuteError::Internal(format!("the task died: {error}"))))
    }

    /// A stream's state now, and how many events it is the state after. Its personal texts are as they are stored.
    ///
    /// # Errors
    /// [`ExecuteError::Unavailable`], or [`ExecuteError::Internal`] when the log cannot be read.
    pub async fn load<A: Decider>(&self, aggregate_id: &str) -> Result<(A, i64), ExecuteError> {
        let stream = self.inner.streams.stream(A::TYPE, aggregate_id);
        let mut turn = stream.lock().await;
        let known = match turn.take::<A>() {
            Some(known) if self.inner.imagined.is_some() => known,
            // Another process may have added events.
            Some(known) => self.inner.catch_up(aggregate_id, known).await?,
            None => self.inner.load(aggregate_id).await?,
        };
        let loaded = (known.state.clone(), known.sequence);
        turn.put(known);
        Ok(loaded)
    }

    /// Waits until every command under way has ended.
    pub async fn drain(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    /// A stream's state from the log. Short streams take one read; long ones start from a snapshot.
    async fn load<A: Decider>(&self, aggregate_id: &str) -> Result<Known<A>, LogError> {
        reading::<A>().run(self.load_now(aggregate_id)).await
    }

    async fn load_now<A: Decider>(&self, aggregate_id: &str) -> Result<Known<A>, LogError> {
        let start = Known { state: A::default(), sequence: 0 };
        let head = self.log.load_some((A::TYPE, aggregate_id), 0, SNAPSHOT_EVERY).await?;
        if i64::try_from(head.len()).unwrap_or(i64::MAX) < SNAPSHOT_EVERY {
            return fold(start, head);
        }
        let snapshot = self.log.snapshot((A::TYPE, aggregate_id), MADE_BY).await?;
        let known = match snapshot
            .map(|found| (found.sequence, serde_json::from_value(found.state)))
        {
            Some((sequence, Ok(state))) => Known { state, sequence },
            Some((_, Err(error))) => {
                tracing::warn!(%error, aggregate_id, "a snapshot does not decode and is not used");
                fold(start, head)?
            }
            None => fold(start, head)?,
        };
        self.catch_up_now(aggregate_id, known).await
    }

    async fn catch_up<A: Decider>(
        &self,
        aggregate_id: &str,
        known: Known<A>,
    ) -> Result<Known<A>, LogError> {
        reading::<A>().run(self.catch_up_now(aggregate_id, known)).await
    }

    async fn catch_up_now<A: Decider>(
        &self,
        aggregate_id: &str,
        known: Known<A>,
    ) -> Result<Known<A>, LogError> {
        let events = self.log.load(A::TYPE, aggregate_id, known.sequence).await?;
        fold(known, events)
    }

    /// Keeps a snapshot in the background when a stream has grown past the next mark.
    fn keep_snapshot<A: Decider>(
        self: &Arc<Self>,
        aggregate_id: &str,
        before: i64,
        known: &Known<A>,
    ) {
        if before / SNAPSHOT_EVERY == known.sequence / SNAPSHOT_EVERY {
            return;
        }
        let Ok(state) = serde_json::to_value(&known.state) else { return };
        let snapshot = Snapshot { sequence: known.sequence, state };
        let (inner, aggregate_id) = (Arc::clone(self), aggregate_id.to_owned());
        self.tasks.spawn(named("commands", async move {
            let stream = (A::TYPE, aggregate_id.as_str());
            if let Err(error) = inner.log.keep_snapshot(stream, MADE_BY, &snapshot).await {
                tracing::debug!(%error, "a snapshot was not kept");
            }
        }));
    }
}

/// A stream is read from the log.
fn reading<A: Decider>() -> Work {
    cairn_spans::child(Kind::Internal, || format!("read {}", A::TYPE))
}

fn fold<A: Decider>(
    mut known: Known<A>,
    events: Vec<cairn_event_log::Recorded>,
) -> Result<Known<A>, LogError> {
    for recorded in events {
        if recorded.sequence != known.sequence + 1 {
            let (at, wanted) = (recorded.position, known.sequence + 1);
            return Err(LogError::Corrupt(format!("position {at} is not number {wanted}")));
        }
        known.state = known.state.evolve(recorded.decode()?);
        known.sequence = recorded.sequence;
    }
    Ok(known)
}

/// A decision on a stream: the state after it and what to append.
struct Decision<A> {
    next: Known<A>,
    events: Vec<NewEvent>,
    outcome: Outcome,
}

/// What is to be settled under a command id.
enum Wish<C> {
    /// A command for the aggregate, what to answer when it is accepted, and on what it may be carried out.
    Command { command: C, result: serde_json::Value, expected: Expected },
    /// A refusal that is already certain.
    Refusal(Outcome),
}

impl<C> Wish<C> {
    const fn command(&self) -> Option<&C> {
        match self {
            Self::Command { command, .. } => Some(command),
            Self::Refusal(_) => None,
        }
    }
}

/// One command on its way.
struct Job<A: Decider> {
    inner: Arc<Inner>,
    aggregate_id: String,
    wish: Wish<A::Command>,
    context: CommandContext,
}

impl<A: Decider> Job<A>
where
    A::Command: Clone,
{
    async fn run(self, work: &Work) -> Result<Executed, ExecuteError> {
        let mut tried = 0;
        let done = self.settle(&mut tried).await;
        work.set("cairn.command.attempts", tried);
        done
    }

    async fn settle(mut self, tried: &mut i64) -> Result<Executed, ExecuteError> {
        let stream = self.inner.streams.stream(A::TYPE, &self.aggregate_id);
        let mut turn = stream.lock().await;
        let mut doubt: Option<(LogError, Instant)> = None;
        for attempt in 0..ATTEMPTS {
            *tried += 1;
            match self.attempt(&mut turn).await {
                Ok(Some(appended)) => return self.answer(appended, doubt.is_some()),
                Ok(None) => counter!("cairn_commands_conflicts_total").increment(1),
                // The same command id finds out what became of it.
                Err(error @ LogError::InDoubt(_)) => {
                    doubt.get_or_insert((error, Instant::now()));
                }
                Err(LogError::Unavailable(_)) if doubt.is_some() => {}
                // It says nothing of the attempt before it, which may have been written.
                Err(error) if doubt.is_some() => {
                    tracing::warn!(%error, "asking again in doubt failed");
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            if doubt.as_ref().is_some_and(|(_, since)| since.elapsed() > DOUBT_MAX) {
                break;
            }
            pause(attempt, doubt.is_some()).await;
        }
        Err(doubt.map_or(ExecuteError::Conflict, |(error, _)| error.into()))
    }

    /// Decides and appends once. None: others changed the stream, so decide anew.
    async fn attempt(&mut self, turn: &mut Turn<'_>) -> Result<Option<Settled>, LogError> {
        let (known, is_remembered) = match turn.take::<A>() {
            Some(known) => (known, true),
            None => (self.inner.load(&self.aggregate_id).await?, false),
        };
        let mut before = known.sequence;
        let mut decision = self.decide(known).await?;
        if let Some(imagined) = &self.inner.imagined {
            let Decision { next, events, outcome } = decision;
            let stream = (A::TYPE, self.aggregate_id.as_str(), before);
            let position = imagined.take(stream, events, &self.context.metadata())?;
            let sequence = next.sequence;
            turn.put(next);
            return Ok(Some(Settled::Now { outcome, position, sequence }));
        }
        // The log holds what is appended against the stream, which another process may have added to. Who appends nothing looks.
        if is_remembered && decision.events.is_empty() {
            let known = self.inner.catch_up(&self.aggregate_id, decision.next).await?;
            before = known.sequence;
            decision = self.decide(known).await?;
        }
        let Decision { next, events, outcome } = decision;
        let mut metadata = self.context.metadata();
        if !events.is_empty() {
            let organisation = self.context.organisation_id.map(Subject::organisation);
            let subject = organisation.or_else(|| next.state.subject());
            self.inner.personal.seal_origin(subject, &mut metadata).await?;
        }
        let request = AppendRequest {
            command_id: self.context.command_id.clone(),
            command_hash: self.context.body_hash,
            aggregate_type: A::TYPE,
            aggregate_id: self.aggregate_id.clone(),
            expected_sequence: before,
            events,
            outcome: outcome.clone(),
            metadata,
        };
        let work = cairn_spans::child(Kind::Internal, || format!("append {}", A::TYPE));
        work.set("cairn.events", i64::try_from(request.events.len()).unwrap_or(i64::MAX));
        let appended = work.run(self.inner.log.append(request)).await;
        drop(work);
        match appended? {
            Appended::Done { position, sequence } => {
                self.inner.keep_snapshot(&self.aggregate_id, before, &next);
                turn.put(next);
                Ok(Some(Settled::Now { outcome, position, sequence }))
            }
            Appended::Repeated(stored) => Ok(Some(Settled::Before(stored))),
            Appended::KeyReused => Ok(Some(Settled::KeyReused)),
            Appended::Stale => Ok(None),
        }
    }

    async fn decide(&self, known: Known<A>) -> Result<Decision<A>, LogError> {
        let (command, result, expected) = match &self.wish {
            Wish::Command { command, result, expected } => {
                (command.clone(), result.clone(), expected)
            }
            Wish::Refusal(refusal) => {
                return Ok(Decision { next: known, events: vec![], outcome: refusal.clone() });
            }
        };
        let Known { mut state, mut sequence } = known;
        let refused = |state, (code, message): (&str, String)| {
            let outcome = Outcome::Refused { code: code.to_owned(), message };
            Ok(Decision { next: Known { state, sequence }, events: vec![], outcome })
        };
        if let Some(refusal) = expected.refusal(sequence) {
            return refused(state, refusal);
        }
        let personal = &self.inner.personal;
        let open = personal.opened(&mut state).await?;
        let mut decided = match open.as_ref().unwrap_or(&state).decide(command) {
            Ok(decided) => decided,
            Err(refusal) => return refused(state, (refusal.code(), refusal.to_string())),
        };
        let encoded = decided.iter().map(|event| NewEvent::try_new(event, None));
        let mut events = encoded.collect::<Result<Vec<_>, _>>()?;
        let subject = || A::evolve_all(state.clone(), decided.iter().cloned()).subject();
        match personal.seal::<A::Event>(subject, &mut events).await? {
            Sealed::Untouched => {}
            Sealed::Events(sealed) => decided = sealed,
            Sealed::Refused => {
                let why = "whose data this is was erased for ever, and nothing new is kept of it";
                return refused(state, (SUBJECT_ERASED, why.to_owned()));
            }
        }
        for (event, new) in decided.into_iter().zip(&mut events) {
            state = state.evolve(event.clone());
            sequence += 1;
            new.book = state.book_entry(&event);
        }
        let outcome = Outcome::Accepted { result };
        Ok(Decision { next: Known { state, sequence }, events, outcome })
    }

    fn answer(self, settled: Settled, doubted: bool) -> Result<Executed, ExecuteError> {
        let (outcome, aggregate_id, position, sequence, replayed) = match settled {
            Settled::Now { outcome, position, sequence } => {
                (outcome, self.aggregate_id, position, sequence, false)
            }
            // The stream of the first execution, which may have had another new id. A repeat of an attempt of this very run
            // is no replay.
            Settled::Before(stored) => {
                let StoredOutcome { outcome, aggregate_id, position, sequence, .. } = stored;
                (outcome, aggregate_id, position, sequence, !doubted)
            }
            Settled::KeyReused => return Err(ExecuteError::KeyReused),
        };
        match outcome {
            Outcome::Accepted { result } => {
                Ok(Executed { position, aggregate_id, sequence, result, replayed })
            }
            Outcome::Refused { code, message } => {
                Err(ExecuteError::Refused { code, message, replayed })
            }
        }
    }
}

/// What became of an attempt that did not conflict.
enum Settled {
    Now { outcome: Outcome, position: i64, sequence: i64 },
    Before(StoredOutcome),
    KeyReused,
}

/// None after the first conflicts, then longer and longer.
async fn pause(attempt: u32, doubtful: bool) {
    let pause = Duration::from_millis(if doubtful { 20 } else { 1 }) * 2_u32.pow(attempt.min(10));
    if doubtful || attempt > 2 {
        tokio::time::sleep(pause.min(PAUSE_MAX)).await;
    }
}
