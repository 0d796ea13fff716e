//! Everybody whom one process calls, by kind and name.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_core::Timestamp;
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::breaker::{BreakerConfig, State};
use crate::neighbour::Neighbour;

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A kind of neighbour, and how many calls may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name, in figures and for people.
    pub name: &'static str,
    /// Calls to each of them at once.
    pub calls_max: usize,
    /// Calls at once to all of them together that do not answer, as far as is known.
    pub ailing_max: usize,
}

/// How a neighbour stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its kind.
    pub neighbour: String,
    /// Which of them; empty when there is only one.
    pub name: String,
    /// Whether it is called.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Why the last call that nobody answered was not.
    pub last_error: Option<String>,
}

/// All neighbours of one process. Clones share them.
#[derive(Clone)]
pub struct Neighbourhood {
    config: BreakerConfig,
    now: Now,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    ailing: BTreeMap<&'static str, Arc<Semaphore>>,
    neighbours: BTreeMap<(&'static str, String), Arc<Neighbour>>,
}

impl fmt::Debug for Neighbourhood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbourhood").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Neighbourhood {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(config: BreakerConfig, now: Now) -> Self {
        Self { config, now, known: Arc::default() }
    }

    /// The one of its kind.
    #[must_use]
    pub fn only(&self, kind: Kind) -> Arc<Neighbour> {
        self.of(kind, "")
    }

    /// One of several of a kind; the first call makes its acquaintance.
    #[must_use]
    pub fn of(&self, kind: Kind, name: &str) -> Arc<Neighbour> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(neighbour) = known.neighbours.get(&(kind.name, name.to_owned())) {
            return Arc::clone(neighbour);
        }
        let ailing = known.ailing.entry(kind.name).or_insert_with(|| {
            from_zero(kind.name);
            Arc::new(Semaphore::new(kind.ailing_max))
        });
        let ailing = Arc::clone(ailing);
        let (parts, named) = ((self.config, Arc::clone(&self.now)), name.to_owned());
        let neighbour = Arc::new(Neighbour::new(kind, named.clone(), ailing, parts));
        known.neighbours.insert((kind.name, named), Arc::clone(&neighbour));
        neighbour
    }

    /// How they stand: of several of a kind those that are not called as usual.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.neighbours.values().map(|neighbour| neighbour.standing());
        all.filter(|it| it.name.is_empty() || it.state != State::Closed).collect()
    }
}

/// Figures that are there from the beginning: an increase from nothing is none to Prometheus.
fn from_zero(kind: &'static str) {
    for outcome in ["answered", "refused", "failed", "left"] {
        counter!("cairn_neighbour_calls_total", "neighbour" => kind, "outcome" => outcome)
            .increment(0);
    }
    for reason in ["open", "busy"] {
        counter!("cairn_neighbour_rejected_total", "neighbour" => kind, "reason" => reason)
            .increment(0);
    }
    for state in [State::Open, State::HalfOpen] {
        gauge!("cairn_neighbour_breakers", "neighbour" => kind, "state" => state.name())
            .increment(0.0);
    }
    gauge!("cairn_neighbour_calls_in_flight", "neighbour" => kind).increment(0.0);
}
