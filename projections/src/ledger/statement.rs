//! What happened to the money: asked by customers and by finance when they explain a balance.
//!
//! One row is one movement of one wallet, with the balance right after it; what of it is promotional credit stands beside it. Usage that no money was left for moves nothing
//! in the wallet: its line has an amount of 0 and says what is owed.
use async_trait::async_trait;
use cairn_core::{
    AllocationId, CreditId, Currency, HoldId, JournalTransaction, Nanos, OrganisationId,
};
use cairn_event_log::Recorded;
use cairn_ledger::{WalletEvent, used};
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
    /// `top_up`, `usage`, `overrun`, `refund_reserved`, `refund_returned`, `credit_granted`, `credit_expired`, `dispute_lost`,
    /// `usage_credited`, `usage_corrected` or `invoice_corrected`.
    pub kind: String,
    /// Positive: into the wallet.
    pub amount_nanos: Nanos,
    /// Of it, promotional credit, with the same sign.
    pub promotional_nanos: Nanos,
    /// Added to what is owed beyond the wallet.
    pub owed_nanos: Nanos,
    /// Of usage that is paid or owed, tax.
    pub tax_nanos: Nanos,
    /// What is in the wallet after it.
    pub balance_nanos: Nanos,
    /// What it was for: a payment, an allocation, a refund, a grant of credit, a dispute or a credit note.
    pub reference: String,
    /// Seconds of use charged so far on the same reference.
    pub seconds: Option<i64>,
    pub occurred_at: At,
}

/// The projection.
pub struct Statement;

struct Movement<'a> {
    kind: &'a str,
    amount_nanos: Nanos,
    promotional_nanos: Nanos,
    owed_nanos: Nanos,
    tax_nanos: Nanos,
    reference: String,
    seconds: Option<i64>,
    journal: &'a JournalTransaction,
}

impl<'a> Movement<'a> {
    /// Of paid money, in the journal's word.
    fn paid(amount_nanos: Nanos, reference: String, journal: &'a JournalTransaction) -> Self {
        let (kind, promotional_nanos, owed_nanos, tax_nanos) = (&*journal.kind, 0, 0, 0);
        let seconds = None;
        Self {
            kind,
            amount_nanos,
            promotional_nanos,
            owed_nanos,
            tax_nanos,
            reference,
            seconds,
            journal,
        }
    }

