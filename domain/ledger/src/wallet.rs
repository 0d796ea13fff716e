//! A wallet: what one organisation has paid in and was given, in one currency, and what is held of it.
//!
//! Lifecycle: money enters as lots (one per payment) and promotional credit by grants; it is held for a rental, captured from the hold as
//! usage accrues, and leaves as usage, paid money also as a refund of the lot it came from, and credit by expiring.
//! Invariants: `available = posted − held ≥ 0`, for paid money and for promotional credit; the lots sum to what is posted of paid money;
//! usage consumes promotional credit first and lots first in, first out; a capture is cumulative, so repeating it moves nothing;
//! promotional credit is never refunded.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::money::format_nanos;
use cairn_core::{
    BookEntry, Currency, Decider, Nanos, OrganisationId, PaymentId, ProjectId, Subject, Timestamp,
    cqrs_aggregate,
};
use serde::{Deserialize, Serialize};

use crate::alerts::Alerts;
use crate::corrected::PaidBy;
use crate::credit::{Promotional, used};
use crate::disputes::{Disputed, hold_of_dispute};
use crate::events::WalletEvent;
use crate::holds::HoldMove;
use crate::spending::Spending;
use crate::taxes::Taxed;
use crate::wishes::{WalletCommand, WalletError};

/// Stream id of a wallet: organisation and currency.
#[must_use]
pub fn wallet_id(organisation_id: OrganisationId, currency: Currency) -> String {
    format!("{organisation_id}:{currency}")
}

/// Money set aside. `remaining = reserved − captured − released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Hold {
    pub purpose: String,
    pub reserved_nanos: Nanos,
    pub captured_nanos: Nanos,
    pub released_nanos: Nanos,
    /// Of these, what is promotional credit; the rest is paid money.
    #[serde(default)]
    pub promotional: Share,
    /// Usage charged beyond the hold.
    pub overrun_nanos: Nanos,
    /// Given back of what was charged.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub corrected_nanos: Nanos,
    /// What the rest was paid by, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paid_by: Vec<PaidBy>,
    /// The tax in what was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxed: Option<Taxed>,
    /// What of its organisation's it counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// When it was charged last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub status: HoldStatus,
    /// The extension refused last, as (wanted, available) in nanos: the same refusal is recorded once.
    #[serde(default)]
    pub refused_nanos: Option<(Nanos, Nanos)>,
}

/// The part of a hold that is promotional credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Share {
    pub reserved_nanos: Nanos,
    pub captured_nanos: Nanos,
    pub released_nanos: Nanos,
}

impl Share {
    /// What it still covers.
    #[must_use]
    pub const fn remaining_nanos(&self) -> Nanos {
        self.reserved_nanos - self.captured_nanos - self.released_nanos
    }
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

const fn is_nothing(amount_nanos: &Nanos) -> bool {
    *amount_nanos == 0
}

impl Hold {
    /// Charged, and not given back.
    #[must_use]
    pub const fn charged_nanos(&self) -> Nanos {
        self.captured_nanos + self.overrun_nanos - self.corrected_nanos
    }

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
    /// Paid in and not used.
    pub posted_nanos: Nanos,
    /// Of it, set aside by holds.
    pub held_nanos: Nanos,
    /// Credit that nobody paid for.
    #[serde(default)]
    pub promotional: Promotional,
    /// First in, first out.
    pub lots: Vec<Lot>,
    pub holds: BTreeMap<String, Hold>,
    pub refunds: BTreeMap<String, OpenRefund>,
    #[serde(default)]
    pub disputes: BTreeMap<String, Disputed>,
    /// Numbers of the credit notes that were taken in.
    #[serde(default)]
    pub credited: BTreeSet<String>,
    /// What may be used in a month, and what was.
    #[serde(default)]
    pub spending: Spending,
    /// The same of each project that has limits, or in which anything is set aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<ProjectId, Spending>,
    /// Of what somebody wants to be told, and what was.
    #[serde(default)]
    pub alerts: Alerts,
    /// The same of each project that has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub project_alerts: BTreeMap<ProjectId, Alerts>,
}

impl Decider for Wallet {
    const TYPE: &'static str = "wallet";
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Error = WalletError;

