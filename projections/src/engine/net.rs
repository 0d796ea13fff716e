//! What the changes of a view come to: what differs in the end, and which event set a value.
use cairn_core::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::past::{PastError, RowChange};

/// A row that differs between two positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowDiff {
    /// The table.
    pub table: String,
    /// Columns of the primary key, joined by `/`.
    pub key: String,
    /// Whether it is new, gone, or has other values.
    pub change: Kind,
    /// The columns that differ.
    pub columns: Vec<ColumnDiff>,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was not there before.
    Added,
    /// It was there with other values.
    Changed,
    /// It is there no more.
    Removed,
}

/// A column that differs, and the event that changed it last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDiff {
    /// The column.
    pub column: String,
    /// At the earlier position.
    pub before: Value,
    /// At the later one.
    pub after: Value,
    /// Position of the event.
    pub position: i64,
    /// Its wire name.
    pub event_type: String,
}

/// An event that set a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
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
    /// The table.
    pub table: String,
    /// The row.
    pub key: String,
    /// The column.
    pub column: String,
    /// Its value before.
    pub before: Value,
    /// Its value after.
    pub after: Value,
}

/// The rows that differ in the end, in the order in which they were first touched.
#[must_use]
pub fn net(changes: &[RowChange]) -> Vec<RowDiff> {
    let mut rows: Vec<&RowChange> = vec![];
    for change in changes {
        if !rows.iter().any(|row| same_row(row, change)) {
            rows.push(change);
        }
    }
    rows.into_iter().filter_map(|first| net_of(first, changes)).collect()
}

fn same_row(one: &RowChange, other: &RowChange) -> bool {
    (&one.table, &one.key) == (&other.table, &other.key)
}

fn net_of(first: &RowChange, changes: &[RowChange]) -> Option<RowDiff> {
    let mine: Vec<_> = changes.iter().filter(|change| same_row(first, change)).collect();
    let whole = RowChange { after: mine.last()?.after.clone(), ..first.clone() };
    let change = match (&whole.before, &whole.after) {
        (None, None) => return None,
        (None, Some(_)) => Kind::Added,
        (Some(_), None) => Kind::Removed,
        (Some(_), Some(_)) => Kind::Changed,
    };
    let columns = whole.columns().into_iter().filter_map(|differs| {
        let sets = |change: &&&RowChange| {
            change.columns().iter().any(|column| column.column == differs.column)
        };
        let last = mine.iter().rev().find(sets)?;
        Some(ColumnDiff {
            column: differs.column,
            before: differs.before,
            after: differs.after,
            position: last.position,
            event_type: last.event_type.clone(),
        })
    });
    let columns: Vec<_> = columns.collect();
    let (table, key) = (first.table.clone(), first.key.clone());
    (!columns.is_empty()).then_some(RowDiff { table, key, change, columns })
}

/// The events that set the value of a column, or of any, the last one first.
///
/// # Errors
/// [`PastError::UnknownColumn`] when no row that changed has such a column.
pub fn causes(changes: &[RowChange], column: Option<&str>) -> Result<Vec<Cause>, PastError> {
    if let Some(column) = column {
        let rows =
            changes.iter().filter_map(|change| change.after.as_ref().or(change.before.as_ref()));
        let columns: std::collections::BTreeSet<&String> =
            rows.flat_map(|row| row.keys()).collect();
        if !columns.iter().any(|known| *known == column) {
            let columns = columns.into_iter().cloned().collect();
            return Err(PastError::UnknownColumn { column: column.to_owned(), columns });
        }
    }
    let causes = changes.iter().rev().flat_map(|change| {
        let columns = change.columns().into_iter();
        columns.filter(|set| column.is_none_or(|column| set.column == column)).map(|set| Cause {
            position: change.position,
            recorded_at: change.recorded_at,
            event_type: change.event_type.clone(),
            aggregate_type: change.aggregate_type.clone(),
            aggregate_id: change.aggregate_id.clone(),
            actor: change.actor.clone(),
            command_id: change.command_id.clone(),
            table: change.table.clone(),
            key: change.key.clone(),
            column: set.column,
            before: set.before,
            after: set.after,
        })
    });
    Ok(causes.collect())
}
