//! Copying the provider's book: every line once, none ever changed.
use cairn_core::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::FinanceError;
use crate::ports::{PaymentPort, ProviderTransaction};
use crate::replay::instant;

/// How far before the newest mirrored line reading starts again: lines may appear late.
const OVERLAP_SECS: i64 = 3 * 86_400;
const PAGE: u8 = 100;

/// What mirroring did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Mirrored {
    /// Lines that the provider showed.
    pub read: u64,
    /// Lines that were new.
    pub added: u64,
}

/// Copies every line since the newest known one, less an overlap. Repeating it adds nothing.
///
/// # Errors
/// [`FinanceError::Port`] or [`FinanceError::Database`]; what was copied until then stays.
pub async fn mirror(
    port: &dyn PaymentPort,
    pool: &PgPool,
    now: Timestamp,
) -> Result<Mirrored, FinanceError> {
    let newest = sqlx::query_scalar!("SELECT max(created_at) FROM finance_external_transactions")
        .fetch_one(pool)
        .await?;
    let from = newest.map_or(Timestamp::from_secs(0), |at| {
        Timestamp::from_secs(at.unix_timestamp().saturating_sub(OVERLAP_SECS))
    });
    let mut mirrored = Mirrored::default();
    let mut after: Option<String> = None;
    loop {
        let page = port.transactions(from, after.as_deref(), PAGE).await?;
        let last = page.last().map(|line| line.id.clone());
        if last.is_none() || last == after {
            break;
        }
        mirrored.read += u64::try_from(page.len()).unwrap_or(0);
        mirrored.added += keep(pool, &page, now).await?;
        after = last;
    }
    tracing::info!(read = mirrored.read, added = mirrored.added, "mirrored the provider's book");
    Ok(mirrored)
}

async fn keep(
    pool: &PgPool,
    page: &[ProviderTransaction],
    now: Timestamp,
) -> Result<u64, FinanceError> {
    let mut added = 0;
    let mut transaction = pool.begin().await?;
    for line in page {
        let done = sqlx::query!(
            "INSERT INTO finance_external_transactions
                 (id, content, source_id, category, currency, amount_nanos, fee_nanos, net_nanos,
                  created_at, available_at, mirrored_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (id, content) DO NOTHING",
            line.id,
            content(line),
            line.source_id,
            line.category,
            line.currency,
            line.amount_nanos,
            line.fee_nanos,
            line.net_nanos,
            instant(line.created_at),
            instant(line.available_at),
            instant(now)
        )
        .execute(&mut *transaction)
        .await?;
        added += done.rows_affected();
    }
    transaction.commit().await?;
    Ok(added)
}

/// A hash of all that a line says and that never changes.
fn content(line: &ProviderTransaction) -> String {
    let fixed = serde_json::json!([
        line.id,
        line.source_id,
        line.category,
        line.currency,
        line.amount_nanos,
        line.fee_nanos,
        line.net_nanos,
        line.created_at,
    ]);
    hex::encode(Sha256::digest(fixed.to_string()))
}
