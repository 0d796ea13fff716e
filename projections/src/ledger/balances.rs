//! What an organisation has: asked by customers before they rent, and by finance.
//!
//! One row of `ledger_wallets` is one wallet: what was paid in or granted and not used, what is held of it, what of both is promotional
//! credit, and what is owed beyond it. One row of `ledger_wallet_holds` is one hold, one of `ledger_wallet_credits` one grant. The guarded balances that refuse an overdraft are not these: they are
//! written with the events; these are folded from them, and the two must agree.
use async_trait::async_trait;
use cairn_core::{CreditId, Decider, DisputeId, HoldId, Nanos};
use cairn_event_log::Recorded;
use cairn_ledger::{
    CreditUse, Dunning, DunningEvent, OPEN_END, Stage, WalletEvent, hold_of_dispute, used,
};

pub use super::balances_query::{Balance, Credit, Hold, credits, get, list, open_holds};
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
        &["ledger_wallets", "ledger_wallet_holds", "ledger_wallet_credits"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[WalletEvent::TYPES, DunningEvent::TYPES])
    }

    /// A wallet and its dunning have one row.
    fn key(&self, event: &Recorded) -> String {
        format!("wallet/{}", event.aggregate_id)
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
        let happened = event.decoded()?;
        match *happened {
            E::ToppedUp { amount_nanos, .. } => {
                let added = Moved { posted: amount_nanos, ..Moved::default() };
                open(changes, wallet, added, event);
            }
            E::RefundReserved { amount_nanos, .. } => {
                move_by(changes, wallet, Moved { posted: -amount_nanos, ..Moved::default() });
            }
            E::RefundReturned { amount_nanos, .. } | E::UsageCredited { amount_nanos, .. } => {
                move_by(changes, wallet, Moved { posted: amount_nanos, ..Moved::default() });
            }
            E::OverrunRecorded { amount_nanos, .. } => {
                move_by(changes, wallet, Moved { owed: amount_nanos, ..Moved::default() });
            }
            E::CreditGranted { amount_nanos, .. } => {
                granted(changes, &wallet, &happened, event);
                open(changes, wallet, Moved::promotional(amount_nanos), event);
            }
            E::DisputeLost { dispute_id, amount_nanos, held_nanos, owed_nanos, .. } => {
                if held_nanos > 0 {
                    lose(changes, dispute_id, held_nanos);
                }
                let rest = Moved::held(-held_nanos, 0);
                move_by(changes, wallet, Moved { posted: -amount_nanos, owed: owed_nanos, ..rest });
            }
            E::CreditExpired { credit_id, amount_nanos, .. } => {
                take(changes, credit_id, (0, amount_nanos));
                move_by(changes, wallet, Moved::promotional(-amount_nanos));
            }
            E::SpendingLimitsSet { .. }
            | E::SpendingReached { .. }
            | E::HoldAssigned { .. }
            | E::ProjectLimitsSet { .. }
            | E::ProjectLimitReached { .. }
            | E::AlertsSet { .. }
            | E::AlertReached { .. }
            | E::ProjectAlertsSet { .. }
            | E::ProjectAlertReached { .. } => {}
            E::HoldPlaced { .. }
            | E::HoldExtended { .. }
            | E::HoldExtensionRefused { .. }
            | E::UsageCaptured { .. }
            | E::UsageCorrected { .. }
            | E::HoldReleased { .. }
            | E::HoldExpired { .. }
            | E::PaymentDisputed { .. }
            | E::DisputeReleased { .. } => set_aside(changes, wallet, &happened, event.position),
        }
        Ok(())
    }
}

/// What was set aside for a dispute is gone.
fn lose(changes: &mut Changes, dispute_id: DisputeId, held_nanos: Nanos) {
    changes.change((hold_of_dispute(dispute_id).to_string(),), move |hold: &mut HoldRow| {
        hold.status = "released".into();
        add(&mut hold.captured_nanos, held_nanos)
    });
}

