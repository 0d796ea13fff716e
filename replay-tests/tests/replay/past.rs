//! Streams and views as they were, what changed them, and that looking changes nothing.
use async_trait::async_trait;
use cairn_commands::replay::{At, changes, diff, state, timeline};
use cairn_core::Currency;
use cairn_event_log::{EventLog, Recorded};
use cairn_ledger::wallet_id;
use cairn_projections::engine::{Changes, Interest, PastError, RowChange, causes, net};
use cairn_projections::{ProjectError, Projection, Projector, row};
use serde_json::Value;
use sqlx::PgPool;

use super::determinism::folded;
use super::log::{golden_log, replayed};
use super::story::ORGANISATION;

const SKU: &str = "small";
const VIEWS: [&str; 3] = ["ledger/balances", "compute/allocations", "catalog/skus"];

fn views(pool: &PgPool) -> Projector {
    Projector::new(EventLog::over(pool.clone()), cairn_projections::all())
}

/// The rows of every table of every schema that is ours, as one text.
async fn everything(pool: &PgPool) -> String {
    let tables = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut all = String::new();
    for table in tables {
        let rows = format!(
            "SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM (SELECT * FROM public.{table}) t"
        );
        all += &format!(
            "{table}\n{}\n",
            sqlx::query_scalar::<_, String>(&rows).fetch_one(pool).await.unwrap()
        );
    }
    all
}

#[sqlx::test(migrations = "../migrations")]
async fn at_the_head_a_view_is_the_live_one(pool: PgPool) {
    let report = replayed(&pool).await;
    let projector = views(&pool);
    folded(&projector, report.events).await;
    for name in projector.names() {
        let then = projector.view_at(name, None, report.events).await.unwrap();
        assert_eq!((then.position, then.parked), (report.events, 0), "{name}");
        for table in then.tables {
            let live = format!("SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)", table.table);
            let mut db = pool.acquire().await.unwrap();
            sqlx::query("SET timezone = 'UTC'").execute(&mut *db).await.unwrap();
            let live: Vec<Value> = sqlx::query_scalar(&live).fetch_all(&mut *db).await.unwrap();
            let sorted = |mut rows: Vec<Value>| {
                rows.sort_by_key(Value::to_string);
                rows
            };
            assert_eq!(sorted(table.rows), sorted(live), "{}", table.table);
        }
    }
}

