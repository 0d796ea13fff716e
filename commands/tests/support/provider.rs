//! A payment provider in memory: idempotent by key, slow to finish, and it keeps its own book.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{
    NewPayment, NewRefund, PaymentPort, PortError, ProviderBalance, ProviderDispute, ProviderFee,
    ProviderOutcome, ProviderPayment, ProviderPayout, ProviderRefund, ProviderTransaction,
};
use cairn_core::{Money, PaymentId, RefundId, Timestamp};

#[derive(Debug, Default)]
struct Book {
    payments: BTreeMap<String, ProviderPayment>,
    payment_keys: BTreeMap<String, String>,
    refunds: BTreeMap<String, ProviderRefund>,
    refund_keys: BTreeMap<String, String>,
    disputes: BTreeMap<String, ProviderDispute>,
    next: u32,
}

/// The provider.
#[derive(Debug, Default)]
pub struct MemoryProvider {
    book: Mutex<Book>,
}

/// A card that is declined.
pub const DECLINED: &str = "pm_declined";
/// A card to which refunds fail after a while.
pub const REFUND_FAILS: &str = "pm_refund_fails";
/// What the provider keeps of every payment.
pub const FEE_NANOS: i64 = 590_000_000;

impl MemoryProvider {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Payments that were made, by amount.
    pub fn payments(&self) -> Vec<Money> {
        self.book.lock().unwrap().payments.values().map(|p| p.amount).collect()
    }

    /// Refunds that were made, by amount.
    pub fn refunds(&self) -> Vec<Money> {
        self.book.lock().unwrap().refunds.values().map(|r| r.amount).collect()
    }

    /// A dispute stands so from now on.
    pub fn dispute_stands(&self, dispute: ProviderDispute) {
        self.book.lock().unwrap().disputes.insert(dispute.provider_id.clone(), dispute);
    }

    /// The refund fails although it had succeeded.
    pub fn fail_refund(&self, refund_id: &str) {
        let mut book = self.book.lock().unwrap();
        let refund = book
            .refunds
            .values_mut()
            .find(|r| r.refund_id.is_some_and(|id| id.to_string() == refund_id))
            .unwrap();
        refund.outcome = failed("expired_or_canceled_card");
    }
}

fn failed(code: &str) -> ProviderOutcome {
    ProviderOutcome::Failed { code: code.to_owned(), message: "it failed".to_owned() }
}

#[async_trait]
impl PaymentPort for MemoryProvider {
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError> {
        let mut book = self.book.lock().unwrap();
        if payment.payment_method.as_deref() == Some(DECLINED) {
            return Err(PortError::refused("card_declined", "your card was declined"));
        }
        if let Some(id) = book.payment_keys.get(&payment.idempotency_key) {
            return Ok(book.payments[id].clone());
        }
        book.next += 1;
        let id = format!("pi_{:06}", book.next);
        let suffix = match payment.payment_method.as_deref() {
            Some(REFUND_FAILS) => "_refund_fails",
            _ => "",
        };
        let made = ProviderPayment {
            provider_id: id.clone(),
            payment_id: Some(payment.payment_id),
            outcome: ProviderOutcome::Pending,
            amount: payment.amount,
            charge_id: Some(format!("ch_{}{suffix}", book.next)),
            charged_at: None,
            fee: None,
        };
        book.payment_keys.insert(payment.idempotency_key.clone(), id.clone());
        book.payments.insert(id, made.clone());
        Ok(made)
    }

    /// Each look finds it one step further: succeeded, then with its fee.
    async fn find_payment(
        &self,
        payment_id: PaymentId,
        _: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        let book = self.book.lock().unwrap();
        let ours = |made: &&ProviderPayment| made.payment_id == Some(payment_id);
        Ok(book.payments.values().find(ours).cloned())
    }

    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let mut book = self.book.lock().unwrap();
        let unknown = || PortError::permanent("resource_missing", "no such payment");
        let payment = book.payments.get_mut(provider_id).ok_or_else(unknown)?;
        if payment.outcome == ProviderOutcome::Pending {
            payment.outcome = ProviderOutcome::Succeeded;
        } else if payment.outcome == ProviderOutcome::Succeeded {
            let balance_transaction_id = format!("txn_{provider_id}");
            payment.fee = Some(ProviderFee { balance_transaction_id, fee_nanos: FEE_NANOS });
        }
        Ok(payment.clone())
    }

    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError> {
        Ok(format!("{provider_id}_secret"))
    }

    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError> {
        let mut book = self.book.lock().unwrap();
        if let Some(id) = book.refund_keys.get(&refund.idempotency_key) {
            return Ok(book.refunds[id].clone());
        }
        book.next += 1;
        let fails = refund.charge_id.ends_with("refund_fails");
        let id = format!("re_{:06}{}", book.next, if fails { "_fails" } else { "" });
        let made = ProviderRefund {
            provider_id: id.clone(),
            refund_id: Some(refund.refund_id),
            outcome: ProviderOutcome::Pending,
            amount: refund.amount,
        };
        book.refund_keys.insert(refund.idempotency_key.clone(), id.clone());
        book.refunds.insert(id, made.clone());
        Ok(made)
    }

    async fn find_refund(
        &self,
        _: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError> {
        let book = self.book.lock().unwrap();
        let ours = |made: &&ProviderRefund| made.refund_id == Some(refund_id);
        Ok(book.refunds.values().find(ours).cloned())
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        let mut book = self.book.lock().unwrap();
        let unknown = || PortError::permanent("resource_missing", "no such refund");
        let refund = book.refunds.get_mut(provider_id).ok_or_else(unknown)?;
        if refund.outcome == ProviderOutcome::Pending {
            refund.outcome = match provider_id.ends_with("_fails") {
                true => failed("lost_or_stolen_card"),
                false => ProviderOutcome::Succeeded,
            };
        }
        Ok(refund.clone())
    }

    async fn dispute(&self, provider_id: &str) -> Result<ProviderDispute, PortError> {
        let book = self.book.lock().unwrap();
        let unknown = || PortError::permanent("resource_missing", "no such dispute");
        book.disputes.get(provider_id).cloned().ok_or_else(unknown)
    }

    async fn transactions(
        &self,
        _: Timestamp,
        _: Option<&str>,
        _: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        Ok(vec![])
    }

    async fn payout(&self, _: &str) -> Result<ProviderPayout, PortError> {
        Err(PortError::permanent("resource_missing", "no such payout"))
    }

    async fn payout_items(&self, _: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        Err(PortError::permanent("resource_missing", "no such payout"))
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        Ok(vec![])
    }
}
