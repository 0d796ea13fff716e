//! Disputed payments: what is left of them is set aside while it is open who is right, and leaves the wallet when the dispute is lost.
//!
//! What the wallet is told of a dispute may come in any order: once it has ended, nothing is set aside for it any more.
use cairn_core::{
    DisputeId, HoldId, JournalTransaction, Nanos, PaymentId, Posting, Timestamp, chart,
};
use serde::{Deserialize, Serialize};

use crate::events::WalletEvent;
use crate::wallet::{HoldStatus, LotUse, Wallet};
use crate::wishes::{DisputeLoss, WalletError};

/// A disputed payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Disputed {
    pub payment_id: Option<PaymentId>,
    /// Set aside for it.
    pub held_nanos: Nanos,
    /// Nothing is set aside for it any more.
    pub ended: bool,
}

/// Until somebody ends it: the last year that can be written, in its beginning (9999-01-01T00:00:00Z).
pub const OPEN_END: Timestamp = Timestamp::from_secs(253_370_764_800);

/// The hold of a dispute: both ids have the same bits, so that neither has to be looked up.
#[must_use]
pub const fn hold_of_dispute(dispute_id: DisputeId) -> HoldId {
    HoldId::from_bits(dispute_id.bits())
}

impl Wallet {
    fn disputed(&self, dispute_id: DisputeId) -> Option<&Disputed> {
        self.disputes.get(&dispute_id.to_string())
    }

    /// Whether somebody disputes a payment, and it is open who is right.
    pub(crate) fn is_disputed(&self, payment_id: PaymentId) -> bool {
        let open = |it: &&Disputed| it.payment_id == Some(payment_id) && !it.ended;
        self.disputes.values().any(|disputed| open(&disputed))
    }

    pub(crate) fn hold_disputed(
        &self,
        dispute_id: DisputeId,
        (payment_id, amount_nanos): (PaymentId, Nanos),
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        let lot = self.lots.iter().find(|lot| lot.payment_id == payment_id);
        let lot = lot.ok_or(WalletError::UnknownPayment(payment_id))?;
        if self.disputed(dispute_id).is_some() {
            return Ok(vec![]);
        }
        let (wallet, mut events) = self.swept(at, None);
        let unspent_nanos = lot.remaining_nanos.min(amount_nanos);
        let held_nanos = unspent_nanos.min(wallet.paid_available_nanos());
        events.push(WalletEvent::PaymentDisputed { dispute_id, payment_id, held_nanos });
        Ok(events)
    }

    /// It was won, or the provider has given the money back.
    pub(crate) fn release_disputed(&self, dispute_id: DisputeId) -> Vec<WalletEvent> {
        let amount_nanos = match self.disputed(dispute_id) {
            Some(disputed) if disputed.ended => return vec![],
            Some(disputed) => disputed.held_nanos,
            None => 0,
        };
        vec![WalletEvent::DisputeReleased { dispute_id, amount_nanos }]
    }

    /// It was lost: the wallet pays as far as paid money is available, that of the payment first, and the rest is owed. Not before the payment is
    /// in the wallet: others would pay for it, and it would stay.
    pub(crate) fn lose_disputed(&self, loss: DisputeLoss) -> Result<Vec<WalletEvent>, WalletError> {
        let DisputeLoss { dispute_id, payment_id, amount_nanos, at } = loss;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        let known = self.disputed(dispute_id);
        if known.is_some_and(|disputed| disputed.ended) {
            return Ok(vec![]);
        }
        if !self.lots.iter().any(|lot| lot.payment_id == payment_id) {
            return Err(WalletError::UnknownPayment(payment_id));
        }
        let held_nanos = known.map_or(0, |disputed| disputed.held_nanos);
        let (wallet, mut events) = self.swept(at, None);
        let (organisation_id, currency) = wallet.owner()?;
        let paid_nanos = amount_nanos.min(held_nanos + wallet.paid_available_nanos());
        let owed_nanos = amount_nanos - paid_nanos;
        let legs = [
            (chart::wallet_paid(organisation_id, currency), paid_nanos),
            (chart::receivable_customer(organisation_id, currency), owed_nanos),
            (chart::receivable_dispute(currency), -amount_nanos),
        ];
        let posting = |(account, amount_nanos)| Posting { account, amount_nanos };
        let postings = legs.into_iter().filter(|leg| leg.1 != 0).map(posting).collect();
        let journal = JournalTransaction {
            kind: "dispute_lost".to_owned(),
            source: "dispute".to_owned(),
            source_id: dispute_id.to_string(),
            currency,
            occurred_at: at,
            reverses: None,
            postings,
        };
        let lots = wallet.lots_beginning_with(payment_id, paid_nanos);
        events.push(WalletEvent::DisputeLost {
            dispute_id,
            payment_id,
            amount_nanos: paid_nanos,
            held_nanos,
            owed_nanos,
            lots,
            journal,
        });
        Ok(events)
    }

