//! What people should be told without asking: asked by whoever comes back after a while.
//!
//! One row is one event that is news to somebody: to the organisation whose thing it is, or to operators when it is the platform's.
//! The first event of a thing has a row without a kind, which says whose the thing is and is never shown.
use async_trait::async_trait;
use cairn_compute::{AllocationEvent, ReleaseReason};
use cairn_core::OrganisationId;
use cairn_event_log::Recorded;
use cairn_fleet::{Link, NodeEvent};
use cairn_ledger::{DunningEvent, Stage};
use cairn_payments::{PaymentEvent, RefundEvent};
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "operations/inbox";

/// A notice, as one reader has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Notice {
    pub position: i64,
    /// `<kind>/<id>` of what it is about.
    pub subject: String,
    /// What happened: `allocation.activated` …
    pub kind: String,
    pub at: At,
    pub is_read: bool,
}

/// Whose notices, and of what.
#[derive(Debug, Clone)]
pub struct Whose {
    /// Who reads: each has read what they have read.
    pub actor: String,
    /// Whose things.
    pub organisation_id: OrganisationId,
    /// Kinds of things that the reader may read: `allocation`, `node` …
    pub families: Vec<String>,
}

/// The projection.
pub struct Inbox;

#[async_trait]
impl Projection for Inbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["operations_inbox_notices"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[
            AllocationEvent::TYPES,
            PaymentEvent::TYPES,
            RefundEvent::TYPES,
            NodeEvent::TYPES,
            DunningEvent::TYPES,
        ])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let (owner, kind) = match event.aggregate_type.as_str() {
            "allocation" => of_allocation(&event.decode()?),
            "payment" => of_payment(&event.decode()?),
            "refund" => of_refund(&event.decode()?),
            "dunning" => of_dunning(&event.decode()?),
            _ => (None, of_node(&event.decode()?)),
        };
        if kind.is_none() && event.sequence != 1 {
            return Ok(());
        }
        let subject = format!("{}/{}", event.aggregate_type, event.aggregate_id);
        let row = NoticeRow {
            position: event.position,
            subject: subject.clone(),
            organisation_id: owner.map(|owner| owner.to_string()),
            kind: kind.map(str::to_owned),
            at: At(event.recorded_at),
        };
        changes.append((subject,), move |last: Option<NoticeRow>| {
            let organisation_id = row.organisation_id.or_else(|| last?.organisation_id);
            Ok(NoticeRow { organisation_id, ..row })
        });
        Ok(())
    }
}

row! {
    /// News of a thing; all of one thing have its organisation.
    pub(crate) struct NoticeRow in "operations_inbox_notices" last_of (subject: String) {
        position: i64,
        subject: String,
        organisation_id: Option<String>,
        kind: Option<String>,
        at: At,
    }
}

