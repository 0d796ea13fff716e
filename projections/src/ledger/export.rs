//! The whole journal as text that accountants and other programs read: CSV, Beancount and hledger.
//!
//! [`export`]`(pool, format, as_of, &mut out)` writes it oldest first, row by row, so a large journal needs no memory. The plain-text
//! accounts end in a balance assertion per account, so `bean-check` and `hledger check` prove the totals by themselves.
use std::io::Write;
use std::str::FromStr;

use cairn_core::chart::AccountType;
use futures::TryStreamExt as _;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::Date;

use super::trial_balance::{AsOf, trial_balance_in_tx};
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
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "beancount" => Ok(Self::Beancount),
            "hledger" => Ok(Self::Hledger),
            other => Err(format!("'{other}' is not one of csv, beancount, hledger")),
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

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The output could not be written.
    #[error("the export could not be written: {0}")]
    Output(#[from] std::io::Error),
}

impl From<sqlx::Error> for ExportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(QueryError::Database(error))
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
    let mut exported = Exported { position, ..Exported::default() };
    match format {
        ExportFormat::Csv => out.write_all(CSV_HEADER.as_bytes())?,
        ExportFormat::Beancount | ExportFormat::Hledger => {
            open_accounts(&mut tx, format, position, out).await?;
        }
    }
    let mut legs = legs(&mut tx, position);
    let (mut transaction, mut last_on) = (0, Date::MIN);
    while let Some(leg) = legs.try_next().await? {
        let first = leg.position != transaction;
        transaction = leg.position;
        last_on = last_on.max(leg.effective_on);
        exported.transactions += u64::from(first);
        exported.postings += 1;
        out.write_all(leg.text(format, first).as_bytes())?;
    }
    drop(legs);
    if exported.postings > 0 && format != ExportFormat::Csv {
        assert_balances(&mut tx, format, (position, last_on), out).await?;
    }
    out.flush()?;
    tx.rollback().await?;
    Ok(exported)
}

const CSV_HEADER: &str = "position,effective_on,occurred_at,posted_at,kind,source,source_id,reverses,\
                          leg,account,account_type,currency,amount\n";

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
    fn text(&self, format: ExportFormat, first: bool) -> String {
        match format {
            ExportFormat::Csv => self.csv(),
            ExportFormat::Beancount => self.beancount(first),
            ExportFormat::Hledger => self.hledger(first),
        }
    }

    fn csv(&self) -> String {
        let amount = amount(self.amount_nanos.into());
        let (position, leg) = (self.position.to_string(), self.leg.to_string());
        let fields = [
            position.as_str(),
            &self.effective_on.to_string(),
            &self.occurred_at.to_string(),
            &self.posted_at.to_string(),
            &self.kind,
            &self.source,
            &self.source_id,
            self.reverses.as_deref().unwrap_or_default(),
            &leg,
            &self.account,
            &self.account_type,
            &self.currency,
            &amount,
        ];
        fields.map(csv_field).join(",") + "\n"
    }

    fn beancount(&self, first: bool) -> String {
        let mut text = String::new();
        if first {
            let reference = quoted(&format!("{}/{}", self.source, self.source_id));
            text = format!("\n{} * {} {reference}\n", self.effective_on, quoted(&self.kind));
            text += &format!("  position: {}\n", self.position);
            if let Some(reverses) = &self.reverses {
                text += &format!("  reverses: {}\n", quoted(reverses));
            }
        }
        let account = account_name(ExportFormat::Beancount, &self.account);
        text + &format!("  {account}  {} {}\n", amount(self.amount_nanos.into()), self.currency)
    }

    fn hledger(&self, first: bool) -> String {
        let mut text = String::new();
        if first {
            let (on, position, kind) = (self.effective_on, self.position, plain(&self.kind));
            let reference = plain(&format!("{}/{}", self.source, self.source_id));
            text = format!("\n{on} * ({position}) {kind} | {reference}\n");
            if let Some(reverses) = &self.reverses {
                text += &format!("    ; reverses {}\n", plain(reverses));
            }
        }
        let account = account_name(ExportFormat::Hledger, &self.account);
        text + &format!("    {account}  {} {}\n", amount(self.amount_nanos.into()), self.currency)
    }
}

