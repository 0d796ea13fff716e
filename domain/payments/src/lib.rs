//! The payments context: top-ups that come in through the payment provider, refunds that go back the same way, and disputes about them.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod dispute;
pub mod payment;
pub mod refund;

pub use dispute::{
    Dispute, DisputeCommand, DisputeError, DisputeEvent, DisputeOutcome, OpenDispute,
};
pub use payment::{Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentStatus};
pub use refund::{Refund, RefundCommand, RefundError, RefundEvent, RefundStatus};
