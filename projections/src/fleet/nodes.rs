//! Which nodes there are, what they are for and what is free on them: asked by operators, and by whoever places an allocation.
//!
//! One row of `fleet_nodes` is one node with its axes. One row of `fleet_reservations` is capacity set aside on a node
//! for one allocation; it is there until the allocation is proved gone. Free is capacity less all of them.
use async_trait::async_trait;
use cairn_core::{Resources, Timestamp};
use cairn_event_log::Recorded;
use cairn_fleet::{HostKey, NodeEvent, NodeFacts};

pub use super::nodes_query::{
    Filter, Node, Reservation, by_token_sha256, candidates, get, list, other_at, reservations,
};
use super::nodes_reservations::{ReservationRow, quarantine, reserve, resize};
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{Amounts, At, wire_name};

/// Name of this projection.
pub const NAME: &str = "fleet/nodes";
/// 3: what came of the last comparison of a node's inventory.
pub const VERSION: i32 = 3;

/// The projection.
pub struct Nodes;

#[async_trait]
impl Projection for Nodes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["fleet_nodes", "fleet_reservations"]
    }

    fn version(&self) -> i32 {
        VERSION
    }

    fn interest(&self) -> Interest {
        Interest::of(&[NodeEvent::TYPES])
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use NodeEvent as E;
        let id = event.aggregate_id.as_str();
        match event.decode()? {
            E::Invited { name, token_sha256, expires_at, at, .. } => {
                let row = NodeRow {
                    node_id: id.to_owned(),
                    position: event.position,
                    name,
                    lifecycle: "invited".into(),
                    policy: "schedulable".to_owned(),
                    link: "never_seen".to_owned(),
                    health: "ok".to_owned(),
                    token_sha256: Some(token_sha256),
                    token_expires_at: Some(At(expires_at)),
                    invited_at: At(at),
                    ..NodeRow::default()
                };
                changes.put((id.to_owned(),), |there| Ok(invited(row, there)));
            }
            E::CapacityReserved { allocation_id, resources, uid, at } => {
                reserve(changes, id, (allocation_id.to_string(), uid), (resources, at));
            }
            E::CapacityResized { allocation_id, resources, .. } => {
                resize(changes, id, allocation_id.to_string(), resources);
            }
            E::CapacityReleased { allocation_id, .. } => {
                changes.remove::<ReservationRow>((id.to_owned(), allocation_id.to_string()));
            }
            E::CapacityQuarantined { allocation_id, reason, .. } => {
                quarantine(changes, id, allocation_id.to_string(), reason);
            }
            E::HealthDoubted { .. }
            | E::OrphanRemoved { .. }
            | E::BeatKept { .. }
            | E::EvidenceRejected { .. }
            | E::OutageProven { .. } => {}
            other => changes.change((id.to_owned(),), |row| apply(row, other)),
        }
        Ok(())
    }
}

row! {
    /// A node with its axes.
    pub(crate) struct NodeRow in "fleet_nodes" by (node_id: String) {
        node_id: String,
        position: i64,
        name: String,
        lifecycle: String,
        policy: String,
        link: String,
        reason: Option<String>,
        token_sha256: Option<String>,
        token_expires_at: Option<At>,
        address: Option<String>,
        port: Option<i32>,
        host_keys: Vec<HostKey>,
        hostname: Option<String>,
        os: Option<String>,
        helper_version: Option<String>,
        cgroup: Option<String>,
        cpu_millis: i64,
        memory_bytes: i64,
        disk_bytes: i64,
        pids_max: i64,
        invited_at: At,
        enrolled_at: Option<At>,
        ready_at: Option<At>,
        health: String,
        compared_at: Option<At>,
        missing_on_node: i64,
        left_on_node: i64,
        differs: i64,
    }
}

/// A node that is invited again keeps its policy and loses what it enrolled with only when it enrols anew.
fn invited(new: NodeRow, there: Option<NodeRow>) -> NodeRow {
    let Some(there) = there else { return new };
    NodeRow {
        name: new.name,
        lifecycle: new.lifecycle,
        token_sha256: new.token_sha256,
        token_expires_at: new.token_expires_at,
        invited_at: new.invited_at,
        reason: None,
        ..there
    }
}

fn apply(row: &mut NodeRow, event: NodeEvent) -> Result<(), ProjectError> {
    use NodeEvent as E;
    match event {
        E::Enrolled { address, port, host_keys, facts, capacity, at, .. } => {
            (row.address, row.port, row.host_keys) = (Some(address), Some(port.into()), host_keys);
            enrol(row, facts, capacity, at);
        }
        E::InvitationExpired { .. } => {
            (row.lifecycle, row.token_sha256) = ("expired".into(), None);
            row.reason = Some("nobody enrolled in time".to_owned());
        }
        E::ProbePassed { at } => {
            (row.lifecycle, row.ready_at) = ("ready".into(), Some(At(at)));
            (row.link, row.health) = ("online".to_owned(), "ok".to_owned());
        }
        E::ProbeFailed { reason, .. } => row.reason = Some(reason),
        E::Quarantined { reason, .. } => {
            (row.lifecycle, row.reason) = ("quarantined".into(), Some(reason));
        }
        E::PolicyChanged { policy, reason, .. } => {
            (row.policy, row.reason) = (wire_name(&policy)?, Some(reason));
        }
        E::LinkChanged { link, .. } => row.link = wire_name(&link)?,
        E::HealthChanged { health, reason, .. } => {
            (row.health, row.reason) = (wire_name(&health)?, Some(reason));
        }
        E::InventoryCompared { comparison, at } => {
            row.compared_at = Some(At(at));
            row.missing_on_node = i64::from(comparison.missing_on_node);
            row.left_on_node = i64::from(comparison.left_on_node);
            row.differs = i64::from(comparison.differs);
        }
        E::Invited { .. }
        | E::HealthDoubted { .. }
        | E::OrphanRemoved { .. }
        | E::BeatKept { .. }
        | E::EvidenceRejected { .. }
        | E::OutageProven { .. }
        | E::CapacityReserved { .. }
        | E::CapacityResized { .. }
        | E::CapacityReleased { .. }
        | E::CapacityQuarantined { .. } => {}
    }
    Ok(())
}

fn enrol(row: &mut NodeRow, facts: NodeFacts, capacity: Resources, at: Timestamp) {
    let capacity = Amounts::from(capacity);
    row.lifecycle = "verifying".into();
    (row.token_sha256, row.token_expires_at, row.reason) = (None, None, None);
    (row.hostname, row.os) = (Some(facts.hostname), Some(facts.os));
    (row.helper_version, row.cgroup) = (Some(facts.helper_version), Some(facts.cgroup));
    (row.cpu_millis, row.memory_bytes) = (capacity.cpu_millis, capacity.memory_bytes);
    (row.disk_bytes, row.pids_max) = (capacity.disk_bytes, capacity.pids_max);
    row.enrolled_at = Some(At(at));
}