    /// Of promotional credit alone. Customers know it as credit.
    fn credit(
        kind: &'static str,
        amount_nanos: Nanos,
        (credit_id, journal): (CreditId, &'a JournalTransaction),
    ) -> Self {
        let movement = Self::paid(amount_nanos, credit_id.to_string(), journal);
        Self { kind, promotional_nanos: amount_nanos, ..movement }
    }
}

/// A hold has the bits of the allocation that it pays for.
fn allocation_of(hold_id: HoldId) -> String {
    AllocationId::from_bits(hold_id.bits()).to_string()
}

fn movement(event: &WalletEvent) -> Option<Movement<'_>> {
    use WalletEvent as E;
    Some(match *event {
        E::ToppedUp { payment_id, amount_nanos, ref journal, .. } => {
            Movement::paid(amount_nanos, payment_id.to_string(), journal)
        }
        E::UsageCaptured {
            hold_id,
            amount_nanos,
            seconds,
            ref credits,
            ref tax,
            ref journal,
            ..
        } => {
            let (promotional_nanos, seconds) = (-used(credits), Some(seconds));
            let tax_nanos = tax.as_ref().map_or(0, |part| part.tax_nanos);
            let movement = Movement::paid(-amount_nanos, allocation_of(hold_id), journal);
            Movement { promotional_nanos, seconds, tax_nanos, ..movement }
        }
        E::OverrunRecorded { hold_id, amount_nanos, seconds, ref tax, ref journal, .. } => {
            let (owed_nanos, seconds) = (amount_nanos, Some(seconds));
            let tax_nanos = tax.as_ref().map_or(0, |part| part.tax_nanos);
            let movement = Movement::paid(0, allocation_of(hold_id), journal);
            Movement { owed_nanos, seconds, tax_nanos, ..movement }
        }
        E::UsageCorrected { .. } => return corrected(event),
        E::RefundReserved { refund_id, amount_nanos, ref journal, .. } => {
            Movement::paid(-amount_nanos, refund_id.to_string(), journal)
        }
        E::RefundReturned { refund_id, amount_nanos, ref journal } => {
            Movement::paid(amount_nanos, refund_id.to_string(), journal)
        }
        E::CreditGranted { credit_id, amount_nanos, ref journal, .. } => {
            Movement::credit("credit_granted", amount_nanos, (credit_id, journal))
        }
        E::CreditExpired { credit_id, amount_nanos, ref journal } => {
            Movement::credit("credit_expired", -amount_nanos, (credit_id, journal))
        }
        E::DisputeLost { dispute_id, amount_nanos, owed_nanos, ref journal, .. } => {
            let movement = Movement::paid(-amount_nanos, dispute_id.to_string(), journal);
            Movement { owed_nanos, ..movement }
        }
        E::UsageCredited { ref note, amount_nanos, ref journal, .. } => {
            Movement::paid(amount_nanos, note.clone(), journal)
        }
        E::PaymentDisputed { .. }
        | E::DisputeReleased { .. }
        | E::HoldPlaced { .. }
        | E::HoldExtended { .. }
        | E::HoldExtensionRefused { .. }
        | E::HoldReleased { .. }
        | E::HoldExpired { .. }
        | E::SpendingLimitsSet { .. }
        | E::SpendingReached { .. }
        | E::HoldAssigned { .. }
        | E::ProjectLimitsSet { .. }
        | E::ProjectLimitReached { .. }
        | E::AlertsSet { .. }
        | E::AlertReached { .. }
        | E::ProjectAlertsSet { .. }
        | E::ProjectAlertReached { .. } => return None,
    })
}

fn corrected(event: &WalletEvent) -> Option<Movement<'_>> {
    let WalletEvent::UsageCorrected {
        hold_id,
        amount_nanos,
        owed_nanos,
        seconds,
        credits,
        tax,
        journal,
        ..
    } = event
    else {
        return None;
    };
    let movement = Movement::paid(amount_nanos - owed_nanos, allocation_of(*hold_id), journal);
    Some(Movement {
        promotional_nanos: used(credits),
        owed_nanos: -owed_nanos,
        seconds: Some(*seconds),
        tax_nanos: tax.as_ref().map_or(0, |part| part.tax_nanos),
        ..movement
    })
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
            kind: line.kind.to_owned(),
            amount_nanos: line.amount_nanos,
            owed_nanos: line.owed_nanos,
            balance_nanos: line.amount_nanos,
            reference: line.reference,
            seconds: line.seconds,
            occurred_at: At(line.journal.occurred_at),
            promotional_nanos: line.promotional_nanos,
            tax_nanos: line.tax_nanos,
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
        promotional_nanos: Nanos,
        tax_nanos: Nanos,
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
        r#"SELECT position, organisation_id, currency, kind, amount_nanos, promotional_nanos, owed_nanos, tax_nanos, balance_nanos,
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

/// Where the last charge for a rental, or correction of one, before a position is; `wallet` is the stream that it is taken from.
///
/// # Errors
/// [`QueryError`].
pub async fn charge_before(
    db: impl PgExecutor<'_>,
    (wallet, allocation_id): (&str, AllocationId),
    position: i64,
) -> Result<Option<i64>, QueryError> {
    let (organisation_id, currency) = wallet.split_once(':').unwrap_or_default();
    let found = sqlx::query_scalar!(
        "SELECT position FROM ledger_statement_lines
         WHERE organisation_id = $1 AND currency = $2 AND reference = $3 AND position < $4
           AND kind IN ('usage', 'overrun', 'usage_corrected', 'invoice_corrected')
         ORDER BY position DESC LIMIT 1",
        organisation_id,
        currency,
        allocation_id.to_string(),
        position,
    );
    Ok(found.fetch_optional(db).await?)
}
