//! Capacity for a change of size. Inspect: is it still wanted? Act and verify: the node's own decision.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, Resize, Size};
use cairn_core::money::format_nanos;
use cairn_core::{AllocationId, Nanos};
use cairn_fleet::{Node, NodeCommand};
use cairn_ledger::{Hold, Wallet, wallet_id};

use crate::ports::{FailureKind, PortError};
use crate::processes::fact::hold_of;

use super::Act;
use super::reserve_capacity::tolerate_settled;

/// Has the node set aside what both sizes need, and the rental stopped. When there is not enough, it goes on as it is.
pub(super) async fn reserve_resize(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let Some(Resize::Requested(size)) = &allocation.resize else { return Ok(()) };
    let Some(placement) = allocation.placement else { return Ok(()) };
    if allocation.status == AllocationStatus::Resuming {
        let why = "it is being resumed: what it goes on as is settled after that";
        return Err(PortError::transient("resuming", why));
    }
    if let Some(why) = wanting(act, &allocation, size).await? {
        return fail_resize(act, allocation_id, why).await;
    }
    let resources = allocation.resources.max(size.resources);
    let reserve = NodeCommand::Resize { allocation_id, resources, at: act.now() };
    match act.execute::<Node>("reserve", &placement.node_id.to_string(), reserve).await {
        Ok(_) => {}
        Err(PortError { kind: FailureKind::Refused, code, message, .. }) => {
            return fail_resize(act, allocation_id, (code, message)).await;
        }
        Err(failure) => return Err(failure),
    }
    // Each attempt has its own id: that one of them came while it was being resumed is not the answer to the next.
    let suffix = format!("start:{}", act.attempt);
    let start = AllocationCommand::StartResize { at: act.now() };
    match act.allocation(&suffix, allocation_id, start).await {
        Err(refused) if refused.code == "allocation_in_wrong_state" => {
            let now = act.load::<Allocation>(&allocation_id.to_string()).await?;
            let later = now.status == AllocationStatus::Resuming;
            if later { Err(PortError::transient("resuming", refused.message)) } else { Ok(()) }
        }
        other => other,
    }
}

/// Code and message when its wallet does not cover as long in that size as it must cover a new rental: it would be stopped and not go on.
async fn wanting(
    act: &Act<'_>,
    allocation: &Allocation,
    size: &Size,
) -> Result<Option<(String, String)>, PortError> {
    let Some((organisation_id, allocation_id)) =
        allocation.organisation_id.zip(allocation.allocation_id)
    else {
        return Ok(None);
    };
    let wallet = act.load::<Wallet>(&wallet_id(organisation_id, size.price.currency)).await?;
    let (at, seconds) = (act.now(), act.settings.runway_seconds);
    let keep_nanos = size.price.tariff().ahead(0, seconds).unwrap_or(Nanos::MAX);
    let held = wallet.holds.get(&hold_of(allocation_id).to_string());
    let wanted_nanos = (keep_nanos - held.map_or(0, Hold::remaining_nanos)).max(0);
    let lacks = |code: &str, there: Nanos| {
        let (wanted, there) = (format_nanos(wanted_nanos), format_nanos(there));
        let message = format!("{seconds} s in that size want {wanted} more, and there is {there}");
        Some((code.to_owned(), message))
    };
    let available_nanos = wallet.available_at(at);
    let in_project = allocation.project_id.and_then(|project_id| wallet.room_in(project_id, at));
    Ok(match wallet.room_at(at).into_iter().chain(in_project).min() {
        _ if wanted_nanos > available_nanos => lacks("insufficient_funds", available_nanos),
        Some(room_nanos) if wanted_nanos > room_nanos => {
            lacks("spending_limit_reached", room_nanos)
        }
        _ => None,
    })
}

/// It stays what it is.
pub(super) async fn fail_resize(
    act: &Act<'_>,
    allocation_id: AllocationId,
    (code, message): (String, String),
) -> Result<(), PortError> {
    let fail = AllocationCommand::FailResize { code, message, at: act.now() };
    tolerate_settled(act.allocation("fail", allocation_id, fail).await)
}

/// Has the node set aside what the rental has, whichever size that is now.
pub(super) async fn settle_resize(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let settling = allocation.resize == Some(Resize::Settling);
    let Some(placement) = allocation.placement.filter(|_| settling) else { return Ok(()) };
    let (resources, at) = (allocation.resources, act.now());
    let settle = NodeCommand::Resize { allocation_id, resources, at };
    match act.node("settle", placement.node_id, settle).await {
        // It is released meanwhile.
        Err(refused) if refused.code == "unknown_reservation" => return Ok(()),
        other => other?,
    }
    let settle = AllocationCommand::SettleResize { at: act.now() };
    act.allocation("settled", allocation_id, settle).await
}
