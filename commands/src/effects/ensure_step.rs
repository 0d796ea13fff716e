//! One step of provisioning. Inspect: is it still wanted? Act and verify: the node does both and answers what it observed.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, Step};
use cairn_core::{AllocationId, NodeId};

use crate::ports::{FailureKind, IntentKey, PortError};
use crate::privacy::SUBJECT_ERASED;

use super::Act;
use super::reserve_capacity::tolerate_settled;

pub(super) async fn ensure_step(
    act: &Act<'_>,
    allocation_id: AllocationId,
    node_id: NodeId,
    step: Step,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let wanted = allocation.status == AllocationStatus::Provisioning;
    if !wanted || allocation.steps.contains(&step) {
        return Ok(());
    }
    let (target, tenant) = act.target_and_tenant(node_id, allocation_id, &allocation).await?;
    if tenant.ssh_public_key.is_empty() {
        let why = "the key that opens the login was erased with its owner's data";
        return fail(act, allocation_id, step, PortError::refused(SUBJECT_ERASED, why)).await;
    }
    let key = IntentKey { id: act.stem.clone(), generation: allocation.generation() };
    match act.call(act.effects.node.ensure(&target, &tenant, step, &key)).await {
        Ok(report) => {
            let observed = report.observed;
            let complete = AllocationCommand::CompleteStep { step, observed, at: act.now() };
            tolerate_settled(act.allocation("complete", allocation_id, complete).await)
        }
        Err(failure) if failure.kind == FailureKind::Transient => Err(failure),
        Err(failure) => {
            act.distrust(node_id, &failure).await?;
            fail(act, allocation_id, step, failure).await
        }
    }
}

/// It will never work: what is done so far is undone.
async fn fail(
    act: &Act<'_>,
    allocation_id: AllocationId,
    step: Step,
    PortError { code, message, .. }: PortError,
) -> Result<(), PortError> {
    let fail = AllocationCommand::FailProvisioning { step, code, message, at: act.now() };
    tolerate_settled(act.allocation("fail", allocation_id, fail).await)
}

pub(super) async fn assume_done(
    act: &Act<'_>,
    allocation_id: AllocationId,
    step: Step,
    reason: &str,
) -> Result<(), PortError> {
    let observed = format!("an operator vouches: {reason}");
    let complete = AllocationCommand::CompleteStep { step, observed, at: act.now() };
    tolerate_settled(act.allocation("complete", allocation_id, complete).await)
}
