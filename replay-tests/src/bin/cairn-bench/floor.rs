//! What PostgreSQL alone takes for Cairn's rows: one writer, 256 commands a statement, every index and constraint on, and nobody who
//! knows commands, conflicts or order. No append can be faster than that.
use std::sync::Arc;
use std::time::Duration;

use cairn_cluster::Cluster;
use cairn_event_log::MIGRATOR;
use sqlx::{Executor as _, PgPool};

use crate::measure::{Cell, measure};
use crate::plain::BATCH;
use crate::stage::{self, settle};
use crate::{Failure, note};

/// Wallets that the transfers debit.
const WALLETS: u64 = 1_000;

const EVENTS: &str = "INSERT INTO events (position, recorded_at, command_id, aggregate_type, aggregate_id, sequence,
                        event_type, event_version, payload, metadata, body_hash, outcome)
    SELECT $1 + n, now(), c, 'note', i, $2, 'note.taken', '1', p::json, m::json, decode(repeat('07', 32), 'hex'),
           '{\"Accepted\":{\"result\":null}}'
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS row (c, i, p, m, n)";

/// The books of the same events: each moves a cent from a wallet to one account of the platform.
const BOOKS: &str = "WITH legs AS (
        INSERT INTO ledger_postings (position, leg, account, currency, amount_nanos)
        SELECT $1 + n, leg, CASE leg WHEN 1 THEN w ELSE 'usage:floor:USD' END, 'USD', CASE leg WHEN 1 THEN 10000000 ELSE -10000000 END
        FROM unnest($2::text[]) WITH ORDINALITY AS row (w, n), unnest(ARRAY[1, 2]) AS leg
    ), moved AS (
        UPDATE ledger_balances b SET posted_nanos = posted_nanos - cents * 10000000, position = d.position
        FROM (SELECT w, count(*) AS cents, $1 + max(n) AS position
              FROM unnest($2::text[]) WITH ORDINALITY AS row (w, n) GROUP BY w) AS d
        WHERE b.account = d.w
    )
    INSERT INTO ledger_journal_transactions
        (position, kind, source, source_id, currency, occurred_at, effective_on, posted_at)
    SELECT $1 + n, 'usage', 'floor', c, 'USD', now(), (now() AT TIME ZONE 'UTC')::date, now()
    FROM unnest($3::text[]) WITH ORDINALITY AS row (c, n)";

const HEAD: &str = "UPDATE log_head SET position = $1";

const WALLET_ROWS: &str = "INSERT INTO ledger_accounts (code, currency, opened_position)
    SELECT 'wallet:paid:floor' || n || ':USD', 'USD', 1 FROM generate_series(0, 999) AS n
    UNION ALL SELECT 'usage:floor:USD', 'USD', 1";
const FUNDS: &str = "UPDATE ledger_balances SET posted_nanos = 1000000000000000000";

/// Rows of commands, in a database of their own; of transfers if `books`.
pub async fn rows(cluster: &Cluster, books: bool, span: Duration) -> Result<Cell, Failure> {
    let name = if books { "floor_books" } else { "floor" };
    cluster.create_database(name)?;
    let pool = stage::owner(cluster, name).await?;
    MIGRATOR.run(&pool).await?;
    for prepared in [WALLET_ROWS, FUNDS].into_iter().filter(|_| books) {
        pool.execute(prepared).await?;
    }
    settle(&pool).await?;
    let payload = serde_json::json!({
        "type": "note.taken", "number": 0, "author": "org_01J0000000000000000000000", "text": note::text(),
    });
    let payloads = Arc::new(vec![payload.to_string(); BATCH]);
    let metadata =
        serde_json::to_string(&stage::context("bench-256-255-65536".to_owned()).metadata())?;
    let metadata = Arc::new(vec![metadata; BATCH]);
    let writer = pool.clone();
    let cell = measure((1, BATCH), span, move |_, number| {
        let (pool, payloads, metadata) =
            (writer.clone(), Arc::clone(&payloads), Arc::clone(&metadata));
        async move { write(&pool, number, (&payloads, &metadata), books).await }
    });
    let cell = cell.await;
    pool.close().await;
    cell
}

async fn write(
    pool: &PgPool,
    number: u64,
    (payloads, metadata): (&[String], &[String]),
    books: bool,
) -> Result<(), Failure> {
    let each = |text: &dyn Fn(usize) -> String| (0..BATCH).map(text).collect::<Vec<_>>();
    let commands = each(&|row| format!("bench-256-{row}-{number}"));
    let base = i64::try_from(number)? * i64::try_from(BATCH)?;
    let events = sqlx::query(EVENTS)
        .bind(base)
        .bind(i64::try_from(number % 16)? + 1)
        .bind(&commands)
        .bind(each(&|row| format!("note_256_{row}_{}", number / 16)))
        .bind(payloads)
        .bind(metadata);
    if !books {
        events.execute(pool).await?;
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    events.execute(&mut *transaction).await?;
    let wallet = |row| (number * 7_919 + row as u64 * 104_729) % WALLETS;
    sqlx::query(BOOKS)
        .bind(base)
        .bind(each(&|row| format!("wallet:paid:floor{}:USD", wallet(row))))
        .bind(&commands)
        .execute(&mut *transaction)
        .await?;
    let head = base + i64::try_from(BATCH)?;
    sqlx::query(HEAD).bind(head).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