    fn decide(&self, command: WalletCommand) -> Result<Vec<WalletEvent>, WalletError> {
        let at = command.at();
        let events = match command {
            WalletCommand::TopUp(top_up) => self.top_up(top_up),
            WalletCommand::PlaceHold(place) => self.place_hold(place),
            WalletCommand::CaptureHold(capture) => self.capture_hold(capture),
            WalletCommand::CaptureLate { capture, used_at } => self.capture_late(capture, used_at),
            WalletCommand::CorrectCharge(correct) => self.correct_charge(&correct),
            WalletCommand::ReleaseHold { hold_id, at } => self.release_hold(hold_id, at),
            WalletCommand::SweepExpired { at } => Ok(self.swept(at, None).1),
            WalletCommand::SetAlerts { organisation_id, currency, alerts, at } => {
                self.set_alerts((organisation_id, currency), alerts, at)
            }
            WalletCommand::SetProjectAlerts {
                organisation_id,
                currency,
                project_id,
                alerts,
                at,
            } => self.set_project_alerts((organisation_id, currency), project_id, alerts, at),
            WalletCommand::GrantCredit(grant) => self.grant_credit(grant),
            WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at } => {
                self.hold_disputed(dispute_id, (payment_id, amount_nanos), at)
            }
            WalletCommand::ReleaseDisputed { dispute_id } => Ok(self.release_disputed(dispute_id)),
            WalletCommand::LoseDisputed(loss) => self.lose_disputed(loss),
            WalletCommand::CreditUsage { note, debits, at } => self.credit_usage(note, debits, at),
            WalletCommand::SetSpendingLimits { organisation_id, currency, limits, at } => {
                self.set_spending_limits((organisation_id, currency), limits, at)
            }
            WalletCommand::SetProjectLimits {
                organisation_id,
                currency,
                project_id,
                limits,
                at,
            } => self.set_project_limits((organisation_id, currency), project_id, limits, at),
            WalletCommand::ReserveRefund(reserve) => self.reserve_refund(reserve),
            WalletCommand::ReturnRefund { refund_id, at } => self.return_refund(refund_id, at),
        }?;
        Ok(self.with_alerts(events, at))
    }