/// Whose it is, where the event says that, and what it is told as.
type Told = (Option<OrganisationId>, Option<&'static str>);

fn of_allocation(event: &AllocationEvent) -> Told {
    use AllocationEvent as E;
    match event {
        E::Requested { organisation_id, .. } => (Some(*organisation_id), None),
        E::Rejected { .. } => (None, Some("allocation.rejected")),
        E::Activated { .. } => (None, Some("allocation.activated")),
        E::Failed { .. } => (None, Some("allocation.failed")),
        E::ReleaseRequested { reason: ReleaseReason::FundsExhausted, .. } => {
            (None, Some("allocation.funds_exhausted"))
        }
        E::Resized { .. } => (None, Some("allocation.resized")),
        E::ResizeFailed { .. } => (None, Some("allocation.resize_failed")),
        E::Suspended { .. } => (None, Some("allocation.suspended")),
        E::Resumed { .. } => (None, Some("allocation.resumed")),
        E::Released { .. } => (None, Some("allocation.released")),
        E::Taxed { .. }
        | E::Assigned { .. }
        | E::Repriced { .. }
        | E::ResizeRequested { .. }
        | E::ResizeReserved { .. }
        | E::ResizeSettled { .. }
        | E::Reserved { .. }
        | E::ProvisioningStarted { .. }
        | E::StepCompleted { .. }
        | E::ProvisioningFailed { .. }
        | E::Metered { .. }
        | E::LateUsageProven { .. }
        | E::UsageCorrected { .. }
        | E::SuspensionRequested { .. }
        | E::ResumeRequested { .. }
        | E::ReleaseRequested { .. }
        | E::TeardownVerified { .. }
        | E::NeedsOperator { .. } => (None, None),
    }
}

fn of_payment(event: &PaymentEvent) -> Told {
    match event {
        PaymentEvent::Requested { organisation_id, .. } => (Some(*organisation_id), None),
        PaymentEvent::ActionRequired { .. } => (None, Some("payment.action_required")),
        PaymentEvent::Succeeded { .. } => (None, Some("payment.succeeded")),
        PaymentEvent::Failed { .. } => (None, Some("payment.failed")),
        PaymentEvent::MethodNamed { .. }
        | PaymentEvent::Submitted { .. }
        | PaymentEvent::ProcessingBegun { .. }
        | PaymentEvent::FeeRecorded { .. } => (None, None),
    }
}

fn of_refund(event: &RefundEvent) -> Told {
    match event {
        RefundEvent::Requested { organisation_id, .. } => (Some(*organisation_id), None),
        RefundEvent::Succeeded { .. } => (None, Some("refund.succeeded")),
        RefundEvent::Failed { .. } => (None, Some("refund.failed")),
        RefundEvent::Submitted { .. } => (None, None),
    }
}

/// What a wallet comes to. That the money lasts for fewer hours is mail; that it lasts for days again closes what was opened.
fn of_dunning(event: &DunningEvent) -> Told {
    match event {
        DunningEvent::StageChanged { to, seen, .. } => {
            let kind = match to {
                Stage::Ok => "dunning.ok",
                Stage::Low => "dunning.low",
                Stage::Grace => "dunning.grace",
                Stage::Suspended => "dunning.suspended",
                Stage::Retention => "dunning.retention",
                Stage::Released => "dunning.released",
            };
            (Some(seen.organisation_id), Some(kind))
        }
        DunningEvent::RunwayCrossed { seen, .. } => (Some(seen.organisation_id), None),
    }
}

fn of_node(event: &NodeEvent) -> Option<&'static str> {
    match event {
        NodeEvent::LinkChanged { link: Link::Offline, .. } => Some("node.offline"),
        NodeEvent::LinkChanged { link: Link::Online, .. } => Some("node.online"),
        NodeEvent::Quarantined { .. } => Some("node.quarantined"),
        _ => None,
    }
}

/// Notices, newest first; only what was not read yet, if that is wanted.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    whose: &Whose,
    (is_unread, after): (bool, Option<String>),
    limit: i64,
) -> Result<Page<Notice>, QueryError> {
    let rows = sqlx::query_as!(
        Notice,
        r#"SELECT n.position, n.subject, n.kind AS "kind!", n.at AS "at: At",
             (n.position <= coalesce(m.position, 0) OR r.position IS NOT NULL) AS "is_read!"
           FROM operations_inbox_notices n
             LEFT JOIN operations_inbox_marks m ON m.actor = $1
             LEFT JOIN operations_inbox_reads r ON r.actor = $1 AND r.position = n.position
           WHERE n.kind IS NOT NULL AND (n.organisation_id = $2 OR n.organisation_id IS NULL)
             AND split_part(n.subject, '/', 1) = ANY($3) AND n.position < $4
             AND NOT ($5 AND (n.position <= coalesce(m.position, 0) OR r.position IS NOT NULL))
           ORDER BY n.position DESC LIMIT $6"#,
        whose.actor,
        whose.organisation_id.to_string(),
        &whose.families,
        before(after)?,
        is_unread,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// What nobody counts beyond.
pub const UNREAD_MAX: i64 = 1_000;

/// How many were not read yet, up to [`UNREAD_MAX`].
///
/// # Errors
/// [`QueryError`].
pub async fn unread(db: impl PgExecutor<'_>, whose: &Whose) -> Result<i64, QueryError> {
    let found = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
             SELECT FROM operations_inbox_notices n
             WHERE n.kind IS NOT NULL AND (n.organisation_id = $2 OR n.organisation_id IS NULL)
               AND split_part(n.subject, '/', 1) = ANY($3)
               AND n.position > coalesce((SELECT position FROM operations_inbox_marks WHERE actor = $1), 0)
               AND NOT EXISTS (SELECT FROM operations_inbox_reads r WHERE r.actor = $1 AND r.position = n.position)
             LIMIT $4) AS found"#,
        whose.actor,
        whose.organisation_id.to_string(),
        &whose.families,
        UNREAD_MAX,
    );
    Ok(found.fetch_one(db).await?)
}

/// Whether there is such a notice for a reader.
///
/// # Errors
/// [`QueryError`].
pub async fn is_there(
    db: impl PgExecutor<'_>,
    whose: &Whose,
    position: i64,
) -> Result<bool, QueryError> {
    let page = (false, Some(position.saturating_add(1).to_string()));
    let found = list(db, whose, page, 1).await?;
    Ok(found.items.first().is_some_and(|notice| notice.position == position))
}
