//! What happened to the money: asked by customers and by finance when they explain a balance.
//!
//! One row is one movement of one wallet, with the balance right after it. Usage that no money was left for moves nothing
//! in the wallet: its line has an amount of 0 and says what is owed.
use async_trait::async_trait;
use cairn_core::{AllocationId, Currency, HoldId, JournalTransaction, Nanos, OrganisationId};
use cairn_event_log::Recorded;
use cairn_ledger::WalletEvent;
use serde::Serialize;
use sqlx::PgExecutor;

use super::wallet_of;
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, add, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "ledger/statement";

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Line {
    /// Where in the log it is.
    pub position: i64,
    pub organisation_id: String,
    pub currency: String,
    /// `top_up`, `usage`, `overrun`, `refund_reserved` or `refund_returned`.
    pub kind: String,
    /// Positive: into the wallet.
    pub amount_nanos: Nanos,
    /// Added to what is owed beyond the wallet.
    pub owed_nanos: Nanos,
    /// What is in the wallet after it.
    pub balance_nanos: Nanos,
    /// What it was for: a payment, an allocation or a refund.
    pub reference: String,
    /// Seconds of use charged so far on the same reference.
    pub seconds: Option<i64>,
    pub occurred_at: At,
}

/// The projection.
pub struct Statement;

struct Movement<'a> {
    amount_nanos: Nanos,
    owed_nanos: Nanos,
    reference: String,
    seconds: Option<i64>,
    journal: &'a JournalTransaction,
}

/// A hold has the bits of the allocation that it pays for.
fn allocation_of(hold_id: HoldId) -> String {
    AllocationId::from_bits(hold_id.bits()).to_string()
}

fn movement(event: &WalletEvent) -> Option<Movement<'_>> {
    use WalletEvent as E;
    let (amount_nanos, owed_nanos, reference, seconds, journal) = match *event {
        E::ToppedUp { payment_id, amount_nanos, ref journal, .. } => {
            (amount_nanos, 0, payment_id.to_string(), None, journal)
        }
        E::UsageCaptured { hold_id, amount_nanos, seconds, ref journal, .. } => {
            (-amount_nanos, 0, allocation_of(hold_id), Some(seconds), journal)
        }
        E::OverrunRecorded { hold_id, amount_nanos, seconds, ref journal, .. } => {
            (0, amount_nanos, allocation_of(hold_id), Some(seconds), journal)
        }
        E::RefundReserved { refund_id, amount_nanos, ref journal, .. } => {
            (-amount_nanos, 0, refund_id.to_string(), None, journal)
        }
        E::RefundReturned { refund_id, amount_nanos, ref journal } => {
            (amount_nanos, 0, refund_id.to_string(), None, journal)
        }
        E::HoldPlaced { .. }
        | E::HoldExtended { .. }
        | E::HoldExtensionRefused { .. }
        | E::HoldReleased { .. }
        | E::HoldExpired { .. } => return None,
    };
    Some(Movement { amount_nanos, owed_nanos, reference, seconds, journal })
}

#[async_trait]
impl Projection for Statement {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["ledger_statement_lines"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[WalletEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let (organisation_id, currency) = wallet_of(event)?;
        let wallet = (organisation_id.to_owned(), currency.to_owned());
        let happened = event.decoded()?;
        let Some(line) = movement(&happened) else { return Ok(()) };
        let row = LineRow {
            position: event.position,
            organisation_id: wallet.0.clone(),
            currency: wallet.1.clone(),
            kind: line.journal.kind.clone(),
            amount_nanos: line.amount_nanos,
            owed_nanos: line.owed_nanos,
            balance_nanos: line.amount_nanos,
            reference: line.reference,
            seconds: line.seconds,
            occurred_at: At(line.journal.occurred_at),
        };
        changes.append(wallet, move |last: Option<LineRow>| {
            let mut row = row;
            add(&mut row.balance_nanos, last.map_or(0, |last| last.balance_nanos))?;
            Ok(row)
        });
        Ok(())
    }
}

row! {
    /// A movement; the last one of a wallet has its balance.
    pub(crate) struct LineRow in "ledger_statement_lines" last_of (organisation_id: String, currency: String) {
        position: i64,
        organisation_id: String,
        currency: String,
        kind: String,
        amount_nanos: Nanos,
        owed_nanos: Nanos,
        balance_nanos: Nanos,
        reference: String,
        seconds: Option<i64>,
        occurred_at: At,
    }
}

/// Movements of one organisation's wallets, or of one of them, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    currency: Option<Currency>,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Line>, QueryError> {
    let rows = sqlx::query_as!(
        Line,
        r#"SELECT position, organisation_id, currency, kind, amount_nanos, owed_nanos, balance_nanos,
             reference, seconds, occurred_at AS "occurred_at: At"
           FROM ledger_statement_lines
           WHERE organisation_id = $1 AND ($2::text IS NULL OR currency = $2) AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        organisation.to_string(),
        currency.map(Currency::code),
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}
