//! The ledger context: wallets, holds, lots and promotional credit. What the books say is decided here and written with the event.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
mod alerts;
mod capture;
mod corrected;
mod credit;
mod credited;
mod disputes;
pub mod dunning;
mod events;
mod holds;
mod lots;
mod projects;
mod refunds;
mod spending;
mod taxes;
pub mod wallet;
mod wishes;

pub use alerts::{ALERTS_MAX, Alert, AlertOn, Alerts};
pub use corrected::{Invoiced, OffInvoice, PaidBy, Payer, off_invoice};
pub use credit::{Credit, CreditUse, Promotional, used};
pub use disputes::{Disputed, OPEN_END, hold_of_dispute};
pub use dunning::{Assessment, Dunning, DunningCommand, DunningEvent, Stage};
pub use events::WalletEvent;
pub use spending::{Spending, SpendingLimit, SpendingLimits};
pub use taxes::{TaxPart, Taxed};
pub use wallet::{Hold, HoldStatus, Lot, LotUse, OpenRefund, Share, Wallet, wallet_id};
pub use wishes::{
    CaptureHold, CorrectCharge, DisputeLoss, GrantCredit, PlaceHold, ReserveRefund, TopUp,
    WalletCommand, WalletError,
};
