//! Charging usage: ticks while an allocation is active, the rest when it is released. Totals are cumulative, so a repeat charges nothing.
use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, PinnedPrice};
use cairn_core::{AllocationId, Timestamp};
use cairn_ledger::{CaptureHold, Wallet, WalletCommand, wallet_id};

use crate::ports::PortError;
use crate::processes::fact::hold_of;
use crate::processes::intent::Tick;

use super::Act;

/// Income account of rentals.
const PRODUCT: &str = "compute";

pub(super) async fn capture_usage(act: &Act<'_>, tick: &Tick) -> Result<(), PortError> {
    let rental = Rental::load(act, tick.allocation_id).await?;
    if rental.allocation.status != AllocationStatus::Active {
        return Ok(());
    }
    let mut capture = rental.charge(act, tick.through)?;
    capture.keep_nanos = tick.keep_nanos;
    capture.expires_at = tick.expires_at;
    let capture = WalletCommand::CaptureHold(capture);
    match act.execute::<Wallet>("capture", &rental.wallet_id, capture).await {
        Err(refused) if refused.code == "hold_closed" => Ok(()),
        other => other.map(drop),
    }
}

pub(super) async fn settle_usage(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let capture = WalletCommand::CaptureHold(rental.charge(act, act.now())?);
    act.execute::<Wallet>("capture", &rental.wallet_id, capture).await?;
    forgive(act, allocation_id).await
}

/// Gives back what is left of the hold, charged or not.
pub(super) async fn forgive(act: &Act<'_>, allocation_id: AllocationId) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let release = WalletCommand::ReleaseHold { hold_id: hold_of(allocation_id) };
    act.execute::<Wallet>("release", &rental.wallet_id, release).await.map(drop)
}

pub(super) async fn confirm_released(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let wallet = act.load::<Wallet>(&rental.wallet_id).await?;
    let hold = wallet.holds.get(&hold_of(allocation_id).to_string());
    let charged_nanos = hold.map_or(0, |hold| hold.captured_nanos + hold.overrun_nanos);
    let confirm = AllocationCommand::ConfirmReleased { charged_nanos, at: act.now() };
    act.allocation("confirm", allocation_id, confirm).await
}

/// An allocation and what pays for it.
struct Rental {
    allocation_id: AllocationId,
    allocation: Allocation,
    price: PinnedPrice,
    wallet_id: String,
}

impl Rental {
    async fn load(act: &Act<'_>, allocation_id: AllocationId) -> Result<Self, PortError> {
        let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
        let unknown = || PortError::permanent("unknown_allocation", "there is no such allocation");
        let price = allocation.price.ok_or_else(unknown)?;
        let organisation_id = allocation.organisation_id.ok_or_else(unknown)?;
        let wallet_id = wallet_id(organisation_id, price.currency);
        Ok(Self { allocation_id, allocation, price, wallet_id })
    }

    /// Everything that it has cost by an instant.
    fn charge(&self, act: &Act<'_>, through: Timestamp) -> Result<CaptureHold, PortError> {
        let seconds = self.allocation.billable_seconds(through);
        let total = self.price.rate().total(seconds);
        let too_large = |error: cairn_core::MoneyError| {
            PortError::permanent("amount_too_large", error.to_string())
        };
        let at = act.now();
        Ok(CaptureHold {
            hold_id: hold_of(self.allocation_id),
            total_nanos: total.map_err(too_large)?,
            seconds,
            product: PRODUCT.to_owned(),
            keep_nanos: 0,
            expires_at: at,
            at,
        })
    }
}
