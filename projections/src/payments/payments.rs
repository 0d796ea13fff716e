//! Top-ups: asked by customers (did my money arrive), by finance, and by whoever looks up what a webhook is about.
//!
//! One row is one payment as it stands.
use async_trait::async_trait;
use cairn_core::{Nanos, Timestamp};
use cairn_event_log::Recorded;
use cairn_payments::PaymentEvent;
use sqlx::PgConnection;

pub use super::payments_query::{Payment, by_provider_id, get, list};
use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, found};

/// Name of this projection.
pub const NAME: &str = "payments/payments";

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

    fn splits_by_key(&self) -> bool {
        true
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
