//! Speaks Stripe's HTTP API from memory, keeps a consistent book of its own, and misbehaves on request.
//!
//! For development, demos and fault tests: it duplicates, reorders and delays webhooks, answers 500, is slow, times out after it has
//! acted, and lets refunds fail later. It opens and decides disputes, and makes payouts, as it is told. Every fault is counted, so that a test can assert that it bit. Only test keys are accepted.
mod book;
mod clock;
mod config;
mod faults;
mod form;
mod http;
mod journal;
mod random;
mod server;
mod state;
mod webhooks;

pub use book::{
    Book, ChallengeEnd, Charge, Customer, Dispute, DisputeStep, Event, Kept, Later, PaymentIntent,
    PaymentMethod, Payout, PayoutStep, Refund, SetupIntent, Transaction,
};
pub use config::{Chance, Faults, SimulatorConfig};
pub use faults::FaultCounts;
pub use server::{Simulator, serve};
pub use webhooks::{WebhookCounts, sign};
