//! Exchanging the rows of the live generation with those of one beside it, in the caller's transaction.
//!
//! Only rows that differ move. Readers are never blocked: they see the old rows until the transaction commits and the new ones
//! after, and the tables they have prepared statements for stay the same tables.
use sqlx::PgConnection;

use super::room::Room;
use super::verify::primary_key;
use super::{EngineError, Projection};

/// What moved.
#[derive(Debug, Default)]
pub(crate) struct Exchanged {
    /// Rows of the view now, over all its tables.
    pub rows: u64,
    /// Rows that were not the same, by their keys.
    pub differing: u64,
    /// Events that are parked now.
    pub parked: u64,
}

/// Exchanges all that is not the same; the caller holds both checkpoints, and both stand at one position.
pub(crate) async fn exchange_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    room: Room,
) -> Result<Exchanged, EngineError> {
    let mut exchanged = Exchanged::default();
    for table in projection.tables() {
        let keys = primary_key(db, table).await?;
        let (rows, differing) = exchange_table(db, table, &keys, room).await?;
        exchanged.rows += rows;
        exchanged.differing += differing;
    }
    exchanged.parked = exchange_parked(db, projection.name(), room).await?;
    Ok(exchanged)
}

async fn exchange_table(
    db: &mut PgConnection,
    table: &str,
    keys: &[String],
    room: Room,
) -> Result<(u64, u64), EngineError> {
    let (live, beside) = (format!("public.{table}"), format!("{}.{table}", room.schema()));
    let using = keys.join(", ");
    let same = |other: &str| {
        let pairs: Vec<_> = keys.iter().map(|key| format!("own.{key} = {other}.{key}")).collect();
        pairs.join(" AND ")
    };
    let first = &keys[0];
    for (kept, own, other) in [("gone", &live, &beside), ("come", &beside, &live)] {
        let differing = format!(
            "CREATE TEMP TABLE {kept}_{table} ON COMMIT DROP AS
             SELECT own.* FROM {own} own LEFT JOIN {other} other ON {}
             WHERE other.{first} IS NULL OR own.* OPERATOR(pg_catalog.*<>) other.*",
            same("other")
        );
        sqlx::query(&differing).execute(&mut *db).await?;
    }
    for (own, gone, come) in [(&live, "gone", "come"), (&beside, "come", "gone")] {
        let delete =
            format!("DELETE FROM {own} own USING {gone}_{table} moved WHERE {}", same("moved"));
        sqlx::query(&delete).execute(&mut *db).await?;
        let insert = format!("INSERT INTO {own} SELECT * FROM {come}_{table}");
        sqlx::query(&insert).execute(&mut *db).await?;
    }
    let count = format!(
        "SELECT (SELECT count(*) FROM {live}),
           (SELECT count(*) FROM gone_{table} FULL JOIN come_{table} USING ({using}))"
    );
    let (rows, differing): (i64, i64) = sqlx::query_as(&count).fetch_one(db).await?;
    Ok((rows.unsigned_abs(), differing.unsigned_abs()))
}

/// What is parked belongs to the rows; what somebody skipped meanwhile stays skipped in both.
async fn exchange_parked(
    db: &mut PgConnection,
    name: &str,
    room: Room,
) -> Result<u64, EngineError> {
    let (live, beside) =
        ("public.projection_parked", format!("{}.projection_parked", room.schema()));
    for (kept, own) in [("parked_gone", live), ("parked_come", beside.as_str())] {
        let take = format!(
            "CREATE TEMP TABLE {kept} ON COMMIT DROP AS
             SELECT * FROM {own} WHERE projection = '{name}' AND skipped_at IS NULL"
        );
        sqlx::query(&take).execute(&mut *db).await?;
        let delete = format!("DELETE FROM {own} WHERE projection = $1 AND skipped_at IS NULL");
        sqlx::query(&delete).bind(name).execute(&mut *db).await?;
    }
    let skipped = format!(
        "INSERT INTO {beside} SELECT * FROM {live} WHERE projection = $1
         ON CONFLICT (projection, position) DO NOTHING"
    );
    sqlx::query(&skipped).bind(name).execute(&mut *db).await?;
    let mut moved = 0;
    for (own, come) in [(beside.as_str(), "parked_gone"), (live, "parked_come")] {
        let put = format!(
            "INSERT INTO {own} SELECT * FROM {come} ON CONFLICT (projection, position) DO NOTHING"
        );
        moved = sqlx::query(&put).execute(&mut *db).await?.rows_affected();
    }
    Ok(moved)
}
