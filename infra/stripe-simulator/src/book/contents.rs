//! The book itself.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Charge, Customer, Dispute, Event, Later, PaymentIntent, PaymentMethod, Payout, Refund,
    SetupIntent, Shelf, Transaction,
};

/// Everything, oldest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Book {
    pub(crate) payment_intents: Shelf<PaymentIntent>,
    pub(crate) customers: Shelf<Customer>,
    pub(crate) payment_methods: Shelf<PaymentMethod>,
    pub(crate) setup_intents: Shelf<SetupIntent>,
    pub(crate) charges: Shelf<Charge>,
    pub(crate) refunds: Shelf<Refund>,
    pub(crate) disputes: Shelf<Dispute>,
    pub(crate) payouts: Shelf<Payout>,
    pub(crate) transactions: Shelf<Transaction>,
    pub(crate) events: Shelf<Event>,
}

impl Book {
    /// Oldest first.
    #[must_use]
    pub fn payment_intents(&self) -> &[PaymentIntent] {
        self.payment_intents.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn customers(&self) -> &[Customer] {
        self.customers.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn payment_methods(&self) -> &[PaymentMethod] {
        self.payment_methods.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn setup_intents(&self) -> &[SetupIntent] {
        self.setup_intents.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn charges(&self) -> &[Charge] {
        self.charges.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn refunds(&self) -> &[Refund] {
        self.refunds.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn disputes(&self) -> &[Dispute] {
        self.disputes.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn payouts(&self) -> &[Payout] {
        self.payouts.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        self.transactions.all()
    }

    /// Oldest first.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.events.all()
    }

    /// Refunds that are not final yet, and how they will end.
    pub(crate) fn unsettled(&self) -> Vec<(String, Later)> {
        let refunds = self.refunds.all().iter();
        refunds.filter_map(|refund| Some((refund.id.clone(), refund.settles?))).collect()
    }

    /// Pending and available minor units by currency: the sum of all lines.
    #[must_use]
    pub fn balances(&self) -> BTreeMap<String, i64> {
        let mut totals = BTreeMap::new();
        for line in self.transactions.all() {
            *totals.entry(line.currency.clone()).or_insert(0) += line.net;
        }
        totals
    }
}
