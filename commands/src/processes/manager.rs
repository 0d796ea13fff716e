//! The shape of a process manager: `correlate`, `evolve`, `react` and `due`, all pure.
use cairn_core::Timestamp;
use cairn_fleet::LateUsage;
use cairn_payments::Pace;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::fact::Occurrence;
use super::intent::{Intent, Timer};

/// Where one instance of a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It knows of its subject and has nothing to do yet.
    Waiting,
    /// It is under way.
    Running,
    /// It reached its goal. Final.
    Done,
    /// It failed and undid everything. Final.
    Unwound,
}

impl Status {
    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Unwound => "unwound",
        }
    }
}

/// A timer that came due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Which one.
    pub timer: Timer,
    /// Now.
    pub at: Timestamp,
    /// When it was meant to fire: earlier, when nobody was there to hear it.
    pub due_at: Timestamp,
    /// How often this timer has fired before.
    pub run: u32,
}

/// What a process manager wants after an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Awoken {
    /// What to do.
    pub intents: Vec<Intent>,
    /// When the same timer fires again; never when absent.
    pub again_at: Option<Timestamp>,
}

/// A process manager: events in, intents out; no clock, no IO.
pub trait ProcessManager: Send + Sync + 'static {
    /// Its name in the database and in ids.
    const NAME: &'static str;
    /// The types of the aggregates whose events it reads. What it does not read cannot stop it.
    const READS: &'static [&'static str];
    /// What one instance remembers.
    type State: Default + Clone + PartialEq + Serialize + DeserializeOwned;

    /// Which instance an event belongs to, if any.
    fn correlate(happened: &Occurrence) -> Option<String>;
    /// What is remembered after an event. Total.
    #[must_use]
    fn evolve(state: Self::State, happened: &Occurrence) -> Self::State;
    /// What is wanted after an event; `state` has seen it.
    fn react(state: &Self::State, happened: &Occurrence, settings: &Settings) -> Vec<Intent>;
    /// What is wanted after an alarm.
    fn due(state: &Self::State, alarm: Alarm, settings: &Settings) -> Awoken;
    /// Where an instance stands.
    fn status(state: &Self::State) -> Status;
}

/// A step of one instance: what it remembers now and what it wants.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Reaction {
    pub state: Value,
    pub status: Status,
    pub intents: Vec<Intent>,
}

/// A [`ProcessManager`] whose state is JSON, so that one runtime runs them all.
pub trait AnyManager: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Whether it reads events of this type of aggregate.
    fn reads(&self, aggregate_type: &str) -> bool;
    /// Which instance an event belongs to.
    fn correlate(&self, happened: &Occurrence) -> Option<String>;
    /// Takes one event in. `None` when the instance has not begun and does not begin with it.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    fn step(
        &self,
        state: Option<Value>,
        happened: &Occurrence,
        settings: &Settings,
    ) -> Result<Option<Reaction>, serde_json::Error>;
    /// Takes an alarm in.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn due(
        &self,
        state: Value,
        alarm: Alarm,
        settings: &Settings,
    ) -> Result<Awoken, serde_json::Error>;
}

/// Makes an [`AnyManager`] of a [`ProcessManager`].
#[derive(Debug, Default)]
pub struct Erased<M>(std::marker::PhantomData<fn() -> M>);

impl<M> Erased<M> {
    /// A boxed manager.
    #[must_use]
    pub const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<M: ProcessManager> AnyManager for Erased<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn reads(&self, aggregate_type: &str) -> bool {
        M::READS.contains(&aggregate_type)
    }

    fn correlate(&self, happened: &Occurrence) -> Option<String> {
        M::correlate(happened)
    }

    fn step(
        &self,
        state: Option<Value>,
        happened: &Occurrence,
        settings: &Settings,
    ) -> Result<Option<Reaction>, serde_json::Error> {
        let before: M::State = state.map(serde_json::from_value).transpose()?.unwrap_or_default();
        let after = M::evolve(before, happened);
        if after == M::State::default() {
            return Ok(None);
        }
        let intents = M::react(&after, happened, settings);
        let status = M::status(&after);
        Ok(Some(Reaction { state: serde_json::to_value(after)?, status, intents }))
    }

