//! Nodes: the closed list of things that may be done to one.
use async_trait::async_trait;
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId, Resources};
use cairn_fleet::{HostKey, NodeFacts, Usage};

use super::PortError;

/// Where a node is and by which keys it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTarget {
    /// The node.
    pub node_id: NodeId,
    /// Address of its SSH server.
    pub address: String,
    /// Port of its SSH server.
    pub port: u16,
    /// Pinned at enrolment; any other key is refused with [`super::FailureKind::Untrusted`].
    pub host_keys: Vec<HostKey>,
}

/// What an allocation is on its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Account name.
    pub login: String,
    /// Account id, given out once.
    pub uid: u32,
    /// Limits.
    pub resources: Resources,
    /// The customer's own key.
    pub ssh_public_key: String,
}

/// What a node answers to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// What it is and has.
    pub facts: NodeFacts,
    /// What is in use on it; absent when it cannot tell.
    pub usage: Option<Usage>,
}

/// What a step found on the node after it acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// Observed state, one line.
    pub observed: String,
}

/// What is left of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeardownReport {
    /// Empty when nothing is left: no processes, no user, no files, no cgroup, no keys.
    pub left: Vec<String>,
    /// What was looked at, one line.
    pub evidence: String,
}

/// Acts on nodes. Every call is idempotent under its key, and refused by the node when its generation is older than one it has seen.
#[async_trait]
pub trait NodePort: Send + Sync {
    /// Whether the node answers, is who it must be, and can run allocations.
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError>;
    /// Brings one step about: inspect, act, verify. [`Step::Prove`] logs in as the tenant.
    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError>;
    /// Takes everything of the allocation away, in reverse order, and looks whether anything is left.
    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError>;
}

/// Idempotency of one act on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentKey {
    /// The intent's id: the same key answers the same.
    pub id: String,
    /// Grows with each new wish for the same allocation; the node refuses an older one.
    pub generation: u64,
}

/// Which nodes may be tried for an allocation.
#[async_trait]
pub trait NodeDirectory: Send + Sync {
    /// Schedulable nodes with room, best first. The node itself decides in the end.
    async fn candidates(&self, resources: Resources) -> Result<Vec<NodeId>, PortError>;
}
