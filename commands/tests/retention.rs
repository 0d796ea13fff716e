//! What is past its time goes, on a real database: that and nothing else, once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeMap;

use cairn_commands::privacy::retention::{Keeps, RULES, last, run, standing};
use cairn_core::Timestamp;
use cairn_event_log::EventLog;
use sqlx::PgPool;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Puts a row into the table of a rule that has so many seconds to go.
async fn put(pool: &PgPool, rule: &str, (number, left): (i32, i64)) {
    let (seconds, _) = timed().find(|(name, ..)| *name == rule).map(|(_, s, t)| (s, t)).unwrap();
    let at = 1_800_000_000 - seconds + left;
    let insert = match rule {
        "tickets" => {
            "INSERT INTO edge_tickets VALUES (sha256($1::text::bytea), 'p', 's', to_timestamp($2))"
        }
        "device_codes" => {
            "INSERT INTO edge_devices (device_sha256, user_sha256, name, scopes, lifetime_seconds, address, interval_seconds, expires_at)
             VALUES (sha256($1::text::bytea), sha256($1::text::bytea), 'n', '{}', 1, 'a', 5, to_timestamp($2))"
        }
        "neighbour_standings" => {
            "INSERT INTO neighbour_standings VALUES ($1::text, '[]', to_timestamp($2))"
        }
        "quota_windows" => {
            "INSERT INTO edge_quotas VALUES (decode(md5($1::text), 'hex'), to_timestamp($2), 1, 1)"
        }
        "session_uses" => {
            "INSERT INTO identity_session_uses VALUES ($1::text, to_timestamp($2))"
        }
        "deliveries" => {
            "INSERT INTO notify_deliveries (endpoint_id, position, event_type, status, due_at, created_at, finished_at)
             VALUES ('whe', $1, 't', 'delivered', now(), now(), to_timestamp($2))"
        }
        "letters" => {
            "INSERT INTO process_intents (id, process, key, kind, name, action, origin, status, due_at, finished_at)
             VALUES ($1::text, 'send_mail', 'k', 'effect', 'send_mail', '{}', '{}', 'done', now(), to_timestamp($2))"
        }
        "retention_runs" => {
            "INSERT INTO retention_runs (ran_at, removed) SELECT to_timestamp($2), '{}' WHERE $1 > 0"
        }
        other => panic!("nobody knows how {other} looks"),
    };
    sqlx::query(insert).bind(number).bind(at as f64).execute(pool).await.unwrap();
}

/// The rules that remove something: name, seconds, table.
fn timed() -> impl Iterator<Item = (&'static str, i64, &'static str)> {
    RULES.iter().filter_map(|rule| match rule.keeps {
        Keeps::Seconds { seconds, table, .. } => Some((rule.name, seconds, table)),
        Keeps::WithTheLog | Keeps::ForEver(_) => None,
    })
}

async fn rows(pool: &PgPool, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(&count).fetch_one(pool).await.unwrap()
}

/// Two rows that are past their time, at the last instant and long ago, and two that are not.
async fn filled(pool: &PgPool) -> BTreeMap<String, i64> {
    for (rule, ..) in timed() {
        for row in [(1, -1_000_000), (2, 0), (3, 1), (4, 1_000)] {
            put(pool, rule, row).await;
        }
    }
    timed().map(|(rule, ..)| (rule.to_owned(), 2)).collect()
}

/// Connections that may do what the application may.
async fn as_app(pool: &PgPool) -> PgPool {
    let log = EventLog::connect((*pool.connect_options()).clone(), 2).await.unwrap();
    log.pool().clone()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_past_its_time_goes_and_nothing_else_and_twice_is_once(pool: PgPool) {
    let past = filled(&pool).await;
    let app = as_app(&pool).await;
    let would = standing(&app, NOW).await.unwrap();
    let would = would.iter().filter_map(|rule| Some((rule.rule.to_owned(), rule.past?)));
    assert_eq!(would.collect::<BTreeMap<_, _>>(), past, "what would go");
    let ran = run(&app, NOW).await.unwrap().unwrap();
    assert_eq!(ran.removed, past);
    assert_eq!(last(&app).await.unwrap(), Some(ran));
    let again = run(&app, NOW).await.unwrap().unwrap();
    assert_eq!(again.removed, BTreeMap::new());
    for (rule, _, table) in timed() {
        // Two runs wrote down what they did.
        let runs = if rule == "retention_runs" { 2 } else { 0 };
        assert_eq!(rows(&pool, table).await, 2 + runs, "{rule}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_too_much_for_one_run_goes_on(pool: PgPool) {
    let many = "INSERT INTO edge_tickets
        SELECT sha256(n::text::bytea), 'p', 's', to_timestamp(1) FROM generate_series(1, 50001) n";
    sqlx::raw_sql(many).execute(&pool).await.unwrap();
    let app = as_app(&pool).await;
    let first = run(&app, NOW).await.unwrap().unwrap();
    assert_eq!((first.removed["tickets"], first.goes_on()), (50_000, true));
    let second = run(&app, NOW).await.unwrap().unwrap();
    assert_eq!((second.removed["tickets"], second.goes_on()), (1, false));
}

#[sqlx::test(migrations = "../migrations")]
async fn two_processes_at_once_remove_once(pool: PgPool) {
    let past = filled(&pool).await;
    let (first, second) = (as_app(&pool).await, as_app(&pool).await);
    let (one, two) = tokio::join!(run(&first, NOW), run(&second, NOW));
    let mut all = BTreeMap::new();
    for ran in [one.unwrap(), two.unwrap()].into_iter().flatten() {
        for (rule, removed) in ran.removed {
            *all.entry(rule).or_insert(0) += removed;
        }
    }
    assert_eq!(all, past);
}

#[sqlx::test(migrations = "../migrations")]
async fn who_finds_another_at_it_removes_nothing(pool: PgPool) {
    filled(&pool).await;
    let mut other = pool.begin().await.unwrap();
    let lease = "SELECT pg_advisory_xact_lock($1)";
    sqlx::query(lease).bind(0x6361_6972_6e72_6574_i64).execute(&mut *other).await.unwrap();
    let app = as_app(&pool).await;
    assert_eq!(run(&app, NOW).await.unwrap(), None);
    assert_eq!(rows(&pool, "edge_tickets").await, 4);
    other.rollback().await.unwrap();
    assert!(run(&app, NOW).await.unwrap().is_some());
    assert_eq!(rows(&pool, "edge_tickets").await, 2);
}

#[test]
fn every_rule_stands_in_the_guide_and_in_the_page_for_customers() {
    let read = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    for page in ["docs/guides/retention.md", "docs/templates/privacy.md"] {
        let text = read(page);
        for rule in RULES {
            let row = format!("| `{}` | {} | {} |", rule.name, rule.what, rule.time());
            assert!(text.contains(&row), "{page} lacks {row}");
        }
        let lines = text.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(lines, RULES.len(), "{page} has a rule that is none");
    }
}
