//! Invoices and credit notes: asked by customers for their own, and by finance.
//!
//! One row is one paper, with what it adds up to. What stands on it is in its event.
use async_trait::async_trait;
use cairn_core::{Decider as _, Nanos, OrganisationId};
use cairn_event_log::Recorded;
use cairn_finance::{CreditNoteEvent, CreditNoteSeries, InvoiceEvent};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "finance/papers";

/// A paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Paper {
    /// Where in the log it was issued.
    pub position: i64,
    pub number: String,
    /// `invoice` or `credit_note`.
    pub kind: String,
    /// The invoice that a credit note is to.
    pub invoice: Option<String>,
    pub organisation_id: String,
    pub currency: String,
    /// In which what it is about was used.
    pub month: String,
    pub issued_at: At,
    pub net_cents: i64,
    pub tax_cents: i64,
    pub gross_cents: i64,
    pub gross_nanos: Nanos,
}

/// The projection.
pub struct Papers;

#[async_trait]
impl Projection for Papers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["finance_papers"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[InvoiceEvent::TYPES, CreditNoteEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let position = event.position;
        let row = if event.aggregate_type == CreditNoteSeries::TYPE {
            let CreditNoteEvent::Issued { credit_note: note } = event.decode()?;
            PaperRow {
                number: note.number,
                position,
                kind: "credit_note".into(),
                invoice: Some(note.invoice.number),
                organisation_id: note.organisation_id.to_string(),
                currency: note.currency.code().into(),
                month: note.invoice.month.to_string(),
                issued_at: At(note.issued_at),
                net_cents: note.totals.net.cents,
                tax_cents: note.totals.tax.cents,
                gross_cents: note.totals.gross.cents,
                gross_nanos: note.totals.gross.nanos,
            }
        } else {
            let InvoiceEvent::Issued { invoice } = event.decode()?;
            PaperRow {
                number: invoice.number,
                position,
                kind: "invoice".into(),
                invoice: None,
                organisation_id: invoice.organisation_id.to_string(),
                currency: invoice.currency.code().into(),
                month: invoice.month.to_string(),
                issued_at: At(invoice.issued_at),
                net_cents: invoice.totals.net.cents,
                tax_cents: invoice.totals.tax.cents,
                gross_cents: invoice.totals.gross.cents,
                gross_nanos: invoice.totals.gross.nanos,
            }
        };
        changes.put((row.number.clone(),), move |_: Option<PaperRow>| Ok(row));
        Ok(())
    }
}

row! {
    /// A paper.
    pub(crate) struct PaperRow in "finance_papers" by (number: String) {
        number: String,
        position: i64,
        kind: String,
        invoice: Option<String>,
        organisation_id: String,
        currency: String,
        month: String,
        issued_at: At,
        net_cents: i64,
        tax_cents: i64,
        gross_cents: i64,
        gross_nanos: Nanos,
    }
}

/// Papers of one organisation, or of all, of one month, or of any; the last issued first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    (organisation, month): (Option<OrganisationId>, Option<&str>),
    after: Option<String>,
    limit: i64,
) -> Result<Page<Paper>, QueryError> {
    let rows = sqlx::query_as!(
        Paper,
        r#"SELECT position, number, kind, invoice, organisation_id, currency, month, issued_at AS "issued_at: At",
             net_cents, tax_cents, gross_cents, gross_nanos
           FROM finance_papers
           WHERE ($1::text IS NULL OR organisation_id = $1) AND ($2::text IS NULL OR month = $2) AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        organisation.map(|id| id.to_string()),
        month,
        before(after)?,
        fetch_limit(limit),
    );
    Ok(Page::of(rows.fetch_all(db).await?, limit, |row| row.position))
}

/// The paper with a number.
///
/// # Errors
/// [`QueryError`].
pub async fn get(db: impl PgExecutor<'_>, number: &str) -> Result<Option<Paper>, QueryError> {
    let row = sqlx::query_as!(
        Paper,
        r#"SELECT position, number, kind, invoice, organisation_id, currency, month, issued_at AS "issued_at: At",
             net_cents, tax_cents, gross_cents, gross_nanos
           FROM finance_papers WHERE number = $1"#,
        number,
    );
    Ok(row.fetch_optional(db).await?)
}
