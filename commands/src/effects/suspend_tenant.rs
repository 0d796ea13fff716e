//! One turn of a suspension. Inspect: is it still wanted? Act and verify: the node does both and answers what it observed.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, Step};
use cairn_core::AllocationId;

use crate::ports::{FailureKind, IntentKey, PortError};
use crate::privacy::SUBJECT_ERASED;

use super::Act;
use super::charge_usage::charge_until_suspended;
use super::reserve_capacity::tolerate_settled;
use super::resize::fail_resize;

/// What a node does to resume what has another size. The disk comes first: only it can be wanting, and nothing is changed then.
const RESIZED: [Step; 4] = [Step::Home, Step::Limits, Step::Access, Step::Prove];

pub(super) async fn suspend_tenant(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let wanted = allocation.status == AllocationStatus::Suspending;
    let Some(placement) = allocation.placement.filter(|_| wanted) else { return Ok(()) };
    // The money does not wait for the node.
    charge_until_suspended(act, allocation_id).await?;
    let node_id = placement.node_id;
    let (target, tenant) = act.target_and_tenant(node_id, allocation_id, &allocation).await?;
    // Each attempt has its own key: what ran the last time is not the answer to this time's question.
    let id = format!("{}:{}", act.stem, act.attempt);
    let key = IntentKey { id, generation: allocation.generation() };
    match act.call(act.effects.node.suspend(&target, &tenant, &key)).await {
        Ok(report) => confirm_suspended(act, allocation_id, report.observed).await,
        Err(failure) => {
            act.distrust(node_id, &failure).await?;
            Err(PortError { kind: FailureKind::Transient, ..failure })
        }
    }
}

pub(super) async fn confirm_suspended(
    act: &Act<'_>,
    allocation_id: AllocationId,
    evidence: String,
) -> Result<(), PortError> {
    let confirm = AllocationCommand::ConfirmSuspended { evidence, at: act.now() };
    tolerate_settled(act.allocation("suspended", allocation_id, confirm).await)
}

/// Whose key was erased meanwhile stays suspended until the data is given up.
pub(super) async fn resume_tenant(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let wanted = allocation.status == AllocationStatus::Resuming;
    let Some(placement) = allocation.placement.filter(|_| wanted) else { return Ok(()) };
    let node_id = placement.node_id;
    let (target, tenant) = act.target_and_tenant(node_id, allocation_id, &allocation).await?;
    if tenant.ssh_public_key.is_empty() {
        let why = "the key that opens the login was erased with its owner's data";
        return Err(PortError::permanent(SUBJECT_ERASED, why));
    }
    // What is resumed in another size gets that first, while nothing runs.
    let resized = allocation.next_size().is_some();
    let steps: &[Step] = if resized { &RESIZED } else { &[Step::Access, Step::Prove] };
    let mut proof = String::new();
    for step in steps.iter().copied() {
        let id = format!("{}:{}:{}", act.stem, step.name(), act.attempt);
        let key = IntentKey { id, generation: allocation.generation() };
        match act.call(act.effects.node.ensure(&target, &tenant, step, &key)).await {
            Ok(report) => proof = report.observed,
            Err(failure) => {
                act.distrust(node_id, &failure).await?;
                if step == Step::Home && failure.kind == FailureKind::Permanent {
                    let why = (failure.code.clone(), failure.message.clone());
                    fail_resize(act, allocation_id, why).await?;
                }
                return Err(PortError { kind: FailureKind::Transient, ..failure });
            }
        }
    }
    let confirm = AllocationCommand::ConfirmResumed { proof, at: act.now() };
    tolerate_settled(act.allocation("resumed", allocation_id, confirm).await)
}
