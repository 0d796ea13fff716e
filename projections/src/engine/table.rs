//! The rows of one table in memory, and the statements that read and write them.
use std::any::{Any, TypeId};
use std::collections::HashMap;

use async_trait::async_trait;
use foldhash::fast::RandomState;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, PgConnection};

use super::ProjectError;
use super::row::{CopyRows, Key, Row};

/// A table of whatever rows.
#[async_trait]
pub(super) trait AnyTable: Send + Sync {
    /// The type of its rows.
    fn of(&self) -> TypeId;
    fn as_any(&mut self) -> &mut dyn Any;
    fn rows(&self) -> usize;
    async fn load(&mut self, db: &mut PgConnection, now: u32) -> Result<(), sqlx::Error>;
    /// Writes rows that have changed and that nobody asked for since then.
    async fn flush(&mut self, db: &mut PgConnection, how: (bool, u32)) -> Result<(), sqlx::Error>;
    fn shed(&mut self, since: u32);
    fn accept(&mut self);
    fn undo(&mut self);
}

struct Slot<R: Row> {
    key: R::Key,
    row: Option<R>,
    /// Whether the table has a row there.
    stored: bool,
    /// Whether the table is to be told.
    dirty: bool,
    /// When it was last asked for.
    at: u32,
}

/// What a row was before the event under way.
struct Before<R> {
    slot: usize,
    row: Option<Box<R>>,
    /// Rows that were to be added then.
    added: usize,
}

/// Rows that were let go of and whose memory the next copy takes.
const SPARE: usize = 8;

pub(super) struct Table<R: Row> {
    places: HashMap<R::Key, usize, RandomState>,
    slots: Vec<Slot<R>>,
    /// Slots that are asked for and not read yet.
    wanted: Vec<usize>,
    /// Slots whose rows changed, in the order in which they first did.
    dirty: Vec<usize>,
    /// Rows to be added, where rows are only added.
    added: Vec<R>,
    /// What was there before the event under way, the last change last.
    before: Vec<Before<R>>,
    #[allow(clippy::vec_box, reason = "a row is large, and goes back and forth")]
    spare: Vec<Box<R>>,
    whole: bool,
    now: u32,
}

impl<R: Row> Table<R> {
    pub(super) fn new(whole: bool) -> Self {
        Self {
            places: HashMap::default(),
            slots: vec![],
            wanted: vec![],
            dirty: vec![],
            added: vec![],
            before: vec![],
            spare: vec![],
            whole,
            now: 0,
        }
    }

    /// Asks for a row; answers its place, which is good until rows are let go of.
    pub(super) fn want(&mut self, key: &R::Key) -> usize {
        if let Some(&place) = self.places.get(key) {
            self.slots[place].at = self.now;
            return place;
        }
        let place = self.slots.len();
        if !self.whole {
            self.wanted.push(place);
        }
        self.places.insert(key.clone(), place);
        let (key, at) = (key.clone(), self.now);
        self.slots.push(Slot { key, row: None, stored: false, dirty: false, at });
        place
    }

