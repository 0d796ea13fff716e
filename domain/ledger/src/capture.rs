//! Charging usage out of a hold, and keeping the hold ahead of the usage.
use cairn_core::{
    Currency, Decider, HoldId, JournalTransaction, Nanos, OrganisationId, Posting, Timestamp, chart,
};

use crate::credit::{CreditUse, used};
use crate::events::WalletEvent;
use crate::taxes::TaxPart;
use crate::wallet::{Hold, HoldStatus, LotUse, Wallet};
use crate::wishes::{CaptureHold, WalletError};

impl Wallet {
    /// Charges up to a cumulative total. A total already passed changes nothing, so a repeat or a late tick is harmless;
    /// neither does one that brings neither usage nor time to a hold that has expired.
    ///
    /// Money comes from the hold, then from what is available, from either promotional credit first, and what neither covers becomes a receivable:
    /// usage is never dropped. Then the hold lasts longer and is filled up towards `keep_nanos` with what is available; what is missing is
    /// recorded as refused.
    pub(crate) fn capture_hold(
        &self,
        capture: CaptureHold,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let hold = self.hold(capture.hold_id)?;
        let owner = self.owner()?;
        let charged_nanos = hold.charged_nanos();
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
        let project_id = self.hold(capture.hold_id)?.project_id;
        let warned = [wallet.warned(capture.at), wallet.warned_in(project_id, capture.at)];
        let warned = warned.into_iter().flatten().filter(|_| !charge.is_empty());
        let warned: Vec<_> = warned.collect();
        events.extend(charge.into_iter().chain(warned));
        events.extend(wallet.keep_ahead(&capture)?);
        Ok(events)
    }

    /// Charges what was proven after its hold was given back, up to a cumulative total: out of what is available, and the rest is owed. The
    /// hold is given back again at once.
    pub(crate) fn capture_late(
        &self,
        capture: CaptureHold,
        used_at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let (hold_id, at) = (capture.hold_id, capture.at);
        let hold = self.hold(hold_id)?;
        if capture.total_nanos <= hold.charged_nanos() {
            return Ok(vec![]);
        }
        let owner = self.owner()?;
        let (wallet, mut events) = self.swept(at, Some(hold_id));
        let charge = wallet.charge(owner, &CaptureHold { at: used_at, ..capture })?;
        let wallet = charge.iter().cloned().fold(wallet, Self::evolve);
        let warned = [wallet.warned(at), wallet.warned_in(hold.project_id, at)];
        events.extend(charge.into_iter().chain(warned.into_iter().flatten()));
        let reopened = wallet.hold(hold_id)?.status != hold.status;
        if reopened && hold.status == HoldStatus::Released {
            let (amount_nanos, promotional_nanos) = (0, 0);
            events.push(WalletEvent::HoldReleased { hold_id, amount_nanos, promotional_nanos });
        }
        Ok(events)
    }

    fn charge(
        &self,
        owner: (OrganisationId, Currency),
        capture: &CaptureHold,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let CaptureHold { hold_id, total_nanos, seconds, expires_at, .. } = *capture;
        let mut hold = self.hold(hold_id)?.clone();
        let due = total_nanos - hold.charged_nanos();
        if due <= 0 {
            return Ok(vec![]);
        }
        let from_hold = due.min(hold.remaining_nanos());
        let from_available = (due - from_hold).min(self.available_nanos());
        let amount_nanos = from_hold + from_available;
        let overrun_nanos = due - amount_nanos;
        let mut promotional_nanos = hold.promotional.remaining_nanos();
        let mut events = vec![];
        if from_available > 0 {
            let expires_at = expires_at.max(hold.expires_at);
            let more_nanos = self.promotional_part(from_available);
            promotional_nanos += more_nanos;
            events.push(WalletEvent::HoldExtended {
                hold_id,
                amount_nanos: from_available,
                promotional_nanos: more_nanos,
                expires_at,
            });
        }
        if amount_nanos > 0 {
            let promotional_nanos = promotional_nanos.min(amount_nanos);
            let paid_nanos = amount_nanos - promotional_nanos;
            let (promo, paid) =
                (chart::wallet_promo(owner.0, owner.1), chart::wallet_paid(owner.0, owner.1));
            let debits = [(promo, promotional_nanos), (paid, paid_nanos)];
            let tax = hold.tax_in(paid_nanos, capture.tax.as_ref());
            let id = (owner.1, hold.charge_id(hold_id, total_nanos));
            let journal = usage_entry("usage", capture, id, (&debits, tax.as_ref()));
            hold.taxed = tax.clone().map(TaxPart::taxed);
            events.push(WalletEvent::UsageCaptured {
                hold_id,
                amount_nanos,
                total_nanos: total_nanos - overrun_nanos,
                seconds,
                credits: self.promotional.first(promotional_nanos),
                lots: self.first_lots(paid_nanos),
                tax,
                journal,
            });
        }
        if overrun_nanos > 0 {
            let debits = [(chart::receivable_overrun(owner.0, owner.1), overrun_nanos)];
            let tax = hold.tax_in(overrun_nanos, capture.tax.as_ref());
            let id = (owner.1, hold.charge_id(hold_id, total_nanos));
            let journal = usage_entry("overrun", capture, id, (&debits, tax.as_ref()));
            events.push(WalletEvent::OverrunRecorded {
                hold_id,
                amount_nanos: overrun_nanos,
                total_nanos,
                seconds,
                tax,
                journal,
            });
        }
        Ok(events)
    }