/// What a hold has, from its beginning to its end.
fn set_aside(changes: &mut Changes, wallet: Wallet, happened: &WalletEvent, position: i64) {
    use WalletEvent as E;
    match *happened {
        E::HoldPlaced { hold_id, ref purpose, amount_nanos, promotional_nanos, expires_at } => {
            let begun = HoldRow {
                reserved_nanos: amount_nanos,
                expires_at: At(expires_at),
                position,
                promotional_nanos,
                ..HoldRow::default()
            };
            place(changes, &wallet, (hold_id, purpose.clone()), begun);
            move_by(changes, wallet, Moved::held(amount_nanos, promotional_nanos));
        }
        E::HoldExtended { hold_id, amount_nanos, promotional_nanos, expires_at } => {
            changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
                (hold.status, hold.expires_at) = ("open".into(), At(expires_at));
                add(&mut hold.promotional_nanos, promotional_nanos)?;
                add(&mut hold.reserved_nanos, amount_nanos)
            });
            move_by(changes, wallet, Moved::held(amount_nanos, promotional_nanos));
        }
        E::UsageCaptured { hold_id, amount_nanos, ref credits, .. } => {
            let promotional_nanos = used(credits);
            changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
                add(&mut hold.promotional_nanos, -promotional_nanos)?;
                add(&mut hold.captured_nanos, amount_nanos)
            });
            for one in credits {
                take(changes, one.credit_id, (one.amount_nanos, 0));
            }
            let moved = Moved {
                posted: -amount_nanos,
                promotional: -promotional_nanos,
                ..Moved::held(-amount_nanos, -promotional_nanos)
            };
            move_by(changes, wallet, moved);
        }
        E::UsageCorrected { amount_nanos, owed_nanos, ref credits, .. } => {
            correct(changes, wallet, (amount_nanos, owed_nanos), credits);
        }
        E::HoldReleased { hold_id, amount_nanos, promotional_nanos } => {
            end(changes, hold_id, "released", (amount_nanos, promotional_nanos));
            move_by(changes, wallet, Moved::held(-amount_nanos, -promotional_nanos));
        }
        E::HoldExpired { hold_id, amount_nanos, promotional_nanos } => {
            end(changes, hold_id, "expired", (amount_nanos, promotional_nanos));
            move_by(changes, wallet, Moved::held(-amount_nanos, -promotional_nanos));
        }
        E::PaymentDisputed { dispute_id, held_nanos, .. } if held_nanos > 0 => {
            let purpose = dispute_id.to_string();
            let begun = HoldRow {
                reserved_nanos: held_nanos,
                expires_at: At(OPEN_END),
                position,
                ..HoldRow::default()
            };
            place(changes, &wallet, (hold_of_dispute(dispute_id), purpose), begun);
            move_by(changes, wallet, Moved::held(held_nanos, 0));
        }
        E::DisputeReleased { dispute_id, amount_nanos } if amount_nanos > 0 => {
            end(changes, hold_of_dispute(dispute_id), "released", (amount_nanos, 0));
            move_by(changes, wallet, Moved::held(-amount_nanos, 0));
        }
        _ => {}
    }
}

/// A correction gives back what was charged, of it what was owed.
fn correct(
    changes: &mut Changes,
    wallet: Wallet,
    (amount_nanos, owed_nanos): (Nanos, Nanos),
    credits: &[CreditUse],
) {
    for one in credits {
        take(changes, one.credit_id, (-one.amount_nanos, 0));
    }
    let (posted, owed) = (amount_nanos - owed_nanos, -owed_nanos);
    let promotional = used(credits);
    move_by(changes, wallet, Moved { posted, owed, promotional, ..Moved::default() });
}

