//! Refunds: asked by customers (is my money on its way back), by finance, and by whoever looks up what a webhook is about.
//!
//! One row is one refund as it stands.
use async_trait::async_trait;
use cairn_core::{Nanos, OrganisationId};
use cairn_event_log::Recorded;
use cairn_payments::RefundEvent;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "payments/refunds";

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Refund {
    pub refund_id: String,
    /// Where in the log it was requested.
    pub position: i64,
    pub payment_id: String,
    pub organisation_id: String,
    pub currency: String,
    pub amount_nanos: Nanos,
    /// `requested`, `pending`, `succeeded` or `failed`.
    pub status: String,
    /// The provider's charge that it returns.
    pub charge_id: String,
    pub provider_id: Option<String>,
    pub failure_code: Option<String>,
    pub requested_at: At,
    /// When it succeeded or failed, whichever was last.
    pub ended_at: Option<At>,
}

/// Which refunds to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only of this payment.
    pub payment_id: Option<String>,
}

/// The projection.
pub struct Refunds;

#[async_trait]
impl Projection for Refunds {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["payments_refunds"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[RefundEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        match event.decode()? {
            requested @ RefundEvent::Requested { .. } => {
                request(changes, requested, event.position)
            }
            other => changes.change((event.aggregate_id.clone(),), |row| apply(row, other)),
        }
        Ok(())
    }
}

row! {
    /// A refund as it stands.
    pub(crate) struct RefundRow in "payments_refunds" by (refund_id: String) {
        refund_id: String,
        position: i64,
        payment_id: String,
        organisation_id: String,
        currency: String,
        amount_nanos: Nanos,
        status: String,
        charge_id: String,
        provider_id: Option<String>,
        failure_code: Option<String>,
        requested_at: At,
        ended_at: Option<At>,
    }
}

fn request(changes: &mut Changes, event: RefundEvent, position: i64) {
    let RefundEvent::Requested {
        refund_id,
        payment_id,
        organisation_id,
        currency,
        amount_nanos,
        charge_id,
        at,
    } = event
    else {
        return;
    };
    changes.insert(RefundRow {
        refund_id: refund_id.to_string(),
        position,
        payment_id: payment_id.to_string(),
        organisation_id: organisation_id.to_string(),
        currency: currency.code().into(),
        amount_nanos,
        status: "requested".into(),
        charge_id,
        requested_at: At(at),
        ..RefundRow::default()
    });
}

#[allow(clippy::unnecessary_wraps, reason = "the shape of a change")]
fn apply(row: &mut RefundRow, event: RefundEvent) -> Result<(), ProjectError> {
    use RefundEvent as E;
    match event {
        E::Requested { .. } => {}
        E::Submitted { provider_id, .. } => {
            (row.status, row.provider_id) = ("pending".into(), Some(provider_id));
        }
        E::Succeeded { provider_id, at, .. } => {
            (row.status, row.ended_at) = ("succeeded".into(), Some(At(at)));
            row.provider_id = Some(provider_id);
        }
        E::Failed { code, at, .. } => {
            (row.status, row.ended_at) = ("failed".into(), Some(At(at)));
            row.failure_code = Some(code);
        }
    }
    Ok(())
}

async fn select(
    db: impl PgExecutor<'_>,
    (refund_id, provider_id): (Option<&str>, Option<&str>),
    filter: Filter,
    (before, limit): (i64, i64),
) -> Result<Vec<Refund>, QueryError> {
    let rows = sqlx::query_as!(
        Refund,
        r#"SELECT refund_id, position, payment_id, organisation_id, currency, amount_nanos, status,
             charge_id, provider_id, failure_code, requested_at AS "requested_at: At",
             ended_at AS "ended_at: At"
           FROM payments_refunds
           WHERE ($1::text IS NULL OR refund_id = $1) AND ($2::text IS NULL OR provider_id = $2)
             AND ($3::text IS NULL OR organisation_id = $3)
             AND ($4::text IS NULL OR payment_id = $4) AND position < $5
           ORDER BY position DESC LIMIT $6"#,
        refund_id,
        provider_id,
        filter.organisation.map(|id| id.to_string()),
        filter.payment_id,
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// One refund; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    refund_id: &str,
) -> Result<Option<Refund>, QueryError> {
    let filter = Filter { organisation, payment_id: None };
    Ok(select(db, (Some(refund_id), None), filter, (i64::MAX, 1)).await?.pop())
}

/// The refund that the provider knows by this id.
///
/// # Errors
/// [`QueryError`].
pub async fn by_provider_id(
    db: impl PgExecutor<'_>,
    provider_id: &str,
) -> Result<Option<Refund>, QueryError> {
    let rows = select(db, (None, Some(provider_id)), Filter::default(), (i64::MAX, 1)).await?;
    Ok(rows.into_iter().next())
}

/// Refunds, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Refund>, QueryError> {
    let rows = select(db, (None, None), filter, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
