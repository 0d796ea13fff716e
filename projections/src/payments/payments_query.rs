//! The row of a payment, and who may see which.
use cairn_core::{Nanos, OrganisationId};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

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
    /// `requested`, `pending`, `requires_action`, `processing`, `succeeded` or `failed`.
    pub status: String,
    pub provider_id: Option<String>,
    pub charge_id: Option<String>,
    pub failure_code: Option<String>,
    pub failure_message: Option<String>,
    pub requested_at: At,
    /// When it succeeded or failed.
    pub ended_at: Option<At>,
}

struct Wanted<'a> {
    payment_id: Option<&'a str>,
    provider_id: Option<&'a str>,
    organisation: Option<OrganisationId>,
}

async fn select(
    db: impl PgExecutor<'_>,
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
    Ok(rows.fetch_all(db).await?)
}

/// One payment; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    payment_id: &str,
) -> Result<Option<Payment>, QueryError> {
    let wanted = Wanted { payment_id: Some(payment_id), provider_id: None, organisation };
    Ok(select(db, wanted, (i64::MAX, 1)).await?.pop())
}

/// The payment that the provider knows by this id.
///
/// # Errors
/// [`QueryError`].
pub async fn by_provider_id(
    db: impl PgExecutor<'_>,
    provider_id: &str,
) -> Result<Option<Payment>, QueryError> {
    let wanted = Wanted { payment_id: None, provider_id: Some(provider_id), organisation: None };
    Ok(select(db, wanted, (i64::MAX, 1)).await?.pop())
}

/// Payments of one organisation or of all, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Payment>, QueryError> {
    let wanted = Wanted { payment_id: None, provider_id: None, organisation };
    let rows = select(db, wanted, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
