//! How long does the money of a wallet last? Looks at everything that it pays for, resumes what it pays for again, has the ledger decide what
//! the rest means, and releases what was kept long enough.
use std::collections::BTreeMap;

use cairn_compute::{Allocation, AllocationCommand, AllocationStatus, ReleaseReason};
use cairn_core::{AllocationId, Burn, Nanos, ProjectId, Tariff, Timestamp};
use cairn_ledger::{Assessment, Dunning, DunningCommand, HoldStatus, Stage, Wallet, wallet_id};

use crate::ports::PortError;

use super::Act;
use super::charge_usage::fill_hold;
use super::reserve_capacity::tolerate_settled;

/// What a wallet pays for.
#[derive(Default)]
struct Rentals {
    burn: Burn,
    running: u32,
    refused: bool,
    /// The longest first.
    suspended: Vec<Suspended>,
}

/// A rental that waits to be paid for.
struct Suspended {
    since: Timestamp,
    allocation_id: AllocationId,
    tariff: Tariff,
    /// Metered at it.
    seconds: i64,
    /// What is still set aside for it.
    remaining_nanos: Nanos,
    project_id: Option<ProjectId>,
    /// The key that opens its login was erased with its owner's data: nobody can go on with it.
    erased: bool,
}

pub(super) async fn assess_funds_of(
    act: &Act<'_>,
    allocation_id: AllocationId,
) -> Result<(), PortError> {
    let allocation = act.load::<Allocation>(&allocation_id.to_string()).await?;
    match allocation.organisation_id.zip(allocation.price) {
        Some((organisation_id, price)) => {
            assess_funds(act, &wallet_id(organisation_id, price.currency)).await
        }
        None => Ok(()),
    }
}

pub(super) async fn assess_funds(act: &Act<'_>, wallet_id: &str) -> Result<(), PortError> {
    let wallet = act.load::<Wallet>(wallet_id).await?;
    let Some((organisation_id, currency)) = wallet.owner else { return Ok(()) };
    let mut rentals = rentals(act, &wallet).await?;
    let dunning = act.load::<Dunning>(wallet_id).await?;
    if dunning.stage != Stage::Released {
        resume(act, &wallet, &mut rentals).await?;
    }
    let at = act.now();
    let funds_nanos = wallet.funds_at(at);
    let assessment = Assessment {
        organisation_id,
        currency,
        funds_nanos,
        nanos_per_hour: rentals.burn.nanos_per_hour(),
        lasts_secs: lasts_secs(&rentals.burn, funds_nanos),
        running: rentals.running,
        suspended: u32::try_from(rentals.suspended.len()).unwrap_or(u32::MAX),
        refused: rentals.refused,
        suspended_secs: act.settings.suspended_seconds,
        retention_secs: act.settings.retention_seconds,
        at,
    };
    act.execute::<Dunning>("assess", wallet_id, DunningCommand::Assess(assessment)).await?;
    if act.load::<Dunning>(wallet_id).await?.stage == Stage::Released {
        for Suspended { allocation_id, .. } in rentals.suspended {
            let (reason, at) = (ReleaseReason::FundsExhausted, act.now());
            let release = AllocationCommand::RequestRelease { reason, at };
            let suffix = format!("release:{allocation_id}");
            tolerate_settled(act.allocation(&suffix, allocation_id, release).await)?;
        }
    }
    Ok(())
}

/// Said only where the price of an hour does not say it.
fn lasts_secs(burn: &Burn, funds_nanos: Nanos) -> Option<i64> {
    (!burn.is_flat()).then(|| burn.lasts(funds_nanos).unwrap_or(i64::MAX))
}

