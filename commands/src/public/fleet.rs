//! Nodes in public: what there is to sell on. Where a node is and how it is reached stays here.
use cairn_fleet::{NodeEvent as Event, Policy as NodePolicy};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};
use super::shapes::Resources;

public_types! {
    Enrolled = "cairn.node.enrolled" 1;
    PolicyChanged = "cairn.node.policy_changed" 1;
}

/// A node joined.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Enrolled {
    /// What can be sold of it.
    capacity: Resources,
    /// When.
    at: String,
}

/// What may be put on a node from now on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicyChanged {
    /// What may be put on it.
    policy: Policy,
    /// When.
    at: String,
}

/// What may be put on a node.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Policy {
    Schedulable,
    Cordoned,
    Draining,
    Retired,
}

pub(super) fn publish(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::Enrolled { capacity, at, .. } => {
            public(&Enrolled { capacity: capacity.into(), at: at.to_string() })
        }
        Event::PolicyChanged { policy, at, .. } => {
            let policy = match policy {
                NodePolicy::Schedulable => Policy::Schedulable,
                NodePolicy::Cordoned => Policy::Cordoned,
                NodePolicy::Draining => Policy::Draining,
                NodePolicy::Retired => Policy::Retired,
            };
            public(&PolicyChanged { policy, at: at.to_string() })
        }
        // Invitations, health and what lies where.
        Event::Invited { .. }
        | Event::InvitationExpired { .. }
        | Event::ProbePassed { .. }
        | Event::ProbeFailed { .. }
        | Event::Quarantined { .. }
        | Event::LinkChanged { .. }
        | Event::HealthDoubted { .. }
        | Event::InventoryCompared { .. }
        | Event::OrphanRemoved { .. }
        | Event::BeatKept { .. }
        | Event::EvidenceRejected { .. }
        | Event::OutageProven { .. }
        | Event::HealthChanged { .. }
        | Event::CapacityReserved { .. }
        | Event::CapacityResized { .. }
        | Event::CapacityReleased { .. }
        | Event::CapacityQuarantined { .. } => private(),
    }
}
