//! The balances of all accounts at a month's end, as one hash.
use cairn_core::Month;
use cairn_finance::period::{Block, Books};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use super::FinanceError;

/// The books at a month's end, as they are in this transaction.
pub(super) async fn books(
    connection: &mut PgConnection,
    month: Month,
) -> Result<Books, FinanceError> {
    let position =
        sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(&mut *connection).await?;
    let (balances_sha256, accounts) = counted(connection, (month, position)).await?;
    let block = sqlx::query!(
        r#"SELECT number, encode(root, 'hex') AS "root!"
           FROM log_seals WHERE last_position <= $1 ORDER BY number DESC LIMIT 1"#,
        position
    );
    let block = block.fetch_optional(connection).await?;
    let block = block.map(|block| Block { number: block.number, root: block.root });
    Ok(Books { position, block, accounts, balances_sha256 })
}

/// SHA-256 over `account amount` and a line feed for every account that is not zero at the month's end, by its code's bytes; and how many
/// those are. Counted is what was posted up to and including the position and takes effect by then.
pub(super) async fn counted(
    connection: &mut PgConnection,
    (month, position): (Month, i64),
) -> Result<(String, i64), FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT p.account, sum(p.amount_nanos)::text AS "balance!"
           FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
           WHERE t.position <= $1 AND t.effective_on < $2::text::date
           GROUP BY p.account HAVING sum(p.amount_nanos) <> 0 ORDER BY p.account COLLATE "C""#,
        position,
        month.next().first_day()
    );
    let rows = rows.fetch_all(connection).await?;
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(format!("{} {}\n", row.account, row.balance));
    }
    Ok((hex::encode(hash.finalize()), i64::try_from(rows.len()).unwrap_or(i64::MAX)))
}
