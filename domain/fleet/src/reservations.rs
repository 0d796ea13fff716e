//! Capacity of a node: `free = capacity − Σ reservations`, quarantined ones included.
use cairn_core::{AllocationId, Resources, Timestamp};
use serde::{Deserialize, Serialize};

use crate::events::NodeEvent;
use crate::health::Health;
use crate::node::{FIRST_UID, Link, Node, NodeError, NodeLifecycle, Policy};

/// What a node has set aside for one allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reservation {
    pub resources: Resources,
    pub uid: u32,
    pub status: ReservationStatus,
}

/// Whether capacity is in use, or stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ReservationStatus {
    Held,
    Quarantined,
}

impl Node {
    /// Whether new allocations may be put here.
    #[must_use]
    pub fn is_schedulable(&self) -> bool {
        self.lifecycle == NodeLifecycle::Ready
            && self.policy == Policy::Schedulable
            && self.link == Link::Online
            && self.health == Health::Ok
    }

    fn may_take_more(&self) -> Result<(), NodeError> {
        if self.is_schedulable() {
            return Ok(());
        }
        let (policy, link) = (self.policy, self.link);
        let (health, lifecycle) = (self.health, self.lifecycle);
        Err(NodeError::NotSchedulable { policy, link, health, lifecycle })
    }

    /// What is not reserved.
    #[must_use]
    pub fn free(&self) -> Resources {
        let reserved = self.reservations.values().map(|held| held.resources);
        let reserved = reserved.fold(Resources::default(), Resources::plus);
        self.capacity.minus(reserved).unwrap_or_default()
    }

    pub(crate) fn reserve(
        &self,
        allocation_id: AllocationId,
        resources: Resources,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        if let Some(held) = self.reservations.get(&allocation_id.to_string()) {
            let same = held.resources == resources;
            return if same { Ok(vec![]) } else { Err(NodeError::IdReused) };
        }
        self.may_take_more()?;
        self.free().minus(resources).ok_or(NodeError::NoCapacity)?;
        let uid = FIRST_UID.max(self.last_uid.saturating_add(1));
        Ok(vec![NodeEvent::CapacityReserved { allocation_id, resources, uid, at }])
    }

    /// To more only where new allocations may be put, as far as it is free.
    pub(crate) fn resize(
        &self,
        allocation_id: AllocationId,
        resources: Resources,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        let held = self.reservations.get(&allocation_id.to_string());
        let held = held.ok_or(NodeError::UnknownReservation(allocation_id))?.resources;
        if held == resources {
            return Ok(vec![]);
        }
        if held.minus(resources).is_none() {
            self.may_take_more()?;
            let free = self.free().plus(held);
            free.minus(resources).ok_or(NodeError::NoCapacity)?;
        }
        Ok(vec![NodeEvent::CapacityResized { allocation_id, resources, at }])
    }

    /// What has something set aside does not retire.
    pub(crate) fn set_policy(
        &self,
        policy: Policy,
        reason: String,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        match (self.policy, policy) {
            (now, wanted) if now == wanted => Ok(vec![]),
            (Policy::Retired, _) => Err(NodeError::Retired),
            (_, Policy::Retired) if !self.reservations.is_empty() => {
                Err(NodeError::InUse(self.reservations.len()))
            }
            _ => Ok(vec![NodeEvent::PolicyChanged { policy, reason, at }]),
        }
    }

    pub(crate) fn release(&self, allocation_id: AllocationId, at: Timestamp) -> Vec<NodeEvent> {
        if self.reservations.contains_key(&allocation_id.to_string()) {
            vec![NodeEvent::CapacityReleased { allocation_id, at }]
        } else {
            vec![]
        }
    }

    pub(crate) fn quarantine_capacity(
        &self,
        allocation_id: AllocationId,
        reason: String,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        let held = self.reservations.get(&allocation_id.to_string());
        let held = held.ok_or(NodeError::UnknownReservation(allocation_id))?;
        match held.status {
            ReservationStatus::Quarantined => Ok(vec![]),
            ReservationStatus::Held => {
                Ok(vec![NodeEvent::CapacityQuarantined { allocation_id, reason, at }])
            }
        }
    }
}
