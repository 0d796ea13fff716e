//! A sealed log, an archive beside it, and archivers over both.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]
pub mod door;
#[path = "../../../sealer/tests/common/mod.rs"]
mod sealed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_archive::{Archiver, ArchiverConfig, Policy, Reader, SegmentReader};
use cairn_event_log::EventLog;
use cairn_sealer::{Place, StoreOptions};
use sqlx::PgPool;

#[allow(unused_imports, reason = "each test file uses a part")]
pub use sealed::{Stage, append, scope};

/// Every event as text, as the database stores it.
pub const ALL: &str = "SELECT coalesce(string_agg(position || payload::text || metadata::text, '' ORDER BY position), '') FROM events";
/// Events without their bulk.
pub const GONE: &str = "SELECT count(*) FROM events WHERE segment IS NOT NULL AND payload::text = 'null' AND metadata::text = 'null'";

/// A log with so many events, sealed in blocks of four and published.
pub async fn set(owner: PgPool, events: usize) -> Stage {
    let stage = Stage::set(owner).await;
    stage.append(events).await;
    stage.sealer().turn(true).await.unwrap();
    stage
}

pub fn directory(stage: &Stage) -> PathBuf {
    stage.place.path().join("archive")
}

pub fn place(stage: &Stage) -> Place {
    let url = format!("file://{}", directory(stage).display());
    Place::open(&url, &StoreOptions::default()).unwrap()
}

/// Segments of two blocks.
pub fn archiver(stage: &Stage) -> Archiver {
    archiver_of(stage, 8)
}

pub fn archiver_of(stage: &Stage, segment_events: u32) -> Archiver {
    let config = ArchiverConfig { place: place(stage), segment_events };
    Archiver::new(stage.log.clone(), stage.sealer(), config)
}

/// A log as another process opens it, with the archive.
pub async fn reopened(stage: &Stage) -> EventLog {
    let log = without_archive(stage).await;
    log.read_through(Arc::new(SegmentReader::new(log.pool().clone(), place(stage))));
    log
}

pub async fn without_archive(stage: &Stage) -> EventLog {
    EventLog::connect((*stage.owner.connect_options()).clone(), 4).await.unwrap()
}

/// Everything may go that is sealed and published.
pub fn all() -> Policy {
    Policy::default()
}

pub fn read_by(position: i64) -> Policy {
    let readers = vec![Reader { name: "view wallets".to_owned(), position }];
    Policy { older_than: Duration::ZERO, keep_events: 0, readers }
}

pub async fn text(stage: &Stage, sql: &str) -> String {
    sqlx::query_scalar(sql).fetch_one(&stage.owner).await.unwrap()
}

/// The names of the objects in the archive, sorted, without the log's id before them.
pub fn objects(stage: &Stage) -> Vec<String> {
    let logs = std::fs::read_dir(directory(stage)).into_iter().flatten();
    let files = logs.flat_map(|log| std::fs::read_dir(log.unwrap().path()).unwrap());
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The file of the segment that holds these positions.
pub fn body(stage: &Stage, (first, last): (i64, i64)) -> PathBuf {
    let log = std::fs::read_dir(directory(stage)).unwrap().next().unwrap().unwrap().path();
    log.join(format!("{first:020}-{last:020}.zst"))
}
