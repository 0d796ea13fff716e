//! Any aggregate by its name: decode, check, fold.
use cairn_catalog::Sku;
use cairn_compute::Allocation;
use cairn_core::{BookEntry, Decider, DomainEvent, StoredEvent, Subject, Text, Texts};
use cairn_fleet::Node;
use cairn_identity::{ApiKey, Erasure};
use cairn_ledger::Wallet;
use cairn_operations::Intervention;
use cairn_payments::{Payment, Refund};

use super::stones::Stone;

/// A stream while it is folded.
pub(crate) trait Fold: Send {
    /// Adds the next fact and says what it writes into the books; an error names what is wrong with the stored event.
    fn add(&mut self, stone: &Stone) -> Result<Option<BookEntry>, String>;
    /// The state so far.
    fn state(&self) -> serde_json::Value;
    /// Whose are the personal texts in its facts.
    fn subject(&self) -> Option<Subject>;
    /// The state, if this is a wallet.
    fn wallet(&self) -> Option<&Wallet>;
}

type Start = fn() -> Box<dyn Fold>;
/// What the text at a path of an event's payload is.
pub(crate) type TextAt = fn(&str) -> Option<Text>;

/// An aggregate by its name.
pub(crate) struct Type {
    pub name: &'static str,
    start: Start,
    pub text: TextAt,
}

/// Every aggregate.
pub(super) static TYPES: [Type; 9] = [
    entry::<Allocation>(),
    entry::<ApiKey>(),
    entry::<Erasure>(),
    entry::<Intervention>(),
    entry::<Node>(),
    entry::<Payment>(),
    entry::<Refund>(),
    entry::<Sku>(),
    entry::<Wallet>(),
];

const fn entry<A: Decider>() -> Type {
    Type { name: A::TYPE, start: || Box::new(Stream::<A>(A::default())), text: A::Event::text }
}

pub(crate) fn find(aggregate_type: &str) -> Option<&'static Type> {
    TYPES.iter().find(|found| found.name == aggregate_type)
}

pub(crate) fn start(aggregate_type: &str) -> Option<Box<dyn Fold>> {
    find(aggregate_type).map(|found| (found.start)())
}

struct Stream<A>(A);

impl<A: Decider> Fold for Stream<A> {
    fn add(&mut self, stone: &Stone) -> Result<Option<BookEntry>, String> {
        let version = stone.event_version.parse().unwrap_or_default();
        let event = A::Event::from_stored(&stone.event_type, version, &stone.payload)
            .map_err(|error| format!("{} does not decode: {error}", stone.event_type))?;
        if event.event_type() != stone.event_type {
            return Err(format!(
                "is stored as {} and holds {}",
                stone.event_type,
                event.event_type()
            ));
        }
        // An older version encodes to the current one.
        let again = serde_json::to_value(&event).map_err(|error| error.to_string())?;
        if event.event_version() == stone.event_version && again != stone.payload {
            return Err(format!("{} does not encode to what is stored", stone.event_type));
        }
        self.0 = std::mem::take(&mut self.0).evolve(event.clone());
        Ok(self.0.book_entry(&event))
    }

    fn state(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }

    fn subject(&self) -> Option<Subject> {
        self.0.subject()
    }

    fn wallet(&self) -> Option<&Wallet> {
        (&self.0 as &dyn std::any::Any).downcast_ref()
    }
}
