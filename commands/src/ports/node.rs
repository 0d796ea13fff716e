//! Nodes: the closed list of things that may be done to one.
use std::collections::BTreeMap;

use async_trait::async_trait;
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId, Resources};
use cairn_fleet::{Beat, HostKey, NodeFacts, Usage};

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
    /// The customer's own key; empty when it was erased.
    pub ssh_public_key: String,
}

/// What a node answers to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// What it is and has.
    pub facts: NodeFacts,
    /// What is in use on it; absent when it cannot tell.
    pub usage: Option<Usage>,
    /// Which boot answered, and when that was by its own clock; absent when it does not say.
    pub beat: Option<Beat>,
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

/// What a node has of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldThere {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// The last generation in the node's journal; 0 when it knows none.
    pub generation: u64,
    /// What the node was last asked for.
    pub tenant: Option<Tenant>,
    /// Steps that are as they were asked for, as observed.
    pub observed: BTreeMap<Step, String>,
    /// Steps of which something is there, but not as it was asked for.
    pub partial: Vec<Step>,
    /// Processes that run.
    pub processes: usize,
}

impl HeldThere {
    /// What there is, one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut steps: Vec<Step> = self.observed.keys().chain(&self.partial).copied().collect();
        steps.sort();
        let mut parts: Vec<String> = steps.iter().map(|step| step.name().to_owned()).collect();
        if self.processes > 0 {
            parts.push(format!("{} processes", self.processes));
        }
        let whose = self.tenant.as_ref().map(|tenant| format!("{}: ", tenant.login));
        format!("{}{}", whose.unwrap_or_default(), parts.join(", "))
    }
}

/// Everything on a node that is an allocation's, or looks like one's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// What there is of each allocation.
    pub allocations: Vec<HeldThere>,
    /// What belongs to none.
    pub strays: Vec<String>,
}

/// Acts on nodes. Every call is idempotent under its key, and refused by the node when its generation is older than one it has seen.
#[async_trait]
pub trait NodePort: Send + Sync {
    /// Whether the node answers, is who it must be, and can run allocations.
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError>;
    /// Everything the node has. Changes nothing.
    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError>;
    /// Brings one step about: inspect, act, verify. [`Step::Prove`] logs in as the tenant.
    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError>;
    /// Closes the login, ends every process and looks whether any is left; what the tenant has stays. [`Step::Access`] opens it again.
    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
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
