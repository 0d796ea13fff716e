//! Alerts in public.
use cairn_core::{Currency, Nanos, ProjectId, Timestamp};
use cairn_ledger::{Alert as Wanted, AlertOn as On, WalletEvent as Event};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::Money;

public_types! {
    AlertsSet = "cairn.wallet.alerts_set" 1;
    AlertReached = "cairn.wallet.alert_reached" 1;
    ProjectAlertsSet = "cairn.wallet.project_alerts_set" 1;
    ProjectAlertReached = "cairn.wallet.project_alert_reached" 1;
}

/// Somebody has said of what to be told, in place of what was said before.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AlertsSet {
    organisation_id: String,
    #[schemars(with = "String")]
    currency: Currency,
    alerts: Vec<Alert>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// Of what somebody wants to be told.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Alert {
    on: AlertOn,
    amount: Money,
}

/// What is looked at: what was used in a calendar month (UTC), or what is left.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AlertOn {
    Spent,
    BalanceBelow,
}

/// Somebody wanted to be told of this.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AlertReached {
    organisation_id: String,
    alert: Alert,
    /// For example `2026-10`.
    month: String,
    /// What was used in the month, or is left.
    seen: Money,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// Somebody has said of what in a project to be told, in place of what was said before.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProjectAlertsSet {
    organisation_id: String,
    #[schemars(with = "String")]
    project_id: ProjectId,
    #[schemars(with = "String")]
    currency: Currency,
    alerts: Vec<Alert>,
    #[schemars(with = "String")]
    at: Timestamp,
}

/// As much was used in a project as somebody wanted to be told of.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProjectAlertReached {
    organisation_id: String,
    #[schemars(with = "String")]
    project_id: ProjectId,
    alert: Alert,
    /// For example `2026-10`.
    month: String,
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
    let shown = |alert: Wanted| {
        let on = match alert.on {
            On::Spent => AlertOn::Spent,
            On::BalanceBelow => AlertOn::BalanceBelow,
        };
        Alert { on, amount: money(alert.amount_nanos) }
    };
    match event {
        Event::AlertsSet { currency, alerts, at, .. } => {
            let alerts = alerts.into_iter().map(shown).collect();
            public(&AlertsSet { organisation_id, currency, alerts, at })
        }
        Event::AlertReached { alert, month, seen_nanos, at } => public(&AlertReached {
            organisation_id,
            alert: shown(alert),
            month: month.to_string(),
            seen: money(seen_nanos),
            at,
        }),
        Event::ProjectAlertsSet { currency, project_id, alerts, at, .. } => {
            let alerts = alerts.into_iter().map(shown).collect();
            public(&ProjectAlertsSet { organisation_id, project_id, currency, alerts, at })
        }
        Event::ProjectAlertReached { project_id, alert, month, spent_nanos, at } => {
            public(&ProjectAlertReached {
                organisation_id,
                project_id,
                alert: shown(alert),
                month: month.to_string(),
                spent: money(spent_nanos),
                at,
            })
        }
        _ => private(),
    }
}
