//! The payment provider: Stripe, through async-stripe, behind [`cairn_commands::ports::PaymentPort`].
//!
//! Stripe guarantees: the same idempotency key answers the same for at least 24 hours; webhooks arrive at least once, in any order, for up
//! to three days. We guarantee: every call that moves money carries the caller's key and a time limit; a value that this version does
//! not know never loses an answer (it reads as *pending*); no vendor type leaves this crate; no secret is ever printed.
//!
//! async-stripe makes the requests and carries them. Its answer types refuse an object that lacks one field or holds one value they do
//! not know, so answers are read by the few lines of `wire` instead.
mod config;
mod convert;
mod error;
mod methods;
mod port;
mod webhook;
mod wire;

pub use config::StripeConfig;
pub use port::StripePayments;
pub use webhook::{
    TOLERANCE_SECS, WebhookEvent, WebhookRefusal, WebhookSubject, parse_webhook, verify_webhook,
};
