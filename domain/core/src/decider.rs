//! The one shape of every aggregate: `decide` and `evolve`, and the shim under which cqrs-es sees it.
use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::books::BookEntry;
use crate::personal::Subject;
use crate::texts::Texts;

/// Why a command was refused: a business answer, never a fault.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// Stable machine-readable code in `snake_case`; each has a page in `docs/errors/`.
    fn code(&self) -> &'static str;
}

/// A pure aggregate: commands in, facts out.
///
/// A repeated command answers `Ok(vec![])`; an impossible one is refused.
pub trait Decider: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of the aggregate in the log, for example `allocation`.
    const TYPE: &'static str;
    /// Whether the facts of one stream are of several subjects, each of the one that is the state's right after it.
    const IS_SHARED: bool = false;
    /// Wishes, in the imperative.
    type Command: fmt::Debug + Send + Sync + 'static;
    /// Facts, in the past tense; their wire names and integer versions never change.
    type Event: Texts + 'static;
    /// Refusals with stable codes.
    type Error: Refusal;

    /// What would happen: the facts, or why not. No clock, no randomness, no IO.
    ///
    /// # Errors
    /// The refusal, when the command is impossible in this state.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// What we remember after a fact. Total: it decides nothing and cannot fail.
    #[must_use]
    fn evolve(self, event: Self::Event) -> Self;

    /// What a fact writes into the books, if it moves or holds money. `self` is the state right after the fact.
    fn book_entry(&self, _event: &Self::Event) -> Option<BookEntry> {
        None
    }

    /// Whose are the personal texts in the facts of this stream. `self` is the state right after them. Nobody's, unless it is said: then
    /// they are stored as they are.
    fn subject(&self) -> Option<Subject> {
        None
    }

    /// The personal texts that are remembered to be compared in a decision. They are remembered as they are stored, and opened only for
    /// the decision.
    fn personal(&mut self) -> Vec<&mut String> {
        vec![]
    }

    /// The state after a history of facts.
    fn fold(events: impl IntoIterator<Item = Self::Event>) -> Self {
        Self::default().evolve_all(events)
    }

    /// The state after some more facts.
    #[must_use]
    fn evolve_all(self, events: impl IntoIterator<Item = Self::Event>) -> Self {
        events.into_iter().fold(self, Self::evolve)
    }
}

/// Lets stock cqrs-es tools (and so postgres-es) read and run a [`Decider`].
#[macro_export]
macro_rules! cqrs_aggregate {
    ($aggregate:ty) => {
        impl $crate::cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = <$aggregate as $crate::Decider>::TYPE;
            type Command = <$aggregate as $crate::Decider>::Command;
            type Event = <$aggregate as $crate::Decider>::Event;
            type Error = <$aggregate as $crate::Decider>::Error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                (): &Self::Services,
                sink: &$crate::cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::Decider::decide(self, command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                *self = $crate::Decider::evolve(std::mem::take(self), event);
            }
        }
    };
}

/// Pins the wire name and the integer version of each variant of an event enum.
///
/// The enum itself is internally tagged (`#[serde(tag = "type")]`) with the same names, so a payload can be read alone. When a
/// payload changes, the version grows and `upcasts [Upcast { … }, …]` behind the braces says how the one before becomes it.
#[macro_export]
macro_rules! domain_event {
    (
        $event:ty { $($variant:ident => $name:literal, $version:literal;)+ }
        $(upcasts [$($upcast:expr),+ $(,)?])?
    ) => {
        impl $crate::DomainEvent for $event {
            fn event_type(&self) -> String {
                match self { $(Self::$variant { .. } => $name.to_owned(),)+ }
            }
            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($version).to_owned(),)+ }
            }
        }

        impl $event {
            /// Every wire name of this aggregate's events with its current version.
            pub const TYPES: &'static [(&'static str, u32)] = &[$(($name, $version),)+];
        }

        impl $crate::StoredEvent for $event {
            const CURRENT: &'static [(&'static str, u32)] = Self::TYPES;
            const UPCASTS: &'static [$crate::upcast::Upcast] = &[$($($upcast),+)?];
        }

        const _: () = $crate::upcast::assert_chain(
            <$event as $crate::StoredEvent>::CURRENT,
            <$event as $crate::StoredEvent>::UPCASTS,
        );
    };
}
