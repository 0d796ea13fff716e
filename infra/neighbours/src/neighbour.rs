//! One neighbour, and what stands around every call to it.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_spans::{Attempt, Kind as SpanKind, Work};
use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::breaker::{Breaker, BreakerConfig, Pass, State};
use crate::neighbourhood::{Kind, Now, Standing};

/// Whoever goes away after so long has waited in vain: nobody answered. Whoever goes sooner says nothing of the neighbour.
const SLOW: Duration = Duration::from_secs(10);
/// How long a call waits that finds no place.
const BUSY: Duration = Duration::from_secs(1);

/// The neighbour was not called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unasked {
    /// It is left alone for so long, and why.
    LeftAlone(Duration, String),
    /// As many calls as may be are under way; try again after so long.
    Busy(Duration),
}

impl Unasked {
    /// How long to wait.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        match self {
            Self::LeftAlone(wait, _) | Self::Busy(wait) => *wait,
        }
    }
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftAlone(wait, why) => {
                write!(
                    f,
                    "not called for another {:.1} s; the last call: {why}",
                    wait.as_secs_f64()
                )
            }
            Self::Busy(_) => f.write_str("not called: as many calls as may be are under way"),
        }
    }
}

/// One neighbour.
pub struct Neighbour {
    kind: &'static str,
    name: String,
    breaker: Mutex<Breaker>,
    places: Arc<Semaphore>,
    /// Shared by all of the kind that do not answer.
    ailing: Arc<Semaphore>,
    now: Now,
    slow: Duration,
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbour").field("kind", &self.kind).field("name", &self.name).finish()
    }
}

impl Neighbour {
    pub(crate) fn new(
        kind: Kind,
        name: String,
        ailing: Arc<Semaphore>,
        (config, now): (BreakerConfig, Now),
    ) -> Self {
        let breaker = Mutex::new(Breaker::new(config, now()));
        let places = Arc::new(Semaphore::new(kind.calls_max));
        gauge!("cairn_neighbour_breakers", "neighbour" => kind.name, "state" => "closed")
            .increment(1.0);
        let kind = kind.name;
        Self { kind, name, breaker, places, ailing, now, slow: SLOW }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.with(|breaker| Standing {
            neighbour: self.kind.to_owned(),
            name: self.name.clone(),
            state: breaker.state(),
            since: breaker.since(),
            last_error: breaker.last_error().map(str::to_owned),
        })
    }

