//! The ledger context: wallets, holds and lots. What the books say is decided here and written with the event.
mod capture;
pub mod wallet;

pub use wallet::{
    CaptureHold, Hold, Lot, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, WalletError,
    WalletEvent, wallet_id,
};
