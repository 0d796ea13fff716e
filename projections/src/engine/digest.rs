//! One number for all rows of a view.
use cairn_event_log::EventLog;
use futures::TryStreamExt;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection, PgConnection};

use super::{EngineError, Projection, checkpoint};

/// SHA-256 over all rows of a view, in an order of their own, at one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// The projection.
    pub name: String,
    /// Where the rows stand in the log.
    pub position: i64,
    /// How many they are.
    pub rows: u64,
    /// Lower-case hex.
    pub sha256: String,
}

pub(crate) async fn digest(
    log: &EventLog,
    projection: &dyn Projection,
) -> Result<Digest, EngineError> {
    let mut db = log.pool().acquire().await?;
    let mut tx = db.begin().await?;
    one_snapshot_in_tx(&mut tx).await?;
    let stored = checkpoint::read(&mut *tx, projection.name()).await?;
    let mut digest = Digest {
        name: projection.name().to_owned(),
        position: stored.map_or(0, |stored| stored.position),
        rows: 0,
        sha256: String::new(),
    };
    let mut hash = Sha256::new();
    for table in projection.tables() {
        hash.update(format!("{table}\n"));
        digest.rows += hash_table(&mut tx, table, &mut hash).await?;
    }
    tx.rollback().await?;
    digest.sha256 = hex::encode(hash.finalize());
    Ok(digest)
}

/// Everything after this sees one state of the database, and prints instants the same way everywhere.
pub(crate) async fn one_snapshot_in_tx(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *db).await?;
    sqlx::query!(
        "SELECT set_config('timezone', 'UTC', true) AS zone,
           set_config('statement_timeout', '0', true) AS patience"
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

async fn hash_table(
    db: &mut PgConnection,
    table: &str,
    hash: &mut Sha256,
) -> Result<u64, sqlx::Error> {
    let rows = format!(
        r#"SELECT to_jsonb(t)::text FROM {table} t ORDER BY to_jsonb(t)::text COLLATE "C""#
    );
    let mut rows = sqlx::query_scalar::<_, String>(&rows).fetch(db);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        hash.update(row.as_bytes());
        hash.update(b"\n");
        count += 1;
    }
    Ok(count)
}
