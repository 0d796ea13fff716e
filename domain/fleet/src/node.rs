//! A node: a Linux machine that runs allocations.
//!
//! Axes, never one status: `policy` is what operators want, `link` and `health` what we see, `lifecycle` where enrolment stands.
//! Lifecycle: `invited → verifying → ready`, aside `expired`, `quarantined`; policy `retired` is final.
//! Invariants: capacity is reserved, not measured; a uid is given out once and never again; a node whose host key changed is quarantined until
//! it is invited and enrolled anew.
use std::collections::BTreeMap;

use cairn_core::{AllocationId, Decider, NodeId, Refusal, Resources, Timestamp, cqrs_aggregate};
use serde::{Deserialize, Serialize};

use crate::events::NodeEvent;
use crate::evidence::{Beat, Fault};
use crate::facts::{HostKey, NodeFacts};
use crate::health::{Health, Usage};
use crate::inventory::Comparison;
use crate::reservations::{Reservation, ReservationStatus};
use crate::silences::{LateProof, Silence};

/// What may be asked of a node.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum NodeCommand {
    Invite {
        node_id: NodeId,
        name: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// Of the invitation in force; one that ends later is left alone.
    ExpireInvitation {
        at: Timestamp,
    },
    Enrol {
        token_sha256: String,
        address: String,
        port: u16,
        host_keys: Vec<HostKey>,
        facts: NodeFacts,
        /// Kept back for the machine itself.
        reserve: Resources,
        host_certificate_serial: u64,
        at: Timestamp,
    },
    RecordProbe {
        failure: Option<String>,
        at: Timestamp,
    },
    Quarantine {
        reason: String,
        at: Timestamp,
    },
    SetPolicy {
        policy: Policy,
        reason: String,
        at: Timestamp,
    },
    ObserveLink {
        link: Link,
        at: Timestamp,
    },
    ObserveUsage {
        usage: Usage,
        at: Timestamp,
    },
    ObserveBeat {
        beat: Beat,
        at: Timestamp,
    },
    RecordInventory {
        comparison: Comparison,
        at: Timestamp,
    },
    RecordOrphanRemoved {
        allocation_id: AllocationId,
        evidence: String,
        at: Timestamp,
    },
    Reserve {
        allocation_id: AllocationId,
        resources: Resources,
        at: Timestamp,
    },
    /// Sets aside so much for an allocation, instead of what it has.
    Resize {
        allocation_id: AllocationId,
        resources: Resources,
        at: Timestamp,
    },
    Release {
        allocation_id: AllocationId,
        at: Timestamp,
    },
    QuarantineCapacity {
        allocation_id: AllocationId,
        reason: String,
        at: Timestamp,
    },
}

/// Why a node refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NodeError {
    #[error("there is no such node")]
    Unknown,
    #[error("a node name is 1 to 63 of a-z, 0-9 and '-'")]
    BadName,
    #[error("the enrolment token is wrong, was used, or is over")]
    TokenRefused,
    #[error("the node presents no host key")]
    NoHostKey,
    #[error("the node is {0:?}")]
    WrongLifecycle(NodeLifecycle),
    #[error(
        "the node takes no new allocations: policy {policy:?}, link {link:?}, health {health:?}, lifecycle {lifecycle:?}"
    )]
    NotSchedulable { policy: Policy, link: Link, health: Health, lifecycle: NodeLifecycle },
    #[error("the node has not enough free capacity")]
    NoCapacity,
    #[error("the node still has {0} allocations")]
    InUse(usize),
    #[error("the node is retired")]
    Retired,
    #[error("the node has no reservation for {0}")]
    UnknownReservation(AllocationId),
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for NodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_node",
            Self::BadName => "node_name_invalid",
            Self::TokenRefused => "enrolment_token_refused",
            Self::NoHostKey => "host_key_missing",
            Self::WrongLifecycle(_) => "node_in_wrong_state",
            Self::NotSchedulable { .. } => "node_not_schedulable",
            Self::NoCapacity => "no_capacity",
            Self::InUse(_) => "node_in_use",
            Self::Retired => "node_retired",
            Self::UnknownReservation(_) => "unknown_reservation",
            Self::IdReused => "id_reused",
        }
    }
}

