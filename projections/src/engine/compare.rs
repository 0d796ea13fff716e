//! A live view held against another generation of it, or against what this program folds up to a position: the rows that differ, and
//! the first event that makes each differ.
//!
//! Two sides and no history: so this program folds the view and watches the rows that differ. The event is the first one after which the
//! row never again agreed with one of the sides: with the other one, or, where the fold ends as the other one is, with the live one.
//! Where the fold agreed with neither before, nobody knows, and the first event of the row is named as no more than that.
use std::collections::HashMap;

use cairn_core::Timestamp;
use cairn_event_log::EventLog;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{Connection, PgConnection, Row as _};

use super::digest::one_snapshot_in_tx;
use super::net::Kind;
use super::past::{
    ColumnChange, Past, READ_ONLY, RowChange, columns_of, key_of, noted_tables, object,
};
use super::room::Room;
use super::scratch;
use super::verify::{Join, differing};
use super::{EngineError, Projection, checkpoint, generation};

/// What a live view is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The rows that the last rebuild replaced.
    Kept,
    /// The rows that a rebuild is making, or was when it was killed.
    Building,
    /// Whichever of the two is of this version.
    Version(i32),
    /// What this program folds up to a position.
    Position(i64),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// `live`, `kept`, `building` or `folded`.
    pub rows: &'static str,
    /// Version of the code that folded them.
    pub version: i32,
    /// Where they stand in the log.
    pub position: i64,
}

/// How a live view differs from something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewDiff {
    /// The projection.
    pub name: String,
    /// What is read.
    pub live: Side,
    /// What it is held against.
    pub against: Side,
    /// How many rows differ.
    pub differing: u64,
    /// The first of them, by table and key.
    pub rows: Vec<DifferentRow>,
}

/// A row that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifferentRow {
    /// The table.
    pub table: String,
    /// Columns of the primary key, joined by `/`.
    pub key: String,
    /// Whether only the live view has it, both have it, or only what it is held against.
    pub change: Kind,
    /// The columns that differ: before is what it is held against, after is what is read.
    pub columns: Vec<ColumnChange>,
    /// The first event that makes it differ. None when this program folds no event into the row.
    pub by: Option<FirstEvent>,
    /// Whether the sides were seen to part there. False: the fold was never as either side is, and the event is the first of the row.
    pub parted: bool,
}

/// An event that makes a row differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstEvent {
    /// Its position.
    pub position: i64,
    /// When it was appended.
    pub recorded_at: Timestamp,
    /// Its wire name.
    pub event_type: String,
    /// Its stream.
    pub aggregate_type: String,
    /// Its stream.
    pub aggregate_id: String,
    /// Who did it.
    pub actor: String,
    /// The command that decided it.
    pub command_id: String,
}

/// Holds the live rows against others and describes at most `limit` that differ.
pub(crate) async fn compare(
    log: &EventLog,
    projection: &dyn Projection,
    against: Against,
    limit: i64,
) -> Result<ViewDiff, EngineError> {
    let name = projection.name();
    let mut db = scratch::connect(log).await?;
    let keys = noted_tables(&mut db, projection).await?;
    let mut tx = db.begin_with(READ_ONLY).await?;
    one_snapshot_in_tx(&mut tx).await?;
    let live = match checkpoint::read(&mut *tx, name).await? {
        Some(live) => Side { rows: "live", version: live.version, position: live.position },
        None => Side { rows: "live", version: projection.version(), position: 0 },
    };
    let mut past = Past { log, db: &mut tx, projection, position: 0 };
    let (schema, other) = match against {
        Against::Position(position) => {
            past.fold_to(position).await?;
            ("pg_temp", Side { rows: "folded", version: projection.version(), position })
        }
        Against::Kept | Against::Building | Against::Version(_) => {
            let (room, side) = generation_in_tx(past.db, projection, against).await?;
            (room.schema(), side)
        }
    };
    let (mut rows, mut found) = (Traced::default(), 0);
    for (table, columns) in &keys {
        found += rows.find_in_tx(past.db, (table, columns), (schema, limit)).await?;
    }
    let until = live.position.max(other.position);
    let from = past.position;
    rows.trace(&mut past, &keys, until).await?;
    if from > 0 && rows.any_unexplained() {
        past.begin_again().await?;
        rows.trace(&mut past, &keys, until).await?;
    }
    tx.rollback().await?;
    db.close().await?;
    let rows = rows.described();
    Ok(ViewDiff { name: name.to_owned(), live, against: other, differing: found, rows })
}

/// The generation that is meant, and where its slowest worker stands.
async fn generation_in_tx(
    db: &mut PgConnection,
    projection: &dyn Projection,
    against: Against,
) -> Result<(Room, Side), EngineError> {
    let name = projection.name();
    let mut there = vec![];
    for room in [Room::Kept, Room::Building] {
        let schema = room.schema();
        let stands = format!(
            "SELECT version, min(position) FROM {schema}.projection_checkpoints
             WHERE split_part(name, '#', 1) = $1 GROUP BY version"
        );
        if let Some(row) = sqlx::query(&stands).bind(name).fetch_optional(&mut *db).await? {
            let (version, position) = (row.try_get(0)?, row.try_get(1)?);
            there.push((room, Side { rows: room.label(), version, position }));
        }
    }
    let meant = |(room, side): &&(Room, Side)| match against {
        Against::Kept => *room == Room::Kept,
        Against::Building => *room == Room::Building,
        Against::Version(version) => side.version == version,
        Against::Position(_) => false,
    };
    if let Some((room, side)) = there.iter().find(meant) {
        if !generation::same_shape_in_tx(db, projection, *room).await? {
            return Err(EngineError::OtherShape(name.to_owned()));
        }
        return Ok((*room, side.clone()));
    }
    let said = there.iter().map(|(_, side)| {
        format!("{} rows of version {} at position {}", side.rows, side.version, side.position)
    });
    let said = said.collect::<Vec<_>>().join(" and ");
    let said = if said.is_empty() { "none".to_owned() } else { said };
    Err(EngineError::NoGeneration { name: name.to_owned(), there: said })
}

