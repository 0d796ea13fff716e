//! Payouts to the owner's bank. An automatic one takes whatever was not paid out before and itemises it; what is asked for by hand is not itemised, as at
//! Stripe. Each step is told apart, so that a test can choose when. Here money may be paid out at once; Stripe waits until it is available.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Change;
use crate::http::ApiError;

/// How long a payout takes to the bank.
const ARRIVES_AFTER_SECS: i64 = 2 * 24 * 3_600;

/// Money on its way to the bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Payout {
    pub id: String,
    pub created: i64,
    pub arrival_date: i64,
    pub amount: i64,
    pub currency: String,
    pub automatic: bool,
    /// `pending`, `paid`, `failed` or `canceled`.
    pub status: String,
    pub statement_descriptor: Option<String>,
    /// What the bank shows; known when it is paid.
    pub trace: Option<String>,
    pub balance_transaction: String,
    pub failure_balance_transaction: Option<String>,
    pub failure_code: Option<String>,
    /// The lines that it pays out.
    pub items: Vec<String>,
}

/// What happens to a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PayoutStep {
    /// The bank has it.
    Pay,
    /// The bank refuses it, or sends it back.
    Fail,
    /// Before it has left.
    Cancel,
}

impl Change<'_> {
    /// Pays out all that was not paid out yet.
    pub fn pay_out_all(&mut self, currency: &str) -> Result<String, ApiError> {
        let known = self.book.payouts.all().iter();
        let (taken, own): (Vec<_>, Vec<_>) = known
            .filter(|payout| payout.automatic)
            .map(|payout| (payout.items.clone(), payout.balance_transaction.clone()))
            .unzip();
        let taken: BTreeSet<String> = taken.into_iter().flatten().chain(own).collect();
        let left = self.book.transactions.all().iter();
        let left = left.filter(|line| line.currency == currency && !taken.contains(&line.id));
        let (items, nets): (Vec<_>, Vec<_>) = left.map(|line| (line.id.clone(), line.net)).unzip();
        self.pay_out((nets.into_iter().sum(), currency.to_owned()), None, Some(items))
    }

    /// Pays out an amount; what it is made of nobody says.
    pub fn create_payout(
        &mut self,
        money: (i64, String),
        statement_descriptor: Option<String>,
    ) -> Result<String, ApiError> {
        self.pay_out(money, statement_descriptor, None)
    }

    fn pay_out(
        &mut self,
        (amount, currency): (i64, String),
        statement_descriptor: Option<String>,
        items: Option<Vec<String>>,
    ) -> Result<String, ApiError> {
        let held = self.book.balances().get(&currency).copied().unwrap_or_default();
        if amount <= 0 || amount > held {
            let message = "You have insufficient funds in your Stripe account for this transfer.";
            return Err(ApiError::invalid(400, "balance_insufficient", message));
        }
        let id = self.random.id("po");
        let balance_transaction = self.line("payout", (-amount, 0), &currency, &id);
        self.book.payouts.add(Payout {
            id: id.clone(),
            created: self.now,
            arrival_date: self.now + ARRIVES_AFTER_SECS,
            amount,
            currency,
            automatic: items.is_some(),
            status: "pending".to_owned(),
            statement_descriptor,
            trace: None,
            balance_transaction,
            failure_balance_transaction: None,
            failure_code: None,
            items: items.unwrap_or_default(),
        });
        self.tell("payout.created", &id);
        Ok(id)
    }

    /// One step. A payout may fail although it was paid; a step that was taken already is refused.
    pub fn step_payout(&mut self, id: &str, step: PayoutStep) -> Result<(), ApiError> {
        let known = self.book.payouts.get(id).cloned();
        let Payout { amount, currency, status, .. } =
            known.ok_or_else(|| ApiError::missing("payout", id))?;
        let fits = match step {
            PayoutStep::Pay | PayoutStep::Cancel => status == "pending",
            PayoutStep::Fail => status == "pending" || status == "paid",
        };
        if !fits {
            let message = format!("Payout {id} is {status}: it cannot {step:?}.");
            return Err(ApiError::invalid(400, "payout_unexpected_state", message));
        }
        let (status, category, event) = match step {
            PayoutStep::Pay => ("paid", None, "payout.paid"),
            PayoutStep::Fail => ("failed", Some("payout_failure"), "payout.failed"),
            PayoutStep::Cancel => ("canceled", Some("payout_cancel"), "payout.canceled"),
        };
        let line = category.map(|category| self.line(category, (amount, 0), &currency, id));
        let trace = (step == PayoutStep::Pay).then(|| self.random.secret());
        if let Some(payout) = self.book.payouts.get_mut(id) {
            payout.status = status.to_owned();
            payout.trace = trace.or_else(|| payout.trace.take());
            payout.failure_balance_transaction = line;
            payout.failure_code = (step == PayoutStep::Fail).then(|| "account_closed".to_owned());
        }
        self.tell(event, id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::tests::paid;
    use super::PayoutStep;
    use crate::book::Book;
    use crate::random::Random;

    #[test]
    fn an_automatic_payout_is_the_sum_of_its_items_also_after_one_that_failed() {
        let (mut book, mut random) = (Book::default(), Random::new(1));
        let (mut change, _) = paid(&mut book, &mut random, "pm_card_visa");
        let held = change.book.balances()["usd"];
        let by_hand = change.create_payout((100, "usd".to_owned()), None).unwrap();
        assert!(change.create_payout((held, "usd".to_owned()), None).is_err(), "it is not there");
        let first = change.pay_out_all("usd").unwrap();
        assert_eq!(change.book.balances()["usd"], 0);
        assert!(change.pay_out_all("usd").is_err(), "nothing is left");
        change.step_payout(&first, PayoutStep::Pay).unwrap();
        change.step_payout(&first, PayoutStep::Fail).unwrap();
        assert!(change.step_payout(&first, PayoutStep::Fail).is_err(), "once");
        change.step_payout(&by_hand, PayoutStep::Cancel).unwrap();
        assert!(change.step_payout(&by_hand, PayoutStep::Pay).is_err(), "it is cancelled");
        assert_eq!(change.book.balances()["usd"], held);
        let second = change.pay_out_all("usd").unwrap();
        for id in [first, second] {
            let payout = change.book.payouts.get(&id).unwrap();
            let net = |id: &String| change.book.transactions.get(id).unwrap().net;
            assert_eq!(payout.items.iter().map(net).sum::<i64>(), payout.amount);
            assert!(!payout.items.is_empty());
        }
    }
}