    /// Folds one change into the row at a place.
    pub(super) fn fold(
        &mut self,
        place: usize,
        fold: impl FnOnce(&R::Key, &mut Option<R>) -> Result<(), ProjectError>,
    ) -> Result<(), ProjectError> {
        let slot = &mut self.slots[place];
        let row = match (&slot.row, self.spare.pop()) {
            (Some(row), Some(mut spare)) => {
                (*spare).clone_from(row);
                Some(spare)
            }
            (row, _) => row.clone().map(Box::new),
        };
        self.before.push(Before { slot: place, row, added: self.added.len() });
        fold(&slot.key, &mut slot.row)?;
        if R::APPENDS {
            self.added.extend(slot.row.clone());
        } else if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(place);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn added(&self) -> &[R] {
        &self.added
    }

    async fn read(&mut self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        let wanted = std::mem::take(&mut self.wanted);
        let keys: Vec<_> = wanted.iter().map(|&place| self.slots[place].key.clone()).collect();
        let mut arguments = PgArguments::default();
        Key::bind(&keys, &mut arguments).map_err(sqlx::Error::Encode)?;
        let rows = sqlx::query_with(&select::<R>(), arguments).fetch_all(db).await?;
        for row in &rows {
            let row = R::decode(row)?;
            if let Some(&place) = self.places.get(&row.key()) {
                let slot = &mut self.slots[place];
                (slot.row, slot.stored) = (Some(row), true);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<R: Row> AnyTable for Table<R> {
    fn of(&self) -> TypeId {
        TypeId::of::<R>()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn rows(&self) -> usize {
        self.slots.len() + self.added.len()
    }

    async fn load(&mut self, db: &mut PgConnection, now: u32) -> Result<(), sqlx::Error> {
        if !self.wanted.is_empty() {
            self.read(db).await?;
        }
        self.now = now;
        Ok(())
    }

    async fn flush(
        &mut self,
        db: &mut PgConnection,
        (copies, idle_since): (bool, u32),
    ) -> Result<(), sqlx::Error> {
        if R::APPENDS {
            let added = std::mem::take(&mut self.added);
            return insert(db, &added.iter().collect::<Vec<_>>(), copies).await;
        }
        let (mut gone, mut new, mut changed, mut busy) = (vec![], vec![], vec![], vec![]);
        for place in std::mem::take(&mut self.dirty) {
            let slot = &mut self.slots[place];
            if slot.at >= idle_since {
                busy.push(place);
                continue;
            }
            slot.dirty = false;
            match (slot.row.is_some(), slot.stored) {
                (false, true) => gone.push(slot.key.clone()),
                (true, false) => new.push(place),
                (true, true) => changed.push(place),
                (false, false) => continue,
            }
            slot.stored = slot.row.is_some();
        }
        self.dirty = busy;
        delete::<R>(db, &gone).await?;
        let rows = |places: &[usize]| -> Vec<&R> {
            places.iter().filter_map(|&place| self.slots[place].row.as_ref()).collect()
        };
        update(db, &rows(&changed)).await?;
        insert(db, &rows(&new), copies).await
    }

    fn shed(&mut self, since: u32) {
        self.whole = false;
        self.slots.retain(|slot| slot.at >= since || slot.dirty);
        self.places.clear();
        let places = self.slots.iter().enumerate();
        self.places.extend(places.map(|(place, slot)| (slot.key.clone(), place)));
        self.dirty = (0..self.slots.len()).filter(|&place| self.slots[place].dirty).collect();
    }

    fn accept(&mut self) {
        for before in self.before.drain(..) {
            self.spare.extend(before.row.filter(|_| self.spare.len() < SPARE));
        }
    }

    fn undo(&mut self) {
        for before in self.before.drain(..).rev() {
            self.added.truncate(before.added);
            self.slots[before.slot].row = before.row.map(|row| *row);
        }
    }
}

/// `$1` and so on, as many as there are columns of the key.
fn parameters<R: Row>() -> String {
    let numbers = (1..=R::KEY.len()).map(|number| format!("${number}"));
    numbers.collect::<Vec<_>>().join(", ")
}

fn pairs<R: Row>(one: &str, other: &str) -> String {
    let pairs = R::KEY.iter().map(|column| format!("{one}.{column} = {other}.{column}"));
    pairs.collect::<Vec<_>>().join(" AND ")
}

fn select<R: Row>() -> String {
    let columns: Vec<_> = R::COLUMNS.iter().map(|column| format!("t.{column}")).collect();
    let (columns, table) = (columns.join(", "), R::TABLE);
    let (keys, parameters, same) = (R::KEY.join(", "), parameters::<R>(), pairs::<R>("t", "k"));
    if R::APPENDS {
        format!(
            "SELECT last.* FROM unnest({parameters}) AS k ({keys}) CROSS JOIN LATERAL (
               SELECT {columns} FROM {table} t WHERE {same} ORDER BY t.position DESC LIMIT 1) AS last"
        )
    } else {
        format!("SELECT {columns} FROM unnest({parameters}) AS k ({keys}) JOIN {table} t ON {same}")
    }
}

async fn delete<R: Row>(db: &mut PgConnection, keys: &[R::Key]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut arguments = PgArguments::default();
    Key::bind(keys, &mut arguments).map_err(sqlx::Error::Encode)?;
    let (table, parameters, same) = (R::TABLE, parameters::<R>(), pairs::<R>("t", "k"));
    let columns = R::KEY.join(", ");
    let delete =
        format!("DELETE FROM {table} t USING unnest({parameters}) AS k ({columns}) WHERE {same}");
    sqlx::query_with(&delete, arguments).execute(db).await.map(drop)
}

async fn update<R: Row>(db: &mut PgConnection, rows: &[&R]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (table, same) = (R::TABLE, pairs::<R>("t", "r"));
    let columns = R::COLUMNS.iter().filter(|column| !R::KEY.contains(column));
    let set: Vec<_> = columns.map(|column| format!("{column} = r.{column}")).collect();
    let update = format!(
        "UPDATE {table} t SET {} FROM json_populate_recordset(NULL::{table}, $1::text::json) r
         WHERE {same}",
        set.join(", ")
    );
    send(db, &update, rows).await
}

async fn insert<R: Row>(
    db: &mut PgConnection,
    rows: &[&R],
    copies: bool,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (table, columns) = (R::TABLE, R::COLUMNS.join(", "));
    if copies {
        let begin = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
        let rows = CopyRows::of(rows).map_err(sqlx::Error::Encode)?;
        let mut copy = db.copy_in_raw(&begin).await?;
        copy.send(rows).await?;
        return copy.finish().await.map(drop);
    }
    let insert = format!(
        "INSERT INTO {table} ({columns})
         SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::text::json)"
    );
    send(db, &insert, rows).await
}

/// Runs a statement over rows as one JSON array.
async fn send<R: Row>(
    db: &mut PgConnection,
    statement: &str,
    rows: &[&R],
) -> Result<(), sqlx::Error> {
    let mut arguments = PgArguments::default();
    let rows = serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
    arguments.add(rows).map_err(sqlx::Error::Encode)?;
    sqlx::query_with(statement, arguments).execute(db).await.map(drop)
}
