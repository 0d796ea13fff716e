//! Breaks on the command line: found, assigned, settled by one or by two, and clear words for a slip.
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

/// A line of the provider's book that nobody books by itself, and that is too old to wait for.
async fn plant(options: &PgConnectOptions, id: &str, cents: i64) {
    let plant = "INSERT INTO finance_external_transactions
        (id, content, source_id, category, currency, amount_nanos, fee_nanos, net_nanos, created_at, available_at, mirrored_at)
        VALUES ($1, $1, 'x_' || $1, 'adjustment', 'USD', $2, 0, $2, now() - interval '2 days', now(), now())";
    let mut owner = options.connect().await.unwrap();
    sqlx::query(plant).bind(id).bind(cents * 10_000_000).execute(&mut owner).await.unwrap();
}

fn shell(options: &PgConnectOptions, simulator: &Simulator, user: &'static str) -> Shell {
    let shell = Shell::new(options).with("STRIPE_API_BASE", simulator.base_url.clone());
    shell.with("STRIPE_SECRET_KEY", "sk_test_breaks").with("USER", user)
}

async fn reconcile(shell: &Shell) -> Value {
    let said = shell.run("finance reconcile --output json").await;
    assert_eq!(said.code(), 7, "{}", said.talk());
    serde_json::from_str(&said.data()).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_break_is_found_assigned_and_settled_by_one_or_by_two(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let (ada, grace) = (shell(&options, &simulator, "ada"), shell(&options, &simulator, "grace"));
    plant(&options, "txn_small", -9_950).await;
    plant(&options, "txn_large", -20_000).await;
    let report = reconcile(&ada).await;
    assert_eq!(report["cases"]["found"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(reconcile(&ada).await["cases"]["found"], Value::Array(vec![]), "found once");
    let open = ada.json("finance breaks list").await;
    let id_of = |line: &str| {
        let rows = open.as_array().unwrap();
        let row = rows.iter().find(|row| row["transaction_id"] == line).unwrap();
        assert_eq!((&row["age_days"], &row["overdue"]), (&"0-1".into(), &false.into()));
        row["break_id"].as_str().unwrap().to_owned()
    };
    let (small, large) = (id_of("txn_small"), id_of("txn_large"));
    ada.json(&format!("finance breaks assign {small} --to treasury --reason theirs")).await;
    let post = "--post bank:main:USD,stripe:pending:USD,99.50";
    let done = ada.json(&format!("finance breaks resolve {small} --cause adjusted {post}")).await;
    assert_eq!(done["status"], "posted", "up to 100.00 one person is enough");
    let shown = ada.json(&format!("finance breaks show {small}")).await;
    assert_eq!((&shown["owner"], &shown["amount"]), (&"treasury".into(), &"99.50".into()));

    let resolve = format!("finance breaks resolve {large} --cause lost --write-off");
    assert_eq!(ada.json(&resolve).await["status"], "proposed");
    let approve = format!("finance breaks approve {large} --reason seen");
    let own = ada.run(&approve).await;
    assert_eq!(own.code(), 3, "{}", own.talk());
    assert!(own.talk().contains("break_approver_is_proposer"), "{}", own.talk());
    assert_eq!(grace.json(&approve).await["status"], "written_off");

    let report = reconcile(&ada).await;
    assert_eq!(report["breaks"], Value::Array(vec![]), "{report}");
    let balances = ada.json("finance trial-balance").await;
    let accounts = balances["accounts"].as_array().unwrap();
    let balance = |code: &str| {
        let account = accounts.iter().find(|account| account["account"] == code);
        account.map(|account| account["balance"].clone()).unwrap_or_default()
    };
    assert_eq!(balance("bank:main:USD"), "99.50", "{balances}");
    assert_eq!(
        (balance("write_offs:USD"), balance("stripe:pending:USD")),
        ("200.00".into(), "-299.50".into())
    );
    assert_eq!(ada.json("finance breaks list").await, Value::Array(vec![]));
    assert_eq!(ada.json("finance breaks list --all").await.as_array().unwrap().len(), 2);
    let verified = ada.json("replay verify").await;
    assert_eq!(verified["identical"], true, "{verified}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_slip_is_told_in_words(_: PgPoolOptions, options: PgConnectOptions) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let ada = shell(&options, &simulator, "ada");
    plant(&options, "txn_1", -100).await;
    reconcile(&ada).await;
    let id = ada.json("finance breaks list").await[0]["break_id"].as_str().unwrap().to_owned();
    let near = format!("{}{}", &id[..id.len() - 1], if id.ends_with('0') { '1' } else { '0' });
    let resolve = |how: &str| format!("finance breaks resolve {id} --cause adjusted {how}");
    for (line, code, word) in [
        ("finance breaks show brake_1".to_owned(), 2, "break_ and 26 characters"),
        (format!("finance breaks show {near}"), 4, id.as_str()),
        (format!("finance breaks approve {near} --reason x"), 4, "did you mean"),
        (format!("finance breaks approve {id} --reason x"), 3, "break_nothing_proposed"),
        (format!("finance breaks assign {id} --to me"), 2, "--reason"),
        (
            format!("finance breaks assign {id} --to me --reason x --due 2020-01-01T00:00:00Z"),
            3,
            "break_due_in_the_past",
        ),
        (resolve(""), 2, "--write-off"),
        (resolve("--explained --write-off"), 2, "cannot be used with"),
        (resolve("--post bank:main:USD,1"), 2, "the debited account"),
        (resolve("--post bank:main,stripe:pending:USD,1"), 2, "ends in its currency"),
        (resolve("--post bank:main:USD,stripe:pending:USD,much"), 2, "decimal number"),
        (resolve("--post suspense:USD,bank:main:USD,1"), 3, "break_accounts_not_allowed"),
        (resolve("--post suspense:EUR,stripe:pending:EUR,1"), 3, "break_currency_differs"),
    ] {
        let said = ada.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    let limit = ada.run("finance breaks list --set finance.approval_limit=much").await;
    assert_eq!(limit.code(), 2, "{}", limit.talk());
    let limited =
        ada.json(&format!("{} --set finance.approval_limit=0.99", resolve("--explained"))).await;
    assert_eq!(limited["status"], "proposed", "a word is no way around the limit");
}
