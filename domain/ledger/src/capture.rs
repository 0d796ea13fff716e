//! Charging usage out of a hold, and keeping the hold ahead of the usage.
use cairn_core::{
    Currency, Decider, HoldId, JournalTransaction, Nanos, OrganisationId, Timestamp, chart,
};

use crate::wallet::{CaptureHold, HoldStatus, LotUse, Wallet, WalletError, WalletEvent};

impl Wallet {
    /// Charges up to a cumulative total. A total already reached charges nothing, so a repeat or a late tick is harmless.
    ///
    /// Money comes from the hold, then from what is available, and what neither covers becomes a receivable: usage is
    /// never dropped. Then the hold is filled up to `keep_nanos`, or the refusal to do so is recorded.
    pub(crate) fn capture_hold(
        &self,
        capture: CaptureHold,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let owner = self.owner()?;
        let hold = self.hold(capture.hold_id)?;
        if hold.status == HoldStatus::Released {
            let charged = hold.captured_nanos + hold.overrun_nanos;
            let settled = charged >= capture.total_nanos;
            return if settled {
                Ok(vec![])
            } else {
                Err(WalletError::HoldClosed(capture.hold_id))
            };
        }
        let (mut wallet, mut events) = self.swept(capture.at, Some(capture.hold_id));
        let charge = wallet.charge(owner, &capture)?;
        wallet = charge.iter().cloned().fold(wallet, Self::evolve);
        events.extend(charge);
        events.extend(wallet.keep_ahead(&capture)?);
        Ok(events)
    }

    fn charge(
        &self,
        (organisation_id, currency): (OrganisationId, Currency),
        capture: &CaptureHold,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let CaptureHold { hold_id, total_nanos, seconds, expires_at, at, .. } = *capture;
        let hold = self.hold(hold_id)?;
        let due = total_nanos - hold.captured_nanos - hold.overrun_nanos;
        if due <= 0 {
            return Ok(vec![]);
        }
        let from_hold = due.min(hold.remaining_nanos());
        let from_available = (due - from_hold).min(self.available_nanos());
        let amount_nanos = from_hold + from_available;
        let overrun_nanos = due - amount_nanos;
        let mut events = vec![];
        if from_available > 0 {
            let expires_at = expires_at.max(hold.expires_at);
            events.push(WalletEvent::HoldExtended {
                hold_id,
                amount_nanos: from_available,
                expires_at,
            });
        }
        let entry = |kind, debit, amount| usage_entry(kind, capture, (currency, amount), debit, at);
        if amount_nanos > 0 {
            let debit = chart::wallet_paid(organisation_id, currency);
            events.push(WalletEvent::UsageCaptured {
                hold_id,
                amount_nanos,
                total_nanos: total_nanos - overrun_nanos,
                seconds,
                lots: self.first_lots(amount_nanos),
                journal: entry("usage", debit, amount_nanos),
            });
        }
        if overrun_nanos > 0 {
            let debit = chart::receivable_overrun(organisation_id, currency);
            events.push(WalletEvent::OverrunRecorded {
                hold_id,
                amount_nanos: overrun_nanos,
                total_nanos,
                seconds,
                journal: entry("overrun", debit, overrun_nanos),
            });
        }
        Ok(events)
    }

    fn keep_ahead(&self, capture: &CaptureHold) -> Result<Vec<WalletEvent>, WalletError> {
        let CaptureHold { hold_id, keep_nanos, expires_at, .. } = *capture;
        if keep_nanos <= 0 {
            return Ok(vec![]);
        }
        let hold = self.hold(hold_id)?;
        let remaining_nanos = hold.remaining_nanos();
        let wanted_nanos = (keep_nanos - remaining_nanos).max(0);
        let available_nanos = self.available_nanos();
        if wanted_nanos > available_nanos {
            return Ok(vec![WalletEvent::HoldExtensionRefused {
                hold_id,
                wanted_nanos,
                available_nanos,
                remaining_nanos,
            }]);
        }
        if wanted_nanos == 0 && expires_at <= hold.expires_at {
            return Ok(vec![]);
        }
        Ok(vec![WalletEvent::HoldExtended { hold_id, amount_nanos: wanted_nanos, expires_at }])
    }

    /// The oldest lots that cover an amount.
    fn first_lots(&self, amount_nanos: Nanos) -> Vec<LotUse> {
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

fn usage_entry(
    kind: &str,
    capture: &CaptureHold,
    (currency, amount_nanos): (Currency, Nanos),
    debit: String,
    at: Timestamp,
) -> JournalTransaction {
    JournalTransaction::transfer(
        (kind, kind, &charge_id(capture.hold_id, capture.total_nanos)),
        (currency, amount_nanos),
        (debit, chart::usage(&capture.product, currency)),
        at,
    )
}

/// Names a charge: cumulative totals only grow, so each is charged once.
fn charge_id(hold_id: HoldId, total_nanos: Nanos) -> String {
    format!("{hold_id}:{total_nanos}")
}
