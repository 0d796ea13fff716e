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
use serde::Deserialize;

use super::allocations_change::{AllocationRow, apply, requested_row};
pub use super::allocations_query::{Allocation, Burns, Filter, burn, burn_by_project, get, list};
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::add;

/// Name of this projection.
pub const NAME: &str = "compute/allocations";

/// The projection.
pub struct Allocations;

const CHARGES: [&str; 3] =
    ["wallet.usage_captured", "wallet.overrun_recorded", "wallet.usage_corrected"];

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
        #[derive(Deserialize)]
        struct Charge {
            hold_id: HoldId,
        }
        let charges = CHARGES.contains(&event.event_type.as_str());
        match charges.then(|| event.payload.read::<Charge>()) {
            Some(Ok(Charge { hold_id })) => format!("allocation/{}", allocation_of(hold_id)),
            Some(Err(_)) | None => format!("{}/{}", event.aggregate_type, event.aggregate_id),
        }
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        match event.aggregate_type.as_str() {
            "wallet" => charge(changes, &*event.decoded()?),
            "node" => keep_address(changes, &event.aggregate_id, event.decode()?),
            _ => {
                let happened = event.decoded()?;
                if let AllocationEvent::Requested { .. } = *happened {
                    changes.insert(requested_row(&happened, event.position)?);
                } else {
                    let key = (event.aggregate_id.clone(),);
                    changes.change(key, move |row: &mut AllocationRow| apply(row, &happened));
                }
            }
        }
        Ok(())
    }
}

row! {
    /// Where a node is.
    pub(crate) struct AddressRow in "compute_addresses" by (node_id: String) {
        node_id: String,
        address: String,
        port: i32,
    }
}

/// A charge whose allocation is not known here changes nothing.
fn charge(changes: &mut Changes, event: &WalletEvent) {
    let (hold_id, total, seconds, owed, tax) = match event {
        WalletEvent::UsageCaptured { hold_id, total_nanos, seconds, tax, .. } => {
            (*hold_id, *total_nanos, *seconds, 0, tax)
        }
        WalletEvent::OverrunRecorded {
            hold_id, total_nanos, seconds, amount_nanos, tax, ..
        } => (*hold_id, *total_nanos, *seconds, *amount_nanos, tax),
        WalletEvent::UsageCorrected { hold_id, total_nanos, seconds, owed_nanos, tax, .. } => {
            (*hold_id, *total_nanos, *seconds, -owed_nanos, tax)
        }
        _ => return,
    };
    let tax_nanos = tax.as_ref().map_or(0, |part| part.tax_nanos);
    changes.change_any((allocation_of(hold_id),), move |row: &mut AllocationRow| {
        (row.charged_nanos, row.charged_seconds) = (total, seconds);
        add(&mut row.tax_nanos, tax_nanos)?;
        add(&mut row.owed_nanos, owed)
    });
}

fn keep_address(changes: &mut Changes, node_id: &str, event: NodeEvent) {
    let NodeEvent::Enrolled { address, port, .. } = event else { return };
    let row = AddressRow { node_id: node_id.to_owned(), address, port: i32::from(port) };
    changes.put((node_id.to_owned(),), move |_| Ok(row));
}