type Columns = Map<String, Value>;

/// The rows that differ, while the fold passes by.
#[derive(Default)]
struct Traced {
    rows: Vec<TracedRow>,
    places: HashMap<(String, String), usize>,
}

/// One of them.
struct TracedRow {
    table: String,
    key: String,
    columns: Vec<ColumnChange>,
    other: Watched,
    live: Watched,
}

/// One side of a row, and the fold beside it.
#[derive(Default)]
struct Watched {
    row: Option<Columns>,
    /// Whether the folded row has ever been like this.
    agreed: bool,
    /// The event since which it is not.
    left: Option<FirstEvent>,
}

impl Traced {
    /// Counts the rows of a table that differ, and takes up as many as there is room for.
    async fn find_in_tx(
        &mut self,
        db: &mut PgConnection,
        (table, keys): (&str, &[String]),
        (schema, limit): (&str, i64),
    ) -> Result<u64, EngineError> {
        let from = differing(table, (schema, Join::Whole), keys);
        let count = format!("SELECT count(*) {from}");
        let count: i64 = sqlx::query_scalar(&count).fetch_one(&mut *db).await?;
        let room = limit - i64::try_from(self.rows.len()).unwrap_or(limit);
        let order = keys.join(", ");
        let rows = format!(
            "SELECT to_jsonb(live), to_jsonb(anew) {from} ORDER BY {order} LIMIT {}",
            room.max(0)
        );
        for row in sqlx::query(&rows).fetch_all(db).await? {
            let (live, other): (Option<Value>, Option<Value>) = (row.try_get(0)?, row.try_get(1)?);
            let (live, other) = (object(live), object(other));
            let (key, table) = (key_of(live.as_ref().or(other.as_ref()), keys), table.to_owned());
            let columns = columns_of(other.as_ref(), live.as_ref());
            self.places.insert((table.clone(), key.clone()), self.rows.len());
            let (other, live) = (Watched::of(other), Watched::of(live));
            self.rows.push(TracedRow { table, key, columns, other, live });
        }
        Ok(count.unsigned_abs())
    }

    /// Folds on and watches.
    async fn trace(
        &mut self,
        past: &mut Past<'_>,
        keys: &[(&str, Vec<String>)],
        until: i64,
    ) -> Result<(), EngineError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        for row in &mut self.rows {
            // A fold that has begun is at the other side; one that has not has no rows.
            row.other.begin(past.position > 0);
            row.live.begin(false);
        }
        while past.position < until {
            for change in past.note_some(until, keys).await? {
                let place = self.places.get(&(change.table.clone(), change.key.clone()));
                if let Some(row) = place.and_then(|&place| self.rows.get_mut(place)) {
                    row.see(&change);
                }
            }
        }
        Ok(())
    }

    fn any_unexplained(&self) -> bool {
        self.rows.iter().any(|row| row.other.left.is_none())
    }

    fn described(self) -> Vec<DifferentRow> {
        let described =
            self.rows.into_iter().map(|TracedRow { table, key, columns, other, live }| {
                let change = match (&other.row, &live.row) {
                    (None, _) => Kind::Added,
                    (Some(_), None) => Kind::Removed,
                    (Some(_), Some(_)) => Kind::Changed,
                };
                let parted =
                    [&other, &live].into_iter().find(|side| side.agreed && side.left.is_some());
                let by = parted.and_then(|side| side.left.clone());
                let parted = by.is_some();
                let by = by.or(other.left).or(live.left);
                DifferentRow { table, key, change, columns, by, parted }
            });
        described.collect()
    }
}

impl TracedRow {
    fn see(&mut self, change: &RowChange) {
        for side in [&mut self.other, &mut self.live] {
            if agree(&self.columns, side.row.as_ref(), change.after.as_ref()) {
                (side.agreed, side.left) = (true, None);
            } else if side.left.is_none() {
                side.left = Some(first_event(change));
            }
        }
    }
}

impl Watched {
    fn of(row: Option<Columns>) -> Self {
        Self { row, ..Self::default() }
    }

    fn begin(&mut self, agreed: bool) {
        (self.agreed, self.left) = (agreed || self.row.is_none(), None);
    }
}

/// Whether a folded row is as one side is, where the sides differ.
fn agree(columns: &[ColumnChange], side: Option<&Columns>, folded: Option<&Columns>) -> bool {
    match (side, folded) {
        (Some(side), Some(folded)) => {
            columns.iter().all(|change| side.get(&change.column) == folded.get(&change.column))
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn first_event(change: &RowChange) -> FirstEvent {
    FirstEvent {
        position: change.position,
        recorded_at: change.recorded_at,
        event_type: change.event_type.clone(),
        aggregate_type: change.aggregate_type.clone(),
        aggregate_id: change.aggregate_id.clone(),
        actor: change.actor.clone(),
        command_id: change.command_id.clone(),
    }
}
