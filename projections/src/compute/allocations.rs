//! What is rented: asked by customers (is it ready, where do I log in, what did it cost) and by operators.
//!
//! One row of `compute_allocations` is one allocation as it stands. `compute_addresses` keeps where each node is, so that
//! this view answers alone. Charges arrive from the wallet's events, whose holds have the bits of their allocation.
use async_trait::async_trait;
use cairn_compute::AllocationEvent;
use cairn_core::{AllocationId, HoldId};
use cairn_event_log::Recorded;
use cairn_fleet::NodeEvent;
use cairn_ledger::WalletEvent;
use sqlx::PgConnection;

use super::allocations_change::{apply, request};
pub use super::allocations_query::{Allocation, Filter, get, list};
use crate::engine::{Interest, ProjectError, Projection};

/// Name of this projection.
pub const NAME: &str = "compute/allocations";

/// The projection.
pub struct Allocations;

const CHARGES: [&str; 2] = ["wallet.usage_captured", "wallet.overrun_recorded"];

fn allocation_of(hold_id: HoldId) -> String {
    AllocationId::from_bits(hold_id.bits()).to_string()
}

#[async_trait]
impl Projection for Allocations {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["compute_allocations", "compute_addresses"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[AllocationEvent::TYPES]).and(&CHARGES).and(&["node.enrolled"])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    /// A charge is about its allocation, so it waits when that allocation's events are parked.
    fn key(&self, event: &Recorded) -> String {
        let hold = event.payload.get("hold_id").and_then(|id| id.as_str()).map(str::parse);
        match hold {
            Some(Ok(hold_id)) if CHARGES.contains(&event.event_type.as_str()) => {
                format!("allocation/{}", allocation_of(hold_id))
            }
            _ => format!("{}/{}", event.aggregate_type, event.aggregate_id),
        }
    }

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        match event.aggregate_type.as_str() {
            "wallet" => charge(db, event.decode()?).await,
            "node" => keep_address(db, &event.aggregate_id, event.decode()?).await,
            _ => match event.decode()? {
                requested @ AllocationEvent::Requested { .. } => {
                    request(db, requested, event.position).await
                }
                other => apply(db, &event.aggregate_id, other).await,
            },
        }
    }
}

async fn charge(db: &mut PgConnection, event: WalletEvent) -> Result<(), ProjectError> {
    let (hold_id, total, seconds, owed) = match event {
        WalletEvent::UsageCaptured { hold_id, total_nanos, seconds, .. } => {
            (hold_id, total_nanos, seconds, 0)
        }
        WalletEvent::OverrunRecorded { hold_id, total_nanos, seconds, amount_nanos, .. } => {
            (hold_id, total_nanos, seconds, amount_nanos)
        }
        _ => return Ok(()),
    };
    sqlx::query!(
        "UPDATE compute_allocations SET charged_nanos = $2, charged_seconds = $3,
           owed_nanos = owed_nanos + $4 WHERE allocation_id = $1",
        allocation_of(hold_id),
        total,
        seconds,
        owed,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn keep_address(
    db: &mut PgConnection,
    node_id: &str,
    event: NodeEvent,
) -> Result<(), ProjectError> {
    let NodeEvent::Enrolled { address, port, .. } = event else { return Ok(()) };
    sqlx::query!(
        "INSERT INTO compute_addresses (node_id, address, port) VALUES ($1, $2, $3)
         ON CONFLICT (node_id) DO UPDATE SET address = excluded.address, port = excluded.port",
        node_id,
        address,
        i32::from(port),
    )
    .execute(db)
    .await?;
    Ok(())
}