    fn evolve(mut self, event: WalletEvent) -> Self {
        use WalletEvent as E;
        match event {
            E::ToppedUp { organisation_id, currency, payment_id, amount_nanos, .. } => {
                self.owner = Some((organisation_id, currency));
                self.posted_nanos += amount_nanos;
                self.lots.push(Lot { payment_id, amount_nanos, remaining_nanos: amount_nanos });
            }
            E::HoldPlaced { hold_id, purpose, amount_nanos, promotional_nanos, expires_at } => {
                self.add_hold(hold_id, purpose, (amount_nanos, promotional_nanos), expires_at)
            }
            E::HoldExtended { hold_id, amount_nanos, promotional_nanos, expires_at } => {
                self.fill_hold(hold_id, (amount_nanos, promotional_nanos), expires_at);
            }
            E::HoldExtensionRefused { hold_id, wanted_nanos, available_nanos, .. } => {
                self.refuse_hold(hold_id, (wanted_nanos, available_nanos));
            }
            E::UsageCaptured { hold_id, amount_nanos, credits, lots, tax, journal, .. } => {
                self.take_usage(hold_id, amount_nanos, (&credits, &lots));
                self.take_charge(hold_id, (amount_nanos, tax), journal.occurred_at);
            }
            E::OverrunRecorded { hold_id, amount_nanos, tax, journal, .. } => {
                self.with_hold(hold_id, |hold| hold.owe(amount_nanos));
                self.take_charge(hold_id, (amount_nanos, tax), journal.occurred_at);
            }
            corrected @ E::UsageCorrected { .. } => self.take_correction(corrected),
            E::HoldReleased { hold_id, amount_nanos, promotional_nanos } => {
                self.close_hold(hold_id, (amount_nanos, promotional_nanos), HoldStatus::Released);
            }
            E::HoldExpired { hold_id, amount_nanos, promotional_nanos } => {
                self.close_hold(hold_id, (amount_nanos, promotional_nanos), HoldStatus::Expired);
            }
            E::RefundReserved { refund_id, payment_id, amount_nanos, .. } => {
                self.send_back(refund_id, (payment_id, amount_nanos));
            }
            E::RefundReturned { refund_id, amount_nanos, .. } => {
                self.take_back(refund_id, amount_nanos);
            }
            E::CreditGranted {
                organisation_id,
                currency,
                credit_id,
                amount_nanos,
                expires_at,
                ..
            } => {
                self.owner = Some((organisation_id, currency));
                self.promotional.grant(credit_id, amount_nanos, expires_at);
            }
            E::CreditExpired { credit_id, amount_nanos, .. } => {
                self.promotional.expire(credit_id, amount_nanos);
            }
            disputed @ (E::PaymentDisputed { .. }
            | E::DisputeReleased { .. }
            | E::DisputeLost { .. }) => return self.after_dispute(disputed).rearmed(),
            E::UsageCredited { note, lots, .. } => self.take_credit(note, &lots),
            told @ (E::SpendingLimitsSet { .. }
            | E::SpendingReached { .. }
            | E::HoldAssigned { .. }
            | E::ProjectLimitsSet { .. }
            | E::ProjectLimitReached { .. }
            | E::AlertsSet { .. }
            | E::AlertReached { .. }
            | E::ProjectAlertsSet { .. }
            | E::ProjectAlertReached { .. }) => self.take_told(told),
        }
        self.rearmed()
    }

    fn subject(&self) -> Option<Subject> {
        self.owner.map(|(organisation_id, _)| Subject::organisation(organisation_id))
    }

    fn book_entry(&self, event: &WalletEvent) -> Option<BookEntry> {
        match event {
            WalletEvent::ToppedUp { journal, .. }
            | WalletEvent::OverrunRecorded { journal, .. }
            | WalletEvent::RefundReserved { journal, .. }
            | WalletEvent::RefundReturned { journal, .. }
            | WalletEvent::CreditGranted { journal, .. }
            | WalletEvent::CreditExpired { journal, .. }
            | WalletEvent::UsageCorrected { journal, .. }
            | WalletEvent::UsageCredited { journal, .. } => {
                Some(BookEntry::movement(journal.clone()))
            }
            WalletEvent::UsageCaptured { hold_id, amount_nanos, credits, journal, .. } => {
                let moved = HoldMove::Captured(*amount_nanos, used(credits));
                Some(BookEntry {
                    journal: Some(journal.clone()),
                    ..self.hold_entry(*hold_id, moved)
                })
            }
            WalletEvent::HoldPlaced { hold_id, amount_nanos, promotional_nanos, .. }
            | WalletEvent::HoldExtended { hold_id, amount_nanos, promotional_nanos, .. } => {
                let moved = HoldMove::Reserved(*amount_nanos, *promotional_nanos);
                Some(self.hold_entry(*hold_id, moved))
            }
            WalletEvent::HoldReleased { hold_id, amount_nanos, promotional_nanos }
            | WalletEvent::HoldExpired { hold_id, amount_nanos, promotional_nanos } => {
                let moved = HoldMove::Released(*amount_nanos, *promotional_nanos);
                Some(self.hold_entry(*hold_id, moved))
            }
            WalletEvent::PaymentDisputed { dispute_id, held_nanos, .. } => {
                let moved = HoldMove::Reserved(*held_nanos, 0);
                (*held_nanos > 0).then(|| self.hold_entry(hold_of_dispute(*dispute_id), moved))
            }
            WalletEvent::DisputeReleased { dispute_id, amount_nanos } => {
                let moved = HoldMove::Released(*amount_nanos, 0);
                (*amount_nanos > 0).then(|| self.hold_entry(hold_of_dispute(*dispute_id), moved))
            }
            WalletEvent::DisputeLost { dispute_id, held_nanos, journal, .. } => {
                let moved = HoldMove::Captured(*held_nanos, 0);
                let held = match held_nanos {
                    0 => BookEntry::default(),
                    _ => self.hold_entry(hold_of_dispute(*dispute_id), moved),
                };
                Some(BookEntry { journal: Some(journal.clone()), ..held })
            }
            WalletEvent::HoldExtensionRefused { .. }
            | WalletEvent::SpendingLimitsSet { .. }
            | WalletEvent::SpendingReached { .. }
            | WalletEvent::HoldAssigned { .. }
            | WalletEvent::ProjectLimitsSet { .. }
            | WalletEvent::ProjectLimitReached { .. }
            | WalletEvent::AlertsSet { .. }
            | WalletEvent::AlertReached { .. }
            | WalletEvent::ProjectAlertsSet { .. }
            | WalletEvent::ProjectAlertReached { .. } => None,
        }
    }
}

