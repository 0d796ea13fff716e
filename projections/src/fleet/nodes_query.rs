//! The row of a node, what is free on it, and which nodes may take an allocation.
use cairn_core::Resources;
use serde::Serialize;
use sqlx::PgPool;

use crate::row::{Amounts, At, Page, QueryError, before, fetch_limit};

/// A node as it stands. Amounts are capacity; `reserved_*` is set aside; free is the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Node {
    pub node_id: String,
    /// Where in the log it was first invited.
    pub position: i64,
    pub name: String,
    /// `invited`, `expired`, `verifying`, `ready` or `quarantined`.
    pub lifecycle: String,
    /// `schedulable`, `cordoned`, `draining` or `retired`.
    pub policy: String,
    /// `never_seen`, `online`, `suspect`, `offline` or `resyncing`.
    pub link: String,
    /// `ok` or `degraded`.
    pub health: String,
    /// Why it is quarantined, why its policy or health changed, or why a probe failed; the last of them.
    pub reason: Option<String>,
    pub token_expires_at: Option<At>,
    pub address: Option<String>,
    pub port: Option<i32>,
    /// Pinned at enrolment.
    pub host_keys: Vec<String>,
    pub hostname: Option<String>,
    pub os: Option<String>,
    pub helper_version: Option<String>,
    pub cgroup: Option<String>,
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids_max: i64,
    pub reserved_cpu_millis: i64,
    pub reserved_memory_bytes: i64,
    pub reserved_disk_bytes: i64,
    pub reserved_pids_max: i64,
    /// Allocations with capacity here, quarantined ones included.
    pub allocations: i64,
    pub invited_at: At,
    pub enrolled_at: Option<At>,
    pub ready_at: Option<At>,
    /// When its inventory was last held against the log, and how many differences there were.
    pub compared_at: Option<At>,
    pub missing_on_node: i64,
    pub left_on_node: i64,
    pub differs: i64,
}

/// Capacity set aside on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Reservation {
    pub allocation_id: String,
    pub uid: i64,
    /// `held`, or `quarantined` when the allocation could not be proved gone.
    pub status: String,
    pub reason: Option<String>,
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids_max: i64,
    pub reserved_at: At,
}

/// Which nodes to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only with this name.
    pub name: Option<String>,
    /// Only in this lifecycle.
    pub lifecycle: Option<String>,
    /// Only under this policy.
    pub policy: Option<String>,
}

