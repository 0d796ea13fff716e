//! Spending limits of projects in public.
use cairn_core::{Currency, Nanos, ProjectId, Timestamp};
use cairn_ledger::WalletEvent as Event;
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::{Money, WhichLimit};

public_types! {
    ProjectLimitsSet = "cairn.wallet.project_limits_set" 1;
    ProjectLimitReached = "cairn.wallet.project_limit_reached" 1;
}

/// Somebody has said how much the rentals of a project may use in a calendar month (UTC).
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProjectLimitsSet {
    organisation_id: String,
    #[schemars(with = "String")]
    project_id: ProjectId,
    #[schemars(with = "String")]
    currency: Currency,
    /// From there on somebody is told; absent when nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    warn: Option<Money>,
    /// Beyond that nothing is set aside for the project, so nothing runs in it; absent when there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Money>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// A limit of a project is reached. Each is told once a month.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProjectLimitReached {
    organisation_id: String,
    #[schemars(with = "String")]
    project_id: ProjectId,
    /// Which.
    reached: WhichLimit,
    /// For example `2026-10`.
    month: String,
    /// How much it is.
    limit: Money,
    /// Used in the project in the month until then.
    spent: Money,
    #[schemars(with = "String")]
    at: Timestamp,
}

pub(super) fn publish(
    organisation_id: String,
    money: impl Fn(Nanos) -> Money,
    event: Event,
) -> Result<Option<Said>, String> {
    match event {
        Event::ProjectLimitsSet { currency, project_id, limits, at, .. } => {
            public(&ProjectLimitsSet {
                organisation_id,
                project_id,
                currency,
                warn: limits.warn_nanos.map(&money),
                stop: limits.stop_nanos.map(&money),
                at,
            })
        }
        Event::ProjectLimitReached { project_id, limit, month, limit_nanos, spent_nanos, at } => {
            public(&ProjectLimitReached {
                organisation_id,
                project_id,
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
