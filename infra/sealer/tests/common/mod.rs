//! A log with events, and sealers over it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_event_log::{AppendRequest, EventLog, Metadata, NewEvent, Outcome};
use cairn_seal::PublicKeys;
use cairn_sealer::{Published, Report, Scope, Sealer, SealerConfig, StoreOptions, verify};
use sqlx::PgPool;
use tempfile::TempDir;

/// A log, and one place where it is sealed.
pub struct Stage {
    pub log: EventLog,
    pub place: TempDir,
    /// As the owner of the database.
    pub owner: PgPool,
}

impl Stage {
    pub async fn set(owner: PgPool) -> Self {
        let log = EventLog::connect((*owner.connect_options()).clone(), 12).await.unwrap();
        Self { log, place: tempfile::tempdir().unwrap(), owner }
    }

    /// Blocks of four events, or older than an hour.
    pub fn sealer(&self) -> Sealer {
        Sealer::new(self.log.clone(), self.config())
    }

    pub fn config(&self) -> SealerConfig {
        config(self.place.path())
    }

    pub fn keys(&self) -> PublicKeys {
        PublicKeys::read(&self.place.path().join("keys/seal.pub.pem")).unwrap()
    }

    /// Appends so many events, one by one.
    pub async fn append(&self, count: usize) {
        for _ in 0..count {
            append(&self.log).await;
        }
    }

    pub async fn published(&self) -> Published {
        open(self.config().file.to_str().unwrap()).await
    }

    pub async fn verify(&self) -> Report {
        verify(&self.log, &self.keys(), self.published().await, &scope()).await.unwrap()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    pub async fn run(&self, sql: &str) {
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            let done = sqlx::query(statement).execute(&self.owner).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    pub async fn leave(self) {
        self.log.close().await;
    }
}

pub fn config(place: &Path) -> SealerConfig {
    SealerConfig {
        keys: place.join("keys"),
        events_max: 4,
        after: Duration::from_secs(3_600),
        file: place.join("published.ndjson"),
        url: None,
        store: StoreOptions::default(),
    }
}

/// A published copy.
pub async fn open(place: &str) -> Published {
    Published::open(place, &StoreOptions::default()).await.unwrap()
}

pub fn scope() -> Scope {
    Scope { from: 1, workers: 3, resume: None }
}

pub async fn append(log: &EventLog) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let request = AppendRequest {
        command_id: format!("command-{}-{number}", std::process::id()),
        command_hash: [7; 32],
        aggregate_type: "thing",
        aggregate_id: format!("thing-{number}"),
        expected_sequence: 0,
        events: vec![NewEvent {
            event_type: "thing.noted".to_owned(),
            event_version: "1".to_owned(),
            payload: format!("{{\"note\": \"grüße {number}\"}}"),
            book: None,
        }],
        outcome: Outcome::Accepted { result: serde_json::json!(number) },
        metadata: Metadata { actor: "test".to_owned(), ..Metadata::default() },
    };
    log.append(request).await.unwrap();
}
