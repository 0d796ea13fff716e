//! Charging usage: ticks while an allocation is active, the rest when it is released. First the allocation's meter moves on by what its node
//! proves, then the wallet is charged what is metered. Totals are cumulative, so a repeat charges nothing.
use std::collections::BTreeSet;

use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, Due};
use cairn_core::{AllocationId, Nanos, Timestamp};
use cairn_fleet::{Node, Proven};
use cairn_ledger::{CaptureHold, HoldStatus, Wallet, WalletCommand, wallet_id};

use crate::compute::invoiced::{self, PRODUCT};
use crate::ports::PortError;
use crate::processes::fact::hold_of;
use crate::processes::intent::{Outage, Tick};

use super::Act;
use super::act::failure;

pub(super) async fn capture_usage(act: &Act<'_>, tick: &Tick) -> Result<(), PortError> {
    let mut rental = Rental::load(act, tick.allocation_id).await?;
    if rental.allocation.status != AllocationStatus::Active {
        return Ok(());
    }
    let late = act.settings.late_usage;
    rental.meter(act, |node, since| node.proven(since, tick.through, late)).await?;
    rental.charge_before(act).await?;
    let mut capture = rental.charge(act)?;
    capture.keep_nanos = rental.keep_nanos(tick);
    capture.expires_at = tick.expires_at;
    let capture = WalletCommand::CaptureHold(capture);
    match act.execute::<Wallet>("capture", &rental.wallet_id, capture).await {
        Err(refused) if refused.code == "hold_closed" => Ok(()),
        other => other.map(drop),
    }
}

/// Charges up to where the meter of a suspended rental stands still. What is left of its hold stays set aside for it.
pub(super) async fn charge_until_suspended(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let mut rental = Rental::load(act, allocation_id).await?;
    let Some(through) = rental.allocation.stopped_at else { return Ok(()) };
    rental.meter_rest(act, through).await?;
    rental.charge_before(act).await?;
    let capture = WalletCommand::CaptureHold(rental.charge(act)?);
    act.execute::<Wallet>("capture", &rental.wallet_id, capture).await.map(drop)
}

/// Fills the hold of a suspended rental up, so that it can go on.
pub(super) async fn fill_hold(
    act: &Act<'_>,
    allocation_id: AllocationId,
    (keep_nanos, expires_at): (Nanos, Timestamp),
) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    rental.charge_before(act).await?;
    let capture = CaptureHold { keep_nanos, expires_at, ..rental.charge(act)? };
    let (suffix, capture) = (format!("fill:{allocation_id}"), WalletCommand::CaptureHold(capture));
    act.execute::<Wallet>(&suffix, &rental.wallet_id, capture).await.map(drop)
}

pub(super) async fn settle_usage(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let mut rental = Rental::load(act, allocation_id).await?;
    let Some(through) = rental.allocation.released_at else {
        return Err(PortError::permanent("not_released", "its release was never asked for"));
    };
    rental.meter_rest(act, through).await?;
    rental.charge_before(act).await?;
    let capture = WalletCommand::CaptureHold(rental.charge(act)?);
    act.execute::<Wallet>("capture", &rental.wallet_id, capture).await?;
    forgive(act, allocation_id).await
}

/// Charges what was proven late to the rentals that were settled before that. What still stands is charged when its meter passes the outage.
pub(super) async fn charge_late(act: &Act<'_>, outage: &Outage) -> Result<(), PortError> {
    for allocation_id in concerned(act, outage).await? {
        charge_late_to(act, allocation_id, outage).await?;
    }
    Ok(())
}

/// Rentals that were on the node in an outage, or may have been.
pub(super) async fn concerned(
    act: &Act<'_>,
    outage: &Outage,
) -> Result<BTreeSet<AllocationId>, PortError> {
    let node = act.load::<Node>(&outage.node_id.to_string()).await?;
    let there = node.reservations.keys().filter_map(|id| id.parse().ok());
    Ok(there.chain(outage.rentals.iter().copied()).collect())
}

async fn charge_late_to(
    act: &Act<'_>,
    allocation_id: AllocationId,
    outage: &Outage,
) -> Result<(), PortError> {
    let &Outage { since, until, paused_seconds, .. } = outage;
    let before = act.load::<Allocation>(&allocation_id.to_string()).await?;
    let Some(released_at) = before.released_at else { return Ok(()) };
    if before.late_seconds_of((since, until), paused_seconds) > 0 {
        let prove = AllocationCommand::ProveLate { since, until, paused_seconds, at: act.now() };
        act.allocation(&format!("prove:{allocation_id}"), allocation_id, prove).await?;
    } else if before.late_seconds == 0 {
        return Ok(());
    }
    let rental = Rental::load(act, allocation_id).await?;
    let (capture, used_at) = (rental.charge(act)?, released_at.min(until));
    let capture = WalletCommand::CaptureLate { capture, used_at };
    let suffix = format!("capture:{allocation_id}");
    act.execute::<Wallet>(&suffix, &rental.wallet_id, capture).await.map(drop)
}