cqrs_aggregate!(Wallet);

impl Wallet {
    /// What may be held: posted less held, paid and promotional. Holds and credit past their time count until they are swept.
    #[must_use]
    pub fn available_nanos(&self) -> Nanos {
        self.paid_available_nanos() + self.promotional.available_nanos()
    }

    /// What may be refunded: paid money that no hold has set aside.
    #[must_use]
    pub const fn paid_available_nanos(&self) -> Nanos {
        self.posted_nanos - self.held_nanos
    }

    /// What may be held at an instant: holds and credit past their time do not count, swept or not.
    #[must_use]
    pub fn available_at(&self, at: Timestamp) -> Nanos {
        self.swept(at, None).0.available_nanos()
    }

    /// What may be refunded at an instant: holds past their time do not count, swept or not.
    #[must_use]
    pub fn paid_available_at(&self, at: Timestamp) -> Nanos {
        self.swept(at, None).0.paid_available_nanos()
    }

    /// All that pays for usage at an instant, held or not: credit past its time does not count, but for what a hold keeps of it, and what is
    /// set aside for disputes does not.
    #[must_use]
    pub fn funds_at(&self, at: Timestamp) -> Nanos {
        let (swept, _) = self.swept(at, None);
        let disputed_nanos: Nanos = swept.disputes.values().map(|it| it.held_nanos).sum();
        swept.posted_nanos + swept.promotional.posted_nanos() - disputed_nanos
    }

    /// Organisation and currency. A wallet without credit has neither, and nothing to spend.
    pub(crate) fn owner(&self) -> Result<(OrganisationId, Currency), WalletError> {
        self.owner.ok_or_else(|| insufficient(0, 1))
    }

    /// Whether that much more can be counted.
    pub(crate) fn fits(&self, amount_nanos: Nanos) -> Result<(), WalletError> {
        let posted_nanos = self.posted_nanos.checked_add(self.promotional.posted_nanos());
        let more = posted_nanos.and_then(|posted_nanos| posted_nanos.checked_add(amount_nanos));
        more.map(drop).ok_or(WalletError::TooLarge)
    }

    pub(crate) fn set_aside(&mut self, amount_nanos: Nanos, promotional_nanos: Nanos) {
        self.held_nanos += amount_nanos - promotional_nanos;
        self.promotional.held_nanos += promotional_nanos;
    }
}

pub(crate) fn insufficient(available_nanos: Nanos, wanted_nanos: Nanos) -> WalletError {
    WalletError::InsufficientFunds {
        available: format_nanos(available_nanos),
        wanted: format_nanos(wanted_nanos),
    }
}
