//! Wallets in public: every movement of an organisation's money, and what is set aside.
use cairn_core::{
    AllocationId, CreditId, Currency, DisputeId, HoldId, Nanos, PaymentId, RefundId, Timestamp,
};
use cairn_ledger::WalletEvent as Event;
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::{Money, WhichLimit};
use super::{alerts, projects};

public_types! {
    ToppedUp = "cairn.wallet.topped_up" 1;
    HoldPlaced = "cairn.wallet.hold_placed" 1;
    HoldExtended = "cairn.wallet.hold_extended" 1;
    HoldReleased = "cairn.wallet.hold_released" 1;
    HoldExpired = "cairn.wallet.hold_expired" 1;
    UsageCaptured = "cairn.wallet.usage_captured" 1;
    OverrunRecorded = "cairn.wallet.overrun_recorded" 1;
    UsageCorrected = "cairn.wallet.usage_corrected" 1;
    RefundReserved = "cairn.wallet.refund_reserved" 1;
    RefundReturned = "cairn.wallet.refund_returned" 1;
    CreditGranted = "cairn.wallet.credit_granted" 1;
    CreditExpired = "cairn.wallet.credit_expired" 1;
    PaymentDisputed = "cairn.wallet.payment_disputed" 1;
    DisputeReleased = "cairn.wallet.dispute_released" 1;
    DisputeLost = "cairn.wallet.dispute_lost" 1;
    UsageCredited = "cairn.wallet.usage_credited" 1;
    SpendingLimitsSet = "cairn.wallet.spending_limits_set" 1;
    SpendingReached = "cairn.wallet.spending_reached" 1;
}

/// A payment arrived.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToppedUp {
    organisation_id: String,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    money: Money,
}

/// Money was set aside.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldPlaced {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    /// The rental it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    allocation_id: Option<AllocationId>,
    money: Money,
    #[schemars(with = "String")]
    expires_at: Timestamp,
}

/// More money was set aside, and for longer.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldExtended {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    /// What was added.
    money: Money,
    #[schemars(with = "String")]
    expires_at: Timestamp,
}

/// What was left of a hold is available again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldReleased {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    money: Money,
}

/// A hold ran out of time; what was left of it is available again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldExpired {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    money: Money,
}

/// Usage was charged out of a hold.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsageCaptured {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    /// Charged now.
    money: Money,
    /// Charged out of this hold so far.
    total: Money,
    /// Seconds charged for out of this hold so far.
    seconds: i64,
}

/// Usage beyond the hold and the wallet is owed.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OverrunRecorded {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    /// Owed since now.
    money: Money,
    /// Used under this hold so far.
    total: Money,
    /// Seconds used under this hold so far.
    seconds: i64,
}

/// Less was used than was charged.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsageCorrected {
    organisation_id: String,
    #[schemars(with = "String")]
    hold_id: HoldId,
    /// Given back now.
    money: Money,
    /// Of it, what was owed and is no longer; the rest is in the wallet.
    owed: Money,
    /// Charged out of this hold so far.
    total: Money,
    /// Seconds charged for out of this hold so far.
    seconds: i64,
}

/// Money left the wallet towards a refund.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefundReserved {
    organisation_id: String,
    #[schemars(with = "String")]
    refund_id: RefundId,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    money: Money,
}

/// A refund failed: the money is back in the wallet.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefundReturned {
    organisation_id: String,
    #[schemars(with = "String")]
    refund_id: RefundId,
    money: Money,
}

/// Credit was given that nobody paid for: it is spent first and never refunded.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreditGranted {
    organisation_id: String,
    #[schemars(with = "String")]
    credit_id: CreditId,
    money: Money,
    #[schemars(with = "String")]
    expires_at: Timestamp,
}

/// Promotional credit ran out of time. What a hold has set aside of it may expire later.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreditExpired {
    organisation_id: String,
    #[schemars(with = "String")]
    credit_id: CreditId,
    money: Money,
}

