//! Setting money aside. Inspect and verify are the wallet's own: the same hold placed twice is one hold.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_ledger::{PlaceHold, Wallet, WalletCommand};

use crate::ports::{FailureKind, PortError};
use crate::processes::fact::hold_of;
use crate::processes::intent::Funding;

use super::Act;
use super::reserve_capacity::{still_requested, tolerate_settled};

pub(super) async fn hold_funds(act: &Act<'_>, funding: &Funding) -> Result<(), PortError> {
    let allocation_id = funding.allocation_id;
    if !still_requested(act, allocation_id).await? {
        return Ok(());
    }
    let rental = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let place = WalletCommand::PlaceHold(PlaceHold {
        hold_id: hold_of(allocation_id),
        purpose: allocation_id.to_string(),
        project_id: rental.project_id,
        amount_nanos: funding.amount_nanos,
        expires_at: funding.expires_at,
        at: act.now(),
    });
    match act.execute::<Wallet>("place", &funding.wallet_id, place).await {
        Ok(_) => Ok(()),
        Err(refused) if refused.kind == FailureKind::Refused => {
            let PortError { code, message, .. } = refused;
            let reject = AllocationCommand::Reject { code, message, at: act.now() };
            tolerate_settled(act.allocation("reject", allocation_id, reject).await)
        }
        Err(failure) => Err(failure),
    }
}
