//! Months of the books on the command line: closed when the checklist holds, refused by name when it does not.
use cairn_core::{Month, Timestamp};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

async fn stage(options: &PgConnectOptions) -> (Simulator, Shell, Month) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let shell = Shell::new(options).with("STRIPE_API_BASE", simulator.base_url.clone());
    let shell = shell.with("STRIPE_SECRET_KEY", "sk_test_periods");
    let mut owner = options.connect().await.unwrap();
    let now: i64 = sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    let first = Month::of(Timestamp::from_secs(now)).unwrap().starts_at();
    (simulator, shell, Month::of(first.plus_secs(-1)).unwrap())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_month_is_closed_shown_and_reopened(_: PgPoolOptions, options: PgConnectOptions) {
    let (_simulator, shell, month) = stage(&options).await;
    let closed = shell.json(&format!("finance close {month}")).await;
    assert_eq!((&closed["status"], &closed["intact"]), (&"closed".into(), &true.into()));
    assert_eq!(closed["closed_by"], "operator:tester");
    assert_eq!(shell.json(&format!("finance close {month}")).await, closed, "once");
    let rows = shell.json("finance periods").await;
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let changes = format!("finance changes --since-close {month}");
    assert_eq!(shell.json(&changes).await, Value::Array(vec![]));
    let reopened = shell.json(&format!("finance reopen {month} --reason forgotten")).await;
    assert_eq!(
        (&reopened["status"], &reopened["reason"]),
        (&"reopened".into(), &"forgotten".into())
    );
    assert_eq!(shell.json("replay verify").await["identical"], true);
    let trial = format!("finance trial-balance --as-of {month}-28 --known-at 2030-01-01T00:00:00Z");
    assert_eq!(shell.json(&trial).await["balanced"], true);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_stands_against_a_close_is_named(_: PgPoolOptions, options: PgConnectOptions) {
    let (_simulator, shell, month) = stage(&options).await;
    let next = month.next();
    for (line, code, word) in [
        (format!("finance close {next}"), 3, "period_not_over"),
        ("finance close 2026-13".to_owned(), 2, "is not a month"),
        (format!("finance reopen {month} --reason x"), 3, "period_not_closed"),
        (format!("finance reopen {month}"), 2, "--reason"),
        (format!("finance close {month} --accept reconciled"), 2, "--accept"),
        (format!("finance changes --since-close {month}"), 3, "period_not_closed"),
        ("finance trial-balance --as-of yesterday".to_owned(), 2, "no day such as"),
        ("finance trial-balance --known-at yesterday".to_owned(), 2, "RFC 3339"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    // A line in our copy of the provider's book that the provider does not have any more.
    let plant = "INSERT INTO finance_external_transactions
        (id, content, source_id, category, currency, amount_nanos, fee_nanos, net_nanos, created_at, available_at, mirrored_at)
        VALUES ('txn_1', 'a', 'po_1', 'payout', 'USD', -7, 0, -7, $1::text::timestamptz, now(), now())";
    let mut owner = options.connect().await.unwrap();
    let at = month.starts_at().to_string();
    sqlx::query(plant).bind(at).execute(&mut owner).await.unwrap();
    let refused = shell.run(&format!("finance close {month}")).await;
    assert_eq!(refused.code(), 3, "{}", refused.talk());
    assert!(refused.talk().contains("period_not_reconciled"), "{}", refused.talk());
    assert_eq!(shell.json("finance breaks list").await.as_array().unwrap().len(), 1, "and kept");
    assert_eq!(shell.json("finance periods").await, Value::Array(vec![]));
}