/// A bank took a payment back: what was left of it is set aside until it is decided who is right.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PaymentDisputed {
    organisation_id: String,
    #[schemars(with = "String")]
    dispute_id: DisputeId,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    /// What was set aside.
    money: Money,
}

/// A dispute was won: what was set aside for it is available again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DisputeReleased {
    organisation_id: String,
    #[schemars(with = "String")]
    dispute_id: DisputeId,
    money: Money,
}

/// A dispute was lost: the wallet paid as far as it could, and the rest is owed.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DisputeLost {
    organisation_id: String,
    #[schemars(with = "String")]
    dispute_id: DisputeId,
    #[schemars(with = "String")]
    payment_id: PaymentId,
    /// What left the wallet.
    money: Money,
    /// What is owed.
    owed: Money,
}

/// A credit note gave back what usage had taken.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsageCredited {
    organisation_id: String,
    /// Number of the credit note.
    credit_note: String,
    money: Money,
}

/// Somebody has said how much may be used in a calendar month (UTC).
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpendingLimitsSet {
    organisation_id: String,
    #[schemars(with = "String")]
    currency: Currency,
    /// From there on somebody is told; absent when nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    warn: Option<Money>,
    /// Beyond that nothing is set aside, so nothing runs; absent when there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Money>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// A limit is reached. Each is told once a month.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpendingReached {
    organisation_id: String,
    /// Which.
    reached: WhichLimit,
    /// For example `2026-10`.
    month: String,
    /// How much it is.
    limit: Money,
    /// Used in the month until then.
    spent: Money,
    #[schemars(with = "String")]
    at: Timestamp,
}

pub(super) fn publish(wallet: &str, event: Event) -> Result<Option<Said>, String> {
    let owner = wallet.split_once(':').ok_or_else(|| format!("'{wallet}' is no wallet"))?;
    let currency: Currency = owner.1.parse().map_err(|_| format!("'{wallet}' is no wallet"))?;
    let organisation_id = owner.0.to_owned();
    let money = |nanos: Nanos| Money::new(nanos, currency);
    match event {
        Event::ToppedUp { payment_id, amount_nanos, .. } => {
            public(&ToppedUp { organisation_id, payment_id, money: money(amount_nanos) })
        }
        Event::RefundReserved { refund_id, payment_id, amount_nanos, .. } => {
            public(&RefundReserved {
                organisation_id,
                refund_id,
                payment_id,
                money: money(amount_nanos),
            })
        }
        Event::RefundReturned { refund_id, amount_nanos, .. } => {
            public(&RefundReturned { organisation_id, refund_id, money: money(amount_nanos) })
        }
        held @ (Event::HoldPlaced { .. }
        | Event::HoldExtended { .. }
        | Event::HoldReleased { .. }
        | Event::HoldExpired { .. }) => set_aside(organisation_id, money, held),
        used @ (Event::UsageCaptured { .. }
        | Event::UsageCorrected { .. }
        | Event::OverrunRecorded { .. }) => usage(organisation_id, money, used),
        Event::CreditGranted { credit_id, amount_nanos, expires_at, .. } => {
            public(&CreditGranted {
                organisation_id,
                credit_id,
                money: money(amount_nanos),
                expires_at,
            })
        }
        Event::CreditExpired { credit_id, amount_nanos, .. } => {
            public(&CreditExpired { organisation_id, credit_id, money: money(amount_nanos) })
        }
        disputed @ (Event::PaymentDisputed { .. }
        | Event::DisputeReleased { .. }
        | Event::DisputeLost { .. }) => dispute(organisation_id, money, disputed),
        Event::UsageCredited { note: credit_note, amount_nanos, .. } => {
            public(&UsageCredited { organisation_id, credit_note, money: money(amount_nanos) })
        }
        spending @ (Event::SpendingLimitsSet { .. } | Event::SpendingReached { .. }) => {
            self::spending(organisation_id, money, spending)
        }
        alert @ (Event::AlertsSet { .. }
        | Event::AlertReached { .. }
        | Event::ProjectAlertsSet { .. }
        | Event::ProjectAlertReached { .. }) => alerts::publish(organisation_id, money, alert),
        limit @ (Event::ProjectLimitsSet { .. } | Event::ProjectLimitReached { .. }) => {
            projects::publish(organisation_id, money, limit)
        }
        // Wishes of processes: one that the wallet refused, and which project a rental is in. Nothing moved.
        Event::HoldExtensionRefused { .. } | Event::HoldAssigned { .. } => private(),
    }
}

