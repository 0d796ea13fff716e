//! The trial balance: debits, credits and balance of every account, straight from the postings.
//!
//! [`trial_balance`]`(pool, AsOf::Position(n))` asks finance and auditors; the books are written inline, so it is exact at any
//! position, and each currency's grand total is zero or the books are wrong. [`trial_balance_by`] asks of two times at once: what took
//! effect by a day, as far as it was known at a point of the log.
use std::collections::BTreeMap;
use std::str::FromStr;

use cairn_core::Timestamp;
use serde::{Serialize, Serializer};
use sqlx::{PgConnection, PgPool};

use crate::row::{At, QueryError};

/// Up to where the books are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AsOf {
    /// All of them.
    #[default]
    Now,
    /// Up to and including a position of the log.
    Position(i64),
    /// Up to and including what was posted by an instant.
    Time(Timestamp),
}

impl FromStr for AsOf {
    type Err = String;

    /// `now`, a position, or an RFC 3339 instant.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let position = text.parse().map(Self::Position);
        position.or_else(|_| text.parse().map(Self::Time)).map_err(|_| {
            format!("'{text}' is neither a position nor an instant such as 2026-01-31T09:00:00Z")
        })
    }
}

impl AsOf {
    /// The same as the last position of the log that is read.
    pub(super) async fn position_in_tx(self, db: &mut PgConnection) -> Result<i64, QueryError> {
        Ok(match self {
            Self::Position(position) => position,
            Self::Now => sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(db).await?,
            Self::Time(time) => sqlx::query_scalar!(
                r#"SELECT coalesce(max(position), 0) AS "position!" FROM ledger_journal_transactions
                   WHERE posted_at <= $1"#,
                At(time) as _
            )
            .fetch_one(db)
            .await?,
        })
    }
}

/// A sum of nanos; it may be past what one amount can be. Serialised as a decimal number in text, for example `"12.50"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sum(pub i128);

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, magnitude) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let fraction = format!("{:09}", magnitude % 1_000_000_000);
        let trimmed = fraction.trim_end_matches('0');
        let decimals = if trimmed.len() < 2 { &fraction[..2] } else { trimmed };
        write!(f, "{sign}{}.{decimals}", magnitude / 1_000_000_000)
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct TrialBalanceRow {
    pub account: String,
    /// `asset`, `liability`, `income`, `expense` or `equity`.
    pub account_type: String,
    pub currency: String,
    pub debit: Sum,
    pub credit: Sum,
    /// `debit − credit`.
    pub balance: Sum,
}

/// One currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct TrialBalanceTotal {
    pub currency: String,
    pub debit: Sum,
    pub credit: Sum,
    /// `debit − credit`: zero.
    pub difference: Sum,
}

/// Every account at one position of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialBalance {
    /// The last position that is counted.
    pub position: i64,
    /// By currency and account.
    pub accounts: Vec<TrialBalanceRow>,
    /// By currency.
    pub totals: Vec<TrialBalanceTotal>,
    /// Whether every total's difference is zero.
    pub balanced: bool,
}

impl TrialBalance {
    /// `"0"` when it balances, otherwise what is off, by currency.
    #[must_use]
    pub fn grand_total(&self) -> String {
        let off = self.totals.iter().filter(|total| total.difference.0 != 0);
        let off: Vec<_> = off.map(|t| format!("{} {}", t.difference, t.currency)).collect();
        if off.is_empty() { "0".to_owned() } else { off.join(", ") }
    }
}

/// Debits, credits and balance of every account that has a posting by then.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn trial_balance(pool: &PgPool, as_of: AsOf) -> Result<TrialBalance, QueryError> {
    trial_balance_in_tx(&mut *pool.acquire().await?, as_of).await
}

/// The same of what took effect up to and including a day of the books' calendar, for example `2026-10-31`, as it was known then: what
/// was posted later is not counted, be its effect ever so early.
///
/// # Errors
/// [`QueryError::Database`], also when the text is no day.
pub async fn trial_balance_by(
    pool: &PgPool,
    effective_by: Option<&str>,
    known: AsOf,
) -> Result<TrialBalance, QueryError> {
    read(&mut *pool.acquire().await?, effective_by, known).await
}

