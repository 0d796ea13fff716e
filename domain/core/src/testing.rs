//! Given, when, then: a decision as data.
use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::{Decider, Refusal};

/// A history to decide upon.
#[derive(Debug)]
pub struct Given<A: Decider>(A);

/// A decision to judge.
#[derive(Debug)]
pub struct When<A: Decider>(Result<Vec<A::Event>, A::Error>);

/// Starts from what has happened.
pub fn given<A: Decider>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(A::fold(events))
}

impl<A: Decider> Given<A> {
    /// Asks.
    pub fn when(self, command: A::Command) -> When<A> {
        When(self.0.decide(command))
    }

    /// The state itself.
    pub fn state(self) -> A {
        self.0
    }
}

/// Decides twice: by ourselves, and through stock cqrs-es (`Aggregate::handle`), which must find the same facts,
/// the same state after them and the same refusal.
///
/// # Panics
/// When the two differ, or `handle` waits for something, which a pure aggregate never does.
#[track_caller]
pub fn decide_both_ways<A>(state: A, command: <A as Decider>::Command) -> When<A>
where
    A: Decider + PartialEq + Debug + Stock,
    <A as Decider>::Command: Clone + Debug,
    <A as Decider>::Error: PartialEq + Debug,
{
    let ours = state.decide(command.clone());
    let theirs = state.clone().handle_at_once(command.clone());
    match (&ours, theirs) {
        (Ok(events), Ok((after, facts))) => {
            assert_eq!(*events, facts, "{command:?}");
            assert_eq!(events.iter().cloned().fold(state, A::evolve), after, "{command:?}");
        }
        (Err(refusal), Err(theirs)) => assert_eq!(*refusal, theirs, "{command:?}"),
        (ours, theirs) => panic!("{command:?}: we say {ours:?}, cqrs-es says {theirs:?}"),
    }
    When(ours)
}

/// A state after facts.
type Handled<A> = (A, Vec<<A as Decider>::Event>);

/// A [`Decider`] as stock cqrs-es runs it; every [`crate::cqrs_aggregate!`] is one.
pub trait Stock: Decider {
    /// The state after the command and the facts.
    ///
    /// # Errors
    /// The refusal.
    fn handle_at_once(
        self,
        command: <Self as Decider>::Command,
    ) -> Result<Handled<Self>, <Self as Decider>::Error>;
}

impl<A> Stock for A
where
    A: Decider
        + cqrs_es::Aggregate<
            Command = <A as Decider>::Command,
            Event = <A as Decider>::Event,
            Error = <A as Decider>::Error,
            Services = (),
        >,
{
    fn handle_at_once(
        mut self,
        command: <A as Decider>::Command,
    ) -> Result<Handled<A>, <A as Decider>::Error> {
        let sink = cqrs_es::event_sink::EventSink::default();
        at_once(cqrs_es::Aggregate::handle(&mut self, command, &(), &sink))?;
        Ok((self, at_once(sink.collect())))
    }
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a pure aggregate waits for nothing"),
    }
}

impl<A: Decider> When<A>
where
    A::Error: Debug,
{
    /// Expects exactly these facts.
    ///
    /// # Panics
    /// When the decision was another.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.0 {
            Ok(events) => assert_eq!(events, expected),
            Err(error) => panic!("expected {expected:?}, but it was refused: {error}"),
        }
    }

    /// Expects a refusal with this code.
    ///
    /// # Panics
    /// When the command was accepted, or refused for another reason.
    #[track_caller]
    pub fn then_refused(self, code: &str) {
        match self.0 {
            Ok(events) => panic!("expected the refusal {code}, but it was accepted: {events:?}"),
            Err(error) => assert_eq!(error.code(), code, "{error}"),
        }
    }

    /// The facts.
    ///
    /// # Panics
    /// When the command was refused.
    #[track_caller]
    pub fn events(self) -> Vec<A::Event> {
        self.0.unwrap_or_else(|error| panic!("refused: {error}"))
    }
}
