//! What both sides call a movement.
use super::super::rows::{Leg, Line};

/// The movements that our books and the provider's both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Class {
    Charge,
    Refund,
    RefundFailure,
    Dispute,
    DisputeReversal,
    Payout,
    PayoutReturn,
}

/// Its class, and the provider's id of what was moved.
pub(super) type Key = (Class, String);

pub(super) fn line_key(line: &Line) -> Option<Key> {
    let class = match line.category.as_str() {
        "charge" | "payment" => Class::Charge,
        "refund" | "payment_refund" => Class::Refund,
        "refund_failure" | "payment_failure_refund" => Class::RefundFailure,
        "dispute" => Class::Dispute,
        "dispute_reversal" => Class::DisputeReversal,
        // The other way round the provider takes money from the bank.
        "payout" if line.amount_nanos < 0 => Class::Payout,
        "payout_failure" | "payout_cancel" | "payout_reversal" => Class::PayoutReturn,
        _ => return None,
    };
    Some((class, line.source_id.clone()?))
}

pub(super) fn leg_key(leg: &Leg) -> Option<Key> {
    match (leg.source.as_str(), leg.kind.as_str()) {
        ("stripe", "top_up") => Some((Class::Charge, leg.source_id.clone())),
        ("stripe", "refund_paid") => Some((Class::Refund, leg.source_id.clone())),
        ("stripe", "dispute_withdrawn") => Some((Class::Dispute, leg.source_id.clone())),
        ("stripe", "payout") => Some((Class::Payout, leg.source_id.clone())),
        (_, "payout_returned") => Some((Class::PayoutReturn, leg.source_id.clone())),
        (_, "dispute_reinstated") => Some((Class::DisputeReversal, leg.source_id.clone())),
        (_, "refund_failed") => {
            let refund = leg.reverses.as_deref()?.strip_prefix("stripe/")?;
            Some((Class::RefundFailure, refund.to_owned()))
        }
        _ => None,
    }
}

/// What to do about a line that our books have no movement for. Each is a break until somebody has done it.
pub(super) fn rule(category: &str) -> String {
    let what = match category {
        "payout" => "the provider takes money from the bank: post it from bank or clearing",
        "fee" | "stripe_fee" | "network_cost" | "tax" => {
            "a fee of its own, for no payment: post it to stripe_fees"
        }
        "payout_minimum_balance_hold" | "payout_minimum_balance_release" => {
            "held back from payouts or let go again: post it to clearing:minimum_balance"
        }
        "risk_reserved_funds" | "connect_reserved_funds" => {
            "set aside by the provider or let go again: post it to clearing:reserve"
        }
        "adjustment" | "other_adjustment" => {
            "corrected by the provider: it says what for; post it accordingly"
        }
        "topup" | "topup_reversal" => "paid in from the bank or sent back: post it from bank",
        _ => return format!("our books have no place for '{category}'"),
    };
    format!("'{category}': {what}")
}
