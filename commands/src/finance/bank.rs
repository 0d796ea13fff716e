//! Statements of banks: kept line by line, each once, and never changed.
//!
//! [`import()`] takes proven statements, all of them or none. The account has a name of ours (`main`, as in `bank:main:USD`) that
//! stands for one number at the bank in each currency. A line is known by its account, currency and name
//! ([`Statement::named`]), so a file may be imported again, and statements may overlap; a line that says something else than
//! before is refused, and the file with it. The reconciliation holds the provider's payouts against the lines ([`BankReport`]), and
//! what matches is booked before that.
pub(super) mod arrivals;
mod gaps;
mod held;
pub(super) mod matching;

use std::collections::BTreeMap;

use cairn_core::{Nanos, Timestamp};
use cairn_finance::statement::day_text;
use cairn_finance::{NamedLine, Statement};
use cairn_payments::is_bank_account;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use time::Date;

pub use self::gaps::Gap;
pub(super) use self::held::report;
pub use self::held::{BankReport, CoveredDays};
use self::matching::Matched;
use crate::replay::{instant, timestamp};

/// Why a file is not imported. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not a name of an account.
    #[error("'{0}': the name of an account is 1 to 32 of a-z, 0-9, _ and -")]
    AccountInvalid(String),
    /// Nobody has said which of our accounts it is.
    #[error("nobody has said yet which account {0} is: say it with --account, for example main")]
    AccountMissing(String),
    /// The name stands for another number at the bank, or the number has another name.
    #[error("'{account}' is {known} in {currency}: {bank_account} cannot be '{said}'")]
    AccountDiffers {
        /// Our name of an account.
        account: String,
        /// In which currency.
        currency: String,
        /// The bank's number that it stands for.
        known: String,
        /// The bank's number in the statement.
        bank_account: String,
        /// What that was said to be.
        said: String,
    },
    /// A line with a known name says something else.
    #[error(
        "the line {reference} of '{account}' is there already and says something else: {known}, and now {now}"
    )]
    LineChanged {
        /// Our name of the account.
        account: String,
        /// The line's name.
        reference: String,
        /// What it said.
        known: String,
        /// What it says.
        now: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl ImportError {
    /// Stable code, when it is no failure of the database.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::AccountInvalid(_) => Some("bank_account_invalid"),
            Self::AccountMissing(_) => Some("bank_account_missing"),
            Self::AccountDiffers { .. } => Some("bank_account_differs"),
            Self::LineChanged { .. } => Some("bank_line_changed"),
            Self::Database(_) => None,
        }
    }
}

/// A statement that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Our name of the account.
    pub account: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The bank's name of the statement.
    pub statement_id: Option<String>,
    /// Its first day.
    pub first_on: String,
    /// Its last day.
    pub last_on: String,
    /// The lines that it has.
    pub lines: usize,
    /// Those that were new.
    pub added: u64,
}

/// A line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptLine {
    /// Our name of the account.
    pub account: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Its name among all lines of that account and currency.
    pub reference: String,
    /// The day on which it was booked.
    pub booked_on: String,
    /// The day from which it counts.
    pub valued_on: String,
    /// More than zero is money for us.
    pub amount_nanos: Nanos,
    /// What whoever paid called it.
    pub end_to_end: Option<String>,
    /// Whatever else the bank says of it.
    pub text: String,
    /// The provider's id of the payout that it is.
    pub payout_id: Option<String>,
}

