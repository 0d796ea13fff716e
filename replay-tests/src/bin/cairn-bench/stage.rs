//! The stage that every bench plays on: one private, durable cluster, and Cairn's log in a database of its own there.
use std::path::PathBuf;
use std::str::FromStr;

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_commands::CommandContext;
use cairn_event_log::{EventLog, MIGRATOR};
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};
use tempfile::TempDir;

use crate::Failure;

/// Segments of 16 MB.
const SEGMENTS: usize = 64;

/// Makes a cluster in a directory that goes away with the guard.
pub fn cluster(directory: Option<&PathBuf>) -> Result<(Cluster, TempDir), Failure> {
    let parent = directory.cloned().unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(parent)?;
    let cluster = Cluster::start(ClusterConfig {
        directory: scratch.path().to_path_buf(),
        durable: true,
        settings: vec![
            ("max_connections".to_owned(), "100".to_owned()),
            ("shared_buffers".to_owned(), "256MB".to_owned()),
            // As after hours of running: segments of the write-ahead log are there to be used again.
            ("min_wal_size".to_owned(), "2GB".to_owned()),
            ("max_wal_size".to_owned(), "4GB".to_owned()),
        ],
    })?;
    Ok((cluster, scratch))
}

/// What the server says of itself.
#[derive(Debug, Serialize)]
pub struct Settings {
    pub server_version: String,
    pub synchronous_commit: String,
    pub fsync: String,
}

impl Settings {
    pub async fn read(pool: &PgPool) -> Result<Self, Failure> {
        let sql = "SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync')";
        let (server_version, synchronous_commit, fsync) =
            sqlx::query_as(sql).fetch_one(pool).await?;
        Ok(Self { server_version, synchronous_commit, fsync })
    }
}

#[allow(clippy::print_stderr, reason = "progress of a command-line tool")]
pub fn say(line: &str) {
    eprintln!("{line} …");
}

/// Fills segments of the write-ahead log for the checkpoints to recycle. A server that has run for a while has them.
pub async fn make_segments(pool: &PgPool) -> Result<(), Failure> {
    say("making the cluster look as if it had run for a while");
    for _ in 0..SEGMENTS {
        pool.execute("SELECT pg_logical_emit_message(false, 'bench', 'x'), pg_switch_wal()")
            .await?;
    }
    settle(pool).await
}

/// Lets the server write out what the cell before left, so that the next one does not pay for it.
pub async fn settle(pool: &PgPool) -> Result<(), Failure> {
    pool.execute("CHECKPOINT").await?;
    Ok(())
}

/// A connection as the owner of a database, who may also checkpoint.
pub async fn owner(cluster: &Cluster, database: &str) -> Result<PgPool, Failure> {
    let options = PgConnectOptions::from_str(&cluster.url(database))?;
    Ok(PgPoolOptions::new().max_connections(1).connect_with(options).await?)
}

/// Cairn's log, in a new database.
pub async fn open_cairn(cluster: &Cluster) -> Result<EventLog, Failure> {
    cluster.create_database("cairn")?;
    let pool = owner(cluster, "cairn").await?;
    MIGRATOR.run(&pool).await?;
    pool.close().await;
    Ok(EventLog::connect(PgConnectOptions::from_str(&cluster.url("cairn"))?, 8).await?)
}

/// Of a command that nobody asked for.
pub fn context(command_id: String) -> CommandContext {
    CommandContext {
        command_id,
        body_hash: [7; 32],
        actor: "bench".to_owned(),
        organisation_id: None,
        correlation_id: "bench".to_owned(),
        causation_id: None,
        traceparent: None,
        origin: None,
    }
}
