//! Refunds: taking money out of the lot it came from, and taking it back in when the provider fails to pay it out.
use cairn_core::money::format_nanos;
use cairn_core::{JournalTransaction, Nanos, PaymentId, RefundId, Timestamp, chart};

use crate::events::WalletEvent;
use crate::wallet::{OpenRefund, Wallet, insufficient};
use crate::wishes::{ReserveRefund, WalletError};

impl Wallet {
    pub(crate) fn reserve_refund(
        &self,
        reserve: ReserveRefund,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let ReserveRefund { refund_id, payment_id, amount_nanos, reason, at } = reserve;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        if let Some(open) = self.refunds.get(&refund_id.to_string()) {
            let same = (open.payment_id, open.amount_nanos) == (payment_id, amount_nanos);
            return if same { Ok(vec![]) } else { Err(WalletError::IdReused) };
        }
        let lot = self.lots.iter().find(|lot| lot.payment_id == payment_id);
        let lot = lot.ok_or(WalletError::UnknownPayment(payment_id))?;
        if self.is_disputed(payment_id) {
            return Err(WalletError::PaymentDisputed(payment_id));
        }
        let (organisation_id, currency) = self.owner()?;
        if amount_nanos % currency.nanos_per_minor() != 0 {
            return Err(WalletError::NotWholeMinor(format_nanos(amount_nanos)));
        }
        if amount_nanos > lot.remaining_nanos {
            return Err(WalletError::ExceedsRefundable {
                payment_id,
                refundable: format_nanos(lot.remaining_nanos),
                wanted: format_nanos(amount_nanos),
            });
        }
        let (wallet, mut events) = self.swept(at, None);
        // Promotional credit was never paid in, so it is never paid out.
        if wallet.paid_available_nanos() < amount_nanos {
            return Err(insufficient(wallet.paid_available_nanos(), amount_nanos));
        }
        let journal = JournalTransaction::transfer(
            ("refund_reserved", "refund", &refund_id.to_string()),
            (currency, amount_nanos),
            (chart::wallet_paid(organisation_id, currency), chart::refund_payable(currency)),
            at,
        );
        events.push(WalletEvent::RefundReserved {
            refund_id,
            payment_id,
            amount_nanos,
            reason,
            journal,
        });
        Ok(events)
    }

    pub(crate) fn send_back(
        &mut self,
        refund_id: RefundId,
        (payment_id, amount_nanos): (PaymentId, Nanos),
    ) {
        self.posted_nanos -= amount_nanos;
        self.with_lot(payment_id, |lot| lot.remaining_nanos -= amount_nanos);
        let refund = OpenRefund { payment_id, amount_nanos, returned: false };
        self.refunds.insert(refund_id.to_string(), refund);
    }

    pub(crate) fn take_back(&mut self, refund_id: RefundId, amount_nanos: Nanos) {
        self.posted_nanos += amount_nanos;
        if let Some(refund) = self.refunds.get_mut(&refund_id.to_string()) {
            refund.returned = true;
            let payment_id = refund.payment_id;
            self.with_lot(payment_id, |lot| lot.remaining_nanos += amount_nanos);
        }
    }

    pub(crate) fn return_refund(
        &self,
        refund_id: RefundId,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let refund = self.refunds.get(&refund_id.to_string());
        let refund = refund.ok_or(WalletError::UnknownRefund(refund_id))?;
        if refund.returned {
            return Ok(vec![]);
        }
        let amount_nanos = refund.amount_nanos;
        self.fits(amount_nanos)?;
        let (organisation_id, currency) = self.owner()?;
        let mut journal = JournalTransaction::transfer(
            ("refund_returned", "refund_returned", &refund_id.to_string()),
            (currency, amount_nanos),
            (chart::refund_payable(currency), chart::wallet_paid(organisation_id, currency)),
            at,
        );
        journal.reverses = Some(format!("refund/{refund_id}"));
        Ok(vec![WalletEvent::RefundReturned { refund_id, amount_nanos, journal }])
    }
}
