//! A view as it was: folded to a position into copies of its tables that only one connection sees.
//!
//! The copies are made first. Everything after that happens in one transaction that the server holds to be read-only:
//! PostgreSQL lets it write temporary tables and refuses any other. When the connection ends the copies are gone.
use cairn_core::Timestamp;
use cairn_event_log::{EventLog, Recorded};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{Connection, PgConnection, Row};

use super::advance::{Batch, advance};
use super::digest::one_snapshot_in_tx;
use super::scratch::{self, Scratch};
use super::verify::primary_key;
use super::{EngineError, Projection};

const BATCH: i64 = 1_000;
/// Most keys that are looked through for one like a key that does not exist.
const KEYS_MAX: i64 = 10_000;
pub(crate) const READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Notes every row that changes while `cairn.noting` says at which position the fold is.
const NOTING: &str = "
    CREATE TEMP TABLE replay_noted (
        n bigserial PRIMARY KEY, position bigint NOT NULL, table_name text NOT NULL, before jsonb, after jsonb);
    CREATE FUNCTION pg_temp.replay_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO pg_temp.replay_noted (position, table_name, before, after)
        VALUES (current_setting('cairn.noting')::bigint, TG_TABLE_NAME,
                CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
                CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
        RETURN NULL;
    END $$";

/// Why the past of a view has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// No row has this key, or had it in the time asked for.
    #[error("{view} has no row with the key '{key}' there")]
    UnknownKey {
        /// The view.
        view: String,
        /// What was asked for.
        key: String,
        /// Keys that it has.
        keys: Vec<String>,
    },
    /// The rows have no such column.
    #[error("no column is called '{column}'; there are {}", columns.join(", "))]
    UnknownColumn {
        /// What was asked for.
        column: String,
        /// Columns that there are.
        columns: Vec<String>,
    },
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<sqlx::Error> for PastError {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// A view at a position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewAt {
    /// The projection.
    pub name: String,
    /// Where in the log.
    pub position: i64,
    /// Events up to there that could not be folded, and those that wait behind them.
    pub parked: i64,
    /// Its tables.
    pub tables: Vec<TableAt>,
}

/// One table of a view at a position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableAt {
    /// The table.
    pub table: String,
    /// The columns, in their order.
    pub columns: Vec<String>,
    /// The rows as objects, in the order of their keys.
    pub rows: Vec<Value>,
}

/// What one event did to one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowChange {
    /// Position of the event.
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
    /// The table.
    pub table: String,
    /// Columns of the primary key, joined by `/`.
    pub key: String,
    /// The row before; none when the event made it.
    pub before: Option<Map<String, Value>>,
    /// The row after; none when the event took it away.
    pub after: Option<Map<String, Value>>,
}

/// One column before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnChange {
    /// The column.
    pub column: String,
    /// Its value before; null when there was no row.
    pub before: Value,
    /// Its value after; null when there is no row.
    pub after: Value,
}

impl RowChange {
    /// The columns that differ.
    #[must_use]
    pub fn columns(&self) -> Vec<ColumnChange> {
        columns_of(self.before.as_ref(), self.after.as_ref())
    }
}

/// The columns in which two rows differ.
pub(crate) fn columns_of(
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
) -> Vec<ColumnChange> {
    let value = |row: Option<&Map<String, Value>>, column: &str| {
        row.and_then(|row| row.get(column)).cloned().unwrap_or_default()
    };
    let names = after.or(before).into_iter().flat_map(Map::keys);
    let changes = names.map(|column| ColumnChange {
        column: column.clone(),
        before: value(before, column),
        after: value(after, column),
    });
    changes.filter(|change| change.before != change.after).collect()
}

pub(crate) async fn view_at(
    log: &EventLog,
    projection: &dyn Projection,
    key: Option<&str>,
    position: i64,
) -> Result<ViewAt, PastError> {
    let mut db = scratch::connect(log).await?;
    scratch::copy_tables(&mut db, projection).await?;
    let mut tx = db.begin_with(READ_ONLY).await?;
    one_snapshot_in_tx(&mut tx).await?;
    let mut past = Past { log, db: &mut tx, projection, position: 0 };
    past.fold_to(position).await?;
    let mut tables = vec![];
    for table in projection.tables() {
        tables.push(past.rows(table, key).await?);
    }
    if tables.iter().all(|table| table.rows.is_empty()) {
        past.must_know(key).await?;
    }
    let parked = "SELECT count(*) FROM pg_temp.projection_parked WHERE skipped_at IS NULL";
    let parked = sqlx::query_scalar(parked).fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    db.close().await?;
    Ok(ViewAt { name: projection.name().to_owned(), position, parked, tables })
}

