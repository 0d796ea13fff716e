//! Refunds: asked by customers (is my money on its way back), by finance, and by whoever looks up what a webhook is about.
//!
//! One row is one refund as it stands.
use async_trait::async_trait;
use cairn_core::{Nanos, OrganisationId, Timestamp};
use cairn_event_log::Recorded;
use cairn_payments::RefundEvent;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, Page, QueryError, before, fetch_limit, found};

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

/// Columns that an event sets; `None` leaves one as it is.
struct Change {
    status: &'static str,
    provider_id: Option<String>,
    failure_code: Option<String>,
    ended_at: Option<Timestamp>,
}

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

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        use RefundEvent as E;
        let (status, provider_id, failure_code, ended_at) = match event.decode()? {
            requested @ E::Requested { .. } => return request(db, requested, event.position).await,
            E::Submitted { provider_id, .. } => ("pending", Some(provider_id), None, None),
            E::Succeeded { provider_id, at, .. } => {
                ("succeeded", Some(provider_id), None, Some(at))
            }
            E::Failed { code, at, .. } => ("failed", None, Some(code), Some(at)),
        };
        let change = Change { status, provider_id, failure_code, ended_at };
        apply(db, &event.aggregate_id, change).await
    }
}

async fn request(
    db: &mut PgConnection,
    event: RefundEvent,
    position: i64,
) -> Result<(), ProjectError> {
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
        return Ok(());
    };
    sqlx::query!(
        "INSERT INTO payments_refunds (refund_id, position, payment_id, organisation_id, currency,
           amount_nanos, status, charge_id, requested_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'requested', $7, $8)",
        refund_id.to_string(),
        position,
        payment_id.to_string(),
        organisation_id.to_string(),
        currency.code(),
        amount_nanos,
        charge_id,
        At(at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn apply(db: &mut PgConnection, id: &str, change: Change) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE payments_refunds SET status = $2, provider_id = coalesce($3, provider_id),
           failure_code = coalesce($4, failure_code), ended_at = coalesce($5, ended_at)
         WHERE refund_id = $1",
        id,
        change.status,
        change.provider_id,
        change.failure_code,
        change.ended_at.map(At) as _,
    );
    found(&done.execute(db).await?, id)
}

async fn select(
    pool: &PgPool,
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
    Ok(rows.fetch_all(pool).await?)
}

/// One refund; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    pool: &PgPool,
    organisation: Option<OrganisationId>,
    refund_id: &str,
) -> Result<Option<Refund>, QueryError> {
    let filter = Filter { organisation, payment_id: None };
    Ok(select(pool, (Some(refund_id), None), filter, (i64::MAX, 1)).await?.pop())
}

/// The refund that the provider knows by this id.
///
/// # Errors
/// [`QueryError`].
pub async fn by_provider_id(
    pool: &PgPool,
    provider_id: &str,
) -> Result<Option<Refund>, QueryError> {
    let rows = select(pool, (None, Some(provider_id)), Filter::default(), (i64::MAX, 1)).await?;
    Ok(rows.into_iter().next())
}

/// Refunds, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Refund>, QueryError> {
    let rows = select(pool, (None, None), filter, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