/// The rows that changes leave behind.
fn rows_of(changes: &[RowChange], table: &str) -> Vec<Value> {
    let mut rows = std::collections::BTreeMap::new();
    for change in changes.iter().filter(|change| change.table == table) {
        match &change.after {
            Some(row) => rows.insert(change.key.clone(), Value::Object(row.clone())),
            None => rows.remove(&change.key),
        };
    }
    rows.into_values().collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn at_any_position_a_view_is_what_the_events_until_then_made(pool: PgPool) {
    let report = replayed(&pool).await;
    let projector = views(&pool);
    for name in VIEWS {
        let all = projector.changes(name, None, (0, report.events)).await.unwrap();
        assert!(!all.is_empty(), "{name}");
        for position in (0..=report.events).step_by(9) {
            let then = projector.view_at(name, None, position).await.unwrap();
            let until: Vec<_> = all.iter().filter(|c| c.position <= position).cloned().collect();
            for table in then.tables {
                let mut rows = table.rows;
                rows.sort_by_key(Value::to_string);
                let mut made = rows_of(&until, &table.table);
                made.sort_by_key(Value::to_string);
                assert_eq!(rows, made, "{} at {position}", table.table);
            }
            let rest = projector.changes(name, None, (position, report.events)).await.unwrap();
            assert_eq!(rest, all[until.len()..], "{name}: what came after {position}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_value_is_explained_by_the_events_that_set_it(pool: PgPool) {
    let report = replayed(&pool).await;
    let projector = views(&pool);
    let key = format!("{ORGANISATION}/USD");
    let changes =
        projector.changes("ledger/balances", Some(&key), (0, report.events)).await.unwrap();
    let why = causes(&changes, Some("posted_nanos")).unwrap();
    let now = projector.view_at("ledger/balances", Some(&key), report.events).await.unwrap();
    assert_eq!(why[0].after, now.tables[0].rows[0]["posted_nanos"], "the last one set it");
    assert_eq!(why.last().unwrap().event_type, "wallet.topped_up");
    assert!(why.windows(2).all(|pair| pair[0].before == pair[1].after), "no event is left out");
    assert!(why.iter().all(|cause| cause.column == "posted_nanos" && cause.actor == "golden"));
    let differs = net(&changes);
    assert_eq!(differs.len(), 1);
    let posted = differs[0].columns.iter().find(|c| c.column == "posted_nanos").unwrap();
    assert_eq!((posted.position, &posted.after), (why[0].position, &why[0].after));
    let unknown = causes(&changes, Some("posted")).unwrap_err();
    assert!(unknown.to_string().contains("posted_nanos"), "{unknown}");
    let unknown = projector.view_at("ledger/balances", Some("org_x"), report.events).await;
    let Err(PastError::UnknownKey { keys, .. }) = unknown else { panic!("{unknown:?}") };
    assert!(keys.contains(&key), "it says which keys there are");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_timeline_tells_every_event_and_all_that_it_changed(pool: PgPool) {
    replayed(&pool).await;
    let id = wallet_id(ORGANISATION, Currency::USD);
    let told = golden_log().into_iter().filter(|event| event.aggregate_id == id).count();
    let events = timeline(&pool, "wallet", &id, At::Head).await.unwrap();
    assert_eq!(events.len(), told);
    let mut before = serde_json::to_value(cairn_ledger::Wallet::default()).unwrap();
    for event in &events {
        let after = state(&pool, "wallet", &id, At::Position(event.position)).await.unwrap();
        assert_eq!(event.changes, changes(&before, &after["state"]), "{}", event.event_type);
        assert_eq!((event.actor.as_str(), event.command_id.is_empty()), ("golden", false));
        before = after["state"].clone();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_difference_names_the_event_that_did_it(pool: PgPool) {
    replayed(&pool).await;
    let id = wallet_id(ORGANISATION, Currency::USD);
    let events = timeline(&pool, "wallet", &id, At::Head).await.unwrap();
    let (from, to) = (events[2].position, events[9].position);
    let found = diff(&pool, "wallet", &id, (At::Position(from), At::Position(to))).await.unwrap();
    assert_eq!(found.events, events[3..=9]);
    let [before, after] =
        [from, to].map(|position| state(&pool, "wallet", &id, At::Position(position)));
    let places = changes(&before.await.unwrap()["state"], &after.await.unwrap()["state"]);
    assert_eq!(found.changes.len(), places.len());
    for (net, place) in found.changes.iter().zip(&places) {
        assert_eq!((&net.path, &net.after), (&place.path, &place.after));
        let last =
            found.events.iter().rev().find(|e| e.changes.iter().any(|c| c.touches(&net.path)));
        assert_eq!(last.unwrap().position, net.position, "{}", net.path);
    }
    let still = diff(&pool, "wallet", &id, (At::Head, At::Head)).await.unwrap();
    assert!(still.changes.is_empty() && still.events.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn looking_at_the_past_changes_nothing(pool: PgPool) {
    let report = replayed(&pool).await;
    let projector = views(&pool);
    folded(&projector, report.events).await;
    let before = everything(&pool).await;
    for name in projector.names() {
        projector.view_at(name, None, report.events).await.unwrap();
        projector.changes(name, None, (report.events / 2, report.events)).await.unwrap();
    }
    let id = wallet_id(ORGANISATION, Currency::USD);
    timeline(&pool, "wallet", &id, At::Head).await.unwrap();
    diff(&pool, "wallet", &id, (At::Position(0), At::Head)).await.unwrap();
    assert_eq!(everything(&pool).await, before);
    let left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0, "the copies are gone with their connection");
}

row! {
    /// A row of the view's own table.
    struct Own in "catalog_prices" by (sku_id: String) {
        sku_id: String,
        version: i64,
        currency: String,
        nanos_per_hour: i64,
        effective_at: cairn_projections::At,
    }
}

row! {
    /// The same where it is read.
    struct Live in "public.catalog_prices" by (sku_id: String) {
        sku_id: String,
        version: i64,
        currency: String,
        nanos_per_hour: i64,
        effective_at: cairn_projections::At,
    }
}

row! {
    /// A row of somebody else's.
    struct Theirs in "public.projection_checkpoints" by (name: String) {
        name: String,
        version: i32,
        position: i64,
    }
}

/// What a [`Vandal`] does.
type Attempt = fn(&mut Changes);

/// A projection that tries to write what it may not.
struct Vandal(Attempt);

#[async_trait]
impl Projection for Vandal {
    fn name(&self) -> &'static str {
        "test/vandal"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["catalog_prices"]
    }

    fn interest(&self) -> Interest {
        Interest::Types(vec!["sku.priced"])
    }

    async fn project(&self, _: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        (self.0)(changes);
        Ok(())
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_server_refuses_a_replay_that_writes(pool: PgPool) {
    let report = replayed(&pool).await;
    let projector = views(&pool);
    folded(&projector, report.events).await;
    let sku = "SELECT sku_id FROM catalog_prices LIMIT 1";
    let sku: String = sqlx::query_scalar(sku).fetch_one(&pool).await.unwrap();
    assert_eq!(sku, SKU, "there is a row to write over");
    let before = everything(&pool).await;
    let attempts: [Attempt; 4] = [
        |changes| changes.insert(Live { sku_id: "x".to_owned(), ..Live::default() }),
        |changes| {
            changes.change((SKU.to_owned(),), |row: &mut Live| {
                row.version += 1;
                Ok(())
            });
        },
        |changes| changes.remove::<Live>((SKU.to_owned(),)),
        |changes| {
            changes.insert(Theirs { name: "x".to_owned(), version: 1, position: 0 });
        },
    ];
    for (index, attempt) in attempts.into_iter().enumerate() {
        let log = EventLog::over(pool.clone());
        let projector = Projector::new(log, vec![Box::new(Vandal(attempt))]);
        let refused = projector.view_at("test/vandal", None, report.events).await.unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("read-only transaction"), "attempt {index}: {said}");
    }
    // Into the copy it may write.
    let own = Vandal(|changes| {
        changes.put(("x".to_owned(),), |row: Option<Own>| {
            Ok(row.unwrap_or_else(|| Own { sku_id: "x".to_owned(), ..Own::default() }))
        });
    });
    let projector = Projector::new(EventLog::over(pool.clone()), vec![Box::new(own)]);
    let view = projector.view_at("test/vandal", None, report.events).await.unwrap();
    assert_eq!(view.tables[0].rows.len(), 1);
    assert_eq!(everything(&pool).await, before);
}
