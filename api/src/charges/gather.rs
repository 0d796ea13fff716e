//! Reading what a charge comes from out of the log.
use cairn_compute::Allocation;
use cairn_core::{AllocationId, Decider, HoldId};
use cairn_event_log::{EventLog, LogError, Recorded};
use cairn_ledger::{Wallet, WalletEvent};
use cairn_projections::QueryError;
use cairn_projections::ledger::statement;
use cairn_sealer::SealError;

use super::proof::{ChargeError, ChargeProof, FORMAT, claim, needed};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// There is no event at that position, or it is no charge.
    #[error("there is no charge at position {0}")]
    NoCharge(i64),
    /// An event that it comes from is not in a sealed block yet.
    #[error("event {0} is not sealed yet; the log is sealed once a minute at least")]
    NotSealed(i64),
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The seals do not answer, or cannot be read.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The view of statements does not answer.
    #[error(transparent)]
    View(#[from] QueryError),
    /// The events do not make the charge: our books are wrong.
    #[error(transparent)]
    Wrong(#[from] ChargeError),
}

/// The wallet that a charge is taken from, as its stream is called: `<organisation>:<currency>`.
///
/// # Errors
/// [`GatherError::NoCharge`], or the log does not answer.
pub async fn wallet_of(log: &EventLog, position: i64) -> Result<String, GatherError> {
    let (this, _) = charge_at(log, position).await?;
    Ok(this.aggregate_id)
}

/// The proof of the charge at a position. The view of statements says which charge came before it.
///
/// # Errors
/// [`GatherError`].
pub async fn gather(log: &EventLog, position: i64) -> Result<ChargeProof, GatherError> {
    let (this, hold_id) = charge_at(log, position).await?;
    let allocation_id = AllocationId::from_bits(hold_id.bits());
    let mut positions = of_one_tick(log, &this).await?;
    let first = positions.iter().copied().min().unwrap_or(position);
    let before = statement::charge_before(log.pool(), (&this.aggregate_id, allocation_id), first);
    positions.extend(before.await?);
    let rental = log.load(Allocation::TYPE, &allocation_id.to_string(), 0).await?;
    let rental: Vec<_> = rental.into_iter().filter(|event| event.position < position).collect();
    let facts: Result<Vec<_>, _> = rental.iter().map(Recorded::decode).collect();
    positions.extend(needed(&facts?).into_iter().map(|at| rental[at].position));
    positions.sort_unstable();
    let mut events = vec![];
    for position in positions {
        let proof = cairn_sealer::prove(log, position).await?;
        events.push(proof.ok_or(GatherError::NotSealed(position))?);
    }
    let sealed: Vec<_> = events.iter().map(|proof| &proof.event).collect();
    let charge = claim(position, &sealed)?;
    Ok(ChargeProof { format: FORMAT.to_owned(), charge, events })
}

fn hold_of(event: &Recorded) -> Result<Option<HoldId>, LogError> {
    if event.aggregate_type != Wallet::TYPE {
        return Ok(None);
    }
    Ok(match event.decode()? {
        WalletEvent::UsageCaptured { hold_id, .. }
        | WalletEvent::OverrunRecorded { hold_id, .. }
        | WalletEvent::UsageCorrected { hold_id, .. } => Some(hold_id),
        _ => None,
    })
}

async fn charge_at(log: &EventLog, position: i64) -> Result<(Recorded, HoldId), GatherError> {
    let none = || GatherError::NoCharge(position);
    let before = position.checked_sub(1).filter(|before| *before >= 0).ok_or_else(none)?;
    let found = log.read(before, 1).await?.pop().filter(|found| found.position == position);
    let found = found.ok_or_else(none)?;
    let hold_id = hold_of(&found)?.ok_or_else(none)?;
    Ok((found, hold_id))
}

/// What one tick charges may be paid in part and owed in part: two events of one command, side by side.
async fn of_one_tick(log: &EventLog, this: &Recorded) -> Result<Vec<i64>, GatherError> {
    let mut positions = vec![];
    for event in log.read((this.position - 2).max(0), 3).await? {
        let of_tick = event.metadata.command_id == this.metadata.command_id;
        if of_tick && hold_of(&event)?.is_some() {
            positions.push(event.position);
        }
    }
    Ok(positions)
}
