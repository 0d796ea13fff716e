//! The whole journal as accountants and other programs read it: CSV, XLSX, Parquet, Beancount and hledger.
//!
//! [`export`]`(pool, format, as_of, &mut out)` writes it oldest first, row by row, so a large journal needs no memory; Parquet keeps one group of rows,
//! and XLSX, which is for people, all of it. The plain-text accounts end in a balance assertion per account, so `bean-check` and `hledger
//! check` prove the totals by themselves.
mod accounts;

use std::io::Write;
use std::str::FromStr;

use cairn_documents::{Cell, Column, Sheet, SheetError, SheetFormat};
use futures::TryStreamExt as _;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::Date;

use self::accounts::Tool;
use super::trial_balance::AsOf;
use crate::engine::one_snapshot_in_tx;
use crate::row::{At, QueryError};

/// What the journal is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One line per posting, with a header.
    Csv,
    /// Beancount 2 and 3.
    Beancount,
    /// hledger (and close to ledger).
    Hledger,
    /// One row per posting, in columns.
    Parquet,
    /// One row per posting, for a spreadsheet.
    Xlsx,
}

impl ExportFormat {
    const fn written(self) -> Written {
        match self {
            Self::Csv => Written::Sheet(SheetFormat::Csv),
            Self::Parquet => Written::Sheet(SheetFormat::Parquet),
            Self::Xlsx => Written::Sheet(SheetFormat::Xlsx),
            Self::Beancount => Written::Accounts(Tool::Beancount),
            Self::Hledger => Written::Accounts(Tool::Hledger),
        }
    }
}

/// The two ways of a journal.
enum Written {
    Sheet(SheetFormat),
    Accounts(Tool),
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "beancount" => Ok(Self::Beancount),
            "hledger" => Ok(Self::Hledger),
            "parquet" => Ok(Self::Parquet),
            "xlsx" => Ok(Self::Xlsx),
            other => Err(format!("'{other}' is not one of csv, beancount, hledger, parquet, xlsx")),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Exported {
    /// The last position that is in it.
    pub position: i64,
    /// Journal transactions.
    pub transactions: u64,
    /// Their legs.
    pub postings: u64,
}

impl Exported {
    fn count(&mut self, is_first: bool) {
        self.transactions += u64::from(is_first);
        self.postings += 1;
    }
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The output could not be written.
    #[error("the export could not be written: {0}")]
    Output(#[from] std::io::Error),
    /// The format does not take it.
    #[error(transparent)]
    Sheet(SheetError),
}

impl From<sqlx::Error> for ExportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(QueryError::Database(error))
    }
}

impl From<SheetError> for ExportError {
    fn from(error: SheetError) -> Self {
        match error {
            SheetError::Output(error) => Self::Output(error),
            error => Self::Sheet(error),
        }
    }
}

/// Writes every journal transaction up to a point, as the database has them at one moment, for as long as it takes.
///
/// # Errors
/// [`ExportError`]; what was written until then is not a whole export.
pub async fn export(
    pool: &PgPool,
    format: ExportFormat,
    as_of: AsOf,
    out: &mut (dyn Write + Send),
) -> Result<Exported, ExportError> {
    let mut tx = pool.begin().await?;
    one_snapshot_in_tx(&mut tx).await?;
    let position = as_of.position_in_tx(&mut tx).await?;
    let exported = match format.written() {
        Written::Sheet(format) => sheet_in_tx(&mut tx, (format, position), out).await?,
        Written::Accounts(tool) => accounts::write_in_tx(&mut tx, (tool, position), out).await?,
    };
    tx.rollback().await?;
    Ok(exported)
}

/// The name of an account in a format: that of its tool, or its code.
#[must_use]
pub fn account_name(format: ExportFormat, code: &str) -> String {
    match format.written() {
        Written::Sheet(_) => code.to_owned(),
        Written::Accounts(tool) => accounts::account_name(tool, code),
    }
}

const COLUMNS: &[Column] = &[
    Column::integer("position"),
    Column::date("effective_on"),
    Column::timestamp("occurred_at"),
    Column::timestamp("posted_at"),
    Column::text("kind"),
    Column::text("source"),
    Column::text("source_id"),
    Column::text("reverses"),
    Column::integer("leg"),
    Column::text("account"),
    Column::text("account_type"),
    Column::text("currency"),
    Column::amount("amount"),
];

async fn sheet_in_tx(
    db: &mut PgConnection,
    (format, position): (SheetFormat, i64),
    out: &mut (dyn Write + Send),
) -> Result<Exported, ExportError> {
    let mut exported = Exported { position, ..Exported::default() };
    let mut sheet = Sheet::begin(format, ("journal", COLUMNS), out)?;
    let (mut legs, mut transaction) = (legs(db, position), 0);
    while let Some(leg) = legs.try_next().await? {
        exported.count(leg.position != transaction);
        transaction = leg.position;
        sheet.row(leg.cells())?;
    }
    sheet.finish()?;
    Ok(exported)
}

/// One posting with its transaction.
struct Leg {
    position: i64,
    effective_on: Date,
    occurred_at: At,
    posted_at: At,
    kind: String,
    source: String,
    source_id: String,
    reverses: Option<String>,
    leg: i16,
    account: String,
    account_type: String,
    currency: String,
    amount_nanos: i64,
}

fn legs(
    db: &mut PgConnection,
    position: i64,
) -> futures::stream::BoxStream<'_, Result<Leg, sqlx::Error>> {
    sqlx::query_as!(
        Leg,
        r#"SELECT t.position, t.effective_on, t.occurred_at AS "occurred_at: At", t.posted_at AS "posted_at: At",
                  t.kind, t.source, t.source_id, t.reverses, p.leg, p.account, a.account_type AS "account_type!",
                  p.currency, p.amount_nanos
           FROM ledger_journal_transactions t
           JOIN ledger_postings p USING (position)
           JOIN ledger_accounts a ON a.code = p.account
           WHERE t.position <= $1 ORDER BY t.position, p.leg"#,
        position
    )
    .fetch(db)
}

impl Leg {
    fn cells(self) -> Vec<Cell> {
        vec![
            Cell::Integer(self.position),
            Cell::Date(self.effective_on),
            Cell::Timestamp(self.occurred_at.0),
            Cell::Timestamp(self.posted_at.0),
            Cell::Text(self.kind),
            Cell::Text(self.source),
            Cell::Text(self.source_id),
            Cell::maybe_text(self.reverses),
            Cell::Integer(self.leg.into()),
            Cell::Text(self.account),
            Cell::Text(self.account_type),
            Cell::Text(self.currency),
            Cell::Amount(self.amount_nanos),
        ]
    }
}
