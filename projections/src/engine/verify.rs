//! Comparing a live view with the same view folded anew, row by row, at the same position.
use std::num::NonZeroU32;
use std::sync::Arc;

use cairn_event_log::EventLog;
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::digest::one_snapshot_in_tx;
use super::sample::Sample;
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
    /// One key in so many was compared; 1 is all of them.
    pub keys_in: usize,
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

/// With a sample, only about one key in so many is folded and compared, where the view splits by key: rows that should not
/// be there at all are then not seen.
pub(crate) async fn verify(
    log: &EventLog,
    projection: &Arc<dyn Projection>,
    sample: Option<NonZeroU32>,
) -> Result<Verified, EngineError> {
    let shares = sample.filter(|_| projection.splits_by_key());
    let shares = usize::try_from(shares.map_or(1, NonZeroU32::get)).unwrap_or(1);
    let chosen = sqlx::query_scalar!(r#"SELECT random() AS "chance!""#);
    let chosen = chosen.fetch_one(log.pool()).await?;
    let share = (0..shares).take_while(|&share| part(share, shares) <= chosen).last();
    let inner = Arc::clone(projection);
    let sample = Sample { inner, share: share.unwrap_or(0), shares };
    let (projection, kind): (&dyn Projection, _) =
        if shares > 1 { (&sample, Join::OfSample) } else { (&**projection, Join::Whole) };
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
        tables.push(compare_in_tx(&mut tx, table, ("pg_temp", kind)).await?);
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
    Ok(Verified { name: name.to_owned(), position, identical, keys_in: shares, tables, parked })
}

fn part(share: usize, shares: usize) -> f64 {
    let count = |amount: usize| f64::from(u32::try_from(amount).unwrap_or(u32::MAX));
    count(share) / count(shares.max(1))
}

/// Which rows are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Join {
    /// All on either side.
    Whole,
    /// Those that were folded anew.
    OfSample,
}

/// Compares a live table with the one of the same name in a schema.
pub(crate) async fn compare_in_tx(
    db: &mut PgConnection,
    table: &str,
    (schema, join): (&str, Join),
) -> Result<TableComparison, sqlx::Error> {
    let keys = primary_key(db, table).await?;
    let key = keys.iter().map(|key| format!("'{key}', {key}")).collect::<Vec<_>>().join(", ");
    let differing = differing(table, (schema, join), &keys);
    let count = format!("SELECT count(*) {differing}");
    let count = sqlx::query_scalar::<_, i64>(&count).fetch_one(&mut *db).await?;
    let examples = format!("SELECT jsonb_build_object({key})::text {differing} LIMIT {EXAMPLES}");
    let examples = sqlx::query_scalar::<_, String>(&examples).fetch_all(&mut *db).await?;
    let rows = format!("SELECT count(*) FROM public.{table}");
    let rows = sqlx::query_scalar::<_, i64>(&rows).fetch_one(&mut *db).await?;
    Ok(TableComparison { table: table.to_owned(), rows, differing: count, examples })
}

/// The rows of a live table and of the one of the same name in a schema that are not the same, as `live` and `anew`.
pub(crate) fn differing(table: &str, (schema, join): (&str, Join), keys: &[String]) -> String {
    let join = match join {
        Join::Whole => "FULL",
        Join::OfSample => "RIGHT",
    };
    let using = keys.join(", ");
    format!(
        "FROM public.{table} live {join} JOIN {schema}.{table} anew USING ({using})
         WHERE to_jsonb(live) IS DISTINCT FROM to_jsonb(anew)"
    )
}

/// Columns of the primary key of a table.
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
