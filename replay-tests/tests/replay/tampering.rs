//! A log or a book that somebody changed behind our back is noticed, wherever it was touched.
use cairn_commands::MADE_BY;
use cairn_commands::replay::{VerifyReport, verify};
use sqlx::{Executor as _, PgPool};

use super::log::replayed;

/// Changes a table as its owner can, past every trigger.
async fn tamper(pool: &PgPool, table: &str, change: &str) -> VerifyReport {
    replayed(pool).await;
    let mut connection = pool.acquire().await.unwrap();
    connection.execute(format!("ALTER TABLE {table} DISABLE TRIGGER ALL").as_str()).await.unwrap();
    let done = connection.execute(change).await.unwrap();
    assert!(done.rows_affected() > 0, "the tampering must bite: {change}");
    let report = verify(pool).await.unwrap();
    assert!(!report.identical && report.differences_found > 0, "{change}");
    report
}

fn names(report: &VerifyReport) -> Vec<&'static str> {
    let mut names: Vec<_> = report.differences.iter().map(|difference| difference.what).collect();
    names.dedup();
    names
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_amount_in_an_event_is_noticed(pool: PgPool) {
    let change = r"UPDATE events SET payload = replace(payload::text, '20000000000', '20000000001')::json
                   WHERE event_type = 'wallet.topped_up'";
    let report = tamper(&pool, "events", change).await;
    assert!(names(&report).contains(&"balance"), "{report:?}");
    assert!(names(&report).contains(&"journal"), "{report:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_that_decodes_to_something_else_is_noticed(pool: PgPool) {
    let change = r#"UPDATE events SET payload = (payload::jsonb || '{"smuggled": 1}')::json
                    WHERE event_type = 'node.invited'"#;
    assert_eq!(names(&tamper(&pool, "events", change).await), ["event"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_under_another_name_is_noticed(pool: PgPool) {
    let change = "UPDATE events SET event_type = 'sku.defined' WHERE event_type = 'sku.retired'";
    assert_eq!(names(&tamper(&pool, "events", change).await), ["event"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_removed_event_is_noticed(pool: PgPool) {
    let change = "DELETE FROM events WHERE event_type = 'api_key.revoked'";
    assert_eq!(names(&tamper(&pool, "events", change).await), ["log"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cut_end_of_the_log_is_noticed(pool: PgPool) {
    let change = "DELETE FROM events WHERE position = (SELECT max(position) FROM events)";
    assert_eq!(names(&tamper(&pool, "events", change).await), ["log"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn swapped_events_are_noticed(pool: PgPool) {
    let change = "UPDATE events SET position = 1000 - position WHERE position IN (1, 2)";
    assert!(names(&tamper(&pool, "events", change).await).contains(&"log"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_posting_is_noticed(pool: PgPool) {
    let change =
        "UPDATE ledger_postings SET amount_nanos = amount_nanos + sign(amount_nanos)::bigint
                  WHERE position = (SELECT min(position) FROM ledger_postings)";
    assert_eq!(names(&tamper(&pool, "ledger_postings", change).await), ["journal"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_balance_is_noticed(pool: PgPool) {
    let change = "UPDATE ledger_balances SET posted_nanos = posted_nanos + 1";
    assert_eq!(names(&tamper(&pool, "ledger_balances", change).await), ["balance"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_hold_is_noticed(pool: PgPool) {
    let change = "UPDATE ledger_holds SET expires_at = expires_at + interval '1 second'";
    assert_eq!(names(&tamper(&pool, "ledger_holds", change).await), ["hold"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invented_wallet_is_noticed(pool: PgPool) {
    let change = "WITH account AS (
                      INSERT INTO ledger_accounts (code, currency, opened_position)
                      VALUES ('wallet:paid:thief:USD', 'USD', 1) RETURNING code)
                  INSERT INTO ledger_balances (account, currency, posted_nanos, position)
                  SELECT 'wallet:paid:thief:USD', 'USD', 1000000000, 1 FROM account";
    assert_eq!(names(&tamper(&pool, "ledger_balances", change).await), ["balance"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_snapshot_is_noticed(pool: PgPool) {
    let change = format!(
        "INSERT INTO snapshots
             (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload, made_by)
         VALUES ('sku', 'small', 2, 1, '{{}}', '{MADE_BY}')"
    );
    assert_eq!(names(&tamper(&pool, "snapshots", &change).await), ["snapshot"]);
}
