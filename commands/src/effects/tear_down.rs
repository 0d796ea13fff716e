//! Taking an allocation off its node. Never fails for good: it is tried until nothing is left, or until its deadline calls an operator.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::NodeCommand;

use crate::ports::{FailureKind, IntentKey, PortError};
use crate::processes::intent::Ending;

use super::Act;

pub(super) async fn tear_down(
    act: &Act<'_>,
    allocation_id: AllocationId,
    node_id: NodeId,
    after: Ending,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let evidence = if allocation.placement.is_some() {
        let (target, tenant) = act.target_and_tenant(node_id, allocation_id, &allocation).await?;
        // Each attempt has its own key: what was left the last time is not the answer to this time's question.
        let id = format!("{}:{}", act.stem, act.attempt);
        // Newer than every wish to have the allocation: the node refuses a step that comes after it.
        let key = IntentKey { id, generation: allocation.generation() + 1 };
        match act.call(act.effects.node.teardown(&target, &tenant, &key)).await {
            Ok(report) if report.left.is_empty() => report.evidence,
            Ok(report) => {
                return Err(PortError::transient("left_on_node", report.left.join(", ")));
            }
            Err(failure) => {
                act.distrust(node_id, &failure).await?;
                return Err(PortError { kind: FailureKind::Transient, ..failure });
            }
        }
    } else {
        "it never was on a node".to_owned()
    };
    conclude(act, allocation_id, node_id, (after, evidence)).await
}

/// Nothing is left: records it.
pub(super) async fn conclude(
    act: &Act<'_>,
    allocation_id: AllocationId,
    node_id: NodeId,
    (after, evidence): (Ending, String),
) -> Result<(), PortError> {
    let at = act.now();
    match after {
        Ending::Orphan => {
            let removed = NodeCommand::RecordOrphanRemoved { allocation_id, evidence, at };
            act.node("removed", node_id, removed).await
        }
        Ending::Failure => {
            let release = NodeCommand::Release { allocation_id, at };
            act.node("release", node_id, release).await
        }
        Ending::Release => {
            let verify = AllocationCommand::VerifyTeardown { evidence, at };
            act.allocation("verify", allocation_id, verify).await
        }
    }
}
