//! A wallet: what one organisation has paid in, in one currency, and what is held of it.
//!
//! Lifecycle: money enters as lots (one per payment), is held for a rental, captured from the hold as usage accrues, and
//! leaves as usage or as a refund of the lot it came from.
//! Invariants: `available = posted − held ≥ 0`; the lots sum to `posted`; usage consumes lots first in, first out; a capture is
//! cumulative, so repeating it moves nothing.
use std::collections::BTreeMap;

use cairn_core::money::format_nanos;
use cairn_core::{
    BookEntry, Currency, Decider, HoldId, JournalTransaction, Nanos, OrganisationId, PaymentId,
    RefundId, Refusal, Subject, Text, Texts, Timestamp, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::holds::HoldMove;

/// Stream id of a wallet: organisation and currency.
#[must_use]
pub fn wallet_id(organisation_id: OrganisationId, currency: Currency) -> String {
    format!("{organisation_id}:{currency}")
}

/// What has happened to a wallet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum WalletEvent {
    /// A payment arrived and became a lot.
    #[serde(rename = "wallet.topped_up")]
    ToppedUp {
        organisation_id: OrganisationId,
        currency: Currency,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        journal: JournalTransaction,
    },
    /// Money was set aside for a purpose.
    #[serde(rename = "wallet.hold_placed")]
    HoldPlaced { hold_id: HoldId, purpose: String, amount_nanos: Nanos, expires_at: Timestamp },
    /// More money was set aside, and for longer.
    #[serde(rename = "wallet.hold_extended")]
    HoldExtended { hold_id: HoldId, amount_nanos: Nanos, expires_at: Timestamp },
    /// The wallet could not cover the extension asked for.
    #[serde(rename = "wallet.hold_extension_refused")]
    HoldExtensionRefused {
        hold_id: HoldId,
        wanted_nanos: Nanos,
        available_nanos: Nanos,
        remaining_nanos: Nanos,
    },
    /// Usage was charged out of a hold.
    #[serde(rename = "wallet.usage_captured")]
    UsageCaptured {
        hold_id: HoldId,
        amount_nanos: Nanos,
        total_nanos: Nanos,
        seconds: i64,
        lots: Vec<LotUse>,
        journal: JournalTransaction,
    },
    /// Usage beyond the hold and the wallet: recorded, owed, never lost.
    #[serde(rename = "wallet.overrun_recorded")]
    OverrunRecorded {
        hold_id: HoldId,
        amount_nanos: Nanos,
        total_nanos: Nanos,
        seconds: i64,
        journal: JournalTransaction,
    },
    /// What was left of a hold went back to available.
    #[serde(rename = "wallet.hold_released")]
    HoldReleased { hold_id: HoldId, amount_nanos: Nanos },
    /// A hold ran out of time; what was left went back to available.
    #[serde(rename = "wallet.hold_expired")]
    HoldExpired { hold_id: HoldId, amount_nanos: Nanos },
    /// Money left the wallet towards a refund of the payment it came from.
    #[serde(rename = "wallet.refund_reserved")]
    RefundReserved {
        refund_id: RefundId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        reason: String,
        journal: JournalTransaction,
    },
    /// The refund failed at the provider; the money came back into its lot.
    #[serde(rename = "wallet.refund_returned")]
    RefundReturned { refund_id: RefundId, amount_nanos: Nanos, journal: JournalTransaction },
}

domain_event!(WalletEvent {
    ToppedUp => "wallet.topped_up", 1;
    HoldPlaced => "wallet.hold_placed", 1;
    HoldExtended => "wallet.hold_extended", 1;
    HoldExtensionRefused => "wallet.hold_extension_refused", 1;
    UsageCaptured => "wallet.usage_captured", 1;
    OverrunRecorded => "wallet.overrun_recorded", 1;
    HoldReleased => "wallet.hold_released", 1;
    HoldExpired => "wallet.hold_expired", 1;
    RefundReserved => "wallet.refund_reserved", 1;
    RefundReturned => "wallet.refund_returned", 1;
});

