//! Reconciliation: the payment provider's book against ours (requirement M2).
//!
//! [`reconcile()`]`(port, pool, Period::day("2026-01-31", now)?)` first copies every line of the provider's book into
//! `finance_external_transactions` (paged, with an overlap, idempotent, never changed), then finds each line of the period its
//! posting on a `stripe:*` account, by source, amount and currency. Every line is exactly one of *matched*, *expected* (timing)
//! or a *break* with a type; every posting without a line is one of the last two. For each currency, opening + movements =
//! closing, closing + later lines = what the provider says it holds, and the difference to our own accounts is named to the
//! last nano. The same books and the same `now` give the same report.
//!
//! [`run()`] is all of it: [`book_payouts()`] books the payouts that the provider's book has, and where the bank has them, before that.
//! [`record()`] keeps what was found as cases (`break` streams) and clears those that are not found any more; people assign, resolve
//! and approve them ([`breaks`]).
//! [`close::close()`] closes a month when its checklist holds, and [`invoices::issue()`] issues its invoices;
//! [`credit_notes::issue()`] gives back what was wrong with one. [`bank::import()`] keeps the bank's own statements.
mod balances;
pub mod bank;
pub mod breaks;
mod checklist;
mod clearing;
pub mod close;
pub mod credit_notes;
mod disputes;
pub mod entity;
pub mod invoices;
mod matching;
mod mirror;
mod payouts;
mod period;
mod proof;
mod reconcile;
mod record;
mod report;
mod rows;
mod run;

pub use mirror::{Mirrored, mirror};
pub use payouts::{Booked, book_payouts, payout_id};
pub use period::{GRACE_SECS, LATE_SECS, Period};
pub use reconcile::reconcile;
pub use record::{Recorded, record};
pub use report::{Break, OpenItem, Proof, ReconciliationReport};
pub use run::{Run, run};

pub use cairn_finance::BreakType;

use cairn_event_log::LogError;

use crate::ExecuteError;
use crate::ports::PortError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FinanceError {
    /// Not a day, or an empty range.
    #[error("'{0}' is not a period such as 2026-01-31")]
    BadPeriod(String),
    /// The provider did not answer.
    #[error("the payment provider: {0}")]
    Port(#[from] PortError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A case could not be read or written.
    #[error(transparent)]
    Case(#[from] ExecuteError),
    /// A stored line is not what it must be.
    #[error("the external journal holds what cannot be read: {0}")]
    Corrupt(String),
}

impl From<LogError> for FinanceError {
    fn from(error: LogError) -> Self {
        Self::Case(error.into())
    }
}
