//! What an organisation has: asked by customers before they rent, and by finance.
//!
//! One row of `ledger_wallets` is one wallet: what was paid in and not used, what is held of it, what is owed beyond it.
//! One row of `ledger_wallet_holds` is one hold. The guarded balances that refuse an overdraft are not these: they are
//! written with the events; these are folded from them, and the two must agree.
use async_trait::async_trait;
use cairn_core::{Currency, HoldId, Nanos, OrganisationId, Timestamp};
use cairn_event_log::Recorded;
use cairn_ledger::WalletEvent;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::wallet_of;
use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, Page, QueryError, before, fetch_limit, found};

/// Name of this projection.
pub const NAME: &str = "ledger/balances";

/// A wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Balance {
    pub organisation_id: String,
    pub currency: String,
    pub posted_nanos: Nanos,
    /// Of it, set aside by holds.
    pub held_nanos: Nanos,
    /// What may be held or refunded. A hold whose time is over no longer counts, swept or not.
    pub available_nanos: Nanos,
    /// Usage that neither hold nor wallet covered.
    pub owed_nanos: Nanos,
    pub opened_at: At,
    /// Where in the log it began.
    pub position: i64,
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
    /// `open`, `expired` or `released`.
    pub status: String,
    pub expires_at: At,
    pub position: i64,
}

/// The projection.
pub struct Balances;

#[async_trait]
impl Projection for Balances {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["ledger_wallets", "ledger_wallet_holds"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[WalletEvent::TYPES])
    }

    async fn project(&self, db: &mut PgConnection, event: &Recorded) -> Result<(), ProjectError> {
        use WalletEvent as E;
        let wallet = wallet_of(event)?;
        match event.decode()? {
            E::ToppedUp { amount_nanos, .. } => credit(db, wallet, amount_nanos, event).await,
            E::RefundReserved { amount_nanos, .. } => add(db, wallet, (-amount_nanos, 0, 0)).await,
            E::RefundReturned { amount_nanos, .. } => add(db, wallet, (amount_nanos, 0, 0)).await,
            E::OverrunRecorded { amount_nanos, .. } => add(db, wallet, (0, 0, amount_nanos)).await,
            E::HoldPlaced { hold_id, purpose, amount_nanos, expires_at } => {
                place(db, wallet, (hold_id, &purpose, expires_at), event.position).await?;
                change(db, hold_id, (amount_nanos, 0, 0), None).await?;
                add(db, wallet, (0, amount_nanos, 0)).await
            }
            E::HoldExtended { hold_id, amount_nanos, expires_at } => {
                change(db, hold_id, (amount_nanos, 0, 0), Some(("open", Some(expires_at)))).await?;
                add(db, wallet, (0, amount_nanos, 0)).await
            }
            E::HoldExtensionRefused { .. } => Ok(()),
            E::UsageCaptured { hold_id, amount_nanos, .. } => {
                change(db, hold_id, (0, amount_nanos, 0), None).await?;
                add(db, wallet, (-amount_nanos, -amount_nanos, 0)).await
            }
            E::HoldReleased { hold_id, amount_nanos } => {
                change(db, hold_id, (0, 0, amount_nanos), Some(("released", None))).await?;
                add(db, wallet, (0, -amount_nanos, 0)).await
            }
            E::HoldExpired { hold_id, amount_nanos } => {
                change(db, hold_id, (0, 0, amount_nanos), Some(("expired", None))).await?;
                add(db, wallet, (0, -amount_nanos, 0)).await
            }
        }
    }
}

async fn credit(
    db: &mut PgConnection,
    (organisation_id, currency): (&str, &str),
    amount_nanos: Nanos,
    event: &Recorded,
) -> Result<(), ProjectError> {
    sqlx::query!(
        "INSERT INTO ledger_wallets AS w (organisation_id, currency, posted_nanos, held_nanos,
           owed_nanos, opened_at, position)
         VALUES ($1, $2, $3, 0, 0, $4, $5)
         ON CONFLICT (organisation_id, currency)
         DO UPDATE SET posted_nanos = w.posted_nanos + excluded.posted_nanos",
        organisation_id,
        currency,
        amount_nanos,
        At(event.recorded_at) as _,
        event.position,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds to what is posted, held and owed.
async fn add(
    db: &mut PgConnection,
    (organisation_id, currency): (&str, &str),
    (posted, held, owed): (Nanos, Nanos, Nanos),
) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE ledger_wallets SET posted_nanos = posted_nanos + $3, held_nanos = held_nanos + $4,
           owed_nanos = owed_nanos + $5
         WHERE organisation_id = $1 AND currency = $2",
        organisation_id,
        currency,
        posted,
        held,
        owed,
    );
    found(&done.execute(db).await?, "the wallet")
}

