//! Capacity set aside on a node, and what each event changes in it.
use cairn_core::{Resources, Timestamp};

use crate::engine::Changes;
use crate::row;
use crate::row::{Amounts, At};

row! {
    /// Capacity set aside for one allocation.
    pub(crate) struct ReservationRow in "fleet_reservations" by (node_id: String, allocation_id: String) {
        node_id: String,
        allocation_id: String,
        uid: i64,
        status: String,
        reason: Option<String>,
        cpu_millis: i64,
        memory_bytes: i64,
        disk_bytes: i64,
        pids_max: i64,
        reserved_at: At,
    }
}

pub(super) fn reserve(
    changes: &mut Changes,
    node_id: &str,
    (allocation_id, uid): (String, u32),
    (resources, at): (Resources, Timestamp),
) {
    let amounts = Amounts::from(resources);
    changes.insert(ReservationRow {
        node_id: node_id.to_owned(),
        allocation_id,
        uid: i64::from(uid),
        status: "held".into(),
        reason: None,
        cpu_millis: amounts.cpu_millis,
        memory_bytes: amounts.memory_bytes,
        disk_bytes: amounts.disk_bytes,
        pids_max: amounts.pids_max,
        reserved_at: At(at),
    });
}

pub(super) fn resize(
    changes: &mut Changes,
    node_id: &str,
    allocation_id: String,
    resources: Resources,
) {
    let amounts = Amounts::from(resources);
    changes.change((node_id.to_owned(), allocation_id), move |row: &mut ReservationRow| {
        (row.cpu_millis, row.memory_bytes) = (amounts.cpu_millis, amounts.memory_bytes);
        (row.disk_bytes, row.pids_max) = (amounts.disk_bytes, amounts.pids_max);
        Ok(())
    });
}

pub(super) fn quarantine(
    changes: &mut Changes,
    node_id: &str,
    allocation_id: String,
    reason: String,
) {
    changes.change((node_id.to_owned(), allocation_id), |row: &mut ReservationRow| {
        (row.status, row.reason) = ("quarantined".into(), Some(reason));
        Ok(())
    });
}
