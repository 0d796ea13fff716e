//! Credit notes: usage that was paid for is given back as paid money, into the lots that it was taken from last.
use cairn_core::{JournalTransaction, Nanos, Posting, Timestamp, chart};

use crate::events::WalletEvent;
use crate::wallet::{Lot, LotUse, Wallet};
use crate::wishes::WalletError;

impl Wallet {
    /// Takes in what a credit note gives back; `debits` are the accounts that it is taken from, for example `usage:compute:USD`. A note that
    /// was taken in changes nothing.
    pub(crate) fn credit_usage(
        &self,
        note: String,
        debits: Vec<(String, Nanos)>,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        if self.credited.contains(&note) {
            return Ok(vec![]);
        }
        let amount_nanos: Nanos = debits.iter().map(|(_, nanos)| nanos).sum();
        if amount_nanos <= 0 || debits.iter().any(|(_, nanos)| *nanos <= 0) {
            return Err(WalletError::AmountNotPositive);
        }
        self.fits(amount_nanos)?;
        let (organisation_id, currency) = self.owner()?;
        let lots = self.last_lots(amount_nanos);
        let given: Nanos = lots.iter().map(|lot| lot.amount_nanos).sum();
        if given < amount_nanos {
            return Err(WalletError::ExceedsUsage);
        }
        let wallet = (chart::wallet_paid(organisation_id, currency), -amount_nanos);
        let posting = |(account, amount_nanos)| Posting { account, amount_nanos };
        let journal = JournalTransaction {
            kind: "usage_credited".to_owned(),
            source: "credit_note".to_owned(),
            source_id: note.clone(),
            currency,
            occurred_at: at,
            reverses: None,
            postings: debits.into_iter().chain([wallet]).map(posting).collect(),
        };
        Ok(vec![WalletEvent::UsageCredited { note, amount_nanos, lots, journal }])
    }

    /// The lots that money was taken from last, as far as it was not refunded, for an amount. What somebody disputed comes at the end: the
    /// provider may have taken it.
    pub(crate) fn last_lots(&self, amount_nanos: Nanos) -> Vec<LotUse> {
        let mut left = amount_nanos;
        let is_disputed = |lot: &&Lot| {
            self.disputes.values().any(|dispute| dispute.payment_id == Some(lot.payment_id))
        };
        let (disputed, others): (Vec<_>, Vec<_>) = self.lots.iter().rev().partition(is_disputed);
        let uses = others.into_iter().chain(disputed).map(|lot| {
            let amount_nanos = left.min(self.used_of(lot)).max(0);
            left -= amount_nanos;
            LotUse { payment_id: lot.payment_id, amount_nanos }
        });
        uses.filter(|used| used.amount_nanos > 0).collect()
    }

    /// What is gone of a lot and was not refunded.
    pub(crate) fn used_of(&self, lot: &Lot) -> Nanos {
        let refunded = self.refunds.values().filter(|it| it.payment_id == lot.payment_id);
        let refunded: Nanos =
            refunded.filter(|refund| !refund.returned).map(|refund| refund.amount_nanos).sum();
        lot.amount_nanos - lot.remaining_nanos - refunded
    }

    /// What is remembered of a note that was taken in.
    pub(crate) fn take_credit(&mut self, note: String, lots: &[LotUse]) {
        for lot in lots {
            self.posted_nanos += lot.amount_nanos;
            self.with_lot(lot.payment_id, |mine| mine.remaining_nanos += lot.amount_nanos);
        }
        self.credited.insert(note);
    }
}
