//! The golden log with its bulk in an archive: whatever is folded from it is what it was before.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_archive::{Archiver, ArchiverConfig, Policy, SegmentReader};
use cairn_commands::replay::{
    At, Masks, ReplayError, Slice, diff, export, state, timeline, verify,
};
use cairn_event_log::{EventLog, LogError, LogSource};
use cairn_projections::engine::Rebuild;
use cairn_projections::{Projector, all};
use cairn_sealer::{Place, Sealer, SealerConfig, StoreOptions};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::determinism::{digests, folded, forget};
use super::log::replayed;

fn place(directory: &Path) -> Place {
    let url = format!("file://{}/archive", directory.display());
    Place::open(&url, &StoreOptions::default()).unwrap()
}

/// Seals the whole log in small blocks and lets go of all its bulk.
async fn archive(pool: &PgPool, directory: &Path) -> i64 {
    let log = EventLog::over(pool.clone());
    let config = SealerConfig {
        keys: directory.join("keys"),
        events_max: 8,
        after: Duration::from_secs(3_600),
        file: directory.join("published.ndjson"),
        url: None,
        store: StoreOptions::default(),
    };
    let sealer = Sealer::new(log.clone(), config);
    sealer.turn(true).await.unwrap();
    let config = ArchiverConfig { place: place(directory), segment_events: 16 };
    let report = Archiver::new(log, sealer, config).run(&Policy::default()).await.unwrap();
    assert!(report.segments.len() > 3, "{report:?}");
    report.events_archived
}

fn reading_through(pool: &PgPool, directory: &Path) -> EventLog {
    let log = EventLog::over(pool.clone());
    log.read_through(Arc::new(SegmentReader::new(pool.clone(), place(directory))));
    log
}

/// Every stream as it is and as it was, what happened to it, and the log as it would be exported.
async fn told(source: &impl LogSource, head: i64) -> Value {
    let streams = "SELECT DISTINCT aggregate_type, aggregate_id FROM events ORDER BY 1, 2";
    let streams: Vec<(String, String)> =
        sqlx::query_as(streams).fetch_all(source.pool()).await.unwrap();
    let mut told = vec![];
    for (kind, id) in &streams {
        told.push(state(source, kind, id, At::Head).await.unwrap());
        told.push(json!(timeline(source, kind, id, At::Head).await.unwrap()));
        let range = (At::Position(0), At::Position(head));
        told.push(json!(diff(source, kind, id, range).await.unwrap()));
    }
    let slice = Slice { streams, correlation_id: None, from: None, to: At::Head };
    let masks = Masks::new("secret".to_owned());
    export(source, &slice, &masks, |event| {
        told.push(json!(event));
        Ok(())
    })
    .await
    .unwrap();
    json!(told)
}

#[sqlx::test(migrations = "../migrations")]
async fn replay_tells_of_archived_events_what_it_told_before(pool: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let report = replayed(&pool).await;
    let before = told(&pool, report.events).await;
    assert_eq!(archive(&pool, directory.path()).await, report.events);
    let log = reading_through(&pool, directory.path());
    assert_eq!(told(&log, report.events).await, before);
    assert_eq!(verify(&log).await.unwrap(), report);
    // Nobody takes an event without its bulk for one.
    let error = verify(&pool).await.unwrap_err();
    let lost = |error| matches!(error, ReplayError::Log(LogError::Segment { position: 1, .. }));
    assert!(lost(error));
}

#[sqlx::test(migrations = "../migrations")]
async fn views_folded_from_archived_events_are_the_same_to_the_byte(pool: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let report = replayed(&pool).await;
    let views = |log: EventLog| Projector::new(log, all());
    let live = views(EventLog::over(pool.clone()));
    folded(&live, report.events).await;
    let expected = digests(&live).await;
    let mut then = vec![];
    for name in live.names() {
        then.push(live.view_at(name, None, report.events / 2).await.unwrap());
    }
    archive(&pool, directory.path()).await;

    let again = views(reading_through(&pool, directory.path()));
    for (name, then) in again.names().into_iter().zip(then) {
        assert_eq!(again.view_at(name, None, report.events / 2).await.unwrap(), then, "{name}");
        let rebuilt = again.rebuild(name, &Rebuild::default()).await.unwrap();
        assert_eq!(rebuilt.differing, 0, "{name}");
    }
    assert_eq!(digests(&again).await, expected);
    forget(&pool).await;
    assert_ne!(digests(&again).await, expected, "what was folded before is gone");
    folded(&again, report.events).await;
    assert_eq!(digests(&again).await, expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_cannot_read_the_archive_waits_and_parks_nothing(pool: PgPool) {
    let directory = tempfile::tempdir().unwrap();
    let report = replayed(&pool).await;
    archive(&pool, directory.path()).await;
    let blind = Projector::new(EventLog::over(pool.clone()), all());
    let name = blind.names()[0];
    let error = blind.rebuild(name, &Rebuild::default()).await.unwrap_err().to_string();
    assert!(error.contains("segment 1 of the archive"), "{error}");
    for view in blind.status().await.unwrap() {
        assert_eq!((view.position, view.parked_events), (0, 0), "{}", view.name);
    }
    let seeing = Projector::new(reading_through(&pool, directory.path()), all());
    folded(&seeing, report.events).await;
    let parked: i64 = seeing.status().await.unwrap().iter().map(|view| view.parked_events).sum();
    assert_eq!(parked, 0);
}
