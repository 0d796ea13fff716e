//! What the book holds.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Later;

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
    #[serde(default)]
    pub customer: Option<String>,
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