/// Keeps statements that prove themselves. Without an account, the one that the bank's number is known as.
///
/// # Errors
/// [`ImportError`]; then nothing of any of them is kept.
pub async fn import(
    pool: &PgPool,
    statements: &[Statement],
    account: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Imported>, ImportError> {
    let mut transaction = pool.begin().await?;
    let mut imported = Vec::new();
    for statement in statements {
        let account = account_of(&mut transaction, statement, account).await?;
        imported.push(keep(&mut transaction, (&account, statement), now).await?);
    }
    transaction.commit().await?;
    tracing::info!(statements = imported.len(), "imported statements of a bank");
    Ok(imported)
}

/// Where a statement does not begin with what the one before it ended with.
///
/// # Errors
/// When the database does not answer.
pub async fn gaps(pool: &PgPool) -> Result<Vec<Gap>, sqlx::Error> {
    let rows = sqlx::query_as!(
        gaps::Kept,
        r#"SELECT account, currency, first_on, last_on, opening_nanos AS "opening_nanos!",
                  closing_nanos AS "closing_nanos!"
           FROM finance_bank_statements WHERE opening_nanos IS NOT NULL
           ORDER BY account, currency, first_on, last_on, content"#
    );
    Ok(gaps::find(&rows.fetch_all(pool).await?))
}

/// Every line, oldest first; only those that are no payout of the provider, when asked.
///
/// # Errors
/// When the database does not answer.
pub async fn lines(pool: &PgPool, open_only: bool) -> Result<Vec<KeptLine>, sqlx::Error> {
    let facts = held::facts(pool).await?;
    let pairs = Matched::of(&facts).pairs.into_iter();
    let payouts: BTreeMap<String, String> =
        pairs.map(|(payout, line)| (line.id(), payout.provider_id.clone())).collect();
    let rows = facts.lines.iter().map(|line| KeptLine {
        account: line.account.clone(),
        currency: line.currency.clone(),
        reference: line.reference.clone(),
        booked_on: day_text(line.booked_on),
        valued_on: day_text(line.valued_on),
        amount_nanos: line.amount_nanos,
        end_to_end: line.end_to_end.clone(),
        text: line.text.clone(),
        payout_id: payouts.get(&line.id()).cloned(),
    });
    Ok(rows.filter(|line| !open_only || line.payout_id.is_none()).collect())
}

/// Our name of a statement's account: as it was said, or as it is known.
async fn account_of(
    connection: &mut PgConnection,
    statement: &Statement,
    said: Option<&str>,
) -> Result<String, ImportError> {
    if let Some(name) = said.filter(|name| !is_bank_account(name)) {
        return Err(ImportError::AccountInvalid(name.to_owned()));
    }
    let Some(bank_account) = &statement.bank_account else {
        let missing = || ImportError::AccountMissing("this file's account".to_owned());
        return said.map(str::to_owned).ok_or_else(missing);
    };
    let known = sqlx::query!(
        r#"SELECT DISTINCT account, bank_account AS "bank_account!" FROM finance_bank_statements
           WHERE currency = $1 AND bank_account IS NOT NULL AND (bank_account = $2 OR account = $3)
           ORDER BY 1, 2"#,
        statement.currency,
        bank_account,
        said
    );
    let known = known.fetch_all(connection).await?;
    for row in &known {
        let other_name = said.is_some_and(|name| name != row.account);
        if other_name || row.bank_account != *bank_account {
            return Err(ImportError::AccountDiffers {
                account: row.account.clone(),
                currency: statement.currency.clone(),
                known: row.bank_account.clone(),
                bank_account: bank_account.clone(),
                said: said.unwrap_or(&row.account).to_owned(),
            });
        }
    }
    let known = said.or_else(|| known.first().map(|row| row.account.as_str()));
    let missing = || ImportError::AccountMissing(bank_account.clone());
    known.map(str::to_owned).ok_or_else(missing)
}

async fn keep(
    connection: &mut PgConnection,
    (account, statement): (&str, &Statement),
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let content = content(account, statement);
    let (first, last) = statement.days;
    let balances = statement.balances;
    sqlx::query!(
        "INSERT INTO finance_bank_statements (content, account, currency, bank_account, statement_id, opening_nanos,
             closing_nanos, first_on, last_on, imported_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (content) DO NOTHING",
        content,
        account,
        statement.currency,
        statement.bank_account.as_deref(),
        statement.statement_id.as_deref(),
        balances.map(|balances| balances.opening_nanos),
        balances.map(|balances| balances.closing_nanos),
        date(first),
        date(last),
        instant(now)
    )
    .execute(&mut *connection)
    .await?;
    let lines = statement.named();
    let of = (account, statement.currency.as_str());
    let added = keep_lines(connection, of, (&content, &lines), now).await?;
    refuse_changed(connection, of, &lines).await?;
    Ok(Imported {
        account: account.to_owned(),
        currency: statement.currency.clone(),
        statement_id: statement.statement_id.clone(),
        first_on: day_text(first),
        last_on: day_text(last),
        lines: lines.len(),
        added,
    })
}

async fn keep_lines(
    connection: &mut PgConnection,
    (account, currency): (&str, &str),
    (statement, lines): (&str, &[NamedLine]),
    now: Timestamp,
) -> Result<u64, ImportError> {
    let references: Vec<String> = lines.iter().map(|named| named.reference.clone()).collect();
    let said = || lines.iter().map(|named| &named.line);
    let contents: Vec<String> = said().map(cairn_finance::StatementLine::content).collect();
    let amounts: Vec<Nanos> = said().map(|line| line.amount_nanos).collect();
    let booked: Vec<Date> = said().map(|line| date(line.booked_on)).collect();
    let valued: Vec<Date> = said().map(|line| date(line.valued_on)).collect();
    let end_to_end: Vec<Option<String>> = said().map(|line| line.end_to_end.clone()).collect();
    let texts: Vec<String> = said().map(|line| line.text.clone()).collect();
    let done = sqlx::query!(
        "INSERT INTO finance_bank_lines (account, currency, statement, imported_at, reference, content, amount_nanos,
             booked_on, valued_on, end_to_end, text)
         SELECT $1, $2, $3, $4, l.* FROM UNNEST($5::text[], $6::text[], $7::bigint[], $8::date[], $9::date[],
             $10::text[], $11::text[]) AS l
         ON CONFLICT (account, currency, reference) DO NOTHING",
        account,
        currency,
        statement,
        instant(now),
        &references,
        &contents,
        &amounts,
        &booked,
        &valued,
        &end_to_end as &[Option<String>],
        &texts
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Whether all lines say what is kept of them.
async fn refuse_changed(
    connection: &mut PgConnection,
    (account, currency): (&str, &str),
    lines: &[NamedLine],
) -> Result<(), ImportError> {
    let references: Vec<String> = lines.iter().map(|named| named.reference.clone()).collect();
    let contents: Vec<String> = lines.iter().map(|named| named.line.content()).collect();
    let other = sqlx::query!(
        r#"SELECT k.reference, k.booked_on, k.amount_nanos, k.text, n.place AS "place!"
           FROM UNNEST($3::text[], $4::text[]) WITH ORDINALITY AS n (reference, content, place)
           JOIN finance_bank_lines k ON k.account = $1 AND k.currency = $2 AND k.reference = n.reference
           WHERE k.content <> n.content ORDER BY n.place LIMIT 1"#,
        account,
        currency,
        &references,
        &contents
    );
    let Some(kept) = other.fetch_optional(connection).await? else { return Ok(()) };
    let place = usize::try_from(kept.place - 1).unwrap_or_default();
    let now = lines.get(place).map(|named| &named.line);
    let now = now.map(|line| told((line.booked_on, line.amount_nanos), &line.text));
    Err(ImportError::LineChanged {
        account: account.to_owned(),
        reference: kept.reference,
        known: told((midnight(kept.booked_on), kept.amount_nanos), &kept.text),
        now: now.unwrap_or_default(),
    })
}

fn told((on, nanos): (Timestamp, Nanos), text: &str) -> String {
    let amount = cairn_core::money::format_nanos(nanos);
    format!("{amount} on {} '{text}'", day_text(on))
}

/// A hash of all that a statement says, and of which account.
fn content(account: &str, statement: &Statement) -> String {
    let balances = statement.balances;
    let lines: Vec<String> =
        statement.lines.iter().map(cairn_finance::StatementLine::content).collect();
    let says = json!([
        account,
        statement.currency,
        statement.bank_account,
        statement.statement_id,
        balances.map(|balances| [balances.opening_nanos, balances.closing_nanos]),
        statement.days.0,
        statement.days.1,
        lines,
    ]);
    hex::encode(Sha256::digest(says.to_string()))
}

fn date(midnight: Timestamp) -> Date {
    instant(midnight).date()
}

fn midnight(date: Date) -> Timestamp {
    timestamp(date.midnight().assume_utc())
}
