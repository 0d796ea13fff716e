//! The finance context: breaks between the books and the payment provider's book, as cases that somebody answers for, and the closing of
//! the books month by month.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod break_case;
mod correction;
mod facts;
pub mod period;

pub use break_case::{BreakCase, BreakCommand, BreakError, Means, Proposal, Status};
pub use correction::{Account, CORRECTION_ACCOUNTS, Transfer};
pub use facts::{BreakEvent, BreakType, Disagreement, Resolution, break_id};
pub use period::{Period, PeriodCommand, PeriodError, PeriodEvent};
