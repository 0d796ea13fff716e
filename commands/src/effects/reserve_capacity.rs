//! Reserving capacity. Inspect: has an earlier attempt got a node? Act: ask one candidate after the other. Verify: the node's own decision.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus};
use cairn_core::{AllocationId, NodeId, Resources};
use cairn_event_log::Outcome;
use cairn_fleet::{Node, NodeCommand};

use crate::ports::{FailureKind, PortError};

use super::Act;

/// Candidates that are asked before the allocation is rejected.
const CANDIDATES_MAX: usize = 20;

pub(super) async fn reserve_capacity(
    act: &Act<'_>,
    allocation_id: AllocationId,
    resources: Resources,
    wanted: Option<NodeId>,
) -> Result<(), PortError> {
    let earlier = earlier_answers(act).await?;
    if earlier.accepted || !still_requested(act, allocation_id).await? {
        return Ok(());
    }
    let candidates = match wanted {
        Some(node_id) => vec![node_id],
        None => act.call(act.effects.directory.candidates(resources)).await?,
    };
    let mut refusal = (
        "no_capacity".to_owned(),
        format!("no node has {} free and takes new allocations", describe(resources)),
    );
    for (tried, node_id) in candidates.into_iter().take(CANDIDATES_MAX).enumerate() {
        let at = act.now();
        let reserve = NodeCommand::Reserve { allocation_id, resources, at };
        let suffix = suffix(earlier.refused + tried);
        match act.execute::<Node>(&suffix, &node_id.to_string(), reserve).await {
            Ok(_) => return Ok(()),
            Err(refused) if refused.kind == FailureKind::Refused => {
                if wanted.is_some() {
                    refusal = (refused.code, refused.message);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    let (code, mut message) = refusal;
    if code == "no_capacity" {
        message.push_str(&what_would_fit(act, wanted).await?);
    }
    let reject = AllocationCommand::Reject { code, message, at: act.now() };
    tolerate_settled(act.allocation("reject", allocation_id, reject).await)
}

/// For people: the most that the node asked for, or else the emptiest one, has free.
async fn what_would_fit(act: &Act<'_>, wanted: Option<NodeId>) -> Result<String, PortError> {
    let anything = Resources::default();
    let emptiest = match wanted {
        Some(node_id) => Some(node_id),
        None => act.call(act.effects.directory.candidates(anything)).await?.into_iter().next(),
    };
    let Some(node_id) = emptiest else { return Ok("; nothing would fit now".to_owned()) };
    let free = act.load::<Node>(&node_id.to_string()).await?.free();
    Ok(format!("; up to {} would fit now", describe(free)))
}

/// Whether the allocation still waits for capacity and funds.
pub(super) async fn still_requested(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<bool, PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    Ok(allocation.status == AllocationStatus::Requested)
}

/// What nodes answered to attempts that were cut short.
struct Earlier {
    accepted: bool,
    refused: usize,
}

async fn earlier_answers(act: &Act<'_>) -> Result<Earlier, PortError> {
    let mut refused = 0;
    loop {
        let command_id = act.context(&suffix(refused)).command_id;
        let stored = act.executor.log().outcome(&command_id).await;
        match stored.map_err(|error| PortError::transient("unavailable", error.to_string()))? {
            None => return Ok(Earlier { accepted: false, refused }),
            Some((stored, _)) => match stored.outcome {
                Outcome::Accepted { .. } => return Ok(Earlier { accepted: true, refused }),
                Outcome::Refused { .. } => refused += 1,
            },
        }
    }
}

fn suffix(tried: usize) -> String {
    format!("reserve:{tried}")
}

fn describe(resources: Resources) -> String {
    format!(
        "{} m of CPU, {} MiB of memory and {} MiB of disk",
        resources.cpu_millis,
        resources.memory_bytes >> 20,
        resources.disk_bytes >> 20
    )
}

/// A wish that came too late because another fact has settled the matter is no failure.
pub(super) fn tolerate_settled(answer: Result<(), PortError>) -> Result<(), PortError> {
    match answer {
        Err(refused) if refused.code == "allocation_in_wrong_state" => Ok(()),
        other => other,
    }
}