impl Texts for WalletEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("payment_id", Text::Kept),
        ("hold_id", Text::Kept),
        ("purpose", Text::Kept),
        ("expires_at", Text::Kept),
        ("lots[].payment_id", Text::Kept),
        ("refund_id", Text::Kept),
        ("reason", Text::Said),
    ];
}

/// Credits a wallet with a payment that succeeded.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct TopUp {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    /// The provider's charge: names the journal transaction.
    pub charge_id: String,
    pub at: Timestamp,
}

/// Sets money aside.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PlaceHold {
    pub hold_id: HoldId,
    /// What it is for: an allocation id.
    pub purpose: String,
    pub amount_nanos: Nanos,
    pub expires_at: Timestamp,
    pub at: Timestamp,
}

/// Charges usage out of a hold up to a cumulative total, and keeps the hold ahead of it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct CaptureHold {
    pub hold_id: HoldId,
    /// All that this hold's purpose has cost so far.
    pub total_nanos: Nanos,
    /// The seconds that the total is for.
    pub seconds: i64,
    /// Income account of the charge, for example `compute`.
    pub product: String,
    /// How much the hold shall cover after the capture; 0 leaves it as it is.
    pub keep_nanos: Nanos,
    /// New expiry when it is extended.
    pub expires_at: Timestamp,
    pub at: Timestamp,
}

/// Takes money out towards a refund of one payment.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ReserveRefund {
    pub refund_id: RefundId,
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    pub reason: String,
    pub at: Timestamp,
}

/// What may be asked of a wallet.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum WalletCommand {
    TopUp(TopUp),
    PlaceHold(PlaceHold),
    CaptureHold(CaptureHold),
    /// Gives back what is left of a hold.
    ReleaseHold {
        hold_id: HoldId,
    },
    /// Gives back every hold whose time is over.
    SweepExpired {
        at: Timestamp,
    },
    ReserveRefund(ReserveRefund),
    /// Takes a failed refund back in.
    ReturnRefund {
        refund_id: RefundId,
        at: Timestamp,
    },
}

/// Why a wallet refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum WalletError {
    #[error("amount must be more than zero")]
    AmountNotPositive,
    #[error("wallet has {available} available and {wanted} is needed")]
    InsufficientFunds { available: String, wanted: String },
    #[error("the wallet has no hold {0}")]
    UnknownHold(HoldId),
    #[error("hold {0} is closed")]
    HoldClosed(HoldId),
    #[error("the wallet has no credit of payment {0}")]
    UnknownPayment(PaymentId),
    #[error("payment {payment_id} has {refundable} left to refund and {wanted} was asked for")]
    ExceedsRefundable { payment_id: PaymentId, refundable: String, wanted: String },
    #[error("a refund is in whole cents; {0} is not")]
    NotWholeMinor(String),
    #[error("the wallet has no open refund {0}")]
    UnknownRefund(RefundId),
    #[error("the id was used before for something else")]
    IdReused,
    #[error("the wallet would hold more than the ledger can count")]
    TooLarge,
}

impl Refusal for WalletError {
    fn code(&self) -> &'static str {
        match self {
            Self::AmountNotPositive => "amount_not_positive",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::UnknownHold(_) => "unknown_hold",
            Self::HoldClosed(_) => "hold_closed",
            Self::UnknownPayment(_) => "unknown_payment",
            Self::ExceedsRefundable { .. } => "exceeds_refundable",
            Self::NotWholeMinor(_) => "not_whole_minor_units",
            Self::UnknownRefund(_) => "unknown_refund",
            Self::IdReused => "id_reused",
            Self::TooLarge => "amount_too_large",
        }
    }
}

