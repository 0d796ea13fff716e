//! Any aggregate by its name: decode, check, fold.
use cairn_catalog::{Discounts, Sku, TaxTable};
use cairn_compute::Allocation;
use cairn_core::{BookEntry, DomainEvent, Refusal as _, StoredEvent, Subject, Text, Texts};
use cairn_finance::{Billing, BreakCase, CreditNoteSeries, InvoiceSeries, LegalEntity, Period};
use cairn_fleet::Node;
use cairn_identity::{ApiKey, EmailAddress, Erasure, Organisation, User};
use cairn_ledger::{Dunning, Wallet};
use cairn_notify::WebhookEndpoint;
use cairn_operations::{Configuration, FeatureFlag, Intervention};
use cairn_payments::{AutoTopUp, Dispute, Payment, PaymentMethods, Payout, Refund};
use serde_json::Value;

use super::inverse::Inverse;
use super::stones::Stone;
use super::what_if::{Again, Refused};

/// A stream while it is folded.
pub(crate) trait Fold: Send + Sync {
    /// Adds the next fact and says what it writes into the books; an error names what is wrong with the stored event.
    fn add(&mut self, stone: &Stone) -> Result<Option<BookEntry>, String>;
    /// Decides the command of these facts again, in the state so far.
    fn again(&self, stones: &[Stone]) -> Result<Again, String>;
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
    /// Whether the facts of one stream are of several subjects.
    pub is_shared: bool,
    start: Start,
    pub text: TextAt,
}

/// Every aggregate.
pub(super) static TYPES: [Type; 28] = [
    entry::<Allocation>(),
    entry::<ApiKey>(),
    entry::<AutoTopUp>(),
    entry::<Billing>(),
    entry::<BreakCase>(),
    entry::<Configuration>(),
    entry::<CreditNoteSeries>(),
    entry::<Discounts>(),
    entry::<Dispute>(),
    entry::<Dunning>(),
    entry::<EmailAddress>(),
    entry::<Erasure>(),
    entry::<FeatureFlag>(),
    entry::<Intervention>(),
    entry::<InvoiceSeries>(),
    entry::<LegalEntity>(),
    entry::<Node>(),
    entry::<Organisation>(),
    entry::<Payment>(),
    entry::<PaymentMethods>(),
    entry::<Payout>(),
    entry::<Period>(),
    entry::<Refund>(),
    entry::<Sku>(),
    entry::<TaxTable>(),
    entry::<User>(),
    entry::<Wallet>(),
    entry::<WebhookEndpoint>(),
];

const fn entry<A: Inverse>() -> Type {
    let start: Start = || Box::new(Stream::<A>(A::default()));
    Type { name: A::TYPE, is_shared: A::IS_SHARED, start, text: A::Event::text }
}

pub(crate) fn find(aggregate_type: &str) -> Option<&'static Type> {
    TYPES.iter().find(|found| found.name == aggregate_type)
}

/// Types whose streams have facts of several subjects.
pub(crate) fn shared() -> impl Iterator<Item = &'static str> {
    TYPES.iter().filter(|found| found.is_shared).map(|found| found.name)
}

pub(crate) fn start(aggregate_type: &str) -> Option<Box<dyn Fold>> {
    find(aggregate_type).map(|found| (found.start)())
}

struct Stream<A>(A);

fn decode<E: StoredEvent>(stone: &Stone) -> Result<E, String> {
    let version = stone.event_version.parse().unwrap_or_default();
    E::from_stored(&stone.event_type, version, &stone.payload)
        .map_err(|error| format!("{} does not decode: {error}", stone.event_type))
}

fn encode<E: StoredEvent>(facts: &[E]) -> Result<Vec<Value>, String> {
    facts.iter().map(|fact| serde_json::to_value(fact).map_err(|error| error.to_string())).collect()
}

impl<A: Inverse> Fold for Stream<A> {
    fn add(&mut self, stone: &Stone) -> Result<Option<BookEntry>, String> {
        let event: A::Event = decode(stone)?;
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

    fn again(&self, stones: &[Stone]) -> Result<Again, String> {
        let facts = stones.iter().map(decode).collect::<Result<Vec<A::Event>, _>>()?;
        let Some(command) = self.0.command_of(&facts) else { return Ok(Again::NotFound) };
        Ok(match self.0.decide(command) {
            Ok(today) => match encode(&today)? {
                today if today == encode(&facts)? => Again::Same,
                today => Again::Other(today),
            },
            Err(refusal) => Again::Refused(Refused {
                code: refusal.code().to_owned(),
                message: refusal.to_string(),
            }),
        })
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