fn usage(
    organisation_id: String,
    money: impl Fn(Nanos) -> Money,
    event: Event,
) -> Result<Option<Said>, String> {
    match event {
        Event::UsageCaptured { hold_id, amount_nanos, total_nanos, seconds, .. } => {
            public(&UsageCaptured {
                organisation_id,
                hold_id,
                money: money(amount_nanos),
                total: money(total_nanos),
                seconds,
            })
        }
        Event::UsageCorrected {
            hold_id, amount_nanos, owed_nanos, total_nanos, seconds, ..
        } => public(&UsageCorrected {
            organisation_id,
            hold_id,
            money: money(amount_nanos),
            owed: money(owed_nanos),
            total: money(total_nanos),
            seconds,
        }),
        Event::OverrunRecorded { hold_id, amount_nanos, total_nanos, seconds, .. } => {
            public(&OverrunRecorded {
                organisation_id,
                hold_id,
                money: money(amount_nanos),
                total: money(total_nanos),
                seconds,
            })
        }
        _ => private(),
    }
}

fn spending(
    organisation_id: String,
    money: impl Fn(Nanos) -> Money,
    event: Event,
) -> Result<Option<Said>, String> {
    match event {
        Event::SpendingLimitsSet { currency, limits, at, .. } => public(&SpendingLimitsSet {
            organisation_id,
            currency,
            warn: limits.warn_nanos.map(&money),
            stop: limits.stop_nanos.map(&money),
            at,
        }),
        Event::SpendingReached { limit, month, limit_nanos, spent_nanos, at } => {
            public(&SpendingReached {
                organisation_id,
                reached: limit.into(),
                month: month.to_string(),
                limit: money(limit_nanos),
                spent: money(spent_nanos),
                at,
            })
        }
        _ => private(),
    }
}

fn dispute(
    organisation_id: String,
    money: impl Fn(Nanos) -> Money,
    event: Event,
) -> Result<Option<Said>, String> {
    match event {
        Event::PaymentDisputed { dispute_id, payment_id, held_nanos } => public(&PaymentDisputed {
            organisation_id,
            dispute_id,
            payment_id,
            money: money(held_nanos),
        }),
        Event::DisputeReleased { dispute_id, amount_nanos } => {
            public(&DisputeReleased { organisation_id, dispute_id, money: money(amount_nanos) })
        }
        Event::DisputeLost { dispute_id, payment_id, amount_nanos, owed_nanos, .. } => {
            public(&DisputeLost {
                organisation_id,
                dispute_id,
                payment_id,
                money: money(amount_nanos),
                owed: money(owed_nanos),
            })
        }
        _ => private(),
    }
}

fn set_aside(
    organisation_id: String,
    money: impl Fn(Nanos) -> Money,
    event: Event,
) -> Result<Option<Said>, String> {
    match event {
        Event::HoldPlaced { hold_id, purpose, amount_nanos, expires_at, .. } => {
            let allocation_id = purpose.parse().ok();
            public(&HoldPlaced {
                organisation_id,
                hold_id,
                allocation_id,
                money: money(amount_nanos),
                expires_at,
            })
        }
        Event::HoldExtended { hold_id, amount_nanos, expires_at, .. } => public(&HoldExtended {
            organisation_id,
            hold_id,
            money: money(amount_nanos),
            expires_at,
        }),
        Event::HoldReleased { hold_id, amount_nanos, .. } => {
            public(&HoldReleased { organisation_id, hold_id, money: money(amount_nanos) })
        }
        Event::HoldExpired { hold_id, amount_nanos, .. } => {
            public(&HoldExpired { organisation_id, hold_id, money: money(amount_nanos) })
        }
        _ => private(),
    }
}
