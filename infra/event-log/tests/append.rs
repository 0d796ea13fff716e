//! What an append promises: gapless order, one effect per command id, a failure that stays alone, and no change ever.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use cairn_event_log::{Appended, EventLog, LogError, Outcome};
use common::{booked, done, event, open, request, usage};
use sqlx::{Executor, PgPool};

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn positions_are_dense_and_sequences_count_each_stream(pool: PgPool) {
    let log = open(&pool).await;
    let first = log.append(request("a", 0, vec![event("1"), event("2")])).await.unwrap();
    let second = log.append(request("b", 0, vec![event("3")])).await.unwrap();
    let third = log.append(request("a", 2, vec![event("4")])).await.unwrap();
    assert_eq!([done(&first), done(&second), done(&third)], [(2, 2), (3, 1), (4, 3)]);
    let read = log.read(0, 100).await.unwrap();
    let order: Vec<_> =
        read.iter().map(|e| (e.position, e.aggregate_id.as_str(), e.sequence)).collect();
    assert_eq!(order, [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, "a", 3)]);
    assert!(read.is_sorted_by_key(|event| event.recorded_at));
    assert_eq!(log.load(common::TYPE, "a", 1).await.unwrap().len(), 2);
    assert_eq!(log.head().await.unwrap(), 4);
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_stale_request_in_a_batch_fails_alone(pool: PgPool) {
    let log = open(&pool).await;
    log.append(request("old", 0, vec![event("1")])).await.unwrap();
    let requests = (0..64).map(|number| match number % 4 {
        0 => request("old", 7, vec![event("stale")]),
        _ => request(&format!("new-{number}"), 0, vec![event("fresh")]),
    });
    let answers = append_together(&log, requests).await;
    for (number, answer) in answers.iter().enumerate() {
        match number % 4 {
            0 => assert_eq!(answer, &Ok(Appended::Stale)),
            _ => assert!(matches!(answer, Ok(Appended::Done { sequence: 1, .. })), "{answer:?}"),
        }
    }
    assert_gapless(&log, 49).await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_request_that_a_constraint_refuses_fails_alone(pool: PgPool) {
    let log = open(&pool).await;
    let requests = (0..64).map(|number| match number {
        13 | 40 => request("poor", number - 13, vec![booked(usage(&number.to_string(), 1))]),
        _ => request(&format!("new-{number}"), 0, vec![event("fresh")]),
    });
    let answers = append_together(&log, requests).await;
    let refused = |answer: &Result<_, LogError>| match answer {
        Err(LogError::Rejected { constraint, .. }) => constraint == "ledger_balances_no_overdraft",
        _ => false,
    };
    assert!(refused(&answers[13]), "{:?}", answers[13]);
    assert_eq!(answers[40], Ok(Appended::Stale));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 63);
    assert_gapless(&log, 62).await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn many_requests_of_one_stream_and_one_command_are_settled_one_by_one(pool: PgPool) {
    let log = open(&pool).await;
    let same = request("a", 0, vec![event("1")]);
    let answers = append_together(&log, (0..20).map(|_| same.clone())).await;
    let done = answers.iter().filter(|a| matches!(a, Ok(Appended::Done { .. }))).count();
    let repeated = answers.iter().filter(|a| matches!(a, Ok(Appended::Repeated(_)))).count();
    assert_eq!((done, repeated), (1, 19));
    let answers = append_together(&log, (0..20).map(|_| request("a", 1, vec![event("2")]))).await;
    let stale = answers.iter().filter(|a| matches!(a, Ok(Appended::Stale))).count();
    assert_eq!(stale, 19);
    assert_gapless(&log, 2).await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_command_id_gets_its_first_outcome_for_ever(pool: PgPool) {
    let log = open(&pool).await;
    let accepted = request("a", 0, vec![event("1")]);
    let mut refused = request("a", 1, vec![]);
    refused.outcome = Outcome::Refused { code: "no".to_owned(), message: "No.".to_owned() };
    assert_eq!(done(&log.append(accepted.clone()).await.unwrap()), (1, 1));
    assert_eq!(done(&log.append(refused.clone()).await.unwrap()), (1, 1));
    log.append(request("b", 0, vec![event("2")])).await.unwrap();

    for first in [&accepted, &refused] {
        let mut again = first.clone();
        again.expected_sequence = 99;
        again.outcome = Outcome::Accepted { result: "another".into() };
        let Appended::Repeated(stored) = log.append(again.clone()).await.unwrap() else {
            panic!("not repeated")
        };
        assert_eq!((stored.outcome, stored.position), (first.outcome.clone(), 1));
        again.command_hash = [8; 32];
        assert_eq!(log.append(again).await, Ok(Appended::KeyReused));
    }
    assert_gapless(&log, 2).await;
    log.close().await;
}

/// Outcomes lie in two tables; a command is known from either, whatever it would write this time and whoever is beside it.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_command_is_known_whether_or_not_it_made_events_then_and_now(pool: PgPool) {
    let log = open(&pool).await;
    let (loud, silent) = (request("a", 0, vec![event("1")]), request("b", 0, vec![]));
    log.append(loud.clone()).await.unwrap();
    log.append(silent.clone()).await.unwrap();
    let mut again = vec![];
    for (number, first) in [&loud, &silent].into_iter().enumerate() {
        for events in [vec![], vec![event("2")], vec![event("2"), event("3")]] {
            let mut repeat = request(&format!("other-{number}-{}", events.len()), 0, events);
            repeat.command_id.clone_from(&first.command_id);
            again.push(repeat);
        }
    }
    let neighbours = (0..58).map(|number| request(&format!("new-{number}"), 0, vec![event("x")]));
    let answers = append_together(&log, again.into_iter().chain(neighbours)).await;
    let (repeated, written) = answers.split_at(6);
    assert!(repeated.iter().all(|a| matches!(a, Ok(Appended::Repeated(_)))), "{repeated:?}");
    assert!(written.iter().all(|a| matches!(a, Ok(Appended::Done { .. }))), "{written:?}");
    assert_gapless(&log, 59).await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn nothing_written_can_be_changed_by_anyone(pool: PgPool) {
    let log = open(&pool).await;
    log.append(request("a", 0, vec![booked(common::top_up("1", 5))])).await.unwrap();
    let tables =
        ["events", "commands", "ledger_accounts", "ledger_journal_transactions", "ledger_postings"];
    let column = ["event_type", "command_id", "code", "kind", "account"];
    for (table, column) in tables.into_iter().zip(column) {
        for change in [
            format!("UPDATE {table} SET {column} = 'x'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
        ] {
            // By the superuser the triggers refuse, by the application its rights do.
            assert_eq!(code(pool.execute(change.as_str()).await), "23001", "{change}");
            assert_eq!(code(log.pool().execute(change.as_str()).await), "42501", "{change}");
        }
    }
    let head = "UPDATE log_head SET position = position - 1";
    assert_eq!(code(pool.execute(head).await), "23001");
    for change in [
        "DELETE FROM ledger_balances",
        "DELETE FROM ledger_holds",
        "UPDATE ledger_kinds SET debit = 'wallet'",
        "UPDATE ledger_periods SET status = 'closed'",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TABLE events",
    ] {
        assert_eq!(code(log.pool().execute(change).await), "42501", "{change}");
    }
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_application_writes_the_log_and_the_books_by_their_function_only(pool: PgPool) {
    let log = open(&pool).await;
    log.append(request("a", 0, vec![booked(common::top_up("1", 5))])).await.unwrap();
    for (table, columns) in [
        ("events", "sequence = 2, position = 9"),
        ("commands", "command_id = 'forged'"),
        ("log_head", "position = 9"),
        ("ledger_accounts", "code = 'wallet:paid:thief:USD'"),
        ("ledger_journal_transactions", "source = 'forged'"),
        ("ledger_postings", "amount_nanos = 9"),
        ("ledger_balances", "posted_nanos = 9"),
        ("ledger_holds", "reserved_nanos = 9"),
    ] {
        for forgery in [
            format!("INSERT INTO {table} DEFAULT VALUES"),
            format!("UPDATE {table} SET {columns}"),
            format!("SELECT FROM {table} FOR UPDATE"),
        ] {
            assert_eq!(code(log.pool().execute(forgery.as_str()).await), "42501", "{forgery}");
        }
    }
    let post = "SELECT ledger_post('{1}', now(), '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')";
    assert_eq!(code(log.pool().execute(post).await), "42501");
    // A table that the caller puts before the real one is not taken for it.
    let mut connection = log.pool().acquire().await.unwrap();
    let false_head =
        "CREATE TEMPORARY TABLE log_head AS SELECT 77::bigint AS position, now() AS recorded_at";
    connection.execute(false_head).await.unwrap();
    let append = r#"SELECT base FROM log_append(
        '{by-hand}', '{thing}', '{b}', '{0}', '{0}', ARRAY[decode(repeat('07', 32), 'hex')], '{"{}"}',
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
        '{}', '{}', '{}', '{}')"#;
    let base: i64 = sqlx::query_scalar(append).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(base, 1);
    drop(connection.detach());
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_connection_is_never_handed_out_inside_a_transaction(pool: PgPool) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 1).await.unwrap();
    let backend = "SELECT pg_backend_pid()";
    let dirty: i32 = {
        let mut connection = log.pool().acquire().await.unwrap();
        // What a `begin` leaves behind whose future was dropped.
        connection.execute("BEGIN").await.unwrap();
        sqlx::query_scalar(backend).fetch_one(&mut *connection).await.unwrap()
    };
    let next: i32 = sqlx::query_scalar(backend).fetch_one(log.pool()).await.unwrap();
    assert_ne!(dirty, next);
    let kept: i32 = sqlx::query_scalar(backend).fetch_one(log.pool()).await.unwrap();
    assert_eq!(kept, next, "a clean connection is kept");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn readers_are_woken_by_this_process_and_by_others(pool: PgPool) {
    let (mine, other) = (open(&pool).await, open(&pool).await);
    let mut wake = mine.wake();
    other.append(request("a", 0, vec![event("1")])).await.unwrap();
    wake.wait_for(|head| *head >= 1).await.unwrap();
    mine.append(request("b", 0, vec![event("2")])).await.unwrap();
    wake.wait_for(|head| *head >= 2).await.unwrap();
    mine.close().await;
    other.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_a_stalled_log_cannot_queue_is_refused_and_the_rest_is_written(pool: PgPool) {
    let log = open(&pool).await;
    let mut stall = pool.begin().await.unwrap();
    stall.execute("SELECT FROM log_head FOR UPDATE").await.unwrap();
    let flood = (0..9_000).map(|number| request(&format!("s-{number}"), 0, vec![event("x")]));
    let flood = append_together(&log, flood);
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        // Longer than a caller waits for room, shorter than the database waits for a lock.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        stall.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(flood, release);
    let shed = answers.iter().filter(|a| matches!(a, Err(LogError::Unavailable(_)))).count();
    let done = answers.iter().filter(|a| matches!(a, Ok(Appended::Done { .. }))).count();
    assert_eq!(shed + done, 9_000);
    assert!(shed > 0 && done > 4_000, "{shed} were shed");
    assert_gapless(&log, i64::try_from(done).unwrap()).await;
    log.close().await;
}

async fn append_together(
    log: &EventLog,
    requests: impl Iterator<Item = cairn_event_log::AppendRequest>,
) -> Vec<Result<Appended, LogError>> {
    let mut calls = tokio::task::JoinSet::new();
    let total = requests
        .enumerate()
        .map(|(number, request)| {
            let log = log.clone();
            calls.spawn(async move { (number, log.append(request).await) });
        })
        .count();
    let mut answers = vec![Ok(Appended::Stale); total];
    while let Some(answer) = calls.join_next().await {
        let (number, answer) = answer.unwrap();
        answers[number] = answer;
    }
    answers
}

async fn assert_gapless(log: &EventLog, events: i64) {
    let read = log.read(0, 10_000).await.unwrap();
    let positions: Vec<_> = read.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=events).collect::<Vec<_>>());
    assert_eq!(log.head().await.unwrap(), events);
}

fn code<T>(answer: sqlx::Result<T>) -> String {
    match answer {
        Err(sqlx::Error::Database(refusal)) => refusal.code().unwrap().into_owned(),
        Err(error) => panic!("{error}"),
        Ok(_) => "accepted".to_owned(),
    }
}
