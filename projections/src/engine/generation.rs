//! Generations beside the live one: making, resuming and dropping them.
use cairn_event_log::EventLog;
use sqlx::PgConnection;

use super::room::{self, Room};
use super::worker::Hand;
use super::{EngineError, Projection};

/// What folds a generation; rows that another program began are not continued.
pub(crate) const MADE_BY: &str =
    concat!("cairn-projections ", env!("CARGO_PKG_VERSION"), " engine 2");

/// A generation that is being built, and how far each of its workers is.
pub(crate) struct Building {
    /// Position of each worker, in order.
    pub workers: Vec<i64>,
    /// What each worker goes on with, in the same order.
    pub hands: Vec<Hand>,
    /// Whether an earlier rebuild began it.
    pub resumed: bool,
    /// Up to here the rows of each page are written at once: some of what follows is refused by the database.
    pub careful_until: i64,
}

impl Building {
    fn at(workers: Vec<i64>, resumed: bool) -> Self {
        let hands = workers.iter().map(|_| Hand::over(!resumed)).collect();
        Self { workers, hands, resumed, careful_until: 0 }
    }

    /// What all workers have folded.
    pub(crate) fn position(&self) -> i64 {
        self.workers.iter().copied().min().unwrap_or(0)
    }
}

/// Name of the checkpoint of one worker.
pub(crate) fn worker(name: &str, index: usize) -> String {
    format!("{name}#{index}")
}

/// The generation that an earlier rebuild left, if this program can go on with it, or a new one.
pub(crate) async fn open(
    log: &EventLog,
    projection: &dyn Projection,
    workers: usize,
    anew: bool,
) -> Result<Building, EngineError> {
    let mut tx = room::begin(log.pool(), Room::Building).await?;
    room::be_patient_in_tx(&mut tx).await?;
    if !anew && let Some(building) = resume_in_tx(&mut tx, projection).await? {
        tx.commit().await?;
        return Ok(building);
    }
    drop_in_tx(&mut tx, projection, Room::Building).await?;
    create_in_tx(&mut tx, projection, workers).await?;
    tx.commit().await?;
    Ok(Building::at(vec![0; workers], false))
}

async fn resume_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<Option<Building>, EngineError> {
    let name = projection.name();
    let begun = sqlx::query_scalar!(
        "SELECT workers FROM projection_generations
         WHERE projection = $1 AND room = 'building' AND version = $2 AND made_by = $3 FOR UPDATE",
        name,
        projection.version(),
        MADE_BY,
    );
    let Some(workers) = begun.fetch_optional(&mut *db).await? else { return Ok(None) };
    if !same_shape_in_tx(db, projection, Room::Building).await? {
        return Ok(None);
    }
    let rows: Vec<String> =
        (0..usize::try_from(workers).unwrap_or(0)).map(|index| worker(name, index)).collect();
    let positions = sqlx::query_scalar!(
        r#"SELECT c.position AS "position!" FROM unnest($1::text[]) WITH ORDINALITY AS w (name, nth)
           JOIN projection_checkpoints c USING (name) ORDER BY w.nth"#,
        &rows,
    );
    let workers = positions.fetch_all(db).await?;
    let whole = workers.len() == rows.len() && !rows.is_empty();
    Ok(whole.then(|| Building::at(workers, true)))
}

async fn create_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    workers: usize,
) -> Result<(), EngineError> {
    let (name, version) = (projection.name(), projection.version());
    for table in projection.tables() {
        let copy =
            format!("CREATE TABLE view_building.{table} (LIKE public.{table} INCLUDING ALL)");
        sqlx::query(&copy).execute(&mut *db).await?;
    }
    let rows: Vec<String> = (0..workers).map(|index| worker(name, index)).collect();
    sqlx::query!(
        "INSERT INTO projection_checkpoints (name, version, position)
         SELECT name, $2, 0 FROM unnest($1::text[]) AS w (name)",
        &rows,
        version,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "INSERT INTO projection_parked
         SELECT * FROM public.projection_parked WHERE projection = $1 AND skipped_at IS NOT NULL",
        name,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "INSERT INTO projection_generations (projection, room, version, made_by, workers)
         VALUES ($1, 'building', $2, $3, $4)",
        name,
        version,
        MADE_BY,
        i32::try_from(workers).unwrap_or(i32::MAX),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Nothing of a generation is left.
pub(crate) async fn drop_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    room: Room,
) -> Result<(), EngineError> {
    let (name, schema) = (projection.name(), room.schema());
    for table in projection.tables() {
        let gone = format!("DROP TABLE IF EXISTS {schema}.{table}");
        sqlx::query(&gone).execute(&mut *db).await?;
    }
    for gone in [
        format!("DELETE FROM {schema}.projection_checkpoints WHERE split_part(name, '#', 1) = $1"),
        format!("DELETE FROM {schema}.projection_parked WHERE projection = $1"),
    ] {
        sqlx::query(&gone).bind(name).execute(&mut *db).await?;
    }
    sqlx::query!(
        "DELETE FROM projection_generations WHERE projection = $1 AND room = $2",
        name,
        room.label(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether its tables in a room have the columns that the live ones have; a migration may have come between.
pub(crate) async fn same_shape_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    room: Room,
) -> Result<bool, sqlx::Error> {
    let tables: Vec<String> = projection.tables().iter().map(|&table| table.to_owned()).collect();
    let same = sqlx::query_scalar!(
        r#"SELECT (SELECT bool_and(live.columns IS NOT DISTINCT FROM beside.columns)
             FROM unnest($1::text[]) AS t (name),
               LATERAL (SELECT array_agg((a.attname, a.atttypid)::text ORDER BY a.attnum) AS columns
                 FROM pg_attribute a WHERE a.attrelid = to_regclass('public.' || t.name)
                   AND a.attnum > 0 AND NOT a.attisdropped) AS live,
               LATERAL (SELECT array_agg((a.attname, a.atttypid)::text ORDER BY a.attnum) AS columns
                 FROM pg_attribute a WHERE a.attrelid = to_regclass($2 || '.' || t.name)
                   AND a.attnum > 0 AND NOT a.attisdropped) AS beside) AS "same!""#,
        &tables,
        room.schema(),
    );
    same.fetch_one(db).await
}
