//! Given, when, then: a decision as data.
use std::fmt::Debug;

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
