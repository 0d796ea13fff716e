//! Charging usage out of a hold, and keeping the hold ahead of the usage.
use cairn_core::{
    Currency, Decider, HoldId, JournalTransaction, Nanos, OrganisationId, Timestamp, chart,
};

use crate::wallet::{CaptureHold, HoldStatus, Wallet, WalletError, WalletEvent};

impl Wallet {
    /// Charges up to a cumulative total. A total already passed changes nothing, so a repeat or a late tick is harmless;
    /// neither does one that brings neither usage nor time to a hold that has expired.
    ///
    /// Money comes from the hold, then from what is available, and what neither covers becomes a receivable: usage is
    /// never dropped. Then the hold lasts longer and is filled up towards `keep_nanos` with what is available; what is missing is
    /// recorded as refused.
    pub(crate) fn capture_hold(
        &self,
        capture: CaptureHold,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let hold = self.hold(capture.hold_id)?;
        let owner = self.owner()?;
        let charged_nanos = hold.captured_nanos + hold.overrun_nanos;
        let news = capture.total_nanos > charged_nanos;
        let current = capture.total_nanos == charged_nanos;
        let later = capture.expires_at > hold.expires_at;
        match hold.status {
            HoldStatus::Released if news => return Err(WalletError::HoldClosed(capture.hold_id)),
            HoldStatus::Released => return Ok(vec![]),
            HoldStatus::Open if news || current => {}
            HoldStatus::Expired if news || (current && later) => {}
            HoldStatus::Open | HoldStatus::Expired => return Ok(vec![]),
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
        let amount_nanos = wanted_nanos.min(self.available_nanos());
        let expires_at = expires_at.max(hold.expires_at);
        let mut events = vec![];
        if amount_nanos > 0 || expires_at > hold.expires_at {
            events.push(WalletEvent::HoldExtended { hold_id, amount_nanos, expires_at });
        }
        // What is still missing; nothing is available any more.
        let missing_nanos = wanted_nanos - amount_nanos;
        let is_news = !events.is_empty() || hold.refused_nanos != Some((missing_nanos, 0));
        if missing_nanos > 0 && is_news {
            events.push(WalletEvent::HoldExtensionRefused {
                hold_id,
                wanted_nanos: missing_nanos,
                available_nanos: 0,
                remaining_nanos: remaining_nanos + amount_nanos,
            });
        }
        Ok(events)
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
