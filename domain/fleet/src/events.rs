//! What has happened to a node.
use cairn_core::{AllocationId, NodeId, Resources, Text, Texts, Timestamp, domain_event};
use serde::{Deserialize, Serialize};

use crate::evidence::{Beat, Fault};
use crate::facts::{HostKey, NodeFacts};
use crate::health::Health;
use crate::inventory::Comparison;
use crate::node::{Link, Policy};

/// What has happened to a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum NodeEvent {
    /// An operator made a one-time token; only its SHA-256 is kept.
    #[serde(rename = "node.invited")]
    Invited {
        node_id: NodeId,
        name: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// Nobody enrolled in time: the token is dead, and the node may be invited again.
    #[serde(rename = "node.invitation_expired")]
    InvitationExpired { at: Timestamp },
    /// The node presented the token and its host keys, which are pinned from here on.
    #[serde(rename = "node.enrolled")]
    Enrolled {
        address: String,
        port: u16,
        host_keys: Vec<HostKey>,
        facts: NodeFacts,
        capacity: Resources,
        host_certificate_serial: u64,
        at: Timestamp,
    },
    #[serde(rename = "node.probe_passed")]
    ProbePassed { at: Timestamp },
    #[serde(rename = "node.probe_failed")]
    ProbeFailed { reason: String, at: Timestamp },
    /// No SSH to it and nothing scheduled on it until it is invited and enrolled anew.
    #[serde(rename = "node.quarantined")]
    Quarantined { reason: String, at: Timestamp },
    #[serde(rename = "node.policy_changed")]
    PolicyChanged { policy: Policy, reason: String, at: Timestamp },
    /// A node becomes suspect at its last proof of life, which is earlier than the look that it did not answer.
    #[serde(rename = "node.link_changed")]
    LinkChanged { link: Link, at: Timestamp },
    /// What is in use began, or ceased, to speak against the node's health.
    #[serde(rename = "node.health_doubted")]
    HealthDoubted { doubted: bool, reason: String, at: Timestamp },
    #[serde(rename = "node.health_changed")]
    HealthChanged { health: Health, reason: String, at: Timestamp },
    /// What the node has was held against what the log says that it has.
    #[serde(rename = "node.inventory_compared")]
    InventoryCompared { comparison: Comparison, at: Timestamp },
    /// Something of an allocation that is over had come back; it is gone again.
    #[serde(rename = "node.orphan_removed")]
    OrphanRemoved { allocation_id: AllocationId, evidence: String, at: Timestamp },
    /// A first sign of life of its boot, or one worth keeping: what comes later is held against it.
    #[serde(rename = "node.beat_kept")]
    BeatKept { beat: Beat, at: Timestamp },
    /// A sign of life that cannot be true: it proves nothing. More of the same are one with it.
    #[serde(rename = "node.evidence_rejected")]
    EvidenceRejected { fault: Fault, beat: Beat, at: Timestamp },
    /// The boot of before an outage answers after it: it spans it. So many seconds of it the machine stood still.
    #[serde(rename = "node.outage_proven")]
    OutageProven { since: Timestamp, until: Timestamp, paused_seconds: i64, at: Timestamp },
    #[serde(rename = "node.capacity_reserved")]
    CapacityReserved { allocation_id: AllocationId, resources: Resources, uid: u32, at: Timestamp },
    /// What is set aside for an allocation is more, or less.
    #[serde(rename = "node.capacity_resized")]
    CapacityResized { allocation_id: AllocationId, resources: Resources, at: Timestamp },
    #[serde(rename = "node.capacity_released")]
    CapacityReleased { allocation_id: AllocationId, at: Timestamp },
    /// The allocation could not be proved gone: its capacity is never resold until it is.
    #[serde(rename = "node.capacity_quarantined")]
    CapacityQuarantined { allocation_id: AllocationId, reason: String, at: Timestamp },
}

domain_event!(NodeEvent {
    Invited => "node.invited", 1;
    InvitationExpired => "node.invitation_expired", 1;
    Enrolled => "node.enrolled", 1;
    ProbePassed => "node.probe_passed", 1;
    ProbeFailed => "node.probe_failed", 1;
    Quarantined => "node.quarantined", 1;
    PolicyChanged => "node.policy_changed", 1;
    LinkChanged => "node.link_changed", 1;
    HealthDoubted => "node.health_doubted", 1;
    HealthChanged => "node.health_changed", 1;
    InventoryCompared => "node.inventory_compared", 1;
    OrphanRemoved => "node.orphan_removed", 1;
    BeatKept => "node.beat_kept", 1;
    EvidenceRejected => "node.evidence_rejected", 1;
    OutageProven => "node.outage_proven", 1;
    CapacityReserved => "node.capacity_reserved", 1;
    CapacityResized => "node.capacity_resized", 1;
    CapacityReleased => "node.capacity_released", 1;
    CapacityQuarantined => "node.capacity_quarantined", 1;
});

impl Texts for NodeEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("node_id", Text::Kept),
        ("name", Text::Name),
        ("token_sha256", Text::Hash),
        ("expires_at", Text::Kept),
        ("address", Text::Address),
        ("host_keys[]", Text::PublicKey),
        ("facts.hostname", Text::Name),
        ("facts.os", Text::Kept),
        ("facts.helper_version", Text::Kept),
        ("facts.cgroup", Text::Kept),
        ("reason", Text::Said),
        ("policy", Text::Kept),
        ("link", Text::Kept),
        ("health", Text::Kept),
        ("allocation_id", Text::Kept),
        ("comparison.findings[].allocation_id", Text::Kept),
        ("comparison.findings[].kind", Text::Kept),
        ("comparison.findings[].log_says", Text::Kept),
        ("comparison.findings[].what", Text::Reported),
        ("evidence", Text::Reported),
        ("fault", Text::Kept),
        ("beat.boot_id", Text::Kept),
        ("beat.clock_at", Text::Kept),
        ("since", Text::Kept),
        ("until", Text::Kept),
        ("at", Text::Kept),
    ];
}
