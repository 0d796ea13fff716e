//! The payments context: top-ups that come in through the payment provider and refunds that go back the same way.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod payment;
pub mod refund;

pub use payment::{Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentStatus};
pub use refund::{Refund, RefundCommand, RefundError, RefundEvent, RefundStatus};