    /// The lots that cover an amount: the payment's own, then the oldest.
    fn lots_beginning_with(&self, payment_id: PaymentId, amount_nanos: Nanos) -> Vec<LotUse> {
        let own = self.lots.iter().filter(|lot| lot.payment_id == payment_id);
        let others = self.lots.iter().filter(|lot| lot.payment_id != payment_id);
        let mut left = amount_nanos;
        let uses = own.chain(others).map(|lot| {
            let amount_nanos = left.min(lot.remaining_nanos);
            left -= amount_nanos;
            LotUse { payment_id: lot.payment_id, amount_nanos }
        });
        uses.filter(|used| used.amount_nanos > 0).collect()
    }

    /// What is remembered of a dispute, from its beginning to its end.
    pub(crate) fn after_dispute(self, event: WalletEvent) -> Self {
        use WalletEvent as E;
        if let E::PaymentDisputed { dispute_id, payment_id, held_nanos } = event {
            self.with_dispute(dispute_id, payment_id, held_nanos)
        } else if let E::DisputeReleased { dispute_id, amount_nanos } = event {
            self.without_dispute(dispute_id, amount_nanos)
        } else if let E::DisputeLost {
            dispute_id,
            payment_id,
            amount_nanos,
            held_nanos,
            lots,
            ..
        } = event
        {
            self.after_loss(dispute_id, payment_id, (amount_nanos, held_nanos), &lots)
        } else {
            self
        }
    }

    fn with_dispute(
        mut self,
        dispute_id: DisputeId,
        payment_id: PaymentId,
        held_nanos: Nanos,
    ) -> Self {
        if held_nanos > 0 {
            let purpose = dispute_id.to_string();
            self.add_hold(hold_of_dispute(dispute_id), purpose, (held_nanos, 0), OPEN_END);
        }
        let disputed = Disputed { payment_id: Some(payment_id), held_nanos, ended: false };
        self.disputes.insert(dispute_id.to_string(), disputed);
        self
    }

    fn without_dispute(mut self, dispute_id: DisputeId, released_nanos: Nanos) -> Self {
        if released_nanos > 0 {
            let hold_id = hold_of_dispute(dispute_id);
            self.close_hold(hold_id, (released_nanos, 0), HoldStatus::Released);
        }
        self.end_dispute(dispute_id, None)
    }

    fn after_loss(
        mut self,
        dispute_id: DisputeId,
        payment_id: PaymentId,
        (paid_nanos, held_nanos): (Nanos, Nanos),
        lots: &[LotUse],
    ) -> Self {
        self.posted_nanos -= paid_nanos;
        if held_nanos > 0 {
            self.set_aside(-held_nanos, 0);
            self.with_hold(hold_of_dispute(dispute_id), |hold| {
                hold.captured_nanos += held_nanos;
                hold.status = HoldStatus::Released;
            });
        }
        for lot in lots {
            self.with_lot(lot.payment_id, |mine| mine.remaining_nanos -= lot.amount_nanos);
        }
        self.end_dispute(dispute_id, Some(payment_id))
    }

    fn end_dispute(mut self, dispute_id: DisputeId, payment_id: Option<PaymentId>) -> Self {
        let over = Disputed { payment_id, held_nanos: 0, ended: true };
        let disputed = self.disputes.entry(dispute_id.to_string()).or_insert(over);
        (disputed.held_nanos, disputed.ended) = (0, true);
        disputed.payment_id = payment_id.or(disputed.payment_id);
        self
    }
}
