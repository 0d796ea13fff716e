//! The payments context: what customers pay with, top-ups that come in through the payment provider, also by themselves, refunds that go back the same way, disputes
//! about them, and payouts of what the provider has for us to our bank.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod auto_top_up;
pub mod decline;
pub mod dispute;
pub mod method;
pub mod payment;
pub mod payout;
pub mod refund;

pub use auto_top_up::{
    AutoTopUp, AutoTopUpCommand, AutoTopUpError, AutoTopUpEvent, AutoTopUpLook, Pace, SetAutoTopUp,
    Standing, Terms,
};
pub use dispute::{
    Dispute, DisputeCommand, DisputeError, DisputeEvent, DisputeOutcome, OpenDispute,
};
pub use method::{
    Method, MethodCommand, MethodDetails, MethodError, MethodEvent, MethodStatus, PaymentMethods,
};
pub use payment::{
    KeptMethod, Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentStatus, WaitsFor,
};
pub use payout::{
    BankLine, PayOut, Payout, PayoutCommand, PayoutError, PayoutEvent, is_bank_account,
};
pub use refund::{Refund, RefundCommand, RefundError, RefundEvent, RefundStatus};
