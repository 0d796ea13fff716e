//! What happened to an allocation, step by step: asked by customers who wait, and by whoever looks into a failure.
//!
//! One row is one event of one allocation, in the order of the log.
use async_trait::async_trait;
use cairn_compute::{AllocationEvent, PinnedPrice};
use cairn_core::{Money, OrganisationId, Timestamp};
use cairn_event_log::Recorded;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, QueryError, wire_name};

/// Name of this projection.
pub const NAME: &str = "compute/timeline";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Entry {
    pub position: i64,
    pub allocation_id: String,
    /// The event without its context: `requested`, `step_completed`, `activated` …
    pub entry: String,
    /// The step of provisioning, where it is about one.
    pub step: Option<String>,
    /// What was observed, or why it went wrong.
    pub detail: Option<String>,
    /// Who did it.
    pub actor: String,
    pub at: At,
}

/// The projection.
pub struct Timeline;

#[async_trait]
impl Projection for Timeline {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["compute_timeline_entries"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[AllocationEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let happened = event.decoded()?;
        let owner = match &*happened {
            AllocationEvent::Requested { organisation_id, .. } => Some(organisation_id.to_string()),
            _ => None,
        };
        let Some(told) = tell(&happened)? else { return Ok(()) };
        let row = EntryRow {
            position: event.position,
            allocation_id: event.aggregate_id.clone(),
            organisation_id: owner.clone().unwrap_or_default(),
            entry: event.event_type.trim_start_matches("allocation.").to_owned(),
            step: told.step.map(Into::into),
            detail: told.detail,
            actor: event.metadata.actor.clone(),
            at: At(told.at),
        };
        changes.append((event.aggregate_id.clone(),), move |last: Option<EntryRow>| {
            let owner = owner.or(last.map(|last| last.organisation_id));
            let nobody = || ProjectError::Inconsistent("whose allocation is not known".to_owned());
            Ok(EntryRow { organisation_id: owner.ok_or_else(nobody)?, ..row })
        });
        Ok(())
    }
}

row! {
    /// A line of the timeline; all of an allocation have its organisation.
    pub(crate) struct EntryRow in "compute_timeline_entries" last_of (allocation_id: String) {
        position: i64,
        allocation_id: String,
        organisation_id: String,
        entry: String,
        step: Option<String>,
        detail: Option<String>,
        actor: String,
        at: At,
    }
}

struct Told {
    step: Option<&'static str>,
    detail: Option<String>,
    at: Timestamp,
}

/// What a customer reads of it. The meter's ticks are no news.
fn tell(event: &AllocationEvent) -> Result<Option<Told>, ProjectError> {
    use AllocationEvent as E;
    let (step, detail, at) = match event {
        E::Requested { sku_id, price, at, .. } => (None, Some(sold_as(sku_id, price)), at),
        E::Reserved { placement, at } => (None, Some(placement.node_id.to_string()), at),
        E::Rejected { code, message, at } => (None, Some(format!("{code}: {message}")), at),
        E::ProvisioningStarted { login, at } => (None, Some(login.clone()), at),
        E::StepCompleted { step, observed, at } => (Some(step.name()), Some(observed.clone()), at),
        E::ProvisioningFailed { step, code, message, at } => {
            (Some(step.name()), Some(format!("{code}: {message}")), at)
        }
        E::Activated { proof, at } => (None, Some(proof.clone()), at),
        E::Failed { at } => (None, None, at),
        E::Taxed { .. }
        | E::Assigned { .. }
        | E::ResizeReserved { .. }
        | E::ResizeSettled { .. }
        | E::Metered { .. } => return Ok(None),
        E::Repriced { price, at, .. } => {
            let per_hour = Money::new(price.tariff().per_hour_at(0), price.currency);
            let tiers = if price.tiers.is_none() { "" } else { " in the first of its tiers" };
            (None, Some(format!("{per_hour} per hour{tiers}")), at)
        }
        E::ResizeRequested { sku_id, price, at, .. } | E::Resized { sku_id, price, at, .. } => {
            (None, Some(sold_as(sku_id, price)), at)
        }
        E::ResizeFailed { code, message, at } => (None, Some(format!("{code}: {message}")), at),
        E::LateUsageProven { seconds, at, .. } | E::UsageCorrected { seconds, at, .. } => {
            (None, Some(format!("{seconds} s")), at)
        }
        E::SuspensionRequested { reason, at } => (None, Some(wire_name(reason)?), at),
        E::Suspended { evidence, at } => (None, Some(evidence.clone()), at),
        E::ResumeRequested { at } => (None, None, at),
        E::Resumed { proof, at } => (None, Some(proof.clone()), at),
        E::ReleaseRequested { reason, at } => (None, Some(wire_name(reason)?), at),
        E::TeardownVerified { evidence, at } => (None, Some(evidence.clone()), at),
        E::Released { active_seconds, at, .. } => (None, Some(format!("{active_seconds} s")), at),
        E::NeedsOperator { doing, message, at } => (None, Some(format!("{doing}: {message}")), at),
    };
    Ok(Some(Told { step, detail, at: *at }))
}

fn sold_as(sku_id: &str, price: &PinnedPrice) -> String {
    let more = price.disk.map(|disk| format!(" with {} GiB more disk", disk.gib));
    format!("{sku_id}{}", more.unwrap_or_default())
}

/// What happened to one allocation, oldest first; empty when there is none, or to another organisation.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    allocation_id: &str,
) -> Result<Vec<Entry>, QueryError> {
    let rows = sqlx::query_as!(
        Entry,
        r#"SELECT position, allocation_id, entry, step, detail, actor, at AS "at: At"
           FROM compute_timeline_entries
           WHERE allocation_id = $1 AND ($2::text IS NULL OR organisation_id = $2)
           ORDER BY position"#,
        allocation_id,
        organisation.map(|id| id.to_string()),
    );
    Ok(rows.fetch_all(db).await?)
}
