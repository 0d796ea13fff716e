//! Every kind of movement that the books know, exported: outside programs accept it and find the same balances.
use std::collections::BTreeMap;
use std::process::Command;

use cairn_event_log::EventLog;
use cairn_projections::ledger::export::{ExportFormat, account_name, export};
use cairn_projections::ledger::trial_balance::{AsOf, trial_balance};
use sqlx::PgPool;

use super::append::append;
use super::story::story;

/// What a program prints; it must be there, and accept what it is given.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program} cannot be run ({error}): `cargo xtask setup` installs it")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A decimal with up to nine places.
fn nanos(decimal: &str) -> i128 {
    let (units, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{units}{fraction:0<9}").parse().unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn every_kind_of_movement_is_accepted_outside_with_the_balances_of_the_books(pool: PgPool) {
    append(&EventLog::over(pool.clone()), &story(), 1).await;
    let never = "SELECT DISTINCT kind FROM ledger_kinds k
                 WHERE NOT EXISTS (SELECT FROM ledger_journal_transactions t WHERE t.kind = k.kind)";
    let never: Vec<String> = sqlx::query_scalar(never).fetch_all(&pool).await.unwrap();
    assert_eq!(never, [""; 0], "movements that the story does not have");
    let trial = trial_balance(&pool, AsOf::Now).await.unwrap();
    assert_eq!(trial.grand_total(), "0");

    let directory = tempfile::tempdir().unwrap();
    for (format, name) in
        [(ExportFormat::Beancount, "books.beancount"), (ExportFormat::Hledger, "books.journal")]
    {
        let path = directory.path().join(name);
        let mut text = vec![];
        export(&pool, format, AsOf::Now, &mut text).await.unwrap();
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        if format == ExportFormat::Beancount {
            run("bean-check", &[path]);
            continue;
        }
        run("hledger", &["-f", path, "check", "--strict"]);
        let printed = run("hledger", &["-f", path, "balance", "--flat", "-N", "-O", "csv"]);
        let mut found = BTreeMap::<String, i128>::new();
        for line in printed.lines().skip(1) {
            let (account, total) = line.trim_matches('"').split_once("\",\"").unwrap();
            found.insert(account.to_owned(), nanos(total.split_once(' ').unwrap().0));
        }
        found.retain(|_, total| *total != 0);
        let rows = trial.accounts.iter().filter(|row| row.balance.0 != 0);
        let books = rows.map(|row| (account_name(format, &row.account), row.balance.0));
        assert_eq!(found, books.collect::<BTreeMap<_, _>>());
    }
}