    /// What is remembered of a charge.
    pub(crate) fn take_usage(
        &mut self,
        hold_id: HoldId,
        amount_nanos: Nanos,
        (credits, lots): (&[CreditUse], &[LotUse]),
    ) {
        let promotional_nanos = used(credits);
        self.posted_nanos -= amount_nanos - promotional_nanos;
        self.set_aside(-amount_nanos, -promotional_nanos);
        self.with_hold(hold_id, |hold| {
            hold.captured_nanos += amount_nanos;
            hold.promotional.captured_nanos += promotional_nanos;
            hold.paid_with(credits, lots);
        });
        self.promotional.consume(credits);
        for lot in lots {
            self.with_lot(lot.payment_id, |mine| mine.remaining_nanos -= lot.amount_nanos);
        }
    }

    /// What is remembered of it, whoever paid.
    pub(crate) fn take_charge(
        &mut self,
        hold_id: HoldId,
        (amount_nanos, tax): (Nanos, Option<TaxPart>),
        at: Timestamp,
    ) {
        self.with_hold(hold_id, |hold| {
            hold.taxed = tax.map(TaxPart::taxed);
            hold.charged_at = Some(at);
        });
        self.count(hold_id, amount_nanos, at);
    }

    fn keep_ahead(&self, capture: &CaptureHold) -> Result<Vec<WalletEvent>, WalletError> {
        let CaptureHold { hold_id, keep_nanos, expires_at, at, .. } = *capture;
        if keep_nanos <= 0 {
            return Ok(vec![]);
        }
        let hold = self.hold(hold_id)?;
        let remaining_nanos = hold.remaining_nanos();
        let wanted_nanos = (keep_nanos - remaining_nanos).max(0);
        let amount_nanos = wanted_nanos.min(self.usable_at(hold.project_id, at));
        let expires_at = expires_at.max(hold.expires_at);
        let mut events = vec![];
        if amount_nanos > 0 || expires_at > hold.expires_at {
            let promotional_nanos = self.promotional_part(amount_nanos);
            events.push(WalletEvent::HoldExtended {
                hold_id,
                amount_nanos,
                promotional_nanos,
                expires_at,
            });
        }
        // What is still missing; what is available nevertheless is beyond a spending limit.
        let missing_nanos = wanted_nanos - amount_nanos;
        let available_nanos = self.available_nanos() - amount_nanos;
        let refused = (missing_nanos, available_nanos);
        let is_news = !events.is_empty() || hold.refused_nanos != Some(refused);
        if missing_nanos > 0 && is_news {
            events.push(WalletEvent::HoldExtensionRefused {
                hold_id,
                wanted_nanos: missing_nanos,
                available_nanos,
                remaining_nanos: remaining_nanos + amount_nanos,
            });
            if available_nanos > 0 {
                events.extend(self.stopped(hold.project_id, wanted_nanos, at));
            }
        }
        Ok(events)
    }
}

/// A charge: what it is paid from, the income that it is, and the tax in it.
fn usage_entry(
    kind: &str,
    capture: &CaptureHold,
    (currency, source_id): (Currency, String),
    (debits, tax): (&[(String, Nanos)], Option<&TaxPart>),
) -> JournalTransaction {
    let gross_nanos = debits.iter().map(|(_, amount_nanos)| amount_nanos).sum::<Nanos>();
    let tax_nanos = tax.map_or(0, |part| part.tax_nanos);
    let owed = tax.map(|part| (chart::tax(&part.rate.jurisdiction, currency), -tax_nanos));
    let earned = (chart::usage(&capture.product, currency), tax_nanos - gross_nanos);
    let legs = debits.iter().cloned().chain([earned]).chain(owed);
    let legs = legs.filter(|(_, amount_nanos)| *amount_nanos != 0);
    let postings = legs.map(|(account, amount_nanos)| Posting { account, amount_nanos }).collect();
    JournalTransaction {
        kind: kind.to_owned(),
        source: kind.to_owned(),
        source_id,
        currency,
        occurred_at: capture.at,
        reverses: None,
        postings,
    }
}

impl Hold {
    /// Names a charge: cumulative totals only grow, but for what was given back, which only grows too. So each is charged once.
    pub(crate) fn charge_id(&self, hold_id: HoldId, total_nanos: Nanos) -> String {
        match self.corrected_nanos {
            0 => format!("{hold_id}:{total_nanos}"),
            corrected_nanos => format!("{hold_id}:{total_nanos}:{corrected_nanos}"),
        }
    }
}