/// What operators want of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Policy {
    #[default]
    Schedulable,
    Cordoned,
    Draining,
    /// Final.
    Retired,
}

/// What we see of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Link {
    #[default]
    NeverSeen,
    Online,
    Suspect,
    Offline,
    /// It answers again after it was offline; until its inventory is compared it takes nothing new.
    Resyncing,
}

/// Where a node's enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum NodeLifecycle {
    #[default]
    Unknown,
    Invited,
    /// It was invited and did not come.
    Expired,
    Verifying,
    Ready,
    Quarantined,
}

/// What a node remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Node {
    pub node_id: Option<NodeId>,
    pub name: String,
    pub token_sha256: Option<String>,
    pub token_expires_at: Timestamp,
    pub lifecycle: NodeLifecycle,
    pub policy: Policy,
    pub link: Link,
    pub health: Health,
    /// Since when what is in use speaks against `health`.
    pub doubted_since: Option<Timestamp>,
    /// When nothing proved that it was alive, oldest first.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// The last sign of life that was kept.
    #[serde(default)]
    pub beat: Option<Beat>,
    /// When it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_at: Option<Timestamp>,
    /// What was wrong with the last one, and of which boot it was; none once one is kept again.
    #[serde(default)]
    pub rejected: Option<(Fault, String)>,
    pub address: String,
    pub port: u16,
    pub host_keys: Vec<HostKey>,
    pub capacity: Resources,
    pub probe_failures: u32,
    pub last_uid: u32,
    pub reservations: BTreeMap<String, Reservation>,
}

/// Probes that may fail in a row before a new node is quarantined.
pub const PROBES_MAX: u32 = 3;
/// The first uid given to an allocation.
pub const FIRST_UID: u32 = 20_000;

impl Decider for Node {
    const TYPE: &'static str = "node";
    type Command = NodeCommand;
    type Event = NodeEvent;
    type Error = NodeError;

    fn decide(&self, command: NodeCommand) -> Result<Vec<NodeEvent>, NodeError> {
        if !matches!(command, NodeCommand::Invite { .. }) && self.node_id.is_none() {
            return Err(NodeError::Unknown);
        }
        match command {
            NodeCommand::Invite { node_id, name, token_sha256, expires_at, at } => {
                self.invite(node_id, name, token_sha256, expires_at, at)
            }
            NodeCommand::Enrol {
                token_sha256,
                address,
                port,
                host_keys,
                facts,
                reserve,
                host_certificate_serial,
                at,
            } => {
                self.may_enrol(&token_sha256, &host_keys, at)?;
                let capacity = facts.total.minus(reserve).ok_or(NodeError::NoCapacity)?;
                Ok(vec![NodeEvent::Enrolled {
                    address,
                    port,
                    host_keys,
                    facts,
                    capacity,
                    host_certificate_serial,
                    at,
                }])
            }
            NodeCommand::ExpireInvitation { at } => Ok(self.expire_invitation(at)),
            NodeCommand::RecordProbe { failure, at } => self.record_probe(failure, at),
            NodeCommand::Quarantine { reason, at } => match self.lifecycle {
                NodeLifecycle::Quarantined => Ok(vec![]),
                NodeLifecycle::Unknown
                | NodeLifecycle::Invited
                | NodeLifecycle::Expired
                | NodeLifecycle::Verifying
                | NodeLifecycle::Ready => Ok(vec![NodeEvent::Quarantined { reason, at }]),
            },
            NodeCommand::SetPolicy { policy, reason, at } => self.set_policy(policy, reason, at),
            NodeCommand::ObserveLink { link, at } => Ok(self.observe_link(link, at)),
            NodeCommand::RecordInventory { comparison, at } => {
                self.record_inventory(comparison, at)
            }
            NodeCommand::RecordOrphanRemoved { allocation_id, evidence, at } => {
                Ok(vec![NodeEvent::OrphanRemoved { allocation_id, evidence, at }])
            }
            NodeCommand::ObserveBeat { beat, at } => Ok(self.observe_beat(beat, at)),
            NodeCommand::ObserveUsage { usage, at } => Ok(self.observe_usage(usage, at)),
            NodeCommand::Reserve { allocation_id, resources, at } => {
                self.reserve(allocation_id, resources, at)
            }
            NodeCommand::Resize { allocation_id, resources, at } => {
                self.resize(allocation_id, resources, at)
            }
            NodeCommand::Release { allocation_id, at } => Ok(self.release(allocation_id, at)),
            NodeCommand::QuarantineCapacity { allocation_id, reason, at } => {
                self.quarantine_capacity(allocation_id, reason, at)
            }
        }
    }

