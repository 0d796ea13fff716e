//! A node's inventory, held against the log: what was found, and what that means for the node.
//!
//! Link `offline → resyncing → online`: a node that comes back takes nothing new until its inventory is compared. One that falls silent
//! before that is offline still.
use cairn_core::{AllocationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::events::NodeEvent;
use crate::node::{Link, Node, NodeError, NodeLifecycle};

/// Findings that are kept with a comparison; their counts are of all.
pub const FINDINGS_MAX: usize = 100;

/// In what way the node and the log differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The log says that it is in use, and the node has nothing of it, or not all.
    MissingOnNode,
    /// The node has something that nobody rents.
    LeftOnNode,
    /// It is there, and not as the log says.
    Differs,
}

/// What the log says of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSays {
    /// In use on this node.
    Active,
    /// It was on this node and is proved gone.
    Over,
    /// It is, or was, on another node.
    Elsewhere,
    /// Nothing.
    Unknown,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Finding {
    pub kind: FindingKind,
    /// None when what was found names no allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_id: Option<AllocationId>,
    pub log_says: LogSays,
    /// What is missing, left or different, one line.
    pub what: String,
}

impl Finding {
    /// Whether it may be taken off the node without asking anybody: the log proves whose it was and that it is over.
    #[must_use]
    pub const fn orphan(&self) -> Option<AllocationId> {
        match (self.kind, self.log_says) {
            (FindingKind::LeftOnNode, LogSays::Over) => self.allocation_id,
            _ => None,
        }
    }
}

/// What came of holding an inventory against the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Comparison {
    /// Allocations that the log and the node agree on, or are still working on.
    pub agreed: u32,
    pub missing_on_node: u32,
    pub left_on_node: u32,
    pub differs: u32,
    /// The first [`FINDINGS_MAX`], in order.
    pub findings: Vec<Finding>,
}

impl Comparison {
    /// Of all findings.
    #[must_use]
    pub fn of(agreed: u32, mut findings: Vec<Finding>) -> Self {
        findings.sort();
        let count = |kind| {
            let found = findings.iter().filter(|finding| finding.kind == kind).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let (missing_on_node, left_on_node, differs) = (
            count(FindingKind::MissingOnNode),
            count(FindingKind::LeftOnNode),
            count(FindingKind::Differs),
        );
        findings.truncate(FINDINGS_MAX);
        Self { agreed, missing_on_node, left_on_node, differs, findings }
    }

    /// Whether nothing was found.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.missing_on_node == 0 && self.left_on_node == 0 && self.differs == 0
    }
}

impl Node {
    /// An offline node that answers is resyncing; only its inventory brings it online.
    pub(crate) fn observe_link(&self, link: Link, at: Timestamp) -> Vec<NodeEvent> {
        let link = match (self.link, link) {
            (Link::Offline | Link::Resyncing, Link::Online) => Link::Resyncing,
            (Link::Resyncing | Link::Offline, Link::Suspect) => Link::Offline,
            (_, seen) => seen,
        };
        if link == self.link { vec![] } else { vec![NodeEvent::LinkChanged { link, at }] }
    }

    pub(crate) fn record_inventory(
        &self,
        comparison: Comparison,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        if self.lifecycle != NodeLifecycle::Ready {
            return Err(NodeError::WrongLifecycle(self.lifecycle));
        }
        let mut events = vec![NodeEvent::InventoryCompared { comparison, at }];
        if self.link == Link::Resyncing {
            events.push(NodeEvent::LinkChanged { link: Link::Online, at });
        }
        Ok(events)
    }
}
