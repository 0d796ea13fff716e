//! Dunning in public: how long an organisation's money lasts, and what follows when it does not.
use cairn_ledger::{Assessment, DunningEvent as Event, Stage as Told};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, public, public_types};
use super::shapes::Money;

public_types! {
    StageChanged = "cairn.dunning.stage_changed" 1;
    RunwayCrossed = "cairn.dunning.runway_crossed" 1;
}

/// A wallet stands elsewhere now.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StageChanged {
    organisation_id: String,
    from: Stage,
    to: Stage,
    /// What is in the wallet, what is set aside included.
    funds: Money,
    /// What everything that runs costs in an hour.
    per_hour: Money,
    /// When the stage moves on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// When.
    at: String,
}

/// Where a wallet stands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// It lasts for more than three days, or nothing is rented.
    Ok,
    /// It lasts for three days at most.
    Low,
    /// It is empty: what runs, runs on what was set aside.
    Grace,
    /// Nothing runs; the data is kept.
    Suspended,
    /// The same, and the day on which the data goes is set.
    Retention,
    /// The data is given up.
    Released,
}

/// A wallet lasts for fewer hours than it did when this was told last, or for more again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunwayCrossed {
    organisation_id: String,
    /// What was told last: 72, 24 or 2; absent when it lasted longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_hours: Option<u32>,
    /// It lasts for so many hours at most: 72, 24 or 2; absent when it lasts longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_hours: Option<u32>,
    /// What is in the wallet, what is set aside included.
    funds: Money,
    /// What everything that runs costs in an hour.
    per_hour: Money,
    /// When it is empty, if nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_out_at: Option<String>,
    /// When.
    at: String,
}

pub(super) fn publish(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::StageChanged { from, to, until, seen } => public(&StageChanged {
            organisation_id: seen.organisation_id.to_string(),
            from: from.into(),
            to: to.into(),
            funds: funds(&seen),
            per_hour: per_hour(&seen),
            until: until.map(|until| until.to_string()),
            at: seen.at.to_string(),
        }),
        Event::RunwayCrossed { from_hours, to_hours, runs_out_at, seen } => {
            public(&RunwayCrossed {
                organisation_id: seen.organisation_id.to_string(),
                from_hours,
                to_hours,
                funds: funds(&seen),
                per_hour: per_hour(&seen),
                runs_out_at: runs_out_at.map(|at| at.to_string()),
                at: seen.at.to_string(),
            })
        }
    }
}

fn funds(seen: &Assessment) -> Money {
    Money::new(seen.funds_nanos, seen.currency)
}

fn per_hour(seen: &Assessment) -> Money {
    Money::new(seen.nanos_per_hour, seen.currency)
}

impl From<Told> for Stage {
    fn from(told: Told) -> Self {
        match told {
            Told::Ok => Self::Ok,
            Told::Low => Self::Low,
            Told::Grace => Self::Grace,
            Told::Suspended => Self::Suspended,
            Told::Retention => Self::Retention,
            Told::Released => Self::Released,
        }
    }
}
