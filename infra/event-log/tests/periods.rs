//! Months of the books, closed and opened by events: applied by the append that writes them, and by nothing else.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
mod common;

use cairn_core::{BookEntry, JournalTransaction, Month, PeriodChange, Timestamp};
use cairn_event_log::{Appended, EventLog, LogError};
use common::{booked, open, request, top_up};
use sqlx::{Executor as _, PgPool};

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn change(text: &str, closed: bool, counted_position: i64) -> BookEntry {
    let change = PeriodChange { month: month(text), closed, counted_position };
    BookEntry { period: Some(change), ..BookEntry::default() }
}

fn close(text: &str) -> BookEntry {
    change(text, true, i64::MAX)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn paid(source_id: &str, occurred_at: &str) -> BookEntry {
    let journal = top_up(source_id, 5).journal.unwrap();
    BookEntry::movement(JournalTransaction { occurred_at: at(occurred_at), ..journal })
}

async fn append(log: &EventLog, id: &str, entries: Vec<BookEntry>) -> Result<Appended, LogError> {
    log.append(request(id, 0, entries.into_iter().map(booked).collect())).await
}

async fn refused(log: &EventLog, id: &str, entries: Vec<BookEntry>, constraint: &str) {
    let answer = append(log, id, entries).await;
    let Err(LogError::Rejected { constraint: found, .. }) = &answer else { panic!("{answer:?}") };
    assert_eq!(found, constraint);
}

/// Of a journal transaction: the day it takes effect, and the day it happened.
async fn days(pool: &PgPool, source_id: &str) -> (String, String) {
    sqlx::query_as(
        "SELECT effective_on::text, (occurred_at AT TIME ZONE 'UTC')::date::text
         FROM ledger_journal_transactions WHERE source_id = $1",
    )
    .bind(source_id)
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn periods(pool: &PgPool) -> Vec<(String, String)> {
    let all = "SELECT span::text, status FROM ledger_periods ORDER BY lower(span)";
    sqlx::query_as(all).fetch_all(pool).await.unwrap()
}

fn days_of(effective: &str, occurred: &str) -> (String, String) {
    (effective.to_owned(), occurred.to_owned())
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_happened_in_a_closed_month_takes_effect_on_the_first_open_day(pool: PgPool) {
    let log = open(&pool).await;
    append(&log, "before", vec![paid("before", "2025-03-10T12:00:00Z")]).await.unwrap();
    append(&log, "close", vec![close("2025-03")]).await.unwrap();
    append(&log, "late", vec![paid("late", "2025-03-31T23:59:59Z")]).await.unwrap();
    append(&log, "other", vec![paid("other", "2025-02-28T12:00:00Z")]).await.unwrap();
    assert_eq!(days(&pool, "before").await, days_of("2025-03-10", "2025-03-10"));
    assert_eq!(days(&pool, "late").await, days_of("2025-04-01", "2025-03-31"), "never dropped");
    assert_eq!(days(&pool, "other").await, days_of("2025-02-28", "2025-02-28"), "that one is open");
    append(&log, "april", vec![close("2025-04")]).await.unwrap();
    append(&log, "later", vec![paid("later", "2025-03-31T12:00:00Z")]).await.unwrap();
    assert_eq!(days(&pool, "later").await, days_of("2025-05-01", "2025-03-31"));
    let spans = [
        ("[2000-01-01,2025-03-01)", "open"),
        ("[2025-03-01,2025-04-01)", "closed"),
        ("[2025-04-01,2025-05-01)", "closed"),
        ("[2025-05-01,)", "open"),
    ];
    let spans = spans.map(|(span, status)| days_of(span, status));
    assert_eq!(periods(&pool).await, spans);
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn nothing_takes_effect_in_a_closed_month(pool: PgPool) {
    let log = open(&pool).await;
    append(&log, "close", vec![close("2025-03")]).await.unwrap();
    // Without the trigger that moves it, the other one refuses it.
    let without = "ALTER TABLE ledger_journal_transactions DISABLE TRIGGER place_late";
    pool.execute(without).await.unwrap();
    let late = || vec![paid("late", "2025-03-31T12:00:00Z")];
    refused(&log, "late", late(), "ledger_journal_period_open").await;
    let with = "ALTER TABLE ledger_journal_transactions ENABLE ALWAYS TRIGGER place_late";
    pool.execute(with).await.unwrap();
    append(&log, "open", vec![change("2025-03", false, 0)]).await.unwrap();
    append(&log, "late", late()).await.unwrap();
    assert_eq!(days(&pool, "late").await, days_of("2025-03-31", "2025-03-31"), "it is open again");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_stands_before_the_close_is_in_time_and_what_follows_it_is_late(pool: PgPool) {
    let log = open(&pool).await;
    let one = |source_id: &str| paid(source_id, "2025-03-05T12:00:00Z");
    append(&log, "batch", vec![one("a"), close("2025-03"), one("b")]).await.unwrap();
    assert_eq!(days(&pool, "a").await.0, "2025-03-05");
    assert_eq!(days(&pool, "b").await.0, "2025-04-01");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_month_is_not_closed_over_what_was_not_counted(pool: PgPool) {
    let log = open(&pool).await;
    append(&log, "a", vec![paid("a", "2025-03-05T12:00:00Z")]).await.unwrap();
    refused(&log, "close", vec![change("2025-03", true, 0)], "ledger_periods_counted").await;
    // In one batch as well, where it stands before the close.
    let both = vec![paid("b", "2025-02-05T12:00:00Z"), change("2025-03", true, 1)];
    refused(&log, "both", both, "ledger_periods_counted").await;
    // What takes effect later does not matter.
    append(&log, "c", vec![paid("c", "2025-04-01T00:00:00Z")]).await.unwrap();
    append(&log, "close", vec![change("2025-03", true, 1)]).await.unwrap();
    assert_eq!(periods(&pool).await.len(), 3);
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_month_is_closed_when_it_is_over_and_only_by_an_append(pool: PgPool) {
    let log = open(&pool).await;
    let now: String = sqlx::query_scalar("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')")
        .fetch_one(&pool)
        .await
        .unwrap();
    refused(&log, "now", vec![close(&now)], "ledger_periods_over").await;
    for forgery in [
        "SELECT ledger_change_period(1, now(), '2025-03-01', true)",
        "UPDATE ledger_periods SET status = 'closed'",
        "INSERT INTO ledger_periods (span, status) VALUES ('[1990-01-01,1991-01-01)', 'open')",
    ] {
        let refused = log.pool().execute(forgery).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{forgery}: {refused}");
    }
    assert_eq!(periods(&pool).await, [days_of("[2000-01-01,)", "open")]);
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_stale_close_closes_nothing_and_a_repeated_one_only_once(pool: PgPool) {
    let log = open(&pool).await;
    let stale = request("close", 4, vec![booked(close("2025-03"))]);
    assert!(matches!(log.append(stale).await.unwrap(), Appended::Stale));
    assert_eq!(periods(&pool).await.len(), 1);
    let once = request("close", 0, vec![booked(close("2025-03"))]);
    assert!(matches!(log.append(once.clone()).await.unwrap(), Appended::Done { .. }));
    assert!(matches!(log.append(once).await.unwrap(), Appended::Repeated(_)));
    assert_eq!(periods(&pool).await.len(), 3);
    log.close().await;
}
