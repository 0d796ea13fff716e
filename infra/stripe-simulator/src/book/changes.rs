//! What may happen to the book: payments are made and confirmed, refunds are made and settled. Every movement of money is a line, every
//! change an event.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Book, Card, ChallengeEnd, Charge, Charging, Event, PaymentIntent, Refund, Transaction,
    render_any,
};
use crate::http::ApiError;
use crate::random::Random;

/// Money of a charge becomes available after two days, as on a standard account.
const AVAILABLE_AFTER_SECS: i64 = 2 * 24 * 3_600;

/// What is asked of a new payment.
#[derive(Debug)]
pub(crate) struct IntentTerms {
    pub amount: i64,
    pub currency: String,
    pub metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub payment_method: Option<String>,
    pub customer: Option<String>,
    pub capture_method: String,
}

/// What is asked of a new refund.
#[derive(Debug)]
pub(crate) struct RefundTerms {
    pub charge: String,
    pub amount: Option<i64>,
    pub reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// A refund that is not final yet becomes so later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Later {
    Succeeds,
    Fails,
}

/// The book, open for writing.
pub(crate) struct Change<'a> {
    pub book: &'a mut Book,
    pub random: &'a mut Random,
    pub now: i64,
}

impl Change<'_> {
    pub fn create_intent(&mut self, terms: IntentTerms) -> Result<String, ApiError> {
        if let Some(method) = &terms.payment_method {
            self.usable(method, terms.customer.as_deref())?;
        }
        let id = self.random.id("pi");
        let status = match terms.payment_method {
            Some(_) => "requires_confirmation",
            None => "requires_payment_method",
        };
        self.book.payment_intents.add(PaymentIntent {
            client_secret: format!("{id}_secret_{}", self.random.secret()),
            created: self.now,
            amount: terms.amount,
            currency: terms.currency,
            status: status.to_owned(),
            capture_method: terms.capture_method,
            metadata: terms.metadata,
            description: terms.description,
            payment_method: terms.payment_method,
            customer: terms.customer,
            latest_charge: None,
            failure: None,
            id: id.clone(),
        });
        self.tell("payment_intent.created", &id);
        Ok(id)
    }

    /// Without the customer (`off_session`) a card that wants to see them is declined.
    pub fn confirm(
        &mut self,
        id: &str,
        (method, off_session): (Option<String>, bool),
    ) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if !["requires_payment_method", "requires_confirmation", "requires_action"]
            .contains(&intent.status.as_str())
        {
            let message = format!(
                "You cannot confirm this PaymentIntent because it has a status of {}.",
                intent.status
            );
            return Err(ApiError::invalid(400, "payment_intent_unexpected_state", message));
        }
        let method = method.or_else(|| intent.payment_method.clone()).ok_or_else(|| {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment \
                           method.";
            ApiError::invalid(400, "payment_intent_unexpected_state", message)
        })?;
        let kept = self.usable(&method, intent.customer.as_deref())?;
        let intent = (intent.amount, intent.currency.clone(), intent.metadata.clone());
        match kept.charged(off_session) {
            Charging::NeedsAuthentication => {
                self.update(id, |intent| {
                    intent.status = "requires_action".to_owned();
                    intent.payment_method = Some(method);
                })?;
                self.tell("payment_intent.requires_action", id);
                Ok(())
            }
            Charging::Processes => {
                self.update(id, |intent| {
                    intent.status = "processing".to_owned();
                    intent.payment_method = Some(method);
                })?;
                self.tell("payment_intent.processing", id);
                Ok(())
            }
            Charging::Declines(code, decline_code, message) => {
                let charge = self.declined(id, intent, &method, (code, message))?;
                let intent = render_any(self.book, id).unwrap_or_default();
                Err(ApiError::declined(code, decline_code, message, charge, intent))
            }
            Charging::Succeeds => self.taken(id, intent, method),
        }
    }

    /// The customer meets the challenge of their bank or does not; or the bank that took its time is done.
    pub fn end_waiting(&mut self, id: &str, end: ChallengeEnd) -> Result<(), ApiError> {
        let intent = self.intent(id)?.clone();
        let refusal = match intent.status.as_str() {
            "requires_action" => (
                "payment_intent_authentication_failure",
                "We are unable to authenticate your payment method.",
            ),
            "processing" => ("insufficient_funds", "The account has insufficient funds."),
            _ => {
                let message = "This PaymentIntent waits for nobody.";
                return Err(ApiError::invalid(400, "payment_intent_unexpected_state", message));
            }
        };
        let method = intent.payment_method.unwrap_or_default();
        let intent = (intent.amount, intent.currency, intent.metadata);
        match end {
            ChallengeEnd::Complete => self.taken(id, intent, method),
            ChallengeEnd::Fail => self.declined(id, intent, &method, refusal).map(drop),
        }
    }

    fn declined(
        &mut self,
        id: &str,
        intent: (i64, String, BTreeMap<String, String>),
        method: &str,
        (code, message): (&str, &str),
    ) -> Result<String, ApiError> {
        let charge = self.charge(id, intent, method, Some((code, message)));
        self.update(id, |intent| {
            intent.status = "requires_payment_method".to_owned();
            intent.latest_charge = Some(charge.clone());
            intent.failure = Some((code.to_owned(), message.to_owned()));
            intent.payment_method = None;
        })?;
        self.tell("charge.failed", &charge);
        self.tell("payment_intent.payment_failed", id);
        Ok(charge)
    }

    fn taken(
        &mut self,
        id: &str,
        intent: (i64, String, BTreeMap<String, String>),
        method: String,
    ) -> Result<(), ApiError> {
        let charge = self.charge(id, intent, &method, None);
        self.update(id, |intent| {
            intent.status = "succeeded".to_owned();
            intent.latest_charge = Some(charge.clone());
            intent.failure = None;
            intent.payment_method = Some(method);
        })?;
        self.tell("charge.succeeded", &charge);
        self.tell("payment_intent.succeeded", id);
        Ok(())
    }

    pub fn cancel(&mut self, id: &str) -> Result<(), ApiError> {
        if matches!(self.intent(id)?.status.as_str(), "succeeded" | "canceled" | "processing") {
            let message = "You cannot cancel this PaymentIntent because of its status.";
            return Err(ApiError::invalid(400, "payment_intent_unexpected_state", message));
        }
        self.update(id, |intent| intent.status = "canceled".to_owned())?;
        self.tell("payment_intent.canceled", id);
        Ok(())
    }

    pub fn create_refund(
        &mut self,
        terms: RefundTerms,
    ) -> Result<(String, Option<Later>), ApiError> {
        let charge = self
            .book
            .charges
            .get(&terms.charge)
            .ok_or_else(|| ApiError::missing("charge", &terms.charge))?
            .clone();
        if self.book.disputes.all().iter().any(|it| it.charge == charge.id && it.status != "won") {
            let message = format!("Charge {} has been charged back.", charge.id);
            return Err(ApiError::invalid(400, "charge_disputed", message));
        }
        let amount = refundable(&charge, terms.amount)?;
        let later = match self.card_behind(&charge.payment_method) {
            Some(Card::RefundFails) => Some(Later::Fails),
            Some(Card::RefundPending) => Some(Later::Succeeds),
            _ => None,
        };
        let status = if later == Some(Later::Succeeds) { "pending" } else { "succeeded" };
        let id = self.random.id("re");
        let line = self.line("refund", (-amount, 0), &charge.currency, &id);
        self.book.refunds.add(Refund {
            id: id.clone(),
            created: self.now,
            amount,
            currency: charge.currency,
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent,
            status: status.to_owned(),
            reason: terms.reason,
            metadata: terms.metadata,
            balance_transaction: line,
            failure_balance_transaction: None,
            failure_reason: None,
            settles: later,
        });
        if let Some(charge) = self.book.charges.get_mut(&charge.id) {
            charge.amount_refunded += amount;
        }
        self.tell("refund.created", &id);
        self.tell("charge.refunded", &terms.charge);
        Ok((id, later))
    }

    /// Lets a refund fail later, whatever its card.
    pub fn fail_later(&mut self, id: &str) -> Option<Later> {
        self.book.refunds.get_mut(id)?.settles = Some(Later::Fails);
        Some(Later::Fails)
    }

    /// Makes a refund final. One that is failed already stays so.
    pub fn settle_refund(&mut self, id: &str, outcome: Later) {
        let Some(refund) = self.book.refunds.get(id).cloned() else { return };
        let status = match outcome {
            _ if refund.status == "failed" => return,
            Later::Succeeds => "succeeded",
            Later::Fails => "failed",
        };
        let returned = (outcome == Later::Fails)
            .then(|| self.line("refund_failure", (refund.amount, 0), &refund.currency, id));
        if let Some(refund) = self.book.refunds.get_mut(id) {
            refund.status = status.to_owned();
            refund.settles = None;
            refund.failure_reason = returned.as_ref().map(|_| "unknown".to_owned());
            refund.failure_balance_transaction = returned;
        }
        if outcome == Later::Fails {
            if let Some(charge) = self.book.charges.get_mut(&refund.charge) {
                charge.amount_refunded -= refund.amount;
            }
            self.tell("refund.failed", id);
        }
        self.tell("refund.updated", id);
        self.tell("charge.refund.updated", id);
    }

    fn charge(
        &mut self,
        intent_id: &str,
        (amount, currency, metadata): (i64, String, BTreeMap<String, String>),
        method: &str,
        failure: Option<(&str, &str)>,
    ) -> String {
        let id = self.random.id("ch");
        let balance_transaction =
            failure.is_none().then(|| self.line("charge", (amount, fee(amount)), &currency, &id));
        self.book.charges.add(Charge {
            id: id.clone(),
            created: self.now,
            amount,
            amount_refunded: 0,
            currency,
            payment_intent: intent_id.to_owned(),
            payment_method: method.to_owned(),
            metadata,
            balance_transaction,
            failure: failure.map(|(code, message)| (code.to_owned(), message.to_owned())),
        });
        id
    }

    pub(super) fn line(
        &mut self,
        category: &str,
        (amount, fee): (i64, i64),
        currency: &str,
        source: &str,
    ) -> String {
        let id = self.random.id("txn");
        let wait = if category == "charge" { AVAILABLE_AFTER_SECS } else { 0 };
        self.book.transactions.add(Transaction {
            id: id.clone(),
            created: self.now,
            available_on: self.now + wait,
            amount,
            fee,
            net: amount - fee,
            currency: currency.to_owned(),
            category: category.to_owned(),
            source: source.to_owned(),
        });
        id
    }

    pub(super) fn tell(&mut self, kind: &str, object_id: &str) {
        let object = render_any(self.book, object_id).unwrap_or_default();
        self.book.events.add(Event {
            id: self.random.id("evt"),
            created: self.now,
            kind: kind.to_owned(),
            object,
        });
    }

    fn intent(&self, id: &str) -> Result<&PaymentIntent, ApiError> {
        self.book.payment_intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", id))
    }

    fn update(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut PaymentIntent),
    ) -> Result<(), ApiError> {
        let intent = self.book.payment_intents.get_mut(id);
        change(intent.ok_or_else(|| ApiError::missing("payment_intent", id))?);
        Ok(())
    }
}

