//! What an organisation has: asked by customers before they rent, and by finance.
//!
//! One row of `ledger_wallets` is one wallet: what was paid in and not used, what is held of it, what is owed beyond it.
//! One row of `ledger_wallet_holds` is one hold. The guarded balances that refuse an overdraft are not these: they are
//! written with the events; these are folded from them, and the two must agree.
use async_trait::async_trait;
use cairn_core::{Decider, HoldId, Nanos};
use cairn_event_log::Recorded;
use cairn_ledger::{Dunning, DunningEvent, Stage, WalletEvent};

pub use super::balances_query::{Balance, Hold, get, list, open_holds};
use super::wallet_of;
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, add};

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
        Interest::of(&[WalletEvent::TYPES, DunningEvent::TYPES])
    }

    /// A wallet and its dunning have one row.
    fn key(&self, event: &Recorded) -> String {
        event.aggregate_id.clone()
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use WalletEvent as E;
        let wallet = wallet_of(event)?;
        let wallet = (wallet.0.to_owned(), wallet.1.to_owned());
        if event.aggregate_type == Dunning::TYPE {
            if let DunningEvent::StageChanged { to, until, .. } = event.decode()? {
                changes.change(wallet, move |row: &mut WalletRow| {
                    row.dunning_stage = to.name().into();
                    row.dunning_until = until.map(At);
                    Ok(())
                });
            }
            return Ok(());
        }
        match *event.decoded()? {
            E::ToppedUp { amount_nanos, .. } => credit(changes, wallet, amount_nanos, event),
            E::RefundReserved { amount_nanos, .. } => {
                move_by(changes, wallet, (-amount_nanos, 0, 0))
            }
            E::RefundReturned { amount_nanos, .. } => {
                move_by(changes, wallet, (amount_nanos, 0, 0))
            }
            E::OverrunRecorded { amount_nanos, .. } => {
                move_by(changes, wallet, (0, 0, amount_nanos))
            }
            E::HoldPlaced { hold_id, ref purpose, amount_nanos, expires_at } => {
                let (organisation_id, currency) = wallet.clone();
                changes.insert(HoldRow {
                    hold_id: hold_id.to_string(),
                    organisation_id,
                    currency,
                    purpose: purpose.clone(),
                    reserved_nanos: amount_nanos,
                    captured_nanos: 0,
                    released_nanos: 0,
                    status: "open".into(),
                    expires_at: At(expires_at),
                    position: event.position,
                });
                move_by(changes, wallet, (0, amount_nanos, 0));
            }
            E::HoldExtended { hold_id, amount_nanos, expires_at } => {
                changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
                    (hold.status, hold.expires_at) = ("open".into(), At(expires_at));
                    add(&mut hold.reserved_nanos, amount_nanos)
                });
                move_by(changes, wallet, (0, amount_nanos, 0));
            }
            E::HoldExtensionRefused { .. } => {}
            E::UsageCaptured { hold_id, amount_nanos, .. } => {
                changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
                    add(&mut hold.captured_nanos, amount_nanos)
                });
                move_by(changes, wallet, (-amount_nanos, -amount_nanos, 0));
            }
            E::HoldReleased { hold_id, amount_nanos } => {
                end(changes, hold_id, "released", amount_nanos);
                move_by(changes, wallet, (0, -amount_nanos, 0));
            }
            E::HoldExpired { hold_id, amount_nanos } => {
                end(changes, hold_id, "expired", amount_nanos);
                move_by(changes, wallet, (0, -amount_nanos, 0));
            }
        }
        Ok(())
    }
}

row! {
    /// What a wallet has.
    pub(crate) struct WalletRow in "ledger_wallets" by (organisation_id: String, currency: String) {
        organisation_id: String,
        currency: String,
        posted_nanos: Nanos,
        held_nanos: Nanos,
        owed_nanos: Nanos,
        opened_at: At,
        position: i64,
        dunning_stage: String,
        dunning_until: Option<At>,
    }
}

row! {
    /// What is set aside of it for one purpose.
    pub(crate) struct HoldRow in "ledger_wallet_holds" by (hold_id: String) {
        hold_id: String,
        organisation_id: String,
        currency: String,
        purpose: String,
        reserved_nanos: Nanos,
        captured_nanos: Nanos,
        released_nanos: Nanos,
        status: String,
        expires_at: At,
        position: i64,
    }
}

type Wallet = (String, String);

/// The first credit opens the wallet.
fn credit(changes: &mut Changes, wallet: Wallet, amount_nanos: Nanos, event: &Recorded) {
    let (organisation_id, currency) = wallet.clone();
    let (opened_at, position) = (At(event.recorded_at), event.position);
    changes.put(wallet, move |row: Option<WalletRow>| {
        let new = || WalletRow {
            organisation_id,
            currency,
            opened_at,
            position,
            dunning_stage: Stage::Ok.name().into(),
            ..WalletRow::default()
        };
        let mut row = row.unwrap_or_else(new);
        add(&mut row.posted_nanos, amount_nanos)?;
        Ok(row)
    });
}

/// Adds to what is posted, held and owed.
fn move_by(changes: &mut Changes, wallet: Wallet, (posted, held, owed): (Nanos, Nanos, Nanos)) {
    changes.change(wallet, move |row: &mut WalletRow| {
        add(&mut row.posted_nanos, posted)?;
        add(&mut row.held_nanos, held)?;
        add(&mut row.owed_nanos, owed)
    });
}

/// A hold ends, and what it still had goes back.
fn end(changes: &mut Changes, hold_id: HoldId, status: &'static str, amount_nanos: Nanos) {
    changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
        hold.status = status.into();
        add(&mut hold.released_nanos, amount_nanos)
    });
}
