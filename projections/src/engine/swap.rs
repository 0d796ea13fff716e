//! The end of a rebuild: the new rows are brought to where the live ones stand, compared, and exchanged.
use cairn_event_log::EventLog;
use sqlx::{PgConnection, Postgres, Transaction};

use super::checkpoint::{self, Checkpoint};
use super::digest::one_snapshot_in_tx;
use super::exchange::exchange_in_tx;
use super::generation::{self, Building, MADE_BY};
use super::preflight::Preflight;
use super::rebuild::{Rebuild, Rebuilt};
use super::room::{self, Room};
use super::scratch::Scratch;
use super::verify::{Join, compare_in_tx};
use super::{EngineError, Projection};

/// Positions folded at once.
const PAGE: i64 = 1_000;

/// The planner knows the new tables before anybody waits for it.
pub(crate) async fn settle(log: &EventLog, projection: &dyn Projection) -> Result<(), EngineError> {
    let mut tx = room::begin(log.pool(), Room::Building).await?;
    room::be_patient_in_tx(&mut tx).await?;
    for table in projection.tables() {
        let analyze = format!("ANALYZE view_building.{table}");
        sqlx::query(&analyze).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Brings the rows of a room to a position, in the caller's transaction.
pub(crate) async fn level_in_tx(
    tx: &mut Transaction<'static, Postgres>,
    (log, projection): (&EventLog, &dyn Projection),
    room: Room,
    (from, to): (i64, i64),
    options: &Rebuild,
) -> Result<(), EngineError> {
    room::enter_in_tx(tx, room).await?;
    let mut scratch = Scratch { db: tx, position: from };
    while scratch.step(log, projection, (to, options.batch.min(PAGE))).await? {
        if options.token.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
    }
    room::enter_in_tx(tx, Room::Live).await?;
    Ok(())
}

/// Exchanges the rows at one position, in one transaction, and keeps the old ones for a while.
pub(crate) async fn swap(
    log: &EventLog,
    projection: &dyn Projection,
    building: &Building,
    options: &Rebuild,
) -> Result<Rebuilt, EngineError> {
    let (name, version) = (projection.name(), projection.version());
    let mut tx = log.pool().begin().await?;
    room::be_patient_in_tx(&mut tx).await?;
    let taken_over = || EngineError::TakenOver(name.to_owned());
    let live = checkpoint::lock_in_tx(&mut tx, name).await?.ok_or_else(taken_over)?;
    own_in_tx(&mut tx, projection, building).await?;
    let (from, position) = (building.position(), live.position.max(building.position()));
    level_in_tx(&mut tx, (log, projection), Room::Building, (from, position), options).await?;
    let exchanged = exchange_in_tx(&mut tx, projection, Room::Building).await?;
    checkpoint::store_in_tx(&mut tx, name, Checkpoint { version, position }).await?;
    generation::drop_in_tx(&mut tx, projection, Room::Kept).await?;
    if options.keep.is_zero() {
        generation::drop_in_tx(&mut tx, projection, Room::Building).await?;
    } else {
        keep_in_tx(&mut tx, projection, live, options).await?;
    }
    tx.commit().await?;
    Ok(Rebuilt {
        name: name.to_owned(),
        version,
        position,
        resumed_from: None,
        rows: exchanged.rows,
        differing: exchanged.differing,
        tables: vec![],
        swapped: true,
        parked: exchanged.parked,
        preflight: Preflight::default(),
    })
}

/// Nobody folds these rows but this rebuild, until the transaction ends.
async fn own_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    building: &Building,
) -> Result<(), EngineError> {
    room::enter_in_tx(db, Room::Building).await?;
    for (index, position) in building.workers.iter().enumerate() {
        let row = generation::worker(projection.name(), index);
        let stored = checkpoint::lock_in_tx(db, &row).await?;
        if stored.map(|stored| stored.position) != Some(*position) {
            return Err(EngineError::TakenOver(projection.name().to_owned()));
        }
    }
    if !generation::same_shape_in_tx(db, projection, Room::Building).await? {
        return Err(EngineError::OtherShape(projection.name().to_owned()));
    }
    Ok(())
}

/// What was live and is now in the building room moves to where it is kept.
async fn keep_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    was: Checkpoint,
    options: &Rebuild,
) -> Result<(), EngineError> {
    let name = projection.name();
    for table in projection.tables() {
        let moved = format!("ALTER TABLE view_building.{table} SET SCHEMA view_kept");
        sqlx::query(&moved).execute(&mut *db).await?;
    }
    sqlx::query!(
        "INSERT INTO view_kept.projection_parked
         SELECT * FROM view_building.projection_parked WHERE projection = $1",
        name,
    )
    .execute(&mut *db)
    .await?;
    generation::drop_in_tx(db, projection, Room::Building).await?;
    sqlx::query!(
        "INSERT INTO view_kept.projection_checkpoints (name, version, position) VALUES ($1, $2, $3)",
        name,
        was.version,
        was.position,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "INSERT INTO projection_generations
           (projection, room, version, made_by, workers, keep_until)
         VALUES ($1, 'kept', $2, $3, 1, now() + make_interval(secs => $4))",
        name,
        was.version,
        MADE_BY,
        options.keep.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Compares the new rows with the live ones in one snapshot at one position, and drops them.
pub(crate) async fn compare(
    log: &EventLog,
    projection: &dyn Projection,
    building: &Building,
    options: &Rebuild,
) -> Result<Rebuilt, EngineError> {
    let (name, version) = (projection.name(), projection.version());
    let mut tx = log.pool().begin().await?;
    one_snapshot_in_tx(&mut tx).await?;
    room::be_patient_in_tx(&mut tx).await?;
    let live = checkpoint::read(&mut *tx, name).await?.map_or(0, |live| live.position);
    let places = (building.position(), live);
    level_in_tx(&mut tx, (log, projection), Room::Building, places, options).await?;
    let (mut tables, mut rows) = (vec![], 0);
    let beside = (Room::Building.schema(), Join::Whole);
    for table in projection.tables() {
        tables.push(compare_in_tx(&mut tx, table, beside).await?);
        let count = format!("SELECT count(*) FROM view_building.{table}");
        rows += sqlx::query_scalar::<_, i64>(&count).fetch_one(&mut *tx).await?.unsigned_abs();
    }
    let parked = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM view_building.projection_parked
           WHERE projection = $1 AND skipped_at IS NULL"#,
        name
    );
    let parked = parked.fetch_one(&mut *tx).await?.unsigned_abs();
    tx.rollback().await?;
    let mut tx = log.pool().begin().await?;
    generation::drop_in_tx(&mut tx, projection, Room::Building).await?;
    tx.commit().await?;
    let differing = tables.iter().map(|table| table.differing.unsigned_abs()).sum();
    Ok(Rebuilt {
        name: name.to_owned(),
        version,
        position: live,
        resumed_from: None,
        rows,
        differing,
        tables,
        swapped: false,
        parked,
        preflight: Preflight::default(),
    })
}
