//! What the rows of all views share: instants, pages, and the few conversions between events and columns.
use std::fmt;

use cairn_core::{Resources, Timestamp};
use serde::Serialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use time::OffsetDateTime;

use crate::engine::ProjectError;

/// What is said for the rentals that are in no project.
pub const NO_PROJECT: &str = "none";

/// An instant in a row: `timestamptz` in the table, RFC 3339 when serialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct At(pub Timestamp);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<At> for Timestamp {
    fn from(at: At) -> Self {
        at.0
    }
}

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let instant = <OffsetDateTime as Decode<Postgres>>::decode(value)?;
        let micros = i64::try_from(instant.unix_timestamp_nanos() / 1_000)?;
        Ok(Self(Timestamp::from_micros(micros)))
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let nanos = i128::from(self.0.as_micros()) * 1_000;
        let instant = OffsetDateTime::from_unix_timestamp_nanos(nanos)?;
        <OffsetDateTime as Encode<Postgres>>::encode_by_ref(&instant, buffer)
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// Most rows on one page.
pub const PAGE_MAX: i64 = 500;

impl<T> Page<T> {
    /// Cuts `rows`, of which one more than `limit` was asked for, into a page.
    pub fn of(mut rows: Vec<T>, limit: i64, position: impl Fn(&T) -> i64) -> Self {
        let size = usize::try_from(limit.clamp(1, PAGE_MAX)).unwrap_or(1);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|row| position(row).to_string());
        Self { items: rows, next }
    }
}

/// One row more than the page holds, to see whether there is another page.
pub(crate) fn fetch_limit(limit: i64) -> i64 {
    limit.clamp(1, PAGE_MAX) + 1
}

/// The log position that a cursor stands for. Rows keep theirs, so what is added meanwhile never shifts a page.
pub(crate) fn before(after: Option<String>) -> Result<i64, QueryError> {
    match after {
        None => Ok(i64::MAX),
        Some(text) => text.parse().map_err(|_| QueryError::BadCursor(text)),
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor was not given out by this list.
    #[error("'{0}' is not a cursor of this list")]
    BadCursor(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The wire name of a plain enum value.
pub(crate) fn wire_name(value: &impl Serialize) -> Result<String, ProjectError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(ProjectError::Inconsistent(format!("no plain wire name: {other:?}"))),
    }
}

/// A sum that must fit its column.
pub(crate) fn add(to: &mut i64, amount: i64) -> Result<(), ProjectError> {
    let sum = to.checked_add(amount);
    *to = sum.ok_or_else(|| ProjectError::Inconsistent(format!("{to} + {amount} is too much")))?;
    Ok(())
}

/// Resources as columns.
pub(crate) struct Amounts {
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids_max: i64,
}

impl From<Resources> for Amounts {
    fn from(resources: Resources) -> Self {
        let bytes = |amount| i64::try_from(amount).unwrap_or(i64::MAX);
        Self {
            cpu_millis: i64::from(resources.cpu_millis),
            memory_bytes: bytes(resources.memory_bytes),
            disk_bytes: bytes(resources.disk_bytes),
            pids_max: i64::from(resources.pids_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE_MAX, Page, before, fetch_limit};

    fn page(rows: i64, limit: i64) -> Page<i64> {
        let rows = (0..rows).rev().take(usize::try_from(fetch_limit(limit)).unwrap());
        Page::of(rows.collect(), limit, |row| *row)
    }

    #[test]
    fn a_full_last_page_names_no_next() {
        assert_eq!(page(3, 3), Page { items: vec![2, 1, 0], next: None });
        assert_eq!(page(4, 3), Page { items: vec![3, 2, 1], next: Some("1".to_owned()) });
        assert_eq!(page(0, 3), Page { items: vec![], next: None });
    }

    #[test]
    fn a_page_has_at_least_one_row_and_at_most_the_largest() {
        assert_eq!(page(9, 0).items.len(), 1);
        assert_eq!(page(9, i64::MIN).items.len(), 1);
        assert_eq!(fetch_limit(i64::MAX), PAGE_MAX + 1);
    }

    #[test]
    fn only_a_position_is_a_cursor() {
        assert_eq!(before(None).unwrap(), i64::MAX);
        assert_eq!(before(Some("17".to_owned())).unwrap(), 17);
        assert!(before(Some("17 OR true".to_owned())).is_err());
    }
}