/// Money set aside. `remaining = reserved − captured − released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Hold {
    pub purpose: String,
    pub reserved_nanos: Nanos,
    pub captured_nanos: Nanos,
    pub released_nanos: Nanos,
    /// Usage charged beyond the hold.
    pub overrun_nanos: Nanos,
    pub expires_at: Timestamp,
    pub status: HoldStatus,
    /// The extension refused last, as (wanted, available) in nanos: the same refusal is recorded once.
    #[serde(default)]
    pub refused_nanos: Option<(Nanos, Nanos)>,
}

/// Whether a hold still sets money aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// It does.
    Open,
    /// Its time ran out. Late usage may still be charged: it takes new money from the wallet.
    Expired,
    /// It was given back: nothing more can be charged.
    Released,
}

impl Hold {
    /// What the hold still covers.
    #[must_use]
    pub const fn remaining_nanos(&self) -> Nanos {
        self.reserved_nanos - self.captured_nanos - self.released_nanos
    }
}

/// One payment's money in the wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Lot {
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    pub remaining_nanos: Nanos,
}

/// How much of a lot a charge consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LotUse {
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
}

/// A refund on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OpenRefund {
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    pub returned: bool,
}

/// What a wallet remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Wallet {
    pub owner: Option<(OrganisationId, Currency)>,
    pub posted_nanos: Nanos,
    pub held_nanos: Nanos,
    /// First in, first out.
    pub lots: Vec<Lot>,
    pub holds: BTreeMap<String, Hold>,
    pub refunds: BTreeMap<String, OpenRefund>,
}

impl Decider for Wallet {
    const TYPE: &'static str = "wallet";
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Error = WalletError;

    fn decide(&self, command: WalletCommand) -> Result<Vec<WalletEvent>, WalletError> {
        match command {
            WalletCommand::TopUp(top_up) => self.top_up(top_up),
            WalletCommand::PlaceHold(place) => self.place_hold(place),
            WalletCommand::CaptureHold(capture) => self.capture_hold(capture),
            WalletCommand::ReleaseHold { hold_id } => self.release_hold(hold_id),
            WalletCommand::SweepExpired { at } => Ok(self.expire(at, None)),
            WalletCommand::ReserveRefund(reserve) => self.reserve_refund(reserve),
            WalletCommand::ReturnRefund { refund_id, at } => self.return_refund(refund_id, at),
        }
    }

