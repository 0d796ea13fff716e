//! The ledger context: wallets, holds and lots. What the books say is decided here and written with the event.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
mod capture;
pub mod dunning;
mod holds;
mod lots;
mod refunds;
pub mod wallet;

pub use dunning::{Assessment, Dunning, DunningCommand, DunningEvent, Stage};
pub use wallet::{
    CaptureHold, Hold, HoldStatus, Lot, LotUse, OpenRefund, PlaceHold, ReserveRefund, TopUp,
    Wallet, WalletCommand, WalletError, WalletEvent, wallet_id,
};
