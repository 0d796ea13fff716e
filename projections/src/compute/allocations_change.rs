//! The row of an allocation, and what each event changes in it.
use cairn_compute::{AllocationEvent, PinnedPrice, Placement};
use cairn_core::{Nanos, Resources, Tax, Timestamp};

use crate::engine::ProjectError;
use crate::row;
use crate::row::{Amounts, At, add, wire_name};
use crate::tier_list::TierList;

row! {
    /// An allocation as it stands.
    pub(crate) struct AllocationRow in "compute_allocations" by (allocation_id: String) {
        allocation_id: String,
        position: i64,
        organisation_id: String,
        status: String,
        needs_operator: bool,
        sku_id: String,
        cpu_millis: i64,
        memory_bytes: i64,
        disk_bytes: i64,
        pids_max: i64,
        price_version: i64,
        currency: String,
        nanos_per_hour: Nanos,
        ssh_public_key: String,
        wanted_node_id: Option<String>,
        node_id: Option<String>,
        uid: Option<i64>,
        hold_id: Option<String>,
        login: Option<String>,
        steps_done: Vec<String>,
        proof: Option<String>,
        charged_nanos: Nanos,
        charged_seconds: i64,
        owed_nanos: Nanos,
        active_seconds: Option<i64>,
        failed_step: Option<String>,
        failure_code: Option<String>,
        failure_message: Option<String>,
        release_reason: Option<String>,
        requested_at: At,
        activated_at: Option<At>,
        release_requested_at: Option<At>,
        ended_at: Option<At>,
        unproven_seconds: i64,
        stopped_at: Option<At>,
        idle_seconds: i64,
        tax_jurisdiction: Option<String>,
        tax_name: Option<String>,
        tax_ppm: Option<i64>,
        tax_treatment: Option<String>,
        tax_nanos: Nanos,
        tiers: TierList,
        priced_after_seconds: i64,
        corrected_seconds: i64,
        discount_id: Option<String>,
        discount_bps: i64,
        project_id: Option<String>,
        disk_version: i64,
        disk_gib: i64,
        disk_nanos_per_gib_hour: Nanos,
        resize_disk_gib: Option<i64>,
        resize_sku_id: Option<String>,
        resize_failure_code: Option<String>,
        resize_failure_message: Option<String>,
    }
}

pub(super) fn apply(row: &mut AllocationRow, event: &AllocationEvent) -> Result<(), ProjectError> {
    use AllocationEvent as E;
    match event {
        E::Requested { .. } => row.status = "requested".into(),
        E::Taxed { tax, .. } => tax_with(row, Some(tax))?,
        E::Assigned { project_id, .. } => row.project_id = Some(project_id.to_string()),
        E::Repriced { price, tax, seconds, .. } => reprice(row, price, tax.as_ref(), *seconds)?,
        E::ResizeRequested { sku_id, price, .. } => resize(row, Some((sku_id, price)), None),
        E::Resized { sku_id, resources, price, tax, seconds, .. } => {
            row.sku_id.clone_from(sku_id);
            resize(row, None, None);
            size_with(row, *resources);
            reprice(row, price, tax.as_ref(), *seconds)?;
        }
        E::ResizeFailed { code, message, .. } => resize(row, None, Some((code, message))),
        E::ResizeReserved { .. } | E::ResizeSettled { .. } => {}
        E::Reserved { placement, .. } => place_with(row, placement),
        E::Rejected { code, message, at } => {
            row.status = "rejected".into();
            (row.failure_code, row.failure_message) = (Some(code.clone()), Some(message.clone()));
            row.ended_at = Some(At(*at));
        }
        E::ProvisioningStarted { login, .. } => {
            row.status = "provisioning".into();
            row.login = Some(login.clone());
        }
        E::StepCompleted { step, .. } => row.steps_done.push(step.name().to_owned()),
        E::ProvisioningFailed { step, code, message, .. } => {
            row.status = "compensating".into();
            row.failed_step = Some(step.name().into());
            (row.failure_code, row.failure_message) = (Some(code.clone()), Some(message.clone()));
        }
        E::Activated { proof, at } => {
            row.status = "active".into();
            (row.proof, row.activated_at) = (Some(proof.clone()), Some(At(*at)));
        }
        E::Failed { at } => {
            row.status = "failed".into();
            (row.ended_at, row.needs_operator) = (Some(At(*at)), false);
        }
        E::Metered { unproven_seconds, .. } => row.unproven_seconds = *unproven_seconds,
        E::LateUsageProven { seconds, .. } => {
            add(&mut row.unproven_seconds, -seconds)?;
            bill(row, *seconds);
        }
        E::UsageCorrected { seconds, .. } => {
            add(&mut row.corrected_seconds, *seconds)?;
            bill(row, -seconds);
        }
        E::SuspensionRequested { at, .. } => suspend(row, *at),
        E::Suspended { .. } => stand(row, "suspended"),
        E::ResumeRequested { .. } => row.status = "resuming".into(),
        E::Resumed { at, .. } => resume(row, *at)?,
        E::ReleaseRequested { reason, at } => {
            row.status = "releasing".into();
            row.release_reason = Some(wire_name(reason)?);
            (row.resize_sku_id, row.resize_disk_gib) = (None, None);
            row.release_requested_at = Some(row.stopped_at.unwrap_or(At(*at)));
        }
        E::TeardownVerified { .. } => stand(row, "settling"),
        E::Released { active_seconds, charged_nanos, at } => {
            row.status = "released".into();
            (row.active_seconds, row.charged_nanos) = (Some(*active_seconds), *charged_nanos);
            row.ended_at = Some(At(*at));
        }
        E::NeedsOperator { .. } => row.needs_operator = true,
    }
    Ok(())
}