    fn due(
        &self,
        state: Value,
        alarm: Alarm,
        settings: &Settings,
    ) -> Result<Awoken, serde_json::Error> {
        Ok(M::due(&serde_json::from_value(state)?, alarm, settings))
    }
}

/// The numbers of the business, in seconds, and one choice. An operator may change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much usage a hold covers, at the start and after every tick.
    pub runway_seconds: i64,
    /// Between two ticks of a meter.
    pub tick_seconds: i64,
    /// A tick charges up to this long before it was due: two looks at the node and a little more, so that a silence is noticed before it is
    /// charged.
    pub tick_lag_seconds: i64,
    /// A rental that cannot be extended is released while its hold still covers this much more than a tick.
    pub wind_down_seconds: i64,
    /// Between two looks at how long the money of a wallet lasts.
    pub assessment_seconds: i64,
    /// How long what is not paid for stays suspended before its end is announced.
    pub suspended_seconds: i64,
    /// How long its data is kept after that.
    pub retention_seconds: i64,
    /// Until capacity and funds are set aside.
    pub reserve_seconds: i64,
    /// Until a login is proven.
    pub provision_seconds: i64,
    /// Until a node is clean after a failure or a release.
    pub undo_seconds: i64,
    /// First wait before the provider is asked again; doubles.
    pub poll_seconds: i64,
    /// Longest wait between two questions to the provider.
    pub poll_max_seconds: i64,
    /// How long the provider is asked at all.
    pub poll_for_seconds: i64,
    /// Until a call to the provider that was never answered goes to an operator.
    pub provider_seconds: i64,
    /// From an automatic top-up that succeeded to the next one.
    pub top_up_pause_seconds: i64,
    /// So many automatic top-ups of one wallet within an hour; another one is not begun, and everything is stopped.
    pub top_up_burst: u32,
    /// Between two looks at a node that answers.
    pub watch_seconds: i64,
    /// Between two looks at a node that does not.
    pub probe_seconds: i64,
    /// How long after its last answer a node counts as offline.
    pub suspect_seconds: i64,
    /// Between two comparisons of a node's inventory with the log.
    pub compare_seconds: i64,
    /// How long what runs on a draining node may still run.
    pub drain_seconds: i64,
    /// What becomes of time that is proven late.
    pub late_usage: LateUsage,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runway_seconds: 3_600,
            tick_seconds: 60,
            tick_lag_seconds: 62,
            wind_down_seconds: 120,
            assessment_seconds: 300,
            suspended_seconds: 3 * 86_400,
            retention_seconds: 7 * 86_400,
            reserve_seconds: 600,
            provision_seconds: 300,
            undo_seconds: 900,
            poll_seconds: 2,
            poll_max_seconds: 3_600,
            poll_for_seconds: 35 * 86_400,
            provider_seconds: 20 * 3_600,
            top_up_pause_seconds: 600,
            top_up_burst: 3,
            watch_seconds: 30,
            probe_seconds: 5,
            suspect_seconds: 90,
            compare_seconds: 86_400,
            drain_seconds: 3_600,
            late_usage: LateUsage::Forgive,
        }
    }
}

impl Settings {
    /// The wait before the provider is asked for the `run`-th time again.
    #[must_use]
    pub fn poll_wait(&self, run: u32) -> i64 {
        let doubled = self.poll_seconds.saturating_mul(1_i64 << run.min(30));
        doubled.clamp(1, self.poll_max_seconds.max(1))
    }

    /// How fast one automatic top-up may follow another.
    #[must_use]
    pub const fn top_up_pace(&self) -> Pace {
        Pace { pause_secs: self.top_up_pause_seconds, burst: self.top_up_burst }
    }
}