/// Gives back what was charged beyond what is metered, also of a rental that is over: month by month and invoice by invoice, the last first. Of a
/// month that was closed meanwhile it waits for the invoices.
pub(super) async fn correct_charge(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let parts = invoiced::parts(act.executor, &rental.allocation).await.map_err(failure)?;
    for part in parts.map_err(|(code, why)| PortError::transient(code, why))? {
        let correct = part.command(hold_of(allocation_id), act.now());
        let suffix = format!("correct:{}", part.total_nanos);
        act.execute::<Wallet>(&suffix, &rental.wallet_id, correct).await?;
    }
    Ok(())
}

/// Gives back what is left of the hold, charged or not.
pub(super) async fn forgive(act: &Act<'_>, allocation_id: AllocationId) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let release = WalletCommand::ReleaseHold { hold_id: hold_of(allocation_id), at: act.now() };
    act.execute::<Wallet>("release", &rental.wallet_id, release).await.map(drop)
}

pub(super) async fn confirm_released(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let rental = Rental::load(act, allocation_id).await?;
    let wallet = act.load::<Wallet>(&rental.wallet_id).await?;
    let hold = wallet.holds.get(&hold_of(allocation_id).to_string());
    let charged_nanos = hold.map_or(0, cairn_ledger::Hold::charged_nanos);
    let confirm = AllocationCommand::ConfirmReleased { charged_nanos, at: act.now() };
    act.allocation("confirm", allocation_id, confirm).await
}

/// An allocation and what pays for it.
struct Rental {
    allocation_id: AllocationId,
    allocation: Allocation,
    wallet_id: String,
}

impl Rental {
    async fn load(act: &Act<'_>, allocation_id: AllocationId) -> Result<Self, PortError> {
        let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
        let unknown = || PortError::permanent("unknown_allocation", "there is no such allocation");
        let price = allocation.price.ok_or_else(unknown)?;
        let organisation_id = allocation.organisation_id.ok_or_else(unknown)?;
        let wallet_id = wallet_id(organisation_id, price.currency);
        Ok(Self { allocation_id, allocation, wallet_id })
    }

    /// Moves the meter on by what the node proves since it was read last.
    async fn meter(
        &mut self,
        act: &Act<'_>,
        proves: impl FnOnce(&Node, Timestamp) -> Proven + Send,
    ) -> Result<(), PortError> {
        let Allocation { activated_at, metered_at, placement, .. } = self.allocation;
        let Some((since, placement)) = metered_at.or(activated_at).zip(placement) else {
            return Ok(());
        };
        let proven = proves(&act.load::<Node>(&placement.node_id.to_string()).await?, since);
        let meter = AllocationCommand::Meter {
            through: proven.through,
            unproven_seconds: self.allocation.unproven_seconds + proven.unproven_seconds,
            late_seconds: self.allocation.late_seconds + proven.late_seconds,
            at: act.now(),
        };
        act.allocation("meter", self.allocation_id, meter).await?;
        self.allocation = act.load::<Allocation>(&self.allocation_id.to_string()).await?;
        Ok(())
    }

    /// Moves the meter on to its end: what the node has not proven until then, it never will.
    async fn meter_rest(&mut self, act: &Act<'_>, through: Timestamp) -> Result<(), PortError> {
        let late = act.settings.late_usage;
        self.meter(act, |node, since| node.proven_by_end(since, through, late)).await
    }

    /// What was metered at prices before this one and is not charged yet: each at its own tax.
    async fn charge_before(&self, act: &Act<'_>) -> Result<(), PortError> {
        let mut dues = self.dues()?;
        dues.pop();
        if dues.is_empty() {
            return Ok(());
        }
        let wallet = act.load::<Wallet>(&self.wallet_id).await?;
        let hold = wallet.holds.get(&hold_of(self.allocation_id).to_string());
        let open = hold.filter(|hold| hold.status != HoldStatus::Released);
        let Some(hold) = open else { return Ok(()) };
        let charged_nanos = hold.charged_nanos();
        for due in dues.into_iter().filter(|due| due.total_nanos > charged_nanos) {
            let suffix = format!("capture:{}", due.seconds);
            let capture = WalletCommand::CaptureHold(self.capture(act, due));
            act.execute::<Wallet>(&suffix, &self.wallet_id, capture).await?;
        }
        Ok(())
    }

    /// Everything that it has cost by what is metered.
    fn charge(&self, act: &Act<'_>) -> Result<CaptureHold, PortError> {
        let none = || PortError::permanent("unknown_allocation", "there is no such allocation");
        Ok(self.capture(act, self.dues()?.pop().ok_or_else(none)?))
    }

    fn dues(&self) -> Result<Vec<Due>, PortError> {
        let too_large = |error: cairn_core::MoneyError| {
            PortError::permanent("amount_too_large", error.to_string())
        };
        self.allocation.dues().map_err(too_large)
    }

    /// What the hold shall cover from here on.
    fn keep_nanos(&self, tick: &Tick) -> Nanos {
        let ahead = tick.ahead_seconds.map(|seconds| self.allocation.ahead_nanos(seconds));
        ahead.and_then(|nanos| nanos.ok().flatten()).unwrap_or(tick.keep_nanos)
    }

    fn capture(&self, act: &Act<'_>, due: Due) -> CaptureHold {
        let at = act.now();
        CaptureHold {
            hold_id: hold_of(self.allocation_id),
            total_nanos: due.total_nanos,
            seconds: due.seconds,
            product: PRODUCT.to_owned(),
            tax: due.tax,
            keep_nanos: 0,
            expires_at: at,
            at,
        }
    }
}