    fn evolve(mut self, event: WalletEvent) -> Self {
        match event {
            WalletEvent::ToppedUp {
                organisation_id, currency, payment_id, amount_nanos, ..
            } => {
                self.owner = Some((organisation_id, currency));
                self.posted_nanos += amount_nanos;
                self.lots.push(Lot { payment_id, amount_nanos, remaining_nanos: amount_nanos });
            }
            WalletEvent::HoldPlaced { hold_id, purpose, amount_nanos, expires_at } => {
                self.held_nanos += amount_nanos;
                self.holds
                    .insert(hold_id.to_string(), Hold::new(purpose, amount_nanos, expires_at));
            }
            WalletEvent::HoldExtended { hold_id, amount_nanos, expires_at } => {
                self.held_nanos += amount_nanos;
                self.with_hold(hold_id, |hold| {
                    hold.reserved_nanos += amount_nanos;
                    hold.expires_at = expires_at;
                    hold.status = HoldStatus::Open;
                    hold.refused_nanos = None;
                });
            }
            WalletEvent::HoldExtensionRefused {
                hold_id, wanted_nanos, available_nanos, ..
            } => self.with_hold(hold_id, |hold| {
                hold.refused_nanos = Some((wanted_nanos, available_nanos));
            }),
            WalletEvent::UsageCaptured { hold_id, amount_nanos, lots, .. } => {
                self.posted_nanos -= amount_nanos;
                self.held_nanos -= amount_nanos;
                self.with_hold(hold_id, |hold| hold.captured_nanos += amount_nanos);
                for lot in lots {
                    self.with_lot(lot.payment_id, |mine| mine.remaining_nanos -= lot.amount_nanos);
                }
            }
            WalletEvent::OverrunRecorded { hold_id, amount_nanos, .. } => {
                self.with_hold(hold_id, |hold| hold.overrun_nanos += amount_nanos);
            }
            WalletEvent::HoldReleased { hold_id, amount_nanos } => {
                self.close_hold(hold_id, amount_nanos, HoldStatus::Released);
            }
            WalletEvent::HoldExpired { hold_id, amount_nanos } => {
                self.close_hold(hold_id, amount_nanos, HoldStatus::Expired);
            }
            WalletEvent::RefundReserved { refund_id, payment_id, amount_nanos, .. } => {
                self.posted_nanos -= amount_nanos;
                self.with_lot(payment_id, |lot| lot.remaining_nanos -= amount_nanos);
                let refund = OpenRefund { payment_id, amount_nanos, returned: false };
                self.refunds.insert(refund_id.to_string(), refund);
            }
            WalletEvent::RefundReturned { refund_id, amount_nanos, .. } => {
                self.posted_nanos += amount_nanos;
                let refund = self.refunds.get_mut(&refund_id.to_string());
                if let Some(payment_id) = refund.map(|refund| {
                    refund.returned = true;
                    refund.payment_id
                }) {
                    self.with_lot(payment_id, |lot| lot.remaining_nanos += amount_nanos);
                }
            }
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.owner.map(|(organisation_id, _)| Subject::organisation(organisation_id))
    }

    fn book_entry(&self, event: &WalletEvent) -> Option<BookEntry> {
        match event {
            WalletEvent::ToppedUp { journal, .. }
            | WalletEvent::OverrunRecorded { journal, .. }
            | WalletEvent::RefundReserved { journal, .. }
            | WalletEvent::RefundReturned { journal, .. } => {
                Some(BookEntry { journal: Some(journal.clone()), hold: None })
            }
            WalletEvent::UsageCaptured { hold_id, amount_nanos, journal, .. } => Some(BookEntry {
                journal: Some(journal.clone()),
                hold: self.hold_change(*hold_id, HoldMove::Captured(*amount_nanos)),
            }),
            WalletEvent::HoldPlaced { hold_id, amount_nanos, .. }
            | WalletEvent::HoldExtended { hold_id, amount_nanos, .. } => Some(BookEntry {
                journal: None,
                hold: self.hold_change(*hold_id, HoldMove::Reserved(*amount_nanos)),
            }),
            WalletEvent::HoldReleased { hold_id, amount_nanos }
            | WalletEvent::HoldExpired { hold_id, amount_nanos } => Some(BookEntry {
                journal: None,
                hold: self.hold_change(*hold_id, HoldMove::Released(*amount_nanos)),
            }),
            WalletEvent::HoldExtensionRefused { .. } => None,
        }
    }
}

cqrs_aggregate!(Wallet);

impl Wallet {
    /// What may be held or refunded: posted less held. Holds past their expiry count until they are swept.
    #[must_use]
    pub const fn available_nanos(&self) -> Nanos {
        self.posted_nanos - self.held_nanos
    }

    /// What may be held or refunded at an instant: holds past their expiry do not count, swept or not.
    #[must_use]
    pub fn available_at(&self, at: Timestamp) -> Nanos {
        self.swept(at, None).0.available_nanos()
    }

    /// Organisation and currency. A wallet without credit has neither, and nothing to spend.
    pub(crate) fn owner(&self) -> Result<(OrganisationId, Currency), WalletError> {
        self.owner.ok_or_else(|| self.insufficient(1))
    }

    pub(crate) fn insufficient(&self, wanted: Nanos) -> WalletError {
        WalletError::InsufficientFunds {
            available: format_nanos(self.available_nanos()),
            wanted: format_nanos(wanted),
        }
    }
}
