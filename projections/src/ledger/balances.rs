//! What an organisation has: asked by customers before they rent, and by finance.
//!
//! One row of `ledger_wallets` is one wallet: what was paid in and not used, what is held of it, what is owed beyond it.
//! One row of `ledger_wallet_holds` is one hold. The guarded balances that refuse an overdraft are not these: they are
//! written with the events; these are folded from them, and the two must agree.
use async_trait::async_trait;
use cairn_core::{HoldId, Nanos, Timestamp};
use cairn_event_log::Recorded;
use cairn_ledger::WalletEvent;
use sqlx::PgConnection;

pub use super::balances_query::{Balance, Hold, get, list, open_holds};
use super::wallet_of;
use crate::engine::{Interest, ProjectError, Projection};
use crate::row::{At, found};

/// Name of this projection.
pub const NAME: &str = "ledger/balances";

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

    fn splits_by_key(&self) -> bool {
        true
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
