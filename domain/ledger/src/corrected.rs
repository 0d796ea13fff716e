//! Corrections of usage: what was charged and not used is given back as it was taken, the last first. Promotional credit comes back as that,
//! paid money into its payment, and what is owed is owed no longer; so is the tax in it. What is on an invoice is an entry of another kind: a
//! credit note says it, and no other invoice.
use cairn_core::{
    CreditId, Currency, HoldId, JournalTransaction, Nanos, OrganisationId, PaymentId, Posting,
    Timestamp, chart,
};
use serde::{Deserialize, Serialize};

use crate::credit::{CreditUse, used};
use crate::events::WalletEvent;
use crate::taxes::TaxPart;
use crate::wallet::{Hold, LotUse, Wallet};
use crate::wishes::{CorrectCharge, WalletError};

/// What pays for usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    /// Promotional credit.
    Credit(CreditId),
    /// A payment.
    Lot(PaymentId),
    /// Nobody yet.
    Owed,
}

/// So much of what was charged out of a hold, and what paid for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PaidBy {
    pub payer: Payer,
    pub amount_nanos: Nanos,
}

/// What of an invoice a correction takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoiced {
    /// Its number.
    pub invoice: String,
    /// Of the seconds on it, as many.
    pub seconds: i64,
    /// Of which of its lines, from 1; of the only one that its rental has there when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// What the paper of a correction says: what the customer had paid or owes of the invoice. Nobody paid for promotional credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffInvoice {
    /// Number of the invoice, and the seconds.
    pub invoiced: Invoiced,
    /// The entry that has moved the money.
    pub entry: String,
    /// Whose charge it was.
    pub hold_id: HoldId,
    /// Without tax.
    pub net_nanos: Nanos,
    /// The tax, by its jurisdiction.
    pub tax: Option<(String, Nanos)>,
    /// Of both, what is owed no longer.
    pub owed_nanos: Nanos,
}

/// What an event takes off an invoice; none when there is nothing to put on paper.
#[must_use]
pub fn off_invoice(event: &WalletEvent) -> Option<OffInvoice> {
    let WalletEvent::UsageCorrected {
        hold_id,
        amount_nanos,
        owed_nanos,
        credits,
        tax,
        invoiced: Some(invoiced),
        journal,
        ..
    } = event
    else {
        return None;
    };
    let gross_nanos = amount_nanos - used(credits);
    let tax = tax.as_ref().map(|part| (part.rate.jurisdiction.clone(), -part.tax_nanos));
    let tax_nanos = tax.as_ref().map_or(0, |(_, nanos)| *nanos);
    (gross_nanos > 0).then(|| OffInvoice {
        invoiced: invoiced.clone(),
        entry: journal.source_id.clone(),
        hold_id: *hold_id,
        net_nanos: gross_nanos - tax_nanos,
        tax,
        owed_nanos: *owed_nanos,
    })
}

/// What is given back, by what it was paid by.
#[derive(Debug, Default)]
struct GivenBack {
    owed_nanos: Nanos,
    credits: Vec<CreditUse>,
    lots: Vec<LotUse>,
}

impl Hold {
    pub(crate) fn paid_with(&mut self, credits: &[CreditUse], lots: &[LotUse]) {
        credits.iter().for_each(|it| self.pay(Payer::Credit(it.credit_id), it.amount_nanos));
        lots.iter().for_each(|it| self.pay(Payer::Lot(it.payment_id), it.amount_nanos));
    }

    pub(crate) fn owe(&mut self, amount_nanos: Nanos) {
        self.overrun_nanos += amount_nanos;
        self.pay(Payer::Owed, amount_nanos);
    }

    fn pay(&mut self, payer: Payer, amount_nanos: Nanos) {
        match self.paid_by.last_mut() {
            Some(last) if last.payer == payer => last.amount_nanos += amount_nanos,
            Some(_) | None => self.paid_by.push(PaidBy { payer, amount_nanos }),
        }
    }

    /// What paid for the last of what was charged; less than the amount when less was.
    fn last_paid(&self, amount_nanos: Nanos) -> Vec<PaidBy> {
        let mut left = amount_nanos;
        let parts = self.paid_by.iter().rev().map(|paid| {
            let amount_nanos = left.min(paid.amount_nanos);
            left -= amount_nanos;
            PaidBy { amount_nanos, ..*paid }
        });
        parts.take_while(|part| part.amount_nanos > 0).collect()
    }

    fn give_back(&mut self, amount_nanos: Nanos) {
        self.corrected_nanos += amount_nanos;
        let mut left = amount_nanos;
        while let Some(last) = self.paid_by.last_mut() {
            if last.amount_nanos > left {
                last.amount_nanos -= left;
                break;
            }
            left -= last.amount_nanos;
            self.paid_by.pop();
        }
    }
}

