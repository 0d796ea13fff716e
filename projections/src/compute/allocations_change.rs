//! What each event changes in the row of its allocation.
use cairn_compute::AllocationEvent;
use cairn_core::{Nanos, Timestamp};
use sqlx::PgConnection;

use crate::engine::ProjectError;
use crate::row::{Amounts, At, found, wire_name};

/// Columns that an event sets; `None` leaves one as it is.
#[derive(Default)]
struct Change {
    status: Option<&'static str>,
    needs_operator: Option<bool>,
    node_id: Option<String>,
    uid: Option<i64>,
    hold_id: Option<String>,
    login: Option<String>,
    step_done: Option<&'static str>,
    proof: Option<String>,
    active_seconds: Option<i64>,
    unproven_seconds: Option<i64>,
    charged_nanos: Option<Nanos>,
    failed_step: Option<&'static str>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    release_reason: Option<String>,
    activated_at: Option<Timestamp>,
    release_requested_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

fn change(event: AllocationEvent) -> Result<Change, ProjectError> {
    use AllocationEvent as E;
    let to = |status| Change { status: Some(status), ..Change::default() };
    Ok(match event {
        E::Requested { .. } => to("requested"),
        E::Reserved { placement, .. } => Change {
            node_id: Some(placement.node_id.to_string()),
            uid: Some(i64::from(placement.uid)),
            hold_id: Some(placement.hold_id.to_string()),
            ..to("reserved")
        },
        E::Rejected { code, message, at } => Change {
            failure_code: Some(code),
            failure_message: Some(message),
            ended_at: Some(at),
            ..to("rejected")
        },
        E::ProvisioningStarted { login, .. } => Change { login: Some(login), ..to("provisioning") },
        E::StepCompleted { step, .. } => {
            Change { step_done: Some(step.name()), ..Change::default() }
        }
        E::ProvisioningFailed { step, code, message, .. } => Change {
            failed_step: Some(step.name()),
            failure_code: Some(code),
            failure_message: Some(message),
            ..to("compensating")
        },
        E::Activated { proof, at } => {
            Change { proof: Some(proof), activated_at: Some(at), ..to("active") }
        }
        E::Failed { at } => {
            Change { ended_at: Some(at), needs_operator: Some(false), ..to("failed") }
        }
        E::Metered { unproven_seconds, .. } => {
            Change { unproven_seconds: Some(unproven_seconds), ..Change::default() }
        }
        E::ReleaseRequested { reason, at } => Change {
            release_reason: Some(wire_name(&reason)?),
            release_requested_at: Some(at),
            ..to("releasing")
        },
        E::TeardownVerified { .. } => Change { needs_operator: Some(false), ..to("settling") },
        E::Released { active_seconds, charged_nanos, at } => Change {
            active_seconds: Some(active_seconds),
            charged_nanos: Some(charged_nanos),
            ended_at: Some(at),
            ..to("released")
        },
        E::NeedsOperator { .. } => Change { needs_operator: Some(true), ..Change::default() },
    })
}

pub(super) async fn apply(
    db: &mut PgConnection,
    allocation_id: &str,
    event: AllocationEvent,
) -> Result<(), ProjectError> {
    let change = change(event)?;
    let done = sqlx::query!(
        "UPDATE compute_allocations SET status = coalesce($2, status),
           needs_operator = coalesce($3, needs_operator), node_id = coalesce($4, node_id),
           uid = coalesce($5, uid), hold_id = coalesce($6, hold_id), login = coalesce($7, login),
           steps_done = CASE WHEN $8::text IS NULL THEN steps_done ELSE steps_done || $8::text END,
           proof = coalesce($9, proof), active_seconds = coalesce($10, active_seconds),
           charged_nanos = coalesce($11, charged_nanos), failed_step = coalesce($12, failed_step),
           failure_code = coalesce($13, failure_code),
           failure_message = coalesce($14, failure_message),
           release_reason = coalesce($15, release_reason),
           activated_at = coalesce($16, activated_at),
           release_requested_at = coalesce($17, release_requested_at),
           ended_at = coalesce($18, ended_at),
           unproven_seconds = coalesce($19, unproven_seconds)
         WHERE allocation_id = $1",
        allocation_id,
        change.status,
        change.needs_operator,
        change.node_id,
        change.uid,
        change.hold_id,
        change.login,
        change.step_done,
        change.proof,
        change.active_seconds,
        change.charged_nanos,
        change.failed_step,
        change.failure_code,
        change.failure_message,
        change.release_reason,
        change.activated_at.map(At) as _,
        change.release_requested_at.map(At) as _,
        change.ended_at.map(At) as _,
        change.unproven_seconds,
    );
    found(&done.execute(db).await?, allocation_id)
}

/// The first event makes the row.
pub(super) async fn request(
    db: &mut PgConnection,
    event: AllocationEvent,
    position: i64,
) -> Result<(), ProjectError> {
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
        return Ok(());
    };
    let amounts = Amounts::from(resources);
    sqlx::query!(
        "INSERT INTO compute_allocations (allocation_id, position, organisation_id, status, sku_id,
           cpu_millis, memory_bytes, disk_bytes, pids_max, price_version, currency, nanos_per_hour,
           ssh_public_key, wanted_node_id, requested_at)
         VALUES ($1, $2, $3, 'requested', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        allocation_id.to_string(),
        position,
        organisation_id.to_string(),
        sku_id,
        amounts.cpu_millis,
        amounts.memory_bytes,
        amounts.disk_bytes,
        amounts.pids_max,
        i64::from(price.version),
        price.currency.code(),
        price.nanos_per_hour,
        ssh_public_key,
        node_id.map(|id| id.to_string()),
        At(at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
