//! Comparing a live view with the same view folded anew, row by row, at the same position.
use cairn_event_log::EventLog;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::digest::one_snapshot_in_tx;
use super::scratch::{self, Scratch};
use super::{EngineError, Projection, checkpoint};

const BATCH: i64 = 1_000;
const EXAMPLES: i64 = 5;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The projection.
    pub name: String,
    /// Where both stand in the log.
    pub position: i64,
    /// Whether no row differs.
    pub identical: bool,
    /// Per table.
    pub tables: Vec<TableComparison>,
    /// Events parked in the live view; their keys may differ from a fold that succeeds today.
    pub parked: i64,
}

/// How one table compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableComparison {
    /// The table.
    pub table: String,
    /// Rows of the live table.
    pub rows: i64,
    /// Rows that differ, are missing in the live table, or should not be there.
    pub differing: i64,
    /// Keys of the first of them, as JSON objects.
    pub examples: Vec<String>,
}

pub(crate) async fn verify(
    log: &EventLog,
    projection: &dyn Projection,
) -> Result<Verified, EngineError> {
    let name = projection.name();
    let mut db = scratch::connect(log).await?;
    scratch::copy_tables(&mut db, projection).await?;
    let near = checkpoint::read(log.pool(), name).await?.map_or(0, |live| live.position);
    let mut scratch = Scratch { db: &mut db, position: 0 };
    while scratch.step(log, projection, (near, BATCH)).await? {}
    let from = scratch.position;
    let mut tx = db.begin().await?;
    one_snapshot_in_tx(&mut tx).await?;
    let position = checkpoint::read(&mut *tx, name).await?.map_or(0, |live| live.position);
    let mut scratch = Scratch { db: &mut tx, position: from };
    while scratch.step(log, projection, (position, BATCH)).await? {}
    let mut tables = vec![];
    for table in projection.tables() {
        tables.push(compare(&mut tx, table).await?);
    }
    let parked = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM public.projection_parked
           WHERE projection = $1 AND skipped_at IS NULL"#,
        name
    );
    let parked = parked.fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    db.close().await?;
    let identical = tables.iter().all(|table| table.differing == 0);
    Ok(Verified { name: name.to_owned(), position, identical, tables, parked })
}

async fn compare(db: &mut PgConnection, table: &str) -> Result<TableComparison, sqlx::Error> {
    let keys = primary_key(db, table).await?;
    let using = keys.join(", ");
    let key = keys.iter().map(|key| format!("'{key}', {key}")).collect::<Vec<_>>().join(", ");
    let differing = format!(
        "FROM public.{table} live FULL JOIN pg_temp.{table} anew USING ({using})
         WHERE to_jsonb(live) IS DISTINCT FROM to_jsonb(anew)"
    );
    let count = format!("SELECT count(*) {differing}");
    let count = sqlx::query_scalar::<_, i64>(&count).fetch_one(&mut *db).await?;
    let examples = format!("SELECT jsonb_build_object({key})::text {differing} LIMIT {EXAMPLES}");
    let examples = sqlx::query_scalar::<_, String>(&examples).fetch_all(&mut *db).await?;
    let rows = format!("SELECT count(*) FROM public.{table}");
    let rows = sqlx::query_scalar::<_, i64>(&rows).fetch_one(&mut *db).await?;
    Ok(TableComparison { table: table.to_owned(), rows, differing: count, examples })
}

pub(crate) async fn primary_key(
    db: &mut PgConnection,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT a.attname::text AS "name!" FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = ('public.' || $1)::text::regclass AND i.indisprimary
           ORDER BY a.attnum"#,
        table
    )
    .fetch_all(db)
    .await
}
