//! What we read of Stripe's answers: only the fields that Cairn needs, statuses as text, so that a value of tomorrow never loses one.
use std::collections::HashMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    pub id: String,
    pub status: String,
    pub amount: i64,
    pub amount_received: Option<i64>,
    pub currency: String,
    pub metadata: Option<HashMap<String, String>>,
    pub latest_charge: Option<Expandable<Charge>>,
    pub last_payment_error: Option<PaymentError>,
}

/// Anything that carries metadata.
#[derive(Debug, Deserialize)]
pub(crate) struct Tagged {
    pub id: String,
    metadata: Option<HashMap<String, String>>,
}

impl Tagged {
    /// Whether its metadata says so.
    pub fn names(&self, key: &str, value: &str) -> bool {
        self.metadata.as_ref().and_then(|metadata| metadata.get(key)).is_some_and(|it| it == value)
    }
}

/// Only for handing the secret on: never logged, never stored.
#[derive(Deserialize)]
pub(crate) struct IntentSecret {
    pub client_secret: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SetupIntent {
    pub id: String,
    pub status: String,
    pub metadata: Option<HashMap<String, String>>,
    pub payment_method: Option<Expandable<PaymentMethod>>,
    pub last_setup_error: Option<PaymentError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentMethod {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub card: Option<Card>,
    /// Every other kind stands under its own name.
    #[serde(flatten)]
    pub others: HashMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Card {
    pub brand: String,
    pub last4: String,
    pub exp_month: u32,
    pub exp_year: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentError {
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Charge {
    pub id: String,
    pub created: Option<i64>,
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Refund {
    pub id: String,
    pub status: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub metadata: Option<HashMap<String, String>>,
    pub failure_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dispute {
    pub id: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub reason: Option<String>,
    pub created: i64,
    pub charge: Expandable<Identified>,
    pub payment_intent: Option<Expandable<DisputedIntent>>,
    #[serde(default)]
    pub balance_transactions: Vec<BalanceTransaction>,
}

/// The payment that is disputed.
#[derive(Debug, Deserialize)]
pub(crate) struct DisputedIntent {
    pub metadata: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Payout {
    pub id: String,
    pub arrival_date: i64,
    pub reconciliation_status: Option<String>,
    pub statement_descriptor: Option<String>,
    pub trace_id: Option<Trace>,
}

/// What the bank calls a payout.
#[derive(Debug, Deserialize)]
pub(crate) struct Trace {
    pub value: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub id: String,
    pub amount: i64,
    pub fee: i64,
    pub net: i64,
    pub currency: String,
    pub reporting_category: String,
    pub source: Option<Expandable<Identified>>,
    pub created: i64,
    pub available_on: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identified {
    pub id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Balance {
    pub available: Vec<Amount>,
    pub pending: Vec<Amount>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Amount {
    pub amount: i64,
    pub currency: String,
}

/// A reference, or the thing itself where it was asked for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expandable<T> {
    Id(String),
    Object(Box<T>),
}