/// Declares every account, from the first day that it is used.
async fn open_accounts(
    db: &mut PgConnection,
    format: ExportFormat,
    position: i64,
    out: &mut (dyn Write + Send),
) -> Result<(), ExportError> {
    let accounts = sqlx::query!(
        r#"SELECT p.account, p.currency, min(t.effective_on) AS "first_on!"
           FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
           WHERE p.position <= $1 GROUP BY p.account, p.currency ORDER BY p.account COLLATE "C""#,
        position
    )
    .fetch_all(db)
    .await?;
    match format {
        ExportFormat::Beancount => {
            writeln!(
                out,
                "; Cairn journal up to position {position}\noption \"title\" \"Cairn\"\n"
            )?;
        }
        ExportFormat::Hledger => {
            writeln!(out, "; Cairn journal up to position {position}\ndecimal-mark .\n")?;
            let mut currencies: Vec<_> = accounts.iter().map(|row| &row.currency).collect();
            currencies.sort();
            currencies.dedup();
            for currency in currencies {
                writeln!(out, "commodity 1000.000000000 {currency}")?;
            }
        }
        ExportFormat::Csv => {}
    }
    for row in accounts {
        let name = account_name(format, &row.account);
        match format {
            ExportFormat::Beancount => {
                writeln!(out, "{} open {name} {}", row.first_on, row.currency)?;
            }
            ExportFormat::Hledger => writeln!(out, "account {name}")?,
            ExportFormat::Csv => {}
        }
    }
    Ok(())
}

/// States every account's balance after the last day, for the reader's tool to check.
async fn assert_balances(
    db: &mut PgConnection,
    format: ExportFormat,
    (position, last_on): (i64, Date),
    out: &mut (dyn Write + Send),
) -> Result<(), ExportError> {
    let balance = trial_balance_in_tx(db, AsOf::Position(position)).await?;
    let on = last_on.next_day().unwrap_or(last_on);
    writeln!(out)?;
    if format == ExportFormat::Hledger {
        writeln!(out, "{on} * closing balances, asserted")?;
    }
    for row in balance.accounts {
        let name = account_name(format, &row.account);
        let (amount, currency) = (amount(row.balance.0), &row.currency);
        match format {
            ExportFormat::Beancount => {
                writeln!(out, "{on} balance {name}  {amount} {currency}")?;
            }
            ExportFormat::Hledger => {
                writeln!(out, "    {name}  0 {currency} = {amount} {currency}")?;
            }
            ExportFormat::Csv => {}
        }
    }
    Ok(())
}

/// The name of an account in the words of a tool. Different codes get different names.
///
/// Beancount: `Liabilities:Wallet:Paid:Org-01J…:EUR`; its segments begin with a capital or a digit and hold letters, digits and
/// `-`, so `_` becomes `-`, and `-` and anything else `-x<hex>-`. hledger: `liabilities:wallet:paid:org_01j…:EUR`.
#[must_use]
pub fn account_name(format: ExportFormat, code: &str) -> String {
    let root = match AccountType::of(code) {
        Some(AccountType::Asset) => "Assets",
        Some(AccountType::Liability) => "Liabilities",
        Some(AccountType::Income) => "Income",
        Some(AccountType::Expense) => "Expenses",
        Some(AccountType::Equity) | None => "Equity",
    };
    match format {
        ExportFormat::Csv => code.to_owned(),
        ExportFormat::Hledger => {
            let root = if root == "Income" { "revenues".to_owned() } else { root.to_lowercase() };
            format!("{root}:{}", plain(code))
        }
        ExportFormat::Beancount => {
            let segments: Vec<_> = code.split(':').map(beancount_segment).collect();
            format!("{root}:{}", segments.join(":"))
        }
    }
}

fn beancount_segment(segment: &str) -> String {
    let mut name = String::new();
    for (n, letter) in segment.chars().enumerate() {
        match letter {
            _ if n == 0 && letter.is_ascii_alphabetic() => name.push(letter.to_ascii_uppercase()),
            '_' if n > 0 => name.push('-'),
            _ if letter.is_ascii_alphanumeric() => name.push(letter),
            _ => {
                let lead = if n == 0 { "X" } else { "" };
                name += &format!("{lead}-x{:x}-", u32::from(letter));
            }
        }
    }
    name
}

/// Nine decimals: nothing is rounded and all amounts look alike.
fn amount(nanos: i128) -> String {
    let (sign, magnitude) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000)
}

fn csv_field(text: &str) -> String {
    let plain = !text.contains([',', '"', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(char::is_control, " "))
}

/// Without what ends a line, an account name or a description, or begins a comment.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ';' | '|'), "_")
}
