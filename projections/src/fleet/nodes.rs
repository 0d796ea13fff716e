//! Which nodes there are, what they are for and what is free on them: asked by operators, and by whoever places an allocation.
//!
//! One row of `fleet_nodes` is one node with its axes. One row of `fleet_reservations` is capacity set aside on a node
//! for one allocation; it is there until the allocation is proved gone. Free is capacity less all of them.
use async_trait::async_trait;
use cairn_core::{Resources, Timestamp};
use cairn_event_log::Recorded;
use cairn_fleet::{Comparison, HostKey, NodeEvent, NodeFacts};
use sqlx::PgConnection;

pub use super::nodes_query::{
    Filter, Node, Reservation, by_token_sha256, candidates, get, list, other_at, reservations,
};
use super::nodes_reservations::{quarantine, release, reserve};
use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{Amounts, At, found, wire_name};

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

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        use NodeEvent as E;
        let id = event.aggregate_id.as_str();
        let to = |lifecycle| Change { lifecycle: Some(lifecycle), ..Change::default() };
        match event.decode()? {
            E::Invited { name, token_sha256, expires_at, at, .. } => {
                let token = (token_sha256.as_str(), expires_at);
                invite(db, (id, &name), token, (event.position, at)).await
            }
            E::Enrolled { address, port, host_keys, facts, capacity, at, .. } => {
                let enrolled = Enrolled { address, port, host_keys, facts, capacity, at };
                enrol(db, id, enrolled).await
            }
            E::InvitationExpired { .. } => expire(db, id).await,
            E::ProbePassed { at } => {
                let (link, health) = (Some("online".to_owned()), Some("ok".to_owned()));
                apply(db, id, Change { link, health, ready_at: Some(at), ..to("ready") }).await
            }
            E::ProbeFailed { reason, .. } => {
                apply(db, id, Change { reason: Some(reason), ..Change::default() }).await
            }
            E::Quarantined { reason, .. } => {
                apply(db, id, Change { reason: Some(reason), ..to("quarantined") }).await
            }
            E::PolicyChanged { policy, reason, .. } => {
                let policy = Some(wire_name(&policy)?);
                apply(db, id, Change { policy, reason: Some(reason), ..Change::default() }).await
            }
            E::LinkChanged { link, .. } => {
                apply(db, id, Change { link: Some(wire_name(&link)?), ..Change::default() }).await
            }
            E::HealthChanged { health, reason, .. } => {
                let health = Some(wire_name(&health)?);
                apply(db, id, Change { health, reason: Some(reason), ..Change::default() }).await
            }
            E::HealthDoubted { .. } | E::OrphanRemoved { .. } => Ok(()),
            E::InventoryCompared { comparison, at } => compared(db, id, &comparison, at).await,
            E::CapacityReserved { allocation_id, resources, uid, at } => {
                reserve(db, id, (&allocation_id.to_string(), uid), (resources, at)).await
            }
            E::CapacityReleased { allocation_id, .. } => {
                release(db, id, &allocation_id.to_string()).await
            }
            E::CapacityQuarantined { allocation_id, reason, .. } => {
                quarantine(db, id, &allocation_id.to_string(), &reason).await
            }
        }
    }
}

/// A node that is invited again keeps its policy and loses what it enrolled with only when it enrols anew.
async fn invite(
    db: &mut PgConnection,
    (node_id, name): (&str, &str),
    (token_sha256, expires_at): (&str, Timestamp),
    (position, at): (i64, Timestamp),
) -> Result<(), ProjectError> {
    sqlx::query!(
        "INSERT INTO fleet_nodes (node_id, position, name, lifecycle, policy, link, token_sha256,
           token_expires_at, invited_at)
         VALUES ($1, $2, $3, 'invited', 'schedulable', 'never_seen', $4, $5, $6)
         ON CONFLICT (node_id) DO UPDATE SET name = excluded.name, lifecycle = 'invited',
           token_sha256 = excluded.token_sha256, token_expires_at = excluded.token_expires_at,
           invited_at = excluded.invited_at, reason = NULL",
        node_id,
        position,
        name,
        token_sha256,
        At(expires_at) as _,
        At(at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn expire(db: &mut PgConnection, id: &str) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE fleet_nodes SET lifecycle = 'expired', token_sha256 = NULL,
           reason = 'nobody enrolled in time' WHERE node_id = $1",
        id,
    );
    found(&done.execute(db).await?, id)
}

struct Enrolled {
    address: String,
    port: u16,
    host_keys: Vec<HostKey>,
    facts: NodeFacts,
    capacity: Resources,
    at: Timestamp,
}

async fn enrol(db: &mut PgConnection, id: &str, node: Enrolled) -> Result<(), ProjectError> {
    let capacity = Amounts::from(node.capacity);
    let done = sqlx::query!(
        "UPDATE fleet_nodes SET lifecycle = 'verifying', token_sha256 = NULL,
           token_expires_at = NULL, reason = NULL, address = $2, port = $3, host_keys = $4,
           hostname = $5, os = $6, helper_version = $7, cgroup = $8, cpu_millis = $9,
           memory_bytes = $10, disk_bytes = $11, pids_max = $12, enrolled_at = $13
         WHERE node_id = $1",
        id,
        node.address,
        i32::from(node.port),
        &node.host_keys,
        node.facts.hostname,
        node.facts.os,
        node.facts.helper_version,
        node.facts.cgroup,
        capacity.cpu_millis,
        capacity.memory_bytes,
        capacity.disk_bytes,
        capacity.pids_max,
        At(node.at) as _,
    );
    found(&done.execute(db).await?, id)
}

async fn compared(
    db: &mut PgConnection,
    id: &str,
    comparison: &Comparison,
    at: Timestamp,
) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE fleet_nodes SET compared_at = $2, missing_on_node = $3, left_on_node = $4,
           differs = $5 WHERE node_id = $1",
        id,
        At(at) as _,
        i64::from(comparison.missing_on_node),
        i64::from(comparison.left_on_node),
        i64::from(comparison.differs),
    );
    found(&done.execute(db).await?, id)
}

/// Columns that an event sets; `None` leaves one as it is.
#[derive(Default)]
struct Change {
    lifecycle: Option<&'static str>,
    policy: Option<String>,
    link: Option<String>,
    health: Option<String>,
    reason: Option<String>,
    ready_at: Option<Timestamp>,
}

async fn apply(db: &mut PgConnection, id: &str, change: Change) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE fleet_nodes SET lifecycle = coalesce($2, lifecycle), policy = coalesce($3, policy),
           link = coalesce($4, link), reason = coalesce($5, reason),
           ready_at = coalesce($6, ready_at), health = coalesce($7, health)
         WHERE node_id = $1",
        id,
        change.lifecycle,
        change.policy,
        change.link,
        change.reason,
        change.ready_at.map(At) as _,
        change.health,
    );
    found(&done.execute(db).await?, id)
}