pub(crate) async fn changes(
    log: &EventLog,
    projection: &dyn Projection,
    key: Option<&str>,
    (from, to): (i64, i64),
) -> Result<Vec<RowChange>, PastError> {
    let mut db = scratch::connect(log).await?;
    let keys = noted_tables(&mut db, projection).await?;
    let mut tx = db.begin_with(READ_ONLY).await?;
    one_snapshot_in_tx(&mut tx).await?;
    let mut past = Past { log, db: &mut tx, projection, position: 0 };
    past.fold_to(from).await?;
    let mut changes = vec![];
    while past.position < to {
        let noted = past.note_some(to, &keys).await?;
        changes.extend(noted.into_iter().filter(|change| is_of(&change.key, key)));
    }
    if changes.is_empty() {
        past.must_know(key).await?;
    }
    tx.rollback().await?;
    db.close().await?;
    Ok(changes)
}

/// Empty copies of the projection's tables that note what changes in them, each with the columns of its key.
pub(crate) async fn noted_tables(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<Vec<(&'static str, Vec<String>)>, EngineError> {
    scratch::copy_tables(db, projection).await?;
    sqlx::raw_sql(NOTING).execute(&mut *db).await?;
    let mut keys = vec![];
    for table in projection.tables() {
        let trigger = format!(
            "CREATE TRIGGER replay_note AFTER INSERT OR UPDATE OR DELETE ON pg_temp.{table} FOR EACH ROW
             WHEN (current_setting('cairn.noting', true) <> '') EXECUTE FUNCTION pg_temp.replay_note()"
        );
        sqlx::query(&trigger).execute(&mut *db).await?;
        keys.push((*table, primary_key(db, table).await?));
    }
    Ok(keys)
}

/// Whether a row's key is the one asked for: all of it, or a leading part.
fn is_of(row: &str, key: Option<&str>) -> bool {
    key.is_none_or(|key| {
        row.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// A fold under way, in a read-only transaction.
pub(crate) struct Past<'c> {
    pub log: &'c EventLog,
    pub db: &'c mut PgConnection,
    pub projection: &'c dyn Projection,
    pub position: i64,
}

impl Past<'_> {
    async fn events(&mut self, until: i64) -> Result<Vec<Recorded>, EngineError> {
        let types = self.projection.interest().types();
        let range = (self.position, until);
        Ok(self.log.read_types_in_tx(self.db, range, types.as_deref()).await?)
    }

    async fn fold(&mut self, events: &[Recorded], until: i64) -> Result<(), EngineError> {
        let mut scratch = Scratch { db: &mut *self.db, position: self.position };
        let events: Vec<_> = events.iter().collect();
        advance(&mut scratch, self.projection, Batch { events: &events, until }).await?;
        self.position = until;
        Ok(())
    }

    pub(crate) async fn fold_to(&mut self, position: i64) -> Result<(), EngineError> {
        while self.position < position {
            let until = position.min(self.position + BATCH);
            let events = self.events(until).await?;
            self.fold(&events, until).await?;
        }
        Ok(())
    }

    /// Back to before the first event.
    pub(crate) async fn begin_again(&mut self) -> Result<(), EngineError> {
        let quiet = "SELECT set_config('cairn.noting', '', true)";
        sqlx::query(quiet).execute(&mut *self.db).await?;
        for table in self.projection.tables() {
            sqlx::query(&format!("DELETE FROM pg_temp.{table}")).execute(&mut *self.db).await?;
        }
        let parked = "DELETE FROM pg_temp.projection_parked WHERE skipped_at IS NULL";
        sqlx::query(parked).execute(&mut *self.db).await?;
        self.position = 0;
        Ok(())
    }

    /// Folds some events more, one after the other, and says what each did.
    pub(crate) async fn note_some(
        &mut self,
        until: i64,
        keys: &[(&str, Vec<String>)],
    ) -> Result<Vec<RowChange>, EngineError> {
        let until = until.min(self.position + BATCH);
        let events = self.events(until).await?;
        for event in &events {
            let noting = "SELECT set_config('cairn.noting', $1, true)";
            sqlx::query(noting).bind(event.position.to_string()).execute(&mut *self.db).await?;
            self.fold(std::slice::from_ref(event), event.position).await?;
        }
        self.position = until;
        let noted = "WITH noted AS (DELETE FROM pg_temp.replay_noted RETURNING *)
            SELECT position, table_name, before, after FROM noted ORDER BY n";
        let noted = sqlx::query(noted).fetch_all(&mut *self.db).await?;
        let mut changes: Vec<RowChange> = vec![];
        for row in noted {
            let (position, table): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let (before, after): (Option<Value>, Option<Value>) =
                (row.try_get(2)?, row.try_get(3)?);
            let Some(event) = events.iter().find(|event| event.position == position) else {
                continue;
            };
            let columns =
                keys.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, key)| key);
            add(&mut changes, event, (&table, columns), (object(before), object(after)));
        }
        changes.retain(|change| change.before != change.after);
        Ok(changes)
    }

    async fn rows(&mut self, table: &str, key: Option<&str>) -> Result<TableAt, EngineError> {
        let keys = primary_key(self.db, table).await?;
        let (order, text) = (keys.join(", "), key_text(&keys));
        let rows = format!(
            "SELECT to_jsonb(t) FROM pg_temp.{table} t
             WHERE $1::text IS NULL OR {text} = $1 OR starts_with({text}, $1 || '/') ORDER BY {order}"
        );
        let rows = sqlx::query_scalar(&rows).bind(key).fetch_all(&mut *self.db).await?;
        let columns = "SELECT attname::text FROM pg_attribute
            WHERE attrelid = ('public.' || $1)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let columns = sqlx::query_scalar(columns).bind(table).fetch_all(&mut *self.db).await?;
        Ok(TableAt { table: table.to_owned(), columns, rows })
    }

    /// An error when a key was asked for and no row has it.
    async fn must_know(&mut self, key: Option<&str>) -> Result<(), PastError> {
        let Some(key) = key else { return Ok(()) };
        let mut keys: Vec<String> = vec![];
        for table in self.projection.tables() {
            let text = key_text(&primary_key(self.db, table).await?);
            let known = format!("SELECT {text} FROM pg_temp.{table} LIMIT {KEYS_MAX}");
            keys.extend(sqlx::query_scalar::<_, String>(&known).fetch_all(&mut *self.db).await?);
        }
        if keys.iter().any(|known| is_of(known, Some(key))) {
            return Ok(());
        }
        let view = self.projection.name().to_owned();
        Err(PastError::UnknownKey { view, key: key.to_owned(), keys })
    }
}

