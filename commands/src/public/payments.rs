//! Payments and refunds in public. Whatever the provider or the bank said stays here.
use cairn_core::money::format_nanos;
use cairn_payments::{PaymentEvent, RefundEvent, decline};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::Money;

public_types! {
    PaymentRequested = "cairn.payment.requested" 1;
    PaymentActionRequired = "cairn.payment.action_required" 1;
    PaymentProcessing = "cairn.payment.processing_begun" 1;
    PaymentSucceeded = "cairn.payment.succeeded" 1;
    PaymentFailed = "cairn.payment.failed" 1;
    PaymentDeclined = "cairn.payment.failed" 2;
    RefundRequested = "cairn.refund.requested" 1;
    RefundSucceeded = "cairn.refund.succeeded" 1;
    RefundFailed = "cairn.refund.failed" 1;
}

/// A customer wants to pay in.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentRequested {
    payment_id: String,
    organisation_id: String,
    money: Money,
}

/// The bank wants to see the customer, who confirms with the client secret; else it is cancelled after a day.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentActionRequired {
    payment_id: String,
    /// When.
    at: String,
}

/// The bank takes its time, for days perhaps; nothing is credited before it is done.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentProcessing {
    payment_id: String,
    /// When.
    at: String,
}

/// The provider took the money.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentSucceeded {
    payment_id: String,
    /// In the currency of the request: a decimal number with two to nine decimals.
    amount: String,
    /// When.
    at: String,
}

/// The provider or the bank said no.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentFailed {
    payment_id: String,
    /// When.
    at: String,
}

/// The provider or the bank said no, and why.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentDeclined {
    payment_id: String,
    /// Why, as the provider calls it: `card_declined`, `insufficient_funds`. There may be others any day.
    code: String,
    /// The same in words, for whoever wanted to pay.
    message: String,
    /// When.
    at: String,
}

/// Money shall go back where it came from.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefundRequested {
    refund_id: String,
    payment_id: String,
    organisation_id: String,
    money: Money,
}

/// The provider gave the money back.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefundSucceeded {
    refund_id: String,
    /// The money.
    money: Money,
    /// When.
    at: String,
}

/// The provider could not, or what it had given came back.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefundFailed {
    refund_id: String,
    /// When.
    at: String,
}

pub(super) fn publish_payment(id: &str, event: PaymentEvent) -> Result<Option<Said>, String> {
    let id = id.to_owned();
    match event {
        PaymentEvent::Requested { payment_id, organisation_id, currency, amount_nanos, .. } => {
            public(&PaymentRequested {
                payment_id: payment_id.to_string(),
                organisation_id: organisation_id.to_string(),
                money: Money::new(amount_nanos, currency),
            })
        }
        PaymentEvent::ActionRequired { at } => {
            public(&PaymentActionRequired { payment_id: id, at: at.to_string() })
        }
        PaymentEvent::ProcessingBegun { at } => {
            public(&PaymentProcessing { payment_id: id, at: at.to_string() })
        }
        PaymentEvent::Succeeded { amount_nanos, at, .. } => {
            let amount = format_nanos(amount_nanos);
            public(&PaymentSucceeded { payment_id: id, amount, at: at.to_string() })
        }
        // Why is nobody's business but ours.
        PaymentEvent::Failed { code, at, .. } if decline::is_ours(&code) => {
            public(&PaymentFailed { payment_id: id, at: at.to_string() })
        }
        // In our words: what the provider said may name a card, an account, or an id of its own.
        PaymentEvent::Failed { code, at, .. } => {
            let message = decline::wording(&code).to_owned();
            public(&PaymentDeclined { payment_id: id, code, message, at: at.to_string() })
        }
        // Between us and the provider.
        PaymentEvent::MethodNamed { .. }
        | PaymentEvent::Submitted { .. }
        | PaymentEvent::FeeRecorded { .. } => private(),
    }
}

pub(super) fn publish_refund(id: &str, event: RefundEvent) -> Result<Option<Said>, String> {
    let id = id.to_owned();
    match event {
        RefundEvent::Requested {
            refund_id,
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            ..
        } => public(&RefundRequested {
            refund_id: refund_id.to_string(),
            payment_id: payment_id.to_string(),
            organisation_id: organisation_id.to_string(),
            money: Money::new(amount_nanos, currency),
        }),
        RefundEvent::Succeeded { amount_nanos, at, journal, .. } => {
            let money = Money::new(amount_nanos, journal.currency);
            public(&RefundSucceeded { refund_id: id, money, at: at.to_string() })
        }
        RefundEvent::Failed { at, .. } => {
            public(&RefundFailed { refund_id: id, at: at.to_string() })
        }
        // Between us and the provider.
        RefundEvent::Submitted { .. } => private(),
    }
}
