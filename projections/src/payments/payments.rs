//! Top-ups: asked by customers (did my money arrive), by finance, and by whoever looks up what a webhook is about.
//!
//! One row is one payment as it stands.
use async_trait::async_trait;
use cairn_core::{Nanos, OrganisationId, Timestamp};
use cairn_event_log::Recorded;
use cairn_payments::PaymentEvent;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, Page, QueryError, before, fetch_limit, found};

/// Name of this projection.
pub const NAME: &str = "payments/payments";

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Payment {
    pub payment_id: String,
    /// Where in the log it was requested.
    pub position: i64,
    pub organisation_id: String,
    pub currency: String,
    pub amount_nanos: Nanos,
    /// What the provider kept; known some time after success.
    pub fee_nanos: Option<Nanos>,
    /// `requested`, `pending`, `succeeded` or `failed`.
    pub status: String,
    pub provider_id: Option<String>,
    pub charge_id: Option<String>,
    pub failure_code: Option<String>,
    pub failure_message: Option<String>,
    pub requested_at: At,
    /// When it succeeded or failed.
    pub ended_at: Option<At>,
}

/// The projection.
pub struct Payments;

/// Columns that an event sets; `None` leaves one as it is.
#[derive(Default)]
struct Change {
    status: Option<&'static str>,
    provider_id: Option<String>,
    charge_id: Option<String>,
    fee_nanos: Option<Nanos>,
    failure: Option<(String, String)>,
    ended_at: Option<Timestamp>,
}

#[async_trait]
impl Projection for Payments {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["payments_payments"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[PaymentEvent::TYPES])
    }

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        use PaymentEvent as E;
        let change = match event.decode()? {
            requested @ E::Requested { .. } => return request(db, requested, event.position).await,
            E::Submitted { provider_id, .. } => Change {
                status: Some("pending"),
                provider_id: Some(provider_id),
                ..Change::default()
            },
            E::Succeeded { provider_id, charge_id, at, .. } => Change {
                status: Some("succeeded"),
                provider_id: Some(provider_id),
                charge_id: Some(charge_id),
                ended_at: Some(at),
                ..Change::default()
            },
            E::Failed { code, message, at } => Change {
                status: Some("failed"),
                failure: Some((code, message)),
                ended_at: Some(at),
                ..Change::default()
            },
            E::FeeRecorded { fee_nanos, .. } => {
                Change { fee_nanos: Some(fee_nanos), ..Change::default() }
            }
        };
        apply(db, &event.aggregate_id, change).await
    }
}

async fn request(
    db: &mut PgConnection,
    event: PaymentEvent,
    position: i64,
) -> Result<(), ProjectError> {
    let PaymentEvent::Requested { payment_id, organisation_id, currency, amount_nanos, at, .. } =
        event
    else {
        return Ok(());
    };
    sqlx::query!(
        "INSERT INTO payments_payments (payment_id, position, organisation_id, currency,
           amount_nanos, status, requested_at)
         VALUES ($1, $2, $3, $4, $5, 'requested', $6)",
        payment_id.to_string(),
        position,
        organisation_id.to_string(),
        currency.code(),
        amount_nanos,
        At(at) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A success clears an earlier failed attempt.
async fn apply(db: &mut PgConnection, id: &str, change: Change) -> Result<(), ProjectError> {
    let (code, message) = change.failure.unzip();
    let done = sqlx::query!(
        "UPDATE payments_payments SET status = coalesce($2, status),
           provider_id = coalesce($3, provider_id), charge_id = coalesce($4, charge_id),
           fee_nanos = coalesce($5, fee_nanos), ended_at = coalesce($8, ended_at),
           failure_code = CASE WHEN $2 = 'succeeded' THEN NULL ELSE coalesce($6, failure_code) END,
           failure_message =
             CASE WHEN $2 = 'succeeded' THEN NULL ELSE coalesce($7, failure_message) END
         WHERE payment_id = $1",
        id,
        change.status,
        change.provider_id,
        change.charge_id,
        change.fee_nanos,
        code,
        message,
        change.ended_at.map(At) as _,
    );
    found(&done.execute(db).await?, id)
}

struct Wanted<'a> {
    payment_id: Option<&'a str>,
    provider_id: Option<&'a str>,
    organisation: Option<OrganisationId>,
}

async fn select(
    pool: &PgPool,
    wanted: Wanted<'_>,
    (before, limit): (i64, i64),
) -> Result<Vec<Payment>, QueryError> {
    let rows = sqlx::query_as!(
        Payment,
        r#"SELECT payment_id, position, organisation_id, currency, amount_nanos, fee_nanos, status,
             provider_id, charge_id, failure_code, failure_message,
             requested_at AS "requested_at: At", ended_at AS "ended_at: At"
           FROM payments_payments
           WHERE ($1::text IS NULL OR payment_id = $1) AND ($2::text IS NULL OR provider_id = $2)
             AND ($3::text IS NULL OR organisation_id = $3) AND position < $4
           ORDER BY position DESC LIMIT $5"#,
        wanted.payment_id,
        wanted.provider_id,
        wanted.organisation.map(|id| id.to_string()),
        before,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One payment; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    pool: &PgPool,
    organisation: Option<OrganisationId>,
    payment_id: &str,
) -> Result<Option<Payment>, QueryError> {
    let wanted = Wanted { payment_id: Some(payment_id), provider_id: None, organisation };
    Ok(select(pool, wanted, (i64::MAX, 1)).await?.pop())
}

/// The payment that the provider knows by this id.
///
/// # Errors
/// [`QueryError`].
pub async fn by_provider_id(
    pool: &PgPool,
    provider_id: &str,
) -> Result<Option<Payment>, QueryError> {
    let wanted = Wanted { payment_id: None, provider_id: Some(provider_id), organisation: None };
    Ok(select(pool, wanted, (i64::MAX, 1)).await?.pop())
}

/// Payments of one organisation or of all, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    organisation: Option<OrganisationId>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Payment>, QueryError> {
    let wanted = Wanted { payment_id: None, provider_id: None, organisation };
    let rows = select(pool, wanted, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