async fn rentals(act: &Act<'_>, wallet: &Wallet) -> Result<Rentals, PortError> {
    let mut rentals = Rentals::default();
    let open = wallet.holds.values().filter(|hold| hold.status != HoldStatus::Released);
    for hold in open {
        let Ok(allocation_id) = hold.purpose.parse::<AllocationId>() else { continue };
        let allocation = act.load::<Allocation>(&hold.purpose).await?;
        let Some((tariff, seconds)) = allocation.next_tariff() else { continue };
        match allocation.status {
            AllocationStatus::Active
            | AllocationStatus::Suspending
            | AllocationStatus::Resuming => {
                rentals.running += 1;
                rentals.burn.add(tariff, seconds);
                // What may not be used though it is there is no want of money.
                rentals.refused |= hold.refused_nanos.is_some_and(|(_, available)| available == 0);
            }
            AllocationStatus::Suspended => {
                let opened = act.executor.personal().open(&allocation.ssh_public_key).await?;
                rentals.suspended.push(Suspended {
                    since: allocation.stopped_at.unwrap_or_default(),
                    allocation_id,
                    tariff,
                    seconds,
                    remaining_nanos: hold.remaining_nanos(),
                    project_id: hold.project_id,
                    erased: opened.is_none(),
                });
            }
            AllocationStatus::Unknown
            | AllocationStatus::Requested
            | AllocationStatus::Reserved
            | AllocationStatus::Provisioning
            | AllocationStatus::Compensating
            | AllocationStatus::Releasing
            | AllocationStatus::Settling
            | AllocationStatus::Released
            | AllocationStatus::Failed
            | AllocationStatus::Rejected => {}
        }
    }
    rentals.suspended.sort_unstable_by_key(|waiting| (waiting.since, waiting.allocation_id));
    Ok(rentals)
}

/// The room below the limits while it is given away: the whole's, and that of each project.
struct Rooms<'a> {
    wallet: &'a Wallet,
    at: Timestamp,
    /// Under no project what was taken in all.
    taken: BTreeMap<Option<ProjectId>, Nanos>,
}

impl Rooms<'_> {
    /// Takes an amount if there is room for it, in the project and in the whole.
    fn take(&mut self, project_id: Option<ProjectId>, amount_nanos: Nanos) -> bool {
        let whole = Some((None, self.wallet.room_at(self.at)));
        let project = project_id.map(|id| (Some(id), self.wallet.room_in(id, self.at)));
        let both: Vec<_> = whole.into_iter().chain(project).collect();
        let is_short = |(whose, room): &(Option<ProjectId>, Option<Nanos>)| {
            let taken_nanos = self.taken.get(whose).copied().unwrap_or(0);
            room.is_some_and(|room_nanos| amount_nanos > room_nanos - taken_nanos)
        };
        if both.iter().any(is_short) {
            return false;
        }
        both.into_iter()
            .for_each(|(whose, _)| *self.taken.entry(whose).or_insert(0) += amount_nanos);
        true
    }
}

/// Resumes what can be paid for as long as a new rental must be, the longest suspended first. What only waits for room below a spending limit
/// is nobody's debtor: it stays as it is until there is room, with the next month at the latest.
async fn resume(act: &Act<'_>, wallet: &Wallet, rentals: &mut Rentals) -> Result<(), PortError> {
    let at = act.now();
    let mut available = wallet.available_at(at);
    let mut rooms = Rooms { wallet, at, taken: BTreeMap::new() };
    let mut waiting = vec![];
    for suspended in std::mem::take(&mut rentals.suspended) {
        let Suspended {
            allocation_id, tariff, seconds, remaining_nanos, project_id, erased, ..
        } = suspended;
        let ahead = tariff.ahead(seconds, act.settings.runway_seconds);
        let keep_nanos = ahead.unwrap_or(Nanos::MAX);
        let wanted_nanos = (keep_nanos - remaining_nanos).max(0);
        if erased || wanted_nanos > available {
            waiting.push(suspended);
            continue;
        }
        if !rooms.take(project_id, wanted_nanos) {
            continue;
        }
        available -= wanted_nanos;
        let expires_at = at.plus_secs(act.settings.runway_seconds + act.settings.undo_seconds);
        fill_hold(act, allocation_id, (keep_nanos, expires_at)).await?;
        let suffix = format!("resume:{allocation_id}");
        let resume = AllocationCommand::RequestResume { at };
        tolerate_settled(act.allocation(&suffix, allocation_id, resume).await)?;
        rentals.running += 1;
        rentals.burn.add(tariff, seconds);
    }
    rentals.suspended = waiting;
    Ok(())
}