async fn select(
    pool: &PgPool,
    (node_id, token_sha256): (Option<&str>, Option<&str>),
    filter: Filter,
    (before, limit): (i64, i64),
) -> Result<Vec<Node>, QueryError> {
    let rows = sqlx::query_as!(
        Node,
        r#"SELECT n.node_id, n.position, n.name, n.lifecycle, n.policy, n.link, n.health, n.reason,
             n.token_expires_at AS "token_expires_at: At", n.address, n.port, n.host_keys,
             n.hostname, n.os, n.helper_version, n.cgroup, n.cpu_millis, n.memory_bytes,
             n.disk_bytes, n.pids_max, r.cpu AS "reserved_cpu_millis!",
             r.memory AS "reserved_memory_bytes!", r.disk AS "reserved_disk_bytes!",
             r.pids AS "reserved_pids_max!", r.allocations AS "allocations!",
             n.invited_at AS "invited_at: At", n.enrolled_at AS "enrolled_at: At",
             n.ready_at AS "ready_at: At", n.compared_at AS "compared_at: At", n.missing_on_node,
             n.left_on_node, n.differs
           FROM fleet_nodes n CROSS JOIN LATERAL (
             SELECT least(coalesce(sum(cpu_millis), 0), 9223372036854775807)::bigint AS cpu,
               least(coalesce(sum(memory_bytes), 0), 9223372036854775807)::bigint AS memory,
               least(coalesce(sum(disk_bytes), 0), 9223372036854775807)::bigint AS disk,
               least(coalesce(sum(pids_max), 0), 9223372036854775807)::bigint AS pids, count(*) AS allocations
             FROM fleet_reservations WHERE node_id = n.node_id) r
           WHERE ($1::text IS NULL OR n.node_id = $1)
             AND ($2::text IS NULL OR n.token_sha256 = $2)
             AND ($3::text IS NULL OR n.name = $3) AND ($4::text IS NULL OR n.lifecycle = $4)
             AND ($5::text IS NULL OR n.policy = $5) AND n.position < $6
           ORDER BY n.position DESC LIMIT $7"#,
        node_id,
        token_sha256,
        filter.name,
        filter.lifecycle,
        filter.policy,
        before,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One node.
///
/// # Errors
/// [`QueryError`].
pub async fn get(pool: &PgPool, node_id: &str) -> Result<Option<Node>, QueryError> {
    Ok(select(pool, (Some(node_id), None), Filter::default(), (i64::MAX, 1)).await?.pop())
}

/// The node that was invited with this token and has not enrolled yet.
///
/// # Errors
/// [`QueryError`].
pub async fn by_token_sha256(
    pool: &PgPool,
    token_sha256: &str,
) -> Result<Option<Node>, QueryError> {
    Ok(select(pool, (None, Some(token_sha256)), Filter::default(), (i64::MAX, 1)).await?.pop())
}

/// Another node that is not retired and has this address.
///
/// # Errors
/// [`QueryError`].
pub async fn other_at(
    pool: &PgPool,
    address: &str,
    node_id: &str,
) -> Result<Option<String>, QueryError> {
    let other = sqlx::query_scalar!(
        r#"SELECT node_id FROM fleet_nodes WHERE address = $1 AND node_id <> $2
             AND policy <> 'retired' LIMIT 1"#,
        address,
        node_id,
    );
    Ok(other.fetch_optional(pool).await?)
}

/// Nodes, the last invited first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Node>, QueryError> {
    let rows = select(pool, (None, None), filter, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

/// What is set aside on a node, in the order it was.
///
/// # Errors
/// [`QueryError`].
pub async fn reservations(pool: &PgPool, node_id: &str) -> Result<Vec<Reservation>, QueryError> {
    let rows = sqlx::query_as!(
        Reservation,
        r#"SELECT allocation_id, uid, status, reason, cpu_millis, memory_bytes, disk_bytes, pids_max,
             reserved_at AS "reserved_at: At"
           FROM fleet_reservations WHERE node_id = $1 ORDER BY uid"#,
        node_id,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Ids of schedulable nodes with room, the emptiest first. The node itself decides in the end.
///
/// # Errors
/// [`QueryError`].
pub async fn candidates(
    pool: &PgPool,
    resources: Resources,
    limit: i64,
) -> Result<Vec<String>, QueryError> {
    let wanted = Amounts::from(resources);
    let ids = sqlx::query_scalar!(
        r#"SELECT n.node_id FROM fleet_nodes n LEFT JOIN fleet_reservations r USING (node_id)
           WHERE n.lifecycle = 'ready' AND n.policy = 'schedulable' AND n.link = 'online'
             AND n.health = 'ok'
           GROUP BY n.node_id
           HAVING n.cpu_millis - coalesce(sum(r.cpu_millis), 0) >= $1::bigint
             AND n.memory_bytes - coalesce(sum(r.memory_bytes), 0) >= $2::bigint
             AND n.disk_bytes - coalesce(sum(r.disk_bytes), 0) >= $3::bigint
             AND n.pids_max - coalesce(sum(r.pids_max), 0) >= $4::bigint
           ORDER BY n.cpu_millis - coalesce(sum(r.cpu_millis), 0) DESC, n.position LIMIT $5"#,
        wanted.cpu_millis,
        wanted.memory_bytes,
        wanted.disk_bytes,
        wanted.pids_max,
        limit,
    );
    Ok(ids.fetch_all(pool).await?)
}