fn place(
    changes: &mut Changes,
    wallet: &Wallet,
    (hold_id, purpose): (HoldId, String),
    begun: HoldRow,
) {
    let (organisation_id, currency) = wallet.clone();
    let (hold_id, status) = (hold_id.to_string(), "open".into());
    changes.insert(HoldRow { hold_id, organisation_id, currency, purpose, status, ..begun });
}

fn granted(changes: &mut Changes, wallet: &Wallet, happened: &WalletEvent, event: &Recorded) {
    let WalletEvent::CreditGranted {
        credit_id,
        amount_nanos,
        expires_at,
        ref reason,
        ref journal,
        ..
    } = *happened
    else {
        return;
    };
    let (organisation_id, currency) = wallet.clone();
    changes.insert(CreditRow {
        credit_id: credit_id.to_string(),
        organisation_id,
        currency,
        amount_nanos,
        used_nanos: 0,
        expired_nanos: 0,
        remaining_nanos: amount_nanos,
        granted_at: At(journal.occurred_at),
        expires_at: At(expires_at),
        reason: reason.clone(),
        position: event.position,
    });
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
        promotional_nanos: Nanos,
        promotional_held_nanos: Nanos,
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
        promotional_nanos: Nanos,
    }
}

row! {
    /// One grant of promotional credit.
    pub(crate) struct CreditRow in "ledger_wallet_credits" by (credit_id: String) {
        credit_id: String,
        organisation_id: String,
        currency: String,
        amount_nanos: Nanos,
        used_nanos: Nanos,
        expired_nanos: Nanos,
        remaining_nanos: Nanos,
        granted_at: At,
        expires_at: At,
        reason: String,
        position: i64,
    }
}

type Wallet = (String, String);

/// What an event adds to a wallet's sums.
#[derive(Clone, Copy, Default)]
struct Moved {
    posted: Nanos,
    held: Nanos,
    owed: Nanos,
    /// Of what is posted.
    promotional: Nanos,
    /// Of what is held.
    promotional_held: Nanos,
}

impl Moved {
    fn held(held: Nanos, promotional_held: Nanos) -> Self {
        Self { held, promotional_held, ..Self::default() }
    }

    fn promotional(amount: Nanos) -> Self {
        Self { posted: amount, promotional: amount, ..Self::default() }
    }

    fn add_to(self, row: &mut WalletRow) -> Result<(), ProjectError> {
        add(&mut row.posted_nanos, self.posted)?;
        add(&mut row.held_nanos, self.held)?;
        add(&mut row.owed_nanos, self.owed)?;
        add(&mut row.promotional_nanos, self.promotional)?;
        add(&mut row.promotional_held_nanos, self.promotional_held)
    }
}

/// The first payment or grant opens the wallet.
fn open(changes: &mut Changes, wallet: Wallet, moved: Moved, event: &Recorded) {
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
        moved.add_to(&mut row)?;
        Ok(row)
    });
}

fn move_by(changes: &mut Changes, wallet: Wallet, moved: Moved) {
    changes.change(wallet, move |row: &mut WalletRow| moved.add_to(row));
}

/// A grant was used, or ran out of time.
fn take(changes: &mut Changes, credit_id: CreditId, (used, expired): (Nanos, Nanos)) {
    changes.change((credit_id.to_string(),), move |credit: &mut CreditRow| {
        add(&mut credit.used_nanos, used)?;
        add(&mut credit.expired_nanos, expired)?;
        add(&mut credit.remaining_nanos, -used - expired)
    });
}

/// A hold ends, and what it still had goes back.
fn end(
    changes: &mut Changes,
    hold_id: HoldId,
    status: &'static str,
    (amount_nanos, promotional_nanos): (Nanos, Nanos),
) {
    changes.change((hold_id.to_string(),), move |hold: &mut HoldRow| {
        hold.status = status.into();
        add(&mut hold.promotional_nanos, -promotional_nanos)?;
        add(&mut hold.released_nanos, amount_nanos)
    });
}
