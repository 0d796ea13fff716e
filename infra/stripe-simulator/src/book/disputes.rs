//! Disputes: a bank takes a charge back, for a fee, and it is decided who is right. Each step is told apart, so that a test can choose the order.
use serde::{Deserialize, Serialize};

use super::Change;
use crate::http::ApiError;

/// What Stripe keeps for a dispute, in minor units. Source: <https://stripe.com/pricing>.
const FEE: i64 = 1_500;

/// A charge that its bank questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Dispute {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub charge: String,
    pub payment_intent: String,
    pub reason: String,
    /// `needs_response`, `won` or `lost`.
    pub status: String,
    pub withdrawal: Option<String>,
    pub reinstatement: Option<String>,
}

/// What happens to a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DisputeStep {
    /// The money and the fee are taken.
    Withdraw,
    /// The money comes back; the fee does not.
    Reinstate,
    Win,
    Lose,
}

impl Change<'_> {
    /// The bank questions a charge, all of what was not refunded.
    pub fn open_dispute(&mut self, charge: &str, reason: &str) -> Result<String, ApiError> {
        let found = self.book.charges.get(charge).cloned();
        let found = found.ok_or_else(|| ApiError::missing("charge", charge))?;
        let amount = found.amount - found.amount_refunded;
        let known = self.book.disputes.all().iter().any(|dispute| dispute.charge == charge);
        if known || found.failure.is_some() || amount <= 0 {
            let message = format!("Charge {charge} cannot be disputed.");
            return Err(ApiError::invalid(400, "charge_not_disputable", message));
        }
        let id = self.random.id("du");
        self.book.disputes.add(Dispute {
            id: id.clone(),
            created: self.now,
            amount,
            currency: found.currency,
            charge: found.id,
            payment_intent: found.payment_intent,
            reason: reason.to_owned(),
            status: "needs_response".to_owned(),
            withdrawal: None,
            reinstatement: None,
        });
        self.tell("charge.dispute.created", &id);
        Ok(id)
    }

    /// One step; a step that was taken already is refused.
    pub fn step_dispute(&mut self, id: &str, step: DisputeStep) -> Result<(), ApiError> {
        let known = self.book.disputes.get(id).cloned();
        let Dispute { amount, currency, status, withdrawal, reinstatement, .. } =
            known.ok_or_else(|| ApiError::missing("dispute", id))?;
        let open = status == "needs_response";
        let fits = match step {
            DisputeStep::Withdraw => withdrawal.is_none(),
            DisputeStep::Reinstate => withdrawal.is_some() && reinstatement.is_none(),
            DisputeStep::Win | DisputeStep::Lose => open,
        };
        if !fits {
            let message = format!("Dispute {id} is {status}: it cannot {step:?}.");
            return Err(ApiError::invalid(400, "dispute_unexpected_state", message));
        }
        let line = match step {
            DisputeStep::Withdraw => Some(self.line("dispute", (-amount, FEE), &currency, id)),
            DisputeStep::Reinstate => {
                Some(self.line("dispute_reversal", (amount, 0), &currency, id))
            }
            DisputeStep::Win | DisputeStep::Lose => None,
        };
        if let Some(dispute) = self.book.disputes.get_mut(id) {
            match step {
                DisputeStep::Withdraw => dispute.withdrawal = line,
                DisputeStep::Reinstate => dispute.reinstatement = line,
                DisputeStep::Win => dispute.status = "won".to_owned(),
                DisputeStep::Lose => dispute.status = "lost".to_owned(),
            }
        }
        self.tell(
            match step {
                DisputeStep::Withdraw => "charge.dispute.funds_withdrawn",
                DisputeStep::Reinstate => "charge.dispute.funds_reinstated",
                DisputeStep::Win | DisputeStep::Lose => "charge.dispute.closed",
            },
            id,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::tests::paid;
    use super::{DisputeStep, FEE};
    use crate::book::Book;
    use crate::random::Random;

    #[test]
    fn a_dispute_takes_the_money_for_a_fee_and_gives_it_back_when_it_is_won() {
        let (mut book, mut random) = (Book::default(), Random::new(1));
        let (mut change, charge) = paid(&mut book, &mut random, "pm_card_visa");
        let paid_in = change.book.balances()["usd"];
        let id = change.open_dispute(&charge, "fraudulent").unwrap();
        assert!(change.open_dispute(&charge, "fraudulent").is_err(), "once");
        assert!(change.step_dispute(&id, DisputeStep::Reinstate).is_err(), "it has nothing");
        assert_eq!(change.book.balances()["usd"], paid_in);
        change.step_dispute(&id, DisputeStep::Withdraw).unwrap();
        assert!(change.step_dispute(&id, DisputeStep::Withdraw).is_err(), "once");
        assert_eq!(change.book.balances()["usd"], paid_in - 1_000 - FEE);
        change.step_dispute(&id, DisputeStep::Win).unwrap();
        assert!(change.step_dispute(&id, DisputeStep::Lose).is_err(), "it is decided");
        change.step_dispute(&id, DisputeStep::Reinstate).unwrap();
        assert_eq!(change.book.balances()["usd"], paid_in - FEE);
    }
}
