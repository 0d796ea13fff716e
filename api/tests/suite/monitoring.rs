//! What watches a running Cairn speaks of what there is: rules and dashboards of metrics that a server exposes, alerts of runbooks.
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cairn_api::figures::table::FIGURES;
use cairn_api::figures::watch::ask;
use cairn_api::wiring::Outside;
use cairn_event_log::EventLog;
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::{MASTER_KEY, PATIENCE, Stage};

/// What only shows with a broker. Its names are held against the source.
const WITH_A_BROKER: &str = include_str!("../../../commands/src/relay/run.rs");

fn place(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(place(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &str, ending: &str) -> Vec<String> {
    let found = std::fs::read_dir(place(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    let names = found.map(|name| format!("{folder}/{}", name.to_str().unwrap()));
    names.filter(|name| name.ends_with(ending)).collect()
}

/// Every word that begins like a metric of ours. Recorded series have colons in their names, and are not metrics.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("cairn_"));
    words.map(|word| word.trim_end_matches(':').to_owned()).collect()
}

/// Alerts and their pages.
fn alerts() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = vec![];
    for file in files("infra/deploy/prometheus", ".rules.yml") {
        for line in read(&file).lines() {
            if let Some(name) = line.trim().strip_prefix("- alert: ") {
                found.push((name.to_owned(), String::new()));
            } else if let Some(page) = line.trim().strip_prefix("runbook: ") {
                found.last_mut().unwrap().1 = page.to_owned();
            }
        }
    }
    found
}

#[test]
fn every_alert_has_a_page_that_names_it_and_tests_of_both_kinds() {
    let (tests, index) =
        (read("infra/deploy/prometheus/rules.test.yml"), read("docs/runbooks/README.md"));
    let all = alerts();
    assert!(all.len() >= 20, "{all:?}");
    for (alert, page) in &all {
        assert!(read(page).contains(&format!("`{alert}`")), "{page} does not name {alert}");
        let name = page.trim_start_matches("docs/runbooks/").trim_end_matches(".md");
        assert!(
            index.contains(&format!("({name})")) || index.contains(&format!("({name}.md)")),
            "{name}"
        );
        assert!(
            index.contains(&format!("`{alert}`")),
            "docs/runbooks/README.md does not list {alert}"
        );
        for kind in ["fires", "is silent"] {
            assert!(
                tests.contains(&format!("name: {alert} {kind}\n")),
                "no test that {alert} {kind}"
            );
        }
    }
    let named: BTreeSet<&str> =
        index.split('`').filter(|word| word.starts_with(char::is_uppercase)).collect();
    let there: BTreeSet<&str> = all.iter().map(|(alert, _)| alert.as_str()).collect();
    let gone: Vec<_> =
        named.iter().filter(|word| !word.contains(' ') && !there.contains(*word)).collect();
    assert!(gone.is_empty(), "docs/runbooks/README.md lists alerts that are none: {gone:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn rules_and_dashboards_ask_only_for_what_a_server_exposes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    stage.caller(Role::Owner).await.top_up("20.00").await;
    let mut files_of_names = files("infra/deploy/prometheus", ".yml");
    files_of_names.extend(files("infra/deploy/grafana", ".json"));
    files_of_names.extend(alerts().into_iter().map(|(_, page)| page));
    files_of_names.push("docs/guides/monitoring.md".to_owned());
    let asked = |file: &String| {
        metrics(&read(file)).into_iter().map(|name| (name, file.clone())).collect::<Vec<_>>()
    };
    let asked: Vec<(String, String)> = files_of_names.iter().flat_map(asked).collect();
    assert!(asked.len() > 100, "{}", asked.len());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = stage.nobody().get("/metrics").await.body.as_str().unwrap().to_owned();
        let there = metrics(&text);
        let unknown = asked.iter().filter(|(name, _)| {
            !there.contains(name) && !WITH_A_BROKER.contains(&format!("\"{name}\""))
        });
        let unknown: Vec<_> = unknown.collect();
        if unknown.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "no server exposes {unknown:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn every_figure_is_answered_with_its_labels_on_an_empty_database(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let log = EventLog::connect(options, 2).await.unwrap();
    for figure in FIGURES {
        let values = ask(log.pool(), figure)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", figure.name));
        let fits = values
            .iter()
            .all(|(labels, value)| labels.len() == figure.labels.len() && value.is_finite());
        assert!(fits, "{}: {values:?}", figure.name);
    }
    log.close().await;
}

/// What one figure says.
async fn value(pool: &PgPool, name: &str, labels: &[&str]) -> Option<f64> {
    let figure = FIGURES.iter().find(|figure| figure.name == name).unwrap();
    let values = ask(pool, figure).await.unwrap();
    values.into_iter().find(|(there, _)| there == labels).map(|(_, value)| value)
}

#[sqlx::test(migrations = "../migrations")]
async fn books_that_balance_break_no_rule_and_a_tampered_balance_does(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    stage.caller(Role::Owner).await.top_up("20.00").await;
    let name = "cairn_ledger_broken_invariants";
    let view = stage.api().pool().clone();
    for rule in ["transactions_balance", "holds_match", "no_overdraft"] {
        assert_eq!(value(&view, name, &[rule]).await, Some(0.0), "{rule}");
    }
    assert_eq!(value(&view, "cairn_wallet_amount", &["USD", "posted"]).await, Some(20.0));
    let owner = pool.connect_with(options).await.unwrap();
    let tampered = "UPDATE ledger_balances SET held_nanos = 1";
    assert_eq!(sqlx::query(tampered).execute(&owner).await.unwrap().rows_affected(), 1);
    assert_eq!(value(&view, name, &["holds_match"]).await, Some(1.0));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn books_that_are_not_what_the_log_says_are_noticed_while_it_runs(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let quick = |parts: &mut Outside| parts.verify_every = Duration::from_millis(100);
    let stage = Stage::set_among(options.clone(), quick).await;
    let (owner, finance) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformFinance).await);
    owner.top_up("20.00").await;
    let (path, database) = ("/v1/verification", pool.connect_with(options.clone()).await.unwrap());
    let well = |found: &Value| found["status"] == "ok" && found["wallets"] == 1;
    let found = finance.until(path, well).await;
    assert!(found["journal_transactions"].as_i64().unwrap() >= 1, "{found}");
    assert_eq!(owner.get(path).await.code(), "forbidden");
    let tamper = async |change: &str| {
        let mut connection = database.acquire().await.unwrap();
        let unguarded = "SET session_replication_role = replica; ALTER TABLE ledger_postings DISABLE TRIGGER ALL";
        sqlx::raw_sql(unguarded).execute(&mut *connection).await.unwrap();
        let done = sqlx::query(change).execute(&mut *connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{change}");
        connection.detach();
    };
    tamper("UPDATE ledger_balances SET posted_nanos = posted_nanos + 1").await;
    let found = finance.until(path, |found| found["status"] == "differs").await;
    let difference = &found["differences"][0];
    assert_eq!((&found["differences_found"], &difference["what"]), (&json!(1), &json!("balance")));
    assert!(difference["message"].as_str().unwrap().contains("20000000001"), "{difference}");
    tamper("UPDATE ledger_balances SET posted_nanos = posted_nanos - 1").await;
    finance.until(path, well).await;

    // What was compared before is compared again by whoever asks for it.
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let verified = shell.json("finance verify").await;
    assert_eq!((&verified["differences_found"], &verified["wallets"]), (&json!(0), &json!(1)));
    tamper("UPDATE ledger_postings SET amount_nanos = amount_nanos * 2 WHERE leg = 1").await;
    let said = shell.run("finance verify").await;
    assert_eq!(said.code(), 7, "{}", said.talk());
    assert!(said.data().contains("journal"), "{}{}", said.data(), said.talk());
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_line_that_the_provider_changed_is_a_case_that_is_shown_while_it_runs(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let quick = |parts: &mut Outside| parts.reconcile_every = Duration::from_millis(100);
    let stage = Stage::set_among(options, quick).await;
    let (owner, finance) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformFinance).await);
    owner.top_up("20.00").await;
    let (path, figure) = ("/v1/verification", "cairn_finance_open_breaks");
    let agree = |found: &Value| {
        found["reconciliation"]["status"] == "ok" && found["reconciliation"]["matched"] == 1
    };
    finance.until(path, agree).await;
    let pool = stage.api().pool().clone();
    assert_eq!(value(&pool, figure, &["none"]).await, Some(0.0));
    let other = "INSERT INTO finance_external_transactions
                 SELECT id, 'other', source_id, category, currency, amount_nanos + 1, fee_nanos, net_nanos + 1, created_at,
                        available_at, mirrored_at + interval '1 second' FROM finance_external_transactions";
    assert_eq!(sqlx::query(other).execute(&pool).await.unwrap().rows_affected(), 1);
    let found = finance.until(path, |found| found["reconciliation"]["breaks_open"] == 1).await;
    assert_eq!(found["reconciliation"]["status"], "differs", "{found}");
    assert_eq!(found["status"], "ok", "the books are what the log says: {found}");
    let seen = async || value(&pool, figure, &["none"]).await == Some(1.0);
    for _ in 0..600 {
        if seen().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(seen().await, "the case is in the view");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_transaction_that_another_role_holds_open_is_seen(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let log = EventLog::connect(options.clone(), 2).await.unwrap();
    let owner = pool.connect_with(options).await.unwrap();
    let mut held = owner.begin().await.unwrap();
    sqlx::query("SELECT pg_sleep(0.05)").execute(&mut *held).await.unwrap();
    let longest = value(log.pool(), "cairn_database_longest_transaction_seconds", &[]).await;
    assert!(longest.unwrap() >= 0.05, "{longest:?}");
    let waits = value(log.pool(), "cairn_database_connections", &["idle in transaction"]).await;
    assert!(waits.unwrap() >= 1.0, "{waits:?}");
    held.rollback().await.unwrap();
    log.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_has_begun_once_every_part_was_fit(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let deadline = Instant::now() + PATIENCE;
    while stage.nobody().get("/startupz").await.status != 200 {
        assert!(Instant::now() < deadline, "it never begins");
    }
    // Once begun, it has begun: that is what tells it from readiness.
    stage.api().pool().close().await;
    assert_eq!(stage.nobody().get("/readyz").await.status, 503);
    assert_eq!(stage.nobody().get("/startupz").await.status, 200);
    stage.strike().await;
}
