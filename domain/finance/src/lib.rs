//! The finance context: breaks between the books and the payment provider's book, as cases that somebody answers for, the closing of
//! the books month by month, the papers of a closed month: invoices and credit notes; and what a bank's statement must be.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod billing;
pub mod break_case;
mod correction;
pub mod credit_note;
pub mod entity;
mod facts;
pub mod invoice;
pub mod paper;
pub mod period;
pub mod reverse_charge;
pub mod rounding;
pub mod statement;

pub use billing::{Billing, BillingCommand, BillingError, BillingEvent, Customer};
pub use break_case::{BreakCase, BreakCommand, BreakError, Means, Proposal, Status};
pub use correction::{Account, CORRECTION_ACCOUNTS, Transfer};
pub use credit_note::{
    CreditNote, CreditNoteCommand, CreditNoteError, CreditNoteEvent, CreditNoteSeries,
};
pub use entity::{Issuer, LegalEntity, LegalEntityCommand, LegalEntityError, LegalEntityEvent};
pub use facts::{BreakEvent, BreakType, Disagreement, Resolution, break_id};
pub use invoice::{Invoice, InvoiceCommand, InvoiceError, InvoiceEvent, InvoiceSeries};
pub use period::{Period, PeriodCommand, PeriodError, PeriodEvent};
pub use reverse_charge::ReverseCharge;
pub use statement::{Balances, NamedLine, Statement, StatementError, StatementLine};
