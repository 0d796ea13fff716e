//! The payment provider of a simulated month: a book with the lines that it was given, and nothing that could be asked of it.
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cairn_commands::ports::{
    NewPayment, NewRefund, PaymentPort, PortError, ProviderBalance, ProviderDispute, ProviderItems,
    ProviderPayment, ProviderPayout, ProviderRefund, ProviderTransaction,
};
use cairn_core::{Nanos, PaymentId, RefundId, Timestamp};

/// What the bank's statement says of its payouts.
pub(super) const DESCRIPTOR: &str = "STRIPE";
/// How long a payout is on its way.
pub(super) const UNDER_WAY_SECS: i64 = 2 * 86_400;

/// The book.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Vec<ProviderTransaction>>);

impl Book {
    fn lines(&self) -> MutexGuard<'_, Vec<ProviderTransaction>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line `txn_<name>` about a source; gross and fee.
    pub(super) fn write(
        &self,
        name: &str,
        (source_id, category): (&str, &str),
        (currency, amount_nanos, fee_nanos): (&str, Nanos, Nanos),
        at: Timestamp,
    ) {
        self.lines().push(ProviderTransaction {
            id: format!("txn_{name}"),
            source_id: Some(source_id.to_owned()),
            category: category.to_owned(),
            currency: currency.to_owned(),
            amount_nanos,
            fee_nanos,
            net_nanos: amount_nanos - fee_nanos,
            created_at: at,
            available_at: at,
        });
    }
}

fn only_a_book() -> PortError {
    PortError::permanent("not_simulated", "this provider has a book and does nothing")
}

#[async_trait]
impl PaymentPort for Book {
    async fn create_payment(&self, _: &NewPayment) -> Result<ProviderPayment, PortError> {
        Err(only_a_book())
    }
    async fn find_payment(
        &self,
        _: PaymentId,
        _: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        Err(only_a_book())
    }
    async fn payment(&self, _: &str) -> Result<ProviderPayment, PortError> {
        Err(only_a_book())
    }
    async fn client_secret(&self, _: &str) -> Result<String, PortError> {
        Err(only_a_book())
    }
    async fn create_refund(&self, _: &NewRefund) -> Result<ProviderRefund, PortError> {
        Err(only_a_book())
    }
    async fn find_refund(&self, _: &str, _: RefundId) -> Result<Option<ProviderRefund>, PortError> {
        Err(only_a_book())
    }
    async fn refund(&self, _: &str) -> Result<ProviderRefund, PortError> {
        Err(only_a_book())
    }
    async fn dispute(&self, _: &str) -> Result<ProviderDispute, PortError> {
        Err(only_a_book())
    }

    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        let mut lines = self.lines().clone();
        lines.retain(|line| line.created_at >= from);
        lines.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let last = after.and_then(|id| lines.iter().position(|line| line.id == id));
        let first = last.map_or(0, |place| place + 1);
        Ok(lines.into_iter().skip(first).take(limit.into()).collect())
    }

    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError> {
        let left = |line: &&ProviderTransaction| line.source_id.as_deref() == Some(provider_id);
        let line = self.lines().iter().find(left).cloned().ok_or_else(only_a_book)?;
        Ok(ProviderPayout {
            provider_id: provider_id.to_owned(),
            items: ProviderItems::Never,
            descriptor: Some(DESCRIPTOR.to_owned()),
            trace: None,
            arrives_at: line.created_at.plus_secs(UNDER_WAY_SECS),
        })
    }

    async fn payout_items(&self, _: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        Err(only_a_book())
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        let mut held = std::collections::BTreeMap::<String, Nanos>::new();
        for line in self.lines().iter() {
            *held.entry(line.currency.clone()).or_default() += line.net_nanos;
        }
        let balance = |(currency, total_nanos)| ProviderBalance { currency, total_nanos };
        Ok(held.into_iter().map(balance).collect())
    }
}
