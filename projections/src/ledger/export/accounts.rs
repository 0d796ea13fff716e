//! The journal as plain-text accounting: entries of a tool's own words, and what each account must come to in the end.
use std::io::Write;

use cairn_core::chart::AccountType;
use futures::TryStreamExt as _;
use sqlx::PgConnection;
use time::Date;

use super::super::trial_balance::{AsOf, trial_balance_in_tx};
use super::{ExportError, Exported, Leg, legs};

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Beancount,
    Hledger,
}

/// Accounts, entries, and a balance assertion per account.
pub(super) async fn write_in_tx(
    db: &mut PgConnection,
    (tool, position): (Tool, i64),
    out: &mut (dyn Write + Send),
) -> Result<Exported, ExportError> {
    open_accounts(db, tool, position, out).await?;
    let mut exported = Exported { position, ..Exported::default() };
    let mut legs = legs(db, position);
    let (mut transaction, mut last_on) = (0, Date::MIN);
    while let Some(leg) = legs.try_next().await? {
        let first = leg.position != transaction;
        transaction = leg.position;
        last_on = last_on.max(leg.effective_on);
        exported.count(first);
        let text = match tool {
            Tool::Beancount => leg.beancount(first),
            Tool::Hledger => leg.hledger(first),
        };
        out.write_all(text.as_bytes())?;
    }
    drop(legs);
    if exported.postings > 0 {
        assert_balances(db, tool, (position, last_on), out).await?;
    }
    out.flush()?;
    Ok(exported)
}

impl Leg {
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
        let account = account_name(Tool::Beancount, &self.account);
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
        let account = account_name(Tool::Hledger, &self.account);
        text + &format!("    {account}  {} {}\n", amount(self.amount_nanos.into()), self.currency)
    }
}

/// Declares every account, from the first day that it is used.
async fn open_accounts(
    db: &mut PgConnection,
    tool: Tool,
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
    match tool {
        Tool::Beancount => {
            writeln!(
                out,
                "; Cairn journal up to position {position}\noption \"title\" \"Cairn\"\n"
            )?;
        }
        Tool::Hledger => {
            writeln!(out, "; Cairn journal up to position {position}\ndecimal-mark .\n")?;
            let mut currencies: Vec<_> = accounts.iter().map(|row| &row.currency).collect();
            currencies.sort();
            currencies.dedup();
            for currency in currencies {
                writeln!(out, "commodity 1000.000000000 {currency}")?;
            }
        }
    }
    for row in accounts {
        let name = account_name(tool, &row.account);
        match tool {
            Tool::Beancount => {
                writeln!(out, "{} open {name} {}", row.first_on, row.currency)?;
            }
            Tool::Hledger => writeln!(out, "account {name}")?,
        }
    }
    Ok(())
}

/// States every account's balance after the last day, for the reader's tool to check.
async fn assert_balances(
    db: &mut PgConnection,
    tool: Tool,
    (position, last_on): (i64, Date),
    out: &mut (dyn Write + Send),
) -> Result<(), ExportError> {
    let balance = trial_balance_in_tx(db, AsOf::Position(position)).await?;
    let on = last_on.next_day().unwrap_or(last_on);
    writeln!(out)?;
    if tool == Tool::Hledger {
        writeln!(out, "{on} * closing balances, asserted")?;
    }
    for row in balance.accounts {
        let name = account_name(tool, &row.account);
        let (amount, currency) = (amount(row.balance.0), &row.currency);
        match tool {
            Tool::Beancount => {
                writeln!(out, "{on} balance {name}  {amount} {currency}")?;
            }
            Tool::Hledger => {
                writeln!(out, "    {name}  0 {currency} = {amount} {currency}")?;
            }
        }
    }
    Ok(())
}

/// The name of an account in the words of a tool. Different codes get different names.
///
/// Beancount: `Liabilities:Wallet:Paid:Org-01J…:EUR`; its segments begin with a capital or a digit and hold letters, digits and
/// `-`, so `_` becomes `-`, and `-` and anything else `-x<hex>-`. hledger: `liabilities:wallet:paid:org_01j…:EUR`.
pub(super) fn account_name(tool: Tool, code: &str) -> String {
    let root = match AccountType::of(code) {
        Some(AccountType::Asset) => "Assets",
        Some(AccountType::Liability) => "Liabilities",
        Some(AccountType::Income) => "Income",
        Some(AccountType::Expense) => "Expenses",
        Some(AccountType::Equity) | None => "Equity",
    };
    match tool {
        Tool::Hledger => {
            let root = if root == "Income" { "revenues".to_owned() } else { root.to_lowercase() };
            format!("{root}:{}", plain(code))
        }
        Tool::Beancount => {
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

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(char::is_control, " "))
}

/// Without what ends a line, an account name or a description, or begins a comment.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ';' | '|'), "_")
}