/// So many seconds more, once it is over.
fn bill(row: &mut AllocationRow, seconds: i64) {
    row.active_seconds = row.active_seconds.map(|active| active + seconds);
}

fn suspend(row: &mut AllocationRow, at: Timestamp) {
    row.status = "suspending".into();
    row.stopped_at = Some(At(at));
}

fn place_with(row: &mut AllocationRow, placement: &Placement) {
    row.status = "reserved".into();
    (row.node_id, row.uid) = (Some(placement.node_id.to_string()), Some(placement.uid.into()));
    row.hold_id = Some(placement.hold_id.to_string());
}

fn resume(row: &mut AllocationRow, at: Timestamp) -> Result<(), ProjectError> {
    row.status = "active".into();
    row.needs_operator = false;
    let since = row.stopped_at.take().map_or(0, |stopped| at.secs_since(stopped.0));
    add(&mut row.idle_seconds, since)
}

/// What was stuck, if anything was, has come to its end.
fn stand(row: &mut AllocationRow, status: &str) {
    (row.status, row.needs_operator) = (status.into(), false);
}

/// What it is about to be, or why it stayed what it was.
fn resize(
    row: &mut AllocationRow,
    into: Option<(&String, &PinnedPrice)>,
    failure: Option<(&String, &String)>,
) {
    row.resize_sku_id = into.map(|(sku_id, _)| sku_id.clone());
    row.resize_disk_gib = into.map(|(_, price)| gib(price));
    row.resize_failure_code = failure.map(|(code, _)| code.clone());
    row.resize_failure_message = failure.map(|(_, message)| message.clone());
}

fn size_with(row: &mut AllocationRow, resources: Resources) {
    let amounts = Amounts::from(resources);
    (row.cpu_millis, row.memory_bytes) = (amounts.cpu_millis, amounts.memory_bytes);
    (row.disk_bytes, row.pids_max) = (amounts.disk_bytes, amounts.pids_max);
}

fn reprice(
    row: &mut AllocationRow,
    price: &PinnedPrice,
    tax: Option<&Tax>,
    seconds: i64,
) -> Result<(), ProjectError> {
    price_with(row, price);
    row.priced_after_seconds = seconds;
    tax_with(row, tax)
}

fn price_with(row: &mut AllocationRow, price: &PinnedPrice) {
    (row.price_version, row.nanos_per_hour) = (price.version.into(), price.nanos_per_hour);
    row.tiers = TierList(price.tiers);
    row.discount_id = price.discount.map(|discount| discount.discount_id.to_string());
    row.discount_bps = price.discount.map_or(0, |discount| i64::from(discount.basis_points));
    row.disk_version = price.disk.map_or(0, |disk| disk.version.into());
    row.disk_gib = gib(price);
    row.disk_nanos_per_gib_hour = price.disk.map_or(0, |disk| disk.nanos_per_gib_hour);
}

fn gib(price: &PinnedPrice) -> i64 {
    price.disk.map_or(0, |disk| disk.gib.into())
}

fn tax_with(row: &mut AllocationRow, tax: Option<&Tax>) -> Result<(), ProjectError> {
    row.tax_jurisdiction = tax.map(|tax| tax.rate.jurisdiction.clone());
    row.tax_name = tax.map(|tax| tax.name.clone());
    row.tax_ppm = tax.map(|tax| i64::from(tax.rate.ppm));
    row.tax_treatment = tax.map(|tax| wire_name(&tax.treatment)).transpose()?;
    Ok(())
}

/// The first event makes the row.
pub(super) fn requested_row(
    event: &AllocationEvent,
    position: i64,
) -> Result<AllocationRow, ProjectError> {
    let AllocationEvent::Requested {
        allocation_id,
        organisation_id,
        sku_id,
        resources,
        price,
        ssh_public_key,
        node_id,
        at,
    } = event
    else {
        return Err(ProjectError::Inconsistent("no request".to_owned()));
    };
    let mut row = AllocationRow {
        allocation_id: allocation_id.to_string(),
        position,
        organisation_id: organisation_id.to_string(),
        status: "requested".into(),
        sku_id: sku_id.clone(),
        currency: price.currency.code().into(),
        ssh_public_key: ssh_public_key.clone(),
        wanted_node_id: node_id.map(|id| id.to_string()),
        requested_at: At(*at),
        ..AllocationRow::default()
    };
    size_with(&mut row, *resources);
    price_with(&mut row, price);
    Ok(row)
}