    /// Calls it, unless it is left alone or has its hands full. The verb names the call in traces; `is_silence` says which errors mean
    /// that nobody answered.
    ///
    /// # Errors
    /// [`Unasked`] when it was not called.
    pub async fn call<T, E: fmt::Display>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, E>>,
        is_silence: impl Fn(&E) -> bool,
    ) -> Result<Result<T, E>, Unasked> {
        let work = self.work(verb);
        let mut under_way = self.begin(&work, Breaker::ask)?;
        Ok(under_way.hear(work.run(call).await, is_silence))
    }

    /// Looks whether it is there: a call that the breaker does not hold back, and learns from.
    ///
    /// # Errors
    /// [`Unasked::Busy`] when there is no place for it.
    pub async fn look<T, E: fmt::Display>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, E>>,
        is_silence: impl Fn(&E) -> bool,
    ) -> Result<Result<T, E>, Unasked> {
        let work = self.work(verb);
        let mut under_way = self.begin(&work, |breaker, now| Ok(breaker.ask_anyway(now)))?;
        Ok(under_way.hear(work.run(call).await, is_silence))
    }

    /// The call in the trace that it is part of: whom, how the breaker stood, and how often it was tried. Which one of its kind is not
    /// told.
    fn work(&self, verb: &'static str) -> Work {
        let work = cairn_spans::child(SpanKind::Client, || format!("{} {verb}", self.kind));
        if work.is_seen() {
            work.set("peer.service", self.kind);
            work.set("cairn.neighbour.breaker", self.with(|breaker| breaker.state()).name());
            if let Some(Attempt(attempt)) = Attempt::current() {
                work.set("cairn.attempt", i64::from(attempt));
            }
        }
        work
    }

    fn begin<'a>(
        &'a self,
        work: &'a Work,
        ask: impl FnOnce(&mut Breaker, cairn_core::Timestamp) -> Result<Pass, Duration>,
    ) -> Result<UnderWay<'a>, Unasked> {
        let now = (self.now)();
        let asked = self.with(|breaker| {
            // A place first: a trial that finds none would be no trial.
            let places = self.places(breaker.is_ailing()).ok_or(Unasked::Busy(BUSY))?;
            let why = breaker.last_error().unwrap_or("no answer").to_owned();
            let pass = ask(breaker, now).map_err(|wait| Unasked::LeftAlone(wait, why))?;
            Ok((places, pass))
        });
        match asked {
            Ok((places, pass)) => Ok(UnderWay::begin((self, work), places, pass)),
            Err(unasked) => {
                let reason = match unasked {
                    Unasked::LeftAlone(..) => "open",
                    Unasked::Busy(_) => "busy",
                };
                counter!("cairn_neighbour_rejected_total", "neighbour" => self.kind, "reason" => reason)
                    .increment(1);
                work.set("cairn.neighbour.outcome", "not_called");
                work.fail(reason);
                Err(unasked)
            }
        }
    }

    fn places(
        &self,
        is_ailing: bool,
    ) -> Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)> {
        let own = Arc::clone(&self.places).try_acquire_owned().ok()?;
        if !is_ailing {
            return Some((own, None));
        }
        let shared = Arc::clone(&self.ailing).try_acquire_owned().ok()?;
        Some((own, Some(shared)))
    }

    /// Changes the breaker, and tells who watches when it turns.
    fn with<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.state();
        let changed = change(&mut breaker);
        let after = breaker.state();
        if before != after {
            let error = breaker.last_error().unwrap_or_default();
            let (neighbour, name) = (self.kind, &self.name);
            match after {
                State::Open => {
                    tracing::warn!(neighbour, name, error, "does not answer: it is left alone")
                }
                State::HalfOpen => tracing::debug!(neighbour, name, "is tried"),
                State::Closed => tracing::info!(neighbour, name, "answers again"),
            }
            self.count(before).decrement(1.0);
            self.count(after).increment(1.0);
        }
        changed
    }

    fn count(&self, state: State) -> metrics::Gauge {
        gauge!("cairn_neighbour_breakers", "neighbour" => self.kind, "state" => state.name())
    }

    fn outcome(&self, outcome: &'static str) {
        counter!("cairn_neighbour_calls_total", "neighbour" => self.kind, "outcome" => outcome)
            .increment(1);
    }

    fn in_flight(&self) -> metrics::Gauge {
        gauge!("cairn_neighbour_calls_in_flight", "neighbour" => self.kind)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let state = self.with(|breaker| breaker.state());
        self.count(state).decrement(1.0);
    }
}

/// A call under way: it keeps its places until it is over, and tells the breaker how it ended, even by being dropped.
struct UnderWay<'a> {
    neighbour: &'a Neighbour,
    work: &'a Work,
    pass: Pass,
    begun: Instant,
    heard: bool,
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl<'a> UnderWay<'a> {
    fn begin(
        (neighbour, work): (&'a Neighbour, &'a Work),
        places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
        pass: Pass,
    ) -> Self {
        neighbour.in_flight().increment(1.0);
        Self { neighbour, work, pass, begun: Instant::now(), heard: false, _places: places }
    }

    fn hear<T, E: fmt::Display>(
        &mut self,
        heard: Result<T, E>,
        is_silence: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let (now, neighbour, work) = ((self.neighbour.now)(), self.neighbour, self.work);
        self.heard = true;
        match &heard {
            Err(error) if is_silence(error) => {
                neighbour.with(|breaker| breaker.failed(self.pass, now, error.to_string()));
                neighbour.outcome("failed");
                work.set("cairn.neighbour.outcome", "failed");
                work.fail("no_answer");
            }
            answer => {
                neighbour.with(|breaker| breaker.answered(now));
                let outcome = if answer.is_ok() { "answered" } else { "refused" };
                neighbour.outcome(outcome);
                work.set("cairn.neighbour.outcome", outcome);
            }
        }
        heard
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let neighbour = self.neighbour;
        neighbour.in_flight().decrement(1.0);
        if self.heard {
            return;
        }
        let waited = self.begun.elapsed();
        self.work.set("cairn.neighbour.outcome", "left");
        self.work.fail("timeout");
        if waited < neighbour.slow {
            neighbour.with(|breaker| breaker.left(self.pass));
            return neighbour.outcome("left");
        }
        let why = format!("no answer in {:.0} s", waited.as_secs_f64());
        let now = (neighbour.now)();
        neighbour.with(|breaker| breaker.failed(self.pass, now, why));
        neighbour.outcome("failed");
    }
}