    fn evolve(mut self, event: NodeEvent) -> Self {
        match event {
            NodeEvent::Invited { node_id, name, token_sha256, expires_at, .. } => {
                self.node_id = Some(node_id);
                self.name = name;
                self.token_sha256 = Some(token_sha256);
                self.token_expires_at = expires_at;
                self.lifecycle = NodeLifecycle::Invited;
            }
            NodeEvent::InvitationExpired { .. } => {
                self.token_sha256 = None;
                self.lifecycle = NodeLifecycle::Expired;
            }
            NodeEvent::Enrolled { address, port, host_keys, capacity, facts, .. } => {
                self.token_sha256 = None;
                self.last_uid = self.last_uid.max(facts.last_uid);
                self.address = address;
                self.port = port;
                self.host_keys = host_keys;
                self.capacity = capacity;
                self.probe_failures = 0;
                self.lifecycle = NodeLifecycle::Verifying;
            }
            NodeEvent::ProbePassed { at } => {
                self.probe_failures = 0;
                self.lifecycle = NodeLifecycle::Ready;
                self.health = Health::Ok;
                self.set_link(Link::Online, at);
            }
            NodeEvent::ProbeFailed { .. } => self.probe_failures += 1,
            NodeEvent::InventoryCompared { .. } | NodeEvent::OrphanRemoved { .. } => {}
            NodeEvent::BeatKept { beat, at } => self.keep_beat(beat, at),
            NodeEvent::EvidenceRejected { fault, beat, .. } => self.reject_beat(fault, beat),
            NodeEvent::OutageProven { until, paused_seconds, .. } => {
                self.is_heard(LateProof::Spanned { until, paused_seconds });
            }
            NodeEvent::Quarantined { at, .. } => self.shut_out(at),
            NodeEvent::PolicyChanged { policy, .. } => self.policy = policy,
            NodeEvent::LinkChanged { link, at } => self.set_link(link, at),
            NodeEvent::HealthDoubted { doubted, at, .. } => {
                self.doubted_since = doubted.then_some(at);
            }
            NodeEvent::HealthChanged { health, .. } => {
                self.health = health;
                self.doubted_since = None;
            }
            NodeEvent::CapacityReserved { allocation_id, resources, uid, .. } => {
                self.last_uid = uid;
                let held = Reservation { resources, uid, status: ReservationStatus::Held };
                self.reservations.insert(allocation_id.to_string(), held);
            }
            NodeEvent::CapacityResized { allocation_id, resources, .. } => {
                if let Some(held) = self.reservations.get_mut(&allocation_id.to_string()) {
                    held.resources = resources;
                }
            }
            NodeEvent::CapacityReleased { allocation_id, .. } => {
                self.reservations.remove(&allocation_id.to_string());
            }
            NodeEvent::CapacityQuarantined { allocation_id, .. } => {
                if let Some(held) = self.reservations.get_mut(&allocation_id.to_string()) {
                    held.status = ReservationStatus::Quarantined;
                }
            }
        }
        self
    }
}

cqrs_aggregate!(Node);
