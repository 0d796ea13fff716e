//! The simulator's own book: every object, every movement of money, every event.
mod cards;
mod changes;
mod render;
mod shelf;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use cards::Card;
pub(crate) use changes::{Change, IntentTerms, RefundTerms};
pub(crate) use render::{expand, render_any};
pub(crate) use shelf::{Paging, Shelf};

pub use changes::Later;
pub use shelf::Kept;

/// A wish to be paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PaymentIntent {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub client_secret: String,
    pub capture_method: String,
    pub metadata: BTreeMap<String, String>,
    pub description: Option<String>,
    pub payment_method: Option<String>,
    pub latest_charge: Option<String>,
    /// Code and message of the last refusal.
    pub failure: Option<(String, String)>,
}

/// An attempt to take money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Charge {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub amount_refunded: i64,
    pub currency: String,
    pub payment_intent: String,
    pub payment_method: String,
    pub metadata: BTreeMap<String, String>,
    pub balance_transaction: Option<String>,
    /// Code and message of a refusal.
    pub failure: Option<(String, String)>,
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refund {
    pub id: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub charge: String,
    pub payment_intent: String,
    pub status: String,
    pub reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub balance_transaction: String,
    pub failure_balance_transaction: Option<String>,
    pub failure_reason: Option<String>,
    /// How it will end, while that is still to come.
    pub settles: Option<Later>,
}

/// A line of the balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Transaction {
    pub id: String,
    pub created: i64,
    pub available_on: i64,
    /// Minor units, signed.
    pub amount: i64,
    pub fee: i64,
    pub net: i64,
    pub currency: String,
    pub category: String,
    pub source: String,
}

/// Something happened; what a webhook carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Event {
    pub id: String,
    pub created: i64,
    #[serde(rename = "type")]
    pub kind: String,
    /// The object as it was.
    pub object: serde_json::Value,
}

/// Everything, oldest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Book {
    pub(crate) payment_intents: Shelf<PaymentIntent>,
    pub(crate) charges: Shelf<Charge>,
    pub(crate) refunds: Shelf<Refund>,
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