/// The same within a transaction, which may have more time.
pub(super) async fn trial_balance_in_tx(
    db: &mut PgConnection,
    as_of: AsOf,
) -> Result<TrialBalance, QueryError> {
    read(db, None, as_of).await
}

async fn read(
    db: &mut PgConnection,
    effective_by: Option<&str>,
    as_of: AsOf,
) -> Result<TrialBalance, QueryError> {
    let position = as_of.position_in_tx(db).await?;
    let rows = sqlx::query!(
        r#"SELECT p.account, a.account_type AS "account_type!", p.currency,
                  coalesce(sum(p.amount_nanos) FILTER (WHERE p.amount_nanos > 0), 0)::text AS "debit!",
                  coalesce(-sum(p.amount_nanos) FILTER (WHERE p.amount_nanos < 0), 0)::text AS "credit!"
           FROM ledger_postings p JOIN ledger_accounts a ON a.code = p.account
           WHERE p.position <= $1
             AND ($2::text IS NULL OR p.position IN (
                 SELECT t.position FROM ledger_journal_transactions t
                 WHERE t.position <= $1 AND t.effective_on <= $2::text::date))
           GROUP BY p.account, a.account_type, p.currency ORDER BY p.currency, p.account COLLATE "C""#,
        position,
        effective_by
    )
    .fetch_all(db)
    .await?;
    let accounts = rows.into_iter().map(|row| {
        let (debit, credit) = (sum(&row.debit)?, sum(&row.credit)?);
        let balance = Sum(debit.0 - credit.0);
        let (account, account_type, currency) = (row.account, row.account_type, row.currency);
        Ok(TrialBalanceRow { account, account_type, currency, debit, credit, balance })
    });
    let accounts = accounts.collect::<Result<Vec<_>, QueryError>>()?;
    let totals = totals(&accounts);
    let balanced = totals.iter().all(|total| total.difference.0 == 0);
    Ok(TrialBalance { position, accounts, totals, balanced })
}

/// A `numeric` without decimals, as text.
pub(super) fn sum(text: &str) -> Result<Sum, QueryError> {
    let decode = |error| QueryError::Database(sqlx::Error::Decode(Box::new(error)));
    text.parse().map(Sum).map_err(|error: std::num::ParseIntError| decode(error))
}

fn totals(accounts: &[TrialBalanceRow]) -> Vec<TrialBalanceTotal> {
    let mut sums = BTreeMap::<&str, (i128, i128)>::new();
    for row in accounts {
        let (debit, credit) = sums.entry(&row.currency).or_default();
        *debit += row.debit.0;
        *credit += row.credit.0;
    }
    let total = |(currency, (debit, credit)): (&str, (i128, i128))| TrialBalanceTotal {
        currency: currency.to_owned(),
        debit: Sum(debit),
        credit: Sum(credit),
        difference: Sum(debit - credit),
    };
    sums.into_iter().map(total).collect()
}

#[cfg(test)]
mod tests {
    use super::{AsOf, Sum};

    #[test]
    fn a_sum_reads_as_money() {
        for (nanos, text) in [
            (0, "0.00"),
            (-1, "-0.000000001"),
            (12_500_000_000, "12.50"),
            (i128::from(i64::MAX) * 10, "92233720368.54775807"),
        ] {
            assert_eq!(Sum(nanos).to_string(), text);
        }
    }

    #[test]
    fn a_point_of_the_books_is_a_position_or_an_instant() {
        assert_eq!("17".parse(), Ok(AsOf::Position(17)));
        assert_eq!("now".parse(), Ok(AsOf::Now));
        assert!(matches!("2026-01-31T09:00:00Z".parse(), Ok(AsOf::Time(_))));
        assert!("yesterday".parse::<AsOf>().is_err());
    }
}
