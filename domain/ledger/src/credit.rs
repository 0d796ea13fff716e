//! Promotional credit: given, not paid for. What expires first is spent first; paid money is spent after it.
//!
//! A hold sets promotional credit aside as such, not one credit of several: what is held counts as that which expires first. So what is held when
//! its time is over stays until the hold is charged or gives it back, and then expires.
use cairn_core::{CreditId, Decider, JournalTransaction, Nanos, Timestamp, chart};
use serde::{Deserialize, Serialize};

use crate::events::WalletEvent;
use crate::wallet::Wallet;
use crate::wishes::{GrantCredit, WalletError};

/// One grant. `remaining = amount − consumed − expired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Credit {
    pub credit_id: CreditId,
    pub amount_nanos: Nanos,
    pub remaining_nanos: Nanos,
    pub expired_nanos: Nanos,
    pub expires_at: Timestamp,
}

/// How much of a grant a charge consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CreditUse {
    pub credit_id: CreditId,
    pub amount_nanos: Nanos,
}

/// The promotional credit of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Promotional {
    /// What expires first comes first; of two that expire together, what was granted first.
    pub credits: Vec<Credit>,
    /// Set aside by holds.
    pub held_nanos: Nanos,
}

/// How much promotional credit a charge consumed.
#[must_use]
pub fn used(credits: &[CreditUse]) -> Nanos {
    credits.iter().map(|used| used.amount_nanos).sum()
}

impl Promotional {
    /// What was granted and neither used nor expired.
    #[must_use]
    pub fn posted_nanos(&self) -> Nanos {
        self.credits.iter().map(|credit| credit.remaining_nanos).sum()
    }

    /// Of it, what no hold has set aside.
    #[must_use]
    pub fn available_nanos(&self) -> Nanos {
        self.posted_nanos() - self.held_nanos
    }

    fn find(&self, credit_id: CreditId) -> Option<&Credit> {
        self.credits.iter().find(|credit| credit.credit_id == credit_id)
    }

    fn with(&mut self, credit_id: CreditId, change: impl FnOnce(&mut Credit)) {
        let found = self.credits.iter_mut().find(|credit| credit.credit_id == credit_id);
        if let Some(credit) = found {
            change(credit);
        }
    }

    pub(crate) fn grant(
        &mut self,
        credit_id: CreditId,
        amount_nanos: Nanos,
        expires_at: Timestamp,
    ) {
        let place = self.credits.partition_point(|credit| credit.expires_at <= expires_at);
        let (remaining_nanos, expired_nanos) = (amount_nanos, 0);
        let credit = Credit { credit_id, amount_nanos, remaining_nanos, expired_nanos, expires_at };
        self.credits.insert(place, credit);
    }

    pub(crate) fn consume(&mut self, uses: &[CreditUse]) {
        for used in uses {
            self.with(used.credit_id, |credit| credit.remaining_nanos -= used.amount_nanos);
        }
    }

    /// What was consumed is there again.
    pub(crate) fn restore(&mut self, uses: &[CreditUse]) {
        for used in uses {
            self.with(used.credit_id, |credit| credit.remaining_nanos += used.amount_nanos);
        }
    }

    pub(crate) fn expire(&mut self, credit_id: CreditId, amount_nanos: Nanos) {
        self.with(credit_id, |credit| {
            credit.remaining_nanos -= amount_nanos;
            credit.expired_nanos += amount_nanos;
        });
    }

    /// What covers an amount: what expires first.
    pub(crate) fn first(&self, amount_nanos: Nanos) -> Vec<CreditUse> {
        let mut left = amount_nanos;
        let mut uses = vec![];
        for credit in self.credits.iter().filter(|credit| credit.remaining_nanos > 0) {
            let amount_nanos = left.min(credit.remaining_nanos);
            if amount_nanos == 0 {
                break;
            }
            left -= amount_nanos;
            uses.push(CreditUse { credit_id: credit.credit_id, amount_nanos });
        }
        uses
    }

    /// What is over at an instant, and of each what no hold keeps.
    fn over(&self, at: Timestamp) -> Vec<(&Credit, Nanos)> {
        let mut held_nanos = self.held_nanos;
        let mut over = vec![];
        for credit in self.credits.iter().take_while(|credit| credit.expires_at <= at) {
            let kept_nanos = held_nanos.min(credit.remaining_nanos);
            held_nanos -= kept_nanos;
            if credit.remaining_nanos > kept_nanos {
                over.push((credit, credit.remaining_nanos - kept_nanos));
            }
        }
        over
    }
}

impl Wallet {
    pub(crate) fn grant_credit(&self, grant: GrantCredit) -> Result<Vec<WalletEvent>, WalletError> {
        let GrantCredit {
            organisation_id,
            currency,
            credit_id,
            amount_nanos,
            expires_at,
            reason,
            at,
        } = grant;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        if self.owner.is_some_and(|owner| owner != (organisation_id, currency)) {
            return Err(WalletError::IdReused);
        }
        if let Some(known) = self.promotional.find(credit_id) {
            let same = (known.amount_nanos, known.expires_at) == (amount_nanos, expires_at);
            return if same { Ok(vec![]) } else { Err(WalletError::IdReused) };
        }
        if expires_at <= at {
            return Err(WalletError::CreditExpiryInvalid { expires_at, at });
        }
        self.fits(amount_nanos)?;
        let journal = JournalTransaction::transfer(
            ("promo_granted", "credit", &credit_id.to_string()),
            (currency, amount_nanos),
            (chart::promo(currency), chart::wallet_promo(organisation_id, currency)),
            at,
        );
        Ok(vec![WalletEvent::CreditGranted {
            organisation_id,
            currency,
            credit_id,
            amount_nanos,
            expires_at,
            reason,
            journal,
        }])
    }

    /// Ends the credit whose time is over, but for what holds have set aside.
    pub(crate) fn lapse(&self, at: Timestamp) -> Vec<WalletEvent> {
        let Some((organisation_id, currency)) = self.owner else { return vec![] };
        let expired = |(credit, amount_nanos): (&Credit, Nanos)| {
            let credit_id = credit.credit_id;
            // Named by all that has expired of it: that only grows, so each part is booked once.
            let part = format!("{credit_id}:{}", credit.expired_nanos + amount_nanos);
            let journal = JournalTransaction::transfer(
                ("promo_expired", "credit_expired", &part),
                (currency, amount_nanos),
                (chart::wallet_promo(organisation_id, currency), chart::promo(currency)),
                at,
            );
            WalletEvent::CreditExpired { credit_id, amount_nanos, journal }
        };
        self.promotional.over(at).into_iter().map(expired).collect()
    }

    /// The state and the events after what is over has ended: holds first, for they keep credit.
    pub(crate) fn lapsed(
        &self,
        at: Timestamp,
        before: Vec<WalletEvent>,
    ) -> (Self, Vec<WalletEvent>) {
        let wallet = before.iter().cloned().fold(self.clone(), Self::evolve);
        let over = wallet.lapse(at);
        let wallet = over.iter().cloned().fold(wallet, Self::evolve);
        (wallet, [before, over].concat())
    }
}
