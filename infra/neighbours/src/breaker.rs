//! The breaker: closed while a neighbour answers, open while it is left alone, half-open while one call tries it.
use std::time::Duration;

use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Calls that are remembered.
const WINDOW: u32 = 20;

/// When a neighbour is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Calls in a row that nobody answered. Half of the last 20 do as well, when they are more.
    pub failures: u32,
    /// How long it is left alone at first; doubles each time that a trial fails.
    pub wait: Duration,
    /// The longest it is left alone.
    pub wait_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, wait: Duration::from_secs(5), wait_max: Duration::from_secs(60) }
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls go through.
    Closed,
    /// None does.
    Open,
    /// One does, to see.
    HalfOpen,
}

impl State {
    /// Its name in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What a call goes through as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// One of many.
    Call,
    /// The one that tries.
    Trial,
}

/// Remembers how calls ended. No clock of its own.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    since: Timestamp,
    /// The last calls, the newest in the lowest bit: 1 is one that nobody answered.
    window: u32,
    seen: u32,
    wait: Duration,
    /// Until when it is left alone.
    until: Timestamp,
    trying: bool,
    last_error: Option<String>,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub const fn new(config: BreakerConfig, now: Timestamp) -> Self {
        let wait = config.wait;
        let (state, since, until) = (State::Closed, now, now);
        let (window, seen, trying, last_error) = (0, 0, false, None);
        Self { config, state, since, window, seen, wait, until, trying, last_error }
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// Why the last call was not answered.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Whether it does not answer, as far as is known.
    #[must_use]
    pub const fn is_ailing(&self) -> bool {
        !matches!(self.state, State::Closed) || self.window & 1 == 1
    }

    /// May a call go through?
    ///
    /// # Errors
    /// How long to wait, when not.
    pub fn ask(&mut self, now: Timestamp) -> Result<Pass, Duration> {
        match self.state {
            State::Closed => Ok(Pass::Call),
            State::Open if now < self.until => Err(between(now, self.until)),
            State::HalfOpen if self.trying => Err(self.wait),
            State::Open | State::HalfOpen => Ok(self.try_it(now)),
        }
    }

    /// A call that goes through whatever the breaker says, and tells it what came of it: a look whether somebody is there.
    pub fn ask_anyway(&mut self, now: Timestamp) -> Pass {
        self.ask(now).unwrap_or(Pass::Call)
    }

    fn try_it(&mut self, now: Timestamp) -> Pass {
        self.turn(State::HalfOpen, now);
        self.trying = true;
        Pass::Trial
    }

    /// Somebody answered, if only to refuse: so somebody is there.
    pub fn answered(&mut self, now: Timestamp) {
        match self.state {
            State::Closed => self.remember(0),
            State::Open | State::HalfOpen => {
                self.turn(State::Closed, now);
                (self.window, self.seen, self.trying) = (0, 0, false);
                self.wait = self.config.wait;
            }
        }
    }

    /// Nobody answered.
    pub fn failed(&mut self, pass: Pass, now: Timestamp, why: String) {
        self.last_error = Some(why);
        match (self.state, pass) {
            (State::Closed, _) => {
                self.remember(1);
                if self.has_enough() {
                    self.open(now);
                }
            }
            (State::HalfOpen, Pass::Trial) => {
                self.wait = self.wait.saturating_mul(2).min(self.config.wait_max);
                self.open(now);
            }
            // It began before the breaker opened, or was made whatever it says.
            (State::Open, _) | (State::HalfOpen, Pass::Call) => {}
        }
    }

    /// Whoever called went away before there was an answer: that says nothing.
    pub fn left(&mut self, pass: Pass) {
        if pass == Pass::Trial {
            self.trying = false;
        }
    }

    fn has_enough(&self) -> bool {
        let failures = self.config.failures.clamp(1, WINDOW);
        let in_a_row = self.window.trailing_ones() >= failures;
        let share = self.window.count_ones() >= failures.max(WINDOW / 2);
        in_a_row || (self.seen >= WINDOW && share)
    }

    fn remember(&mut self, bit: u32) {
        self.window = (self.window << 1 | bit) & ((1 << WINDOW) - 1);
        self.seen = self.seen.saturating_add(1);
    }

    fn open(&mut self, now: Timestamp) {
        self.turn(State::Open, now);
        self.trying = false;
        let wait = i64::try_from(self.wait.as_micros()).unwrap_or(i64::MAX);
        self.until = Timestamp::from_micros(now.as_micros().saturating_add(wait));
    }

    fn turn(&mut self, state: State, now: Timestamp) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerConfig, Pass, State};
    use cairn_core::Timestamp;
    use std::time::Duration;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    /// Plays calls: `+` is answered, `-` is not, `?` is not let through.
    fn play(breaker: &mut Breaker, now: i64, calls: &str) {
        for (index, call) in calls.chars().enumerate() {
            match (breaker.ask(at(now)), call) {
                (Ok(_), '+') => breaker.answered(at(now)),
                (Ok(pass), '-') => breaker.failed(pass, at(now), "away".to_owned()),
                (Err(_), '?') => {}
                (asked, call) => panic!("call {index} of {calls}: {call} and {asked:?}"),
            }
        }
    }

    fn closed() -> Breaker {
        Breaker::new(BreakerConfig::default(), at(0))
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_an_answer_between_does_not_let_them_add_up() {
        let mut breaker = closed();
        play(&mut breaker, 1, "----+----+");
        assert_eq!(breaker.state(), State::Closed);
        play(&mut breaker, 2, "-----??");
        assert_eq!((breaker.state(), breaker.since()), (State::Open, at(2)));
        assert_eq!(breaker.last_error(), Some("away"));
    }

    #[test]
    fn half_of_many_calls_opens_it_as_well() {
        let mut breaker = closed();
        play(&mut breaker, 0, "++++++++++-+-+-+-+-+-+-+-+-+-");
        assert_eq!(breaker.state(), State::Open);
        let mut breaker = closed();
        play(&mut breaker, 0, &"++-".repeat(40));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn one_call_tries_it_and_what_it_finds_decides() {
        let mut breaker = closed();
        play(&mut breaker, 0, "-----?");
        assert_eq!(breaker.ask(at(4)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.ask(at(5)), Ok(Pass::Trial));
        assert!(breaker.ask(at(5)).is_err(), "one is enough");
        breaker.failed(Pass::Trial, at(6), "still away".to_owned());
        assert_eq!(breaker.ask(at(6)), Err(Duration::from_secs(10)), "the wait doubles");
        play(&mut breaker, 16, "+++");
        assert_eq!((breaker.state(), breaker.since()), (State::Closed, at(16)));
        play(&mut breaker, 17, "-----");
        assert_eq!(breaker.ask(at(17)), Err(Duration::from_secs(5)), "and begins anew");
    }

    #[test]
    fn the_wait_has_an_end() {
        let mut breaker = closed();
        play(&mut breaker, 0, "-----");
        for day in 1..20 {
            play(&mut breaker, day * 86_400, "-");
        }
        assert_eq!(breaker.ask(at(19 * 86_400)), Err(Duration::from_secs(60)));
    }

    #[test]
    fn a_trial_that_is_left_makes_room_for_the_next() {
        let mut breaker = closed();
        play(&mut breaker, 0, "-----");
        assert_eq!(breaker.ask(at(5)), Ok(Pass::Trial));
        breaker.left(Pass::Trial);
        assert_eq!(breaker.ask(at(5)), Ok(Pass::Trial));
    }

    #[test]
    fn a_look_goes_through_and_closes_what_answers() {
        let mut breaker = closed();
        play(&mut breaker, 0, "-----");
        assert_eq!(breaker.ask_anyway(at(1)), Pass::Call);
        breaker.failed(Pass::Call, at(1), "away".to_owned());
        assert_eq!(breaker.ask(at(1)), Err(Duration::from_secs(4)), "it prolongs nothing");
        assert_eq!(breaker.ask_anyway(at(2)), Pass::Call);
        breaker.answered(at(2));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn what_failed_before_it_opened_does_not_count_while_it_is_tried() {
        let mut breaker = closed();
        play(&mut breaker, 0, "-----");
        assert_eq!(breaker.ask(at(5)), Ok(Pass::Trial));
        breaker.failed(Pass::Call, at(5), "an old call".to_owned());
        assert_eq!(breaker.state(), State::HalfOpen);
    }
}
