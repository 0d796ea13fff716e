//! Automatic top-ups in public. What is charged, and what the bank said, stays here.
use cairn_core::{Currency, Nanos, PaymentId, Timestamp};
use cairn_payments::AutoTopUpEvent as Event;
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::Money;

public_types! {
    Set = "cairn.auto_top_up.set" 1;
    Succeeded = "cairn.auto_top_up.succeeded" 1;
    Declined = "cairn.auto_top_up.declined" 1;
    Suspended = "cairn.auto_top_up.suspended" 1;
    Stopped = "cairn.auto_top_up.stopped" 1;
    CapReached = "cairn.auto_top_up.cap_reached" 1;
}

/// Somebody has said whether a wallet is filled again by itself. What was suspended or stopped goes on when it is enabled.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    organisation_id: String,
    #[schemars(with = "String")]
    currency: Currency,
    enabled: bool,
    /// When less than that is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<Money>,
    /// So much is taken at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    /// No more than that is taken in a calendar month (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_cap: Option<Money>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// A wallet was low, and was filled again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Succeeded {
    organisation_id: String,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    money: Money,
    /// For example `2026-10`: the month in which it was begun.
    month: String,
    /// Taken in that month, this included.
    taken: Money,
    /// No other before.
    #[schemars(with = "String")]
    paused_until: Timestamp,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// A wallet is low, and the payment was declined.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Declined {
    organisation_id: String,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    money: Money,
    /// In a row, this included.
    declines: u32,
    /// When it is tried again; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    again_at: Option<Timestamp>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// It was declined too often, or for good: nothing is taken until somebody acts.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suspended {
    organisation_id: String,
    #[schemars(with = "String")]
    currency: Currency,
    /// In a row.
    declines: u32,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// Another one would have been too many within an hour: it was not taken, and nothing is until somebody acts.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stopped {
    organisation_id: String,
    /// Taken within an hour.
    successes: u32,
    /// The first of them.
    #[schemars(with = "String")]
    since: Timestamp,
    available: Money,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// Another one would have passed the cap: it was not taken, and none is before the next month. Told once a month.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CapReached {
    organisation_id: String,
    /// For example `2026-10`.
    month: String,
    monthly_cap: Money,
    /// Taken in the month.
    taken: Money,
    /// What would have been taken.
    amount: Money,
    /// When the next month begins.
    #[schemars(with = "String")]
    again_at: Timestamp,
    #[schemars(with = "String")]
    at: Timestamp,
}

pub(super) fn publish(wallet: &str, event: Event) -> Result<Option<Said>, String> {
    let owner = wallet.split_once(':').ok_or_else(|| format!("'{wallet}' is no wallet"))?;
    let currency: Currency = owner.1.parse().map_err(|_| format!("'{wallet}' is no wallet"))?;
    let organisation_id = owner.0.to_owned();
    let money = |nanos: Nanos| Money::new(nanos, currency);
    match event {
        // The payment that it asks for is told of as any is.
        Event::Begun { .. } => private(),
        Event::Set { enabled, terms, at, .. } => public(&Set {
            organisation_id,
            currency,
            enabled,
            threshold: terms.map(|terms| money(terms.threshold_nanos)),
            amount: terms.map(|terms| money(terms.amount_nanos)),
            monthly_cap: terms.map(|terms| money(terms.monthly_cap_nanos)),
            at,
        }),
        Event::Succeeded { payment_id, amount_nanos, taken_nanos, month, paused_until, at } => {
            public(&Succeeded {
                organisation_id,
                payment_id,
                money: money(amount_nanos),
                month: month.to_string(),
                taken: money(taken_nanos),
                paused_until,
                at,
            })
        }
        Event::Declined { payment_id, amount_nanos, declines, again_at, at, .. } => {
            let money = money(amount_nanos);
            public(&Declined { organisation_id, payment_id, money, declines, again_at, at })
        }
        Event::Suspended { declines, at, .. } => {
            public(&Suspended { organisation_id, currency, declines, at })
        }
        Event::Stopped { successes, since, available_nanos, at } => {
            let available = money(available_nanos);
            public(&Stopped { organisation_id, successes, since, available, at })
        }
        Event::CapReached { month, monthly_cap_nanos, taken_nanos, amount_nanos, again_at, at } => {
            public(&CapReached {
                organisation_id,
                month: month.to_string(),
                monthly_cap: money(monthly_cap_nanos),
                taken: money(taken_nanos),
                amount: money(amount_nanos),
                again_at,
                at,
            })
        }
    }
}
