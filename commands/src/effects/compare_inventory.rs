//! Holding what a node has against what the log says. Looking changes nothing; what was found is recorded.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use cairn_compute::Allocation;
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::{Comparison, Link, Node, NodeCommand, NodeLifecycle};

use crate::Executor;
use crate::ports::{NodePort, NodeTarget, PortError};
use crate::processes::drift::{self, Known};

use super::Act;
use super::act::{failure, target_of};

/// A node that has become silent or untrusted meanwhile is not compared: it is again when it comes back.
pub(super) async fn compare_inventory(act: &Act<'_>, node_id: NodeId) -> Result<(), PortError> {
    let node = act.load::<Node>(&node_id.to_string()).await?;
    let answers = matches!(node.link, Link::Online | Link::Resyncing);
    if node.lifecycle != NodeLifecycle::Ready || !answers {
        return Ok(());
    }
    let target = act.target(node_id).await?;
    let compared = compare(act.executor, act.effects.node.as_ref(), &target);
    let comparison = match Box::pin(act.call(compared)).await {
        Ok(comparison) => comparison,
        Err(failure) => {
            act.distrust(node_id, &failure).await?;
            return Err(failure);
        }
    };
    let record = NodeCommand::RecordInventory { comparison, at: act.now() };
    match act.node("compared", node_id, record).await {
        Err(refused) if refused.code == "node_in_wrong_state" => Ok(()),
        other => other,
    }
}

/// Looks where a node and the log differ, and records nothing. `None` when there is no such node.
///
/// # Errors
/// When the node is not trusted, or it or the log does not answer.
pub async fn drift(
    executor: &Executor,
    port: &dyn NodePort,
    node_id: NodeId,
) -> Result<Option<Comparison>, PortError> {
    let (node, _) = executor.load::<Node>(&node_id.to_string()).await.map_err(failure)?;
    if node.node_id.is_none() {
        return Ok(None);
    }
    compare(executor, port, &target_of(node_id, node)?).await.map(Some)
}

/// Asks a node what it has and compares. The log is read before and after: what moved meanwhile is not a difference.
async fn compare(
    executor: &Executor,
    port: &dyn NodePort,
    target: &NodeTarget,
) -> Result<Comparison, PortError> {
    let node_id = target.node_id;
    let before = placed(executor, node_id).await?;
    let inventory = port.inventory(target).await?;
    let mut after = placed(executor, node_id).await?;
    for held in &inventory.allocations {
        if let Entry::Vacant(unplaced) = after.entry(held.allocation_id) {
            unplaced.insert(load(executor, held.allocation_id).await?);
        }
    }
    let moved = |id: &AllocationId, now: &Allocation| {
        before.get(id).is_some_and(|then| then.status != now.status)
    };
    let known = after.into_iter().map(|(id, allocation)| {
        let moved = moved(&id, &allocation);
        (id, Known { allocation, moved })
    });
    Ok(drift::compare(node_id, &known.collect(), &inventory))
}

/// What has capacity set aside on a node.
async fn placed(
    executor: &Executor,
    node_id: NodeId,
) -> Result<BTreeMap<AllocationId, Allocation>, PortError> {
    let (node, _) = executor.load::<Node>(&node_id.to_string()).await.map_err(failure)?;
    let mut placed = BTreeMap::new();
    for id in node.reservations.keys().filter_map(|id| id.parse().ok()) {
        placed.insert(id, load(executor, id).await?);
    }
    Ok(placed)
}

async fn load(executor: &Executor, id: AllocationId) -> Result<Allocation, PortError> {
    let (mut allocation, _) =
        executor.load::<Allocation>(&id.to_string()).await.map_err(failure)?;
    let opened = executor.personal().open(&allocation.ssh_public_key).await?;
    allocation.ssh_public_key = opened.unwrap_or_default();
    Ok(allocation)
}