async fn place(
    db: &mut PgConnection,
    (organisation_id, currency): (&str, &str),
    (hold_id, purpose, expires_at): (HoldId, &str, Timestamp),
    position: i64,
) -> Result<(), ProjectError> {
    sqlx::query!(
        "INSERT INTO ledger_wallet_holds (hold_id, organisation_id, currency, purpose,
           reserved_nanos, captured_nanos, released_nanos, status, expires_at, position)
         VALUES ($1, $2, $3, $4, 0, 0, 0, 'open', $5, $6)",
        hold_id.to_string(),
        organisation_id,
        currency,
        purpose,
        At(expires_at) as _,
        position,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds to what a hold has reserved, captured and released; sets its status and expiry.
async fn change(
    db: &mut PgConnection,
    hold_id: HoldId,
    (reserved, captured, released): (Nanos, Nanos, Nanos),
    status: Option<(&str, Option<Timestamp>)>,
) -> Result<(), ProjectError> {
    let done = sqlx::query!(
        "UPDATE ledger_wallet_holds SET reserved_nanos = reserved_nanos + $2,
           captured_nanos = captured_nanos + $3, released_nanos = released_nanos + $4,
           status = coalesce($5, status), expires_at = coalesce($6, expires_at)
         WHERE hold_id = $1",
        hold_id.to_string(),
        reserved,
        captured,
        released,
        status.map(|(status, _)| status),
        status.and_then(|(_, expires_at)| expires_at).map(At) as _,
    );
    found(&done.execute(db).await?, "the hold")
}

async fn select(
    pool: &PgPool,
    organisation: Option<OrganisationId>,
    currency: Option<Currency>,
    (before, limit): (i64, i64),
) -> Result<Vec<Balance>, QueryError> {
    let rows = sqlx::query_as!(
        Balance,
        r#"SELECT w.organisation_id, w.currency, w.posted_nanos, w.held_nanos, w.owed_nanos,
             (w.posted_nanos - w.held_nanos + coalesce(over.nanos, 0))::bigint
               AS "available_nanos!",
             w.opened_at AS "opened_at: At", w.position
           FROM ledger_wallets w LEFT JOIN LATERAL (
             SELECT sum(reserved_nanos - captured_nanos - released_nanos) AS nanos
             FROM ledger_wallet_holds h
             WHERE h.organisation_id = w.organisation_id AND h.currency = w.currency
               AND h.status = 'open' AND h.expires_at <= now()) over ON true
           WHERE ($1::text IS NULL OR w.organisation_id = $1)
             AND ($2::text IS NULL OR w.currency = $2) AND w.position < $3
           ORDER BY w.position DESC LIMIT $4"#,
        organisation.map(|id| id.to_string()),
        currency.map(Currency::code),
        before,
        limit,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One wallet.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    pool: &PgPool,
    organisation: OrganisationId,
    currency: Currency,
) -> Result<Option<Balance>, QueryError> {
    Ok(select(pool, Some(organisation), Some(currency), (i64::MAX, 1)).await?.pop())
}

/// Wallets of one organisation or of all, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    organisation: Option<OrganisationId>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Balance>, QueryError> {
    let rows = select(pool, organisation, None, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

/// Holds of one wallet that still set money aside, oldest first.
///
/// # Errors
/// [`QueryError`].
pub async fn open_holds(
    pool: &PgPool,
    organisation: OrganisationId,
    currency: Currency,
) -> Result<Vec<Hold>, QueryError> {
    let rows = sqlx::query_as!(
        Hold,
        r#"SELECT hold_id, organisation_id, currency, purpose, reserved_nanos, captured_nanos,
             released_nanos, reserved_nanos - captured_nanos - released_nanos AS "remaining_nanos!",
             status, expires_at AS "expires_at: At", position
           FROM ledger_wallet_holds
           WHERE organisation_id = $1 AND currency = $2 AND status = 'open' ORDER BY position"#,
        organisation.to_string(),
        currency.code(),
    );
    Ok(rows.fetch_all(pool).await?)
}
