//! The simulator's own book: every object, every movement of money, every event.
mod cards;
mod changes;
mod contents;
mod disputes;
mod methods;
mod objects;
mod payouts;
mod render;
mod shelf;

pub(crate) use cards::{Card, Charging};
pub(crate) use changes::{Change, IntentTerms, RefundTerms};
pub(crate) use methods::{SetupTerms, kept_for};
pub(crate) use render::{expand, render_any};
pub(crate) use shelf::{Paging, Shelf};

pub use changes::Later;
pub use contents::Book;
pub use disputes::{Dispute, DisputeStep};
pub use methods::{ChallengeEnd, Customer, PaymentMethod, SetupIntent};
pub use objects::{Charge, Event, PaymentIntent, Refund, Transaction};
pub use payouts::{Payout, PayoutStep};
pub use shelf::Kept;
