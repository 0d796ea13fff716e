//! `cairn projections diff` and what a rebuild says of events that do not decode, on the command line.
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

/// A SKU priced twice, positions 1 to 3, all of it folded; the rows before the rebuild are kept.
async fn shop(options: &PgConnectOptions) -> Shell {
    let shell = Shell::new(options);
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    shell.json("skus price small --currency USD --per-hour 0.36").await;
    shell.json("skus price small --currency USD --per-hour 0.48").await;
    // A command ends without its view: the rows that the rebuild keeps are of the whole story only when somebody has waited for them.
    shell.json("skus list").await;
    let rebuilt = shell.json("projections rebuild catalog/skus").await;
    assert_eq!(rebuilt[0]["position"], 3);
    shell
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_is_held_against_a_position_or_a_generation(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = shop(&options).await;
    for line in ["--against head", "--against 3", "--against kept", "--against v1"] {
        let found = shell.json(&format!("projections diff catalog/skus {line}")).await;
        assert_eq!((&found["differing"], &found["live"]["position"]), (&0.into(), &3.into()));
    }
    let said = shell.run("projections diff catalog/skus --against 2").await;
    assert_eq!(said.code(), 7, "{}", said.talk());
    assert!(said.talk().contains("folded: version 1 at position 2"), "{}", said.talk());
    assert!(said.talk().contains("projection_differs"), "{}", said.talk());
    assert!(said.data().starts_with('┌') && said.data().contains("sku.priced"), "{}", said.data());
    let said = shell.run("projections diff catalog/skus --against 0 --limit 1 --output json").await;
    let found: Value = serde_json::from_str(&said.data()).unwrap();
    assert_eq!((&found["differing"], found["rows"].as_array().unwrap().len()), (&3.into(), 1));
    let row = &found["rows"][0];
    assert_eq!((&row["key"], &row["change"]), (&"small".into(), &"added".into()));
    assert_eq!((&row["by"]["position"], &row["parted"]), (&1.into(), &true.into()));
    let cases = [
        ("catalog/skus --against v9", 4, "it has: kept rows of version 1 at position 3"),
        ("catalog/skus --against building", 4, "no_generation"),
        ("catalog/skus --against 99", 4, "to 3"),
        ("catalog/skus --against noon", 2, "neither kept"),
        ("catalog/skus", 2, "--against"),
        ("catalog/sku --against 1", 4, "did you mean catalog/skus"),
    ];
    for (line, code, word) in cases {
        let said = shell.run(&format!("projections diff {line}")).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.data().is_empty(), "{line} printed data: {}", said.data());
        assert!(said.talk().contains(word), "{line} said: {}", said.talk());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rebuild_says_what_does_not_decode_and_stops_only_when_told(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = shop(&options).await;
    let db = pool.connect_with(options).await.unwrap();
    sqlx::raw_sql("ALTER TABLE events DISABLE TRIGGER ALL").execute(&db).await.unwrap();
    let broken = "UPDATE events SET metadata = '[]' WHERE position = 2";
    assert_eq!(sqlx::query(broken).execute(&db).await.unwrap().rows_affected(), 1);
    let listed = "position 2, sku.priced of sku/small, does not decode";
    let dry = shell.run("projections rebuild catalog/skus --dry-run --output json").await;
    assert!(dry.talk().contains(listed), "{}", dry.talk());
    let tried: Value = serde_json::from_str(&dry.data()).unwrap();
    assert_eq!((&tried[0]["preflight"]["found"], &tried[0]["parked"]), (&1.into(), &2.into()));
    assert_eq!(tried[0]["preflight"]["events"][0]["position"], 2);
    assert_eq!(dry.code(), 7, "its prices would be missing: {}", dry.talk());
    let strict = shell.run("projections rebuild catalog/skus --strict").await;
    assert_eq!(strict.code(), 7, "{}", strict.talk());
    assert!(strict.data().is_empty() && strict.talk().contains(listed), "{}", strict.talk());
    assert!(strict.talk().contains("events_unreadable"), "{}", strict.talk());
    let rebuilt = shell.run("projections rebuild catalog/skus").await;
    assert_eq!(rebuilt.code(), 0, "{}", rebuilt.talk());
    assert!(rebuilt.talk().contains(listed), "{}", rebuilt.talk());
}