/// The columns of a primary key as one text.
fn key_text(columns: &[String]) -> String {
    format!("concat_ws('/', {})", columns.join(", "))
}

pub(crate) fn object(row: Option<Value>) -> Option<Map<String, Value>> {
    match row {
        Some(Value::Object(columns)) => Some(columns),
        _ => None,
    }
}

/// The columns of a row's primary key as one text.
pub(crate) fn key_of(row: Option<&Map<String, Value>>, columns: &[String]) -> String {
    let part = |column: &String| match row.and_then(|row| row.get(column)) {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    columns.iter().map(part).collect::<Vec<_>>().join("/")
}

type Rows = (Option<Map<String, Value>>, Option<Map<String, Value>>);

/// Adds what happened to a row; several changes of one row by one event are one change.
fn add(
    changes: &mut Vec<RowChange>,
    event: &Recorded,
    (table, columns): (&str, &[String]),
    (before, after): Rows,
) {
    let key = key_of(after.as_ref().or(before.as_ref()), columns);
    let same = |known: &&mut RowChange| {
        known.position == event.position && known.table == table && known.key == key
    };
    if let Some(known) = changes.iter_mut().find(same) {
        known.after = after;
        return;
    }
    changes.push(RowChange {
        position: event.position,
        recorded_at: event.recorded_at,
        event_type: event.event_type.clone(),
        aggregate_type: event.aggregate_type.clone(),
        aggregate_id: event.aggregate_id.clone(),
        actor: event.metadata.actor.clone(),
        command_id: event.metadata.command_id.clone(),
        table: table.to_owned(),
        key,
        before,
        after,
    });
}