/// 2.9 % and 30 minor units, rounded half up.
fn fee(amount: i64) -> i64 {
    (amount * 29 + 500) / 1_000 + 30
}

fn refundable(charge: &Charge, wanted: Option<i64>) -> Result<i64, ApiError> {
    if charge.failure.is_some() {
        let message = format!("Charge {} has not been captured and cannot be refunded.", charge.id);
        return Err(ApiError::invalid(400, "charge_not_refundable", message));
    }
    let left = charge.amount - charge.amount_refunded;
    let amount = wanted.unwrap_or(left);
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(ApiError::invalid(400, "charge_already_refunded", message));
    }
    if amount > left {
        let message = format!(
            "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        );
        return Err(ApiError::invalid(400, "amount_too_large", message).about("amount"));
    }
    Ok(amount)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Change, IntentTerms, Later, RefundTerms, fee};
    use crate::book::Book;
    use crate::random::Random;
    use std::collections::BTreeMap;

    fn terms(method: &str) -> IntentTerms {
        IntentTerms {
            amount: 1_000,
            currency: "usd".to_owned(),
            metadata: BTreeMap::new(),
            description: None,
            payment_method: Some(method.to_owned()),
            customer: None,
            capture_method: "automatic".to_owned(),
        }
    }

    fn refund_of(charge: &str, amount: i64) -> RefundTerms {
        RefundTerms {
            charge: charge.to_owned(),
            amount: Some(amount),
            reason: None,
            metadata: BTreeMap::new(),
        }
    }

    pub(in crate::book) fn paid<'a>(
        book: &'a mut Book,
        random: &'a mut Random,
        method: &str,
    ) -> (Change<'a>, String) {
        let mut change = Change { book, random, now: 1_000_000 };
        let id = change.create_intent(terms(method)).unwrap();
        change.confirm(&id, (None, false)).unwrap();
        let charge = change.book.charges()[0].id.clone();
        (change, charge)
    }

    #[test]
    fn the_fee_is_as_on_a_standard_account() {
        assert_eq!([fee(1_000), fee(100), fee(1_017)], [59, 33, 59]);
    }

    #[test]
    fn a_failed_refund_brings_the_money_back() {
        let (mut book, mut random) = (Book::default(), Random::new(1));
        let (mut change, charge) = paid(&mut book, &mut random, "pm_card_refundFail");
        let (refund, later) = change.create_refund(refund_of(&charge, 400)).unwrap();
        assert_eq!(later, Some(Later::Fails));
        assert_eq!(change.book.balances()["usd"], 1_000 - 59 - 400);
        change.settle_refund(&refund, Later::Fails);
        change.settle_refund(&refund, Later::Fails);
        assert_eq!(book.balances()["usd"], 1_000 - 59);
        assert_eq!(book.refunds()[0].status, "failed");
        assert_eq!(book.charges()[0].amount_refunded, 0);
    }

    #[test]
    fn no_more_is_refunded_than_was_paid() {
        let (mut book, mut random) = (Book::default(), Random::new(1));
        let (mut change, charge) = paid(&mut book, &mut random, "pm_card_visa");
        assert!(change.create_refund(refund_of(&charge, 1_001)).is_err());
        assert!(change.create_refund(refund_of(&charge, 1_000)).is_ok());
        assert!(change.create_refund(refund_of(&charge, 1)).is_err());
        assert_eq!(book.balances()["usd"], -59);
    }

    #[test]
    fn a_declined_card_moves_nothing() {
        let (mut book, mut random) = (Book::default(), Random::new(1));
        let mut change = Change { book: &mut book, random: &mut random, now: 0 };
        let id = change.create_intent(terms("pm_card_chargeDeclined")).unwrap();
        assert!(change.confirm(&id, (None, false)).is_err());
        assert!(book.transactions().is_empty());
        assert_eq!(book.payment_intents()[0].status, "requires_payment_method");
    }
}
