//! The rows of wallets, holds and promotional credit, and who may see which.
use cairn_core::{Burn, Currency, Nanos, OrganisationId};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// A wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Balance {
    pub organisation_id: String,
    pub currency: String,
    /// Paid money and promotional credit. Credit whose time is over no longer counts, swept or not, but for what a hold keeps of it.
    pub posted_nanos: Nanos,
    /// Of it, paid in: what is not held of it may be refunded.
    pub paid_nanos: Nanos,
    /// Of it, promotional credit: spent first, never refunded.
    pub promotional_nanos: Nanos,
    /// Of it, set aside by holds. A hold whose time is over no longer counts, swept or not.
    pub held_nanos: Nanos,
    /// Of what is held, what somebody disputes: it pays for nothing.
    pub disputed_nanos: Nanos,
    /// What may be held: the rest.
    pub available_nanos: Nanos,
    /// Usage that neither hold nor wallet covered.
    pub owed_nanos: Nanos,
    /// `ok`, `low`, `grace`, `suspended`, `retention` or `released`.
    pub dunning_stage: String,
    /// When the stage moves on by itself.
    pub dunning_until: Option<At>,
    pub opened_at: At,
    /// Where in the log it began.
    pub position: i64,
}

impl Balance {
    /// For how long what is posted, and not disputed, pays for everything that runs; `None` when nothing is spent, or it lasts for a century.
    #[must_use]
    pub fn runway_seconds(&self, burn: &Burn) -> Option<i64> {
        burn.lasts(self.posted_nanos - self.disputed_nanos)
    }
}

/// A hold on a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Hold {
    pub hold_id: String,
    pub organisation_id: String,
    pub currency: String,
    /// What it is for: an allocation id.
    pub purpose: String,
    pub reserved_nanos: Nanos,
    pub captured_nanos: Nanos,
    pub released_nanos: Nanos,
    /// What it still covers.
    pub remaining_nanos: Nanos,
    /// Of that, promotional credit.
    pub promotional_nanos: Nanos,
    /// `open`, `expired` or `released`.
    pub status: String,
    pub expires_at: At,
    pub position: i64,
}

/// A grant of promotional credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Credit {
    pub credit_id: String,
    pub organisation_id: String,
    pub currency: String,
    pub amount_nanos: Nanos,
    pub used_nanos: Nanos,
    pub expired_nanos: Nanos,
    /// Neither used nor expired in the books. What remains of expired credit is kept by a hold, or is about to be swept.
    pub remaining_nanos: Nanos,
    /// `open`, `used` or `expired`.
    pub status: String,
    pub granted_at: At,
    pub expires_at: At,
    /// Why it was granted; sealed.
    pub reason: String,
    pub position: i64,
}

async fn select(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    currency: Option<Currency>,
    (before, limit): (i64, i64),
) -> Result<Vec<Balance>, QueryError> {
    // Holds end first, for they keep credit that is over.
    let rows = sqlx::query_as!(
        Balance,
        r#"SELECT w.organisation_id, w.currency, w.owed_nanos,
             (w.posted_nanos - lapsed.nanos)::bigint AS "posted_nanos!",
             (w.posted_nanos - w.promotional_nanos)::bigint AS "paid_nanos!",
             (w.promotional_nanos - lapsed.nanos)::bigint AS "promotional_nanos!",
             (w.held_nanos - over.nanos)::bigint AS "held_nanos!",
             (w.posted_nanos - lapsed.nanos - w.held_nanos + over.nanos)::bigint
               AS "available_nanos!",
             disputed.nanos::bigint AS "disputed_nanos!",
             w.dunning_stage, w.dunning_until AS "dunning_until: At",
             w.opened_at AS "opened_at: At", w.position
           FROM ledger_wallets w CROSS JOIN LATERAL (
             SELECT coalesce(sum(reserved_nanos - captured_nanos - released_nanos), 0) AS nanos,
               coalesce(sum(promotional_nanos), 0) AS promotional
             FROM ledger_wallet_holds h
             WHERE h.organisation_id = w.organisation_id AND h.currency = w.currency
               AND h.status = 'open' AND h.expires_at <= now()) over CROSS JOIN LATERAL (
             SELECT greatest(coalesce(sum(c.remaining_nanos), 0)
               - (w.promotional_held_nanos - over.promotional), 0) AS nanos
             FROM ledger_wallet_credits c
             WHERE c.organisation_id = w.organisation_id AND c.currency = w.currency
               AND c.expires_at <= now()) lapsed CROSS JOIN LATERAL (
             SELECT coalesce(sum(d.reserved_nanos - d.captured_nanos - d.released_nanos), 0) AS nanos
             FROM ledger_wallet_holds d
             WHERE d.organisation_id = w.organisation_id AND d.currency = w.currency
               AND d.status = 'open' AND starts_with(d.purpose, 'dispute_')) disputed
           WHERE ($1::text IS NULL OR w.organisation_id = $1)
             AND ($2::text IS NULL OR w.currency = $2) AND w.position < $3
           ORDER BY w.position DESC LIMIT $4"#,
        organisation.map(|id| id.to_string()),
        currency.map(Currency::code),
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Grants of promotional credit to one organisation, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn credits(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Credit>, QueryError> {
    let rows = sqlx::query_as!(
        Credit,
        r#"SELECT credit_id, organisation_id, currency, amount_nanos, used_nanos, expired_nanos, remaining_nanos,
             CASE WHEN expires_at > now() AND remaining_nanos > 0 THEN 'open'
                  WHEN expires_at <= now() AND remaining_nanos + expired_nanos > 0 THEN 'expired'
                  ELSE 'used' END AS "status!",
             granted_at AS "granted_at: At", expires_at AS "expires_at: At", reason, position
           FROM ledger_wallet_credits c
           WHERE organisation_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3"#,
        organisation.to_string(),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// One wallet.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    currency: Currency,
) -> Result<Option<Balance>, QueryError> {
    Ok(select(db, Some(organisation), Some(currency), (i64::MAX, 1)).await?.pop())
}

/// Wallets of one organisation or of all, in one currency or in any, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    currency: Option<Currency>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Balance>, QueryError> {
    let rows = select(db, organisation, currency, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

/// Holds of one wallet that still set money aside, oldest first.
///
/// # Errors
/// [`QueryError`].
pub async fn open_holds(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    currency: Currency,
) -> Result<Vec<Hold>, QueryError> {
    let rows = sqlx::query_as!(
        Hold,
        r#"SELECT hold_id, organisation_id, currency, purpose, reserved_nanos, captured_nanos,
             released_nanos, reserved_nanos - captured_nanos - released_nanos AS "remaining_nanos!",
             promotional_nanos, status, expires_at AS "expires_at: At", position
           FROM ledger_wallet_holds
           WHERE organisation_id = $1 AND currency = $2 AND status = 'open' ORDER BY position"#,
        organisation.to_string(),
        currency.code(),
    );
    Ok(rows.fetch_all(db).await?)
}
