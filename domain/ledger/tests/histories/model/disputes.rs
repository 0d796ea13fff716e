//! Payments that a bank takes back.
use cairn_core::{DisputeId, HoldId, PaymentId, Timestamp};
use cairn_ledger::DisputeLoss;

use super::{Model, ModelHold};

impl Model {
    pub(super) fn dispute(
        &mut self,
        id: DisputeId,
        (payment, amount): (PaymentId, i64),
        now: Timestamp,
    ) -> bool {
        let Some((_, left)) = self.lots.get(&payment.to_string()).copied() else { return false };
        if self.disputes.contains_key(&id.to_string()) {
            return amount > 0;
        }
        self.sweep(now, None);
        let paid = amount.min(left).min(self.free);
        self.free -= paid;
        self.disputes.insert(id.to_string(), (false, Some(payment)));
        if paid > 0 {
            let expires = cairn_ledger::OPEN_END;
            let hold = ModelHold { paid, expires, open: true, ..ModelHold::default() };
            self.holds.insert(HoldId::from_bits(id.bits()).to_string(), hold);
        }
        amount > 0
    }

    /// What was set aside for it; none when it has ended before.
    pub(super) fn end_dispute(&mut self, id: DisputeId) -> Option<i64> {
        let known = self.disputes.entry(id.to_string()).or_insert((false, None));
        if std::mem::replace(&mut known.0, true) {
            return None;
        }
        let hold = self.holds.get_mut(&HoldId::from_bits(id.bits()).to_string());
        Some(hold.map_or(0, |hold| {
            (hold.open, hold.closed) = (false, true);
            std::mem::take(&mut hold.paid)
        }))
    }

    /// What was set aside pays, then what is free, with the payment's own money first; the rest is owed.
    pub(super) fn lose(&mut self, c: &DisputeLoss) -> bool {
        if c.amount_nanos <= 0 {
            return false;
        }
        if self.disputes.get(&c.dispute_id.to_string()).is_some_and(|it| it.0) {
            return true;
        }
        if !self.lots.contains_key(&c.payment_id.to_string()) {
            return false;
        }
        self.sweep(c.at, None);
        let kept = self.end_dispute(c.dispute_id).unwrap_or_default();
        if let Some(hold) = self.holds.get_mut(&HoldId::from_bits(c.dispute_id.bits()).to_string())
        {
            hold.charged += kept;
        }
        let pays = c.amount_nanos.min(kept + self.free);
        self.free -= pays - kept;
        self.lost.0 += pays;
        self.lost.1 += c.amount_nanos - pays;
        let mut rest = pays;
        if let Some((_, left)) = self.lots.get_mut(&c.payment_id.to_string()) {
            let own = rest.min(*left);
            *left -= own;
            rest -= own;
        }
        let payment_id = Some(c.payment_id);
        self.disputes.insert(c.dispute_id.to_string(), (true, payment_id));
        self.consume(rest, 0);
        true
    }
}