impl Wallet {
    /// Gives back what was charged beyond a total. A total that is not below it changes nothing, so a repeat does not either. Credit that is
    /// given back after its time ends at once.
    pub(crate) fn correct_charge(
        &self,
        correct: &CorrectCharge,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let CorrectCharge { hold_id, total_nanos, seconds, at, .. } = *correct;
        let hold = self.hold(hold_id)?;
        let owner = self.owner()?;
        let amount_nanos = hold.charged_nanos() - total_nanos;
        if amount_nanos <= 0 {
            return Ok(vec![]);
        }
        let parts = hold.last_paid(amount_nanos);
        if parts.iter().map(|part| part.amount_nanos).sum::<Nanos>() < amount_nanos {
            return Err(WalletError::ExceedsUsage);
        }
        let given = self.given_back(parts)?;
        let taxable_nanos = amount_nanos - used(&given.credits);
        if hold.taxed.as_ref().is_some_and(|taxed| taxed.taxable_nanos < taxable_nanos) {
            return Err(WalletError::ExceedsUsage);
        }
        let tax = hold.tax_in(-taxable_nanos, hold.taxed.as_ref().map(|taxed| &taxed.rate));
        let corrected_nanos = hold.corrected_nanos + amount_nanos;
        let source_id = format!("{hold_id}:{total_nanos}:{corrected_nanos}");
        let charged_at = correct.charged_at.or(hold.charged_at).unwrap_or(at);
        let id = match &correct.invoiced {
            None => ("usage_corrected", source_id, charged_at),
            Some(of) => ("invoice_corrected", format!("{source_id}:{}", of.invoice), at),
        };
        let journal = correction_entry(&correct.product, (owner, id), (&given, tax.as_ref()));
        let GivenBack { owed_nanos, credits, lots } = given;
        let corrected = WalletEvent::UsageCorrected {
            hold_id,
            amount_nanos,
            owed_nanos,
            total_nanos,
            seconds,
            credits,
            lots,
            tax,
            invoiced: correct.invoiced.clone(),
            journal,
        };
        Ok(self.lapsed(at, vec![corrected]).1)
    }

    /// A payment takes back no more than is gone of it: what a credit note has given back before goes to what was used last.
    fn given_back(&self, parts: Vec<PaidBy>) -> Result<GivenBack, WalletError> {
        let (mut given, mut wallet, mut beyond) = (GivenBack::default(), self.clone(), 0);
        for PaidBy { payer, amount_nanos } in parts {
            match payer {
                Payer::Owed => given.owed_nanos += amount_nanos,
                Payer::Credit(credit_id) => {
                    given.credits.push(CreditUse { credit_id, amount_nanos });
                }
                Payer::Lot(payment_id) => {
                    let lot = wallet.lots.iter().find(|lot| lot.payment_id == payment_id);
                    let room_nanos = lot.map_or(0, |lot| wallet.used_of(lot)).max(0);
                    let fits_nanos = amount_nanos.min(room_nanos);
                    beyond += amount_nanos - fits_nanos;
                    wallet.with_lot(payment_id, |lot| lot.remaining_nanos += fits_nanos);
                    given.lots.push(LotUse { payment_id, amount_nanos: fits_nanos });
                }
            }
        }
        let others = wallet.last_lots(beyond);
        if others.iter().map(|lot| lot.amount_nanos).sum::<Nanos>() < beyond {
            return Err(WalletError::ExceedsUsage);
        }
        given.lots.extend(others);
        given.lots.retain(|lot| lot.amount_nanos > 0);
        Ok(given)
    }

    /// What is remembered of a correction. The month of an invoice is over, and this one has used nothing less.
    pub(crate) fn take_correction(&mut self, corrected: WalletEvent) {
        let WalletEvent::UsageCorrected {
            hold_id,
            amount_nanos,
            credits,
            lots,
            tax,
            invoiced,
            journal,
            ..
        } = corrected
        else {
            return;
        };
        self.with_hold(hold_id, |hold| hold.give_back(amount_nanos));
        self.promotional.restore(&credits);
        for lot in lots {
            self.posted_nanos += lot.amount_nanos;
            self.with_lot(lot.payment_id, |mine| mine.remaining_nanos += lot.amount_nanos);
        }
        match invoiced {
            None => self.take_charge(hold_id, (-amount_nanos, tax), journal.occurred_at),
            Some(_) => self.with_hold(hold_id, |hold| hold.taxed = tax.map(TaxPart::taxed)),
        }
    }
}

/// A charge the other way round, at the time of the charge that it takes back: in its month, while that is not invoiced.
fn correction_entry(
    product: &str,
    ((organisation_id, currency), (kind, source_id, occurred_at)): (
        (OrganisationId, Currency),
        (&str, String, Timestamp),
    ),
    (given, tax): (&GivenBack, Option<&TaxPart>),
) -> JournalTransaction {
    let paid_nanos: Nanos = given.lots.iter().map(|lot| lot.amount_nanos).sum();
    let credit_nanos = used(&given.credits);
    let tax_nanos = tax.map_or(0, |part| -part.tax_nanos);
    let net_nanos = paid_nanos + credit_nanos + given.owed_nanos - tax_nanos;
    let owed = tax.map(|part| (chart::tax(&part.rate.jurisdiction, currency), tax_nanos));
    let legs = [
        (chart::usage(product, currency), net_nanos),
        (chart::wallet_promo(organisation_id, currency), -credit_nanos),
        (chart::wallet_paid(organisation_id, currency), -paid_nanos),
        (chart::receivable_overrun(organisation_id, currency), -given.owed_nanos),
    ];
    let legs = legs.into_iter().chain(owed).filter(|(_, amount_nanos)| *amount_nanos != 0);
    let postings = legs.map(|(account, amount_nanos)| Posting { account, amount_nanos }).collect();
    JournalTransaction {
        kind: kind.to_owned(),
        source: kind.to_owned(),
        source_id,
        currency,
        occurred_at,
        reverses: None,
        postings,
    }
}
