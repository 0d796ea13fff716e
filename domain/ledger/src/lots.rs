//! Lots: what each payment brought in. Usage consumes the oldest first; a refund names the lot it returns.
use cairn_core::{JournalTransaction, Nanos, PaymentId, chart};

use crate::events::WalletEvent;
use crate::wallet::{Lot, LotUse, Wallet};
use crate::wishes::{TopUp, WalletError};

impl Wallet {
    pub(crate) fn with_lot(&mut self, payment_id: PaymentId, change: impl FnOnce(&mut Lot)) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.payment_id == payment_id) {
            change(lot);
        }
    }

    pub(crate) fn top_up(&self, top_up: TopUp) -> Result<Vec<WalletEvent>, WalletError> {
        let TopUp { organisation_id, currency, payment_id, amount_nanos, charge_id, at } = top_up;
        if amount_nanos <= 0 {
            return Err(WalletError::AmountNotPositive);
        }
        if self.owner.is_some_and(|owner| owner != (organisation_id, currency)) {
            return Err(WalletError::IdReused);
        }
        if let Some(lot) = self.lots.iter().find(|lot| lot.payment_id == payment_id) {
            let same = lot.amount_nanos == amount_nanos;
            return if same { Ok(vec![]) } else { Err(WalletError::IdReused) };
        }
        self.fits(amount_nanos)?;
        let journal = JournalTransaction::transfer(
            ("top_up", "stripe", &charge_id),
            (currency, amount_nanos),
            (chart::stripe(currency), chart::wallet_paid(organisation_id, currency)),
            at,
        );
        let event =
            WalletEvent::ToppedUp { organisation_id, currency, payment_id, amount_nanos, journal };
        Ok(vec![event])
    }

    /// The oldest lots that cover an amount.
    pub(crate) fn first_lots(&self, amount_nanos: Nanos) -> Vec<LotUse> {
        let mut left = amount_nanos;
        let mut uses = vec![];
        for lot in self.lots.iter().filter(|lot| lot.remaining_nanos > 0) {
            let amount_nanos = left.min(lot.remaining_nanos);
            if amount_nanos == 0 {
                break;
            }
            left -= amount_nanos;
            uses.push(LotUse { payment_id: lot.payment_id, amount_nanos });
        }
        uses
    }
}
