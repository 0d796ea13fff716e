//! `cairn replay`: the past of streams and views on the command line.
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

/// A shop with one SKU, priced twice: positions 1 to 3.
async fn shop(options: &PgConnectOptions) -> Shell {
    let shell = Shell::new(options);
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    shell.json("skus price small --currency USD --per-hour 0.36").await;
    shell.json("skus price small --currency USD --per-hour 0.48").await;
    shell
}

#[sqlx::test(migrations = "../migrations")]
async fn the_past_is_printed_as_json_and_as_a_table(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = shop(&options).await;
    for line in [
        "replay view catalog/skus",
        "replay view catalog/skus --key small --at 2",
        "replay timeline sku small",
        "replay diff sku small --from 1",
        "replay diff --view catalog/skus --from 1 --to 3",
        "replay why catalog/skus small",
        "replay why catalog/skus small/2 nanos_per_hour",
        "replay what-if",
        "replay what-if --type sku --from 2 --to 3",
    ] {
        shell.json(line).await;
        let table = shell.run(line).await;
        assert_eq!(table.code(), 0, "{line}: {}", table.talk());
        assert!(table.data().starts_with('┌'), "{line} printed {}", table.data());
    }
    let then = shell.json("replay view catalog/skus --at 2").await;
    let prices = then["tables"][1]["rows"].as_array().unwrap().clone();
    assert_eq!((prices.len(), &prices[0]["nanos_per_hour"]), (1, &Value::from(360_000_000)));
    let why = shell.json("replay why catalog/skus small/2 nanos_per_hour").await;
    assert_eq!((&why[0]["position"], &why[0]["event_type"]), (&3.into(), &"sku.priced".into()));
    assert_eq!(why[0]["actor"], "operator:tester");
    let timeline = shell.json("replay timeline sku small").await;
    assert_eq!(timeline.as_array().unwrap().len(), 3);
    assert_eq!(timeline[2]["changes"][0]["path"], "prices.2");
    let exported = shell.run("replay export --stream sku/small").await;
    assert_eq!((exported.code(), exported.data().lines().count()), (0, 3));
    assert!(exported.talk().contains("3 events of 1 streams"), "{}", exported.talk());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_that_does_not_exist_is_answered_with_one_that_does(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = shop(&options).await;
    let cases = [
        ("replay view catalog/sku", 4, "did you mean catalog/skus"),
        ("replay view nonsense", 4, "there are identity/api_keys"),
        ("replay view catalog/skus --key smal", 4, "did you mean small"),
        ("replay view catalog/skus --at 99", 4, "to 3"),
        ("replay view catalog/skus --at noon", 2, "noon"),
        ("replay timeline skus small", 2, "did you mean sku"),
        ("replay timeline sku smal", 4, "did you mean small"),
        ("replay timeline sku small --at 0", 4, "it begins later"),
        ("replay diff sku small --from 3 --to 1", 2, "after --to"),
        ("replay diff --from 1", 2, "AGGREGATE_TYPE"),
        ("replay why catalog/skus small/2 price", 2, "nanos_per_hour"),
        ("replay what-if --type skus", 2, "did you mean sku"),
        ("replay what-if --from 4", 2, "after --to"),
        ("replay what-if --to 99", 4, "to 3"),
        ("replay export", 2, "--from"),
        ("replay export --stream small", 2, "type/id"),
        ("replay export --stream sku/smal", 4, "did you mean small"),
        ("replay export --correlation nobody", 4, "no event"),
    ];
    for (line, code, word) in cases {
        let said = shell.run(line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.data().is_empty(), "{line} printed data: {}", said.data());
        assert!(said.talk().contains(word), "{line} said: {}", said.talk());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_decision_that_would_be_another_today_is_told_by_exit_code_and_position(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = shop(&options).await;
    let same = shell.json("replay what-if").await;
    assert_eq!((&same["differences_found"], &same["types"][0]["same"]), (&0.into(), &3.into()));
    let db = pool.connect_with(options).await.unwrap();
    sqlx::raw_sql("ALTER TABLE events DISABLE TRIGGER ALL").execute(&db).await.unwrap();
    let numbered =
        "UPDATE events SET payload = replace(payload::text, '\"version\":2', '\"version\":7')::json
        WHERE position = 3 AND payload::text LIKE '%\"version\":2%'";
    assert_eq!(sqlx::query(numbered).execute(&db).await.unwrap().rows_affected(), 1);
    let said = shell.run("replay what-if").await;
    assert_eq!(said.code(), 7, "{}", said.talk());
    assert!(said.talk().contains("decisions_differ"), "{}", said.talk());
    assert!(said.data().contains("[0].price.version: 7 → 2"), "{}", said.data());
    let json = shell.run("replay what-if --output json").await;
    let found: Value = serde_json::from_str(&json.data()).unwrap();
    assert_eq!(found["differences"][0]["position"], 3);
    assert_eq!(found["differences"][0]["today"][0]["price"]["version"], 2);
}
