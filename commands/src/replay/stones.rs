//! Events as the replay reads them.
use std::ops::{Deref, DerefMut};

use cairn_core::Timestamp;
use cairn_event_log::{Bulk, BulkyRow, LogSource};
use sqlx::types::JsonValue;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::{At, ReplayError};

/// One event of the log, undecoded.
pub(crate) struct Stone {
    pub position: i64,
    pub recorded_at: OffsetDateTime,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: JsonValue,
    pub command_id: String,
    pub metadata: JsonValue,
    pub segment: Option<i64>,
}

impl BulkyRow for Stone {
    fn moved(&self) -> Option<(i64, i64)> {
        self.segment.map(|segment| (segment, self.position))
    }

    fn refill(&mut self, payload: &str, metadata: &str) -> Result<(), serde_json::Error> {
        self.payload = serde_json::from_str(payload)?;
        self.metadata = serde_json::from_str(metadata)?;
        Ok(())
    }
}

impl Stone {
    pub fn recorded_at(&self) -> Timestamp {
        timestamp(self.recorded_at)
    }

    pub fn place(&self) -> Place {
        let (aggregate_type, aggregate_id) =
            (self.aggregate_type.clone(), self.aggregate_id.clone());
        Place { aggregate_type, aggregate_id, sequence: self.sequence }
    }
}

/// A place in the order of the streams; the first one is before all.
#[derive(Default)]
pub(crate) struct Place {
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
}

pub(crate) fn timestamp(instant: OffsetDateTime) -> Timestamp {
    let micros = instant.unix_timestamp_nanos() / 1_000;
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// An instant as the database knows it. One beyond its calendar is as late as it gets.
pub(crate) fn instant(at: Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.as_micros()) * 1_000;
    let beyond = time::Date::MAX.midnight().assume_utc();
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(beyond)
}

/// A transaction that sees one moment of the database and that the server holds to be read-only, and the way to the archive.
pub(crate) struct Reading {
    transaction: Transaction<'static, Postgres>,
    bulk: Bulk,
}

impl Reading {
    /// Ends it.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.transaction.rollback().await
    }
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// Begins to read. The server waits while a segment is on its way from the archive.
pub(crate) async fn reading(source: &impl LogSource) -> sqlx::Result<Reading> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut transaction = source.pool().begin_with(begin).await?;
    sqlx::query!("SELECT set_config('idle_in_transaction_session_timeout', '2min', true)")
        .fetch_one(&mut *transaction)
        .await?;
    Ok(Reading { transaction, bulk: source.bulk() })
}

/// The last position at a point of the log.
pub(crate) async fn position(connection: &mut PgConnection, at: At) -> Result<i64, ReplayError> {
    let head = sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(&mut *connection);
    let head = head.await?;
    let time = match at {
        At::Head => return Ok(head),
        At::Position(position) if (0..=head).contains(&position) => return Ok(position),
        At::Position(position) => return Err(ReplayError::Beyond { position, head }),
        At::Time(time) => instant(time),
    };
    // Time never runs backwards in the log.
    let (mut first, mut last) = (0, head);
    while first < last {
        let middle = last - (last - first) / 2;
        let recorded_at =
            sqlx::query_scalar!("SELECT recorded_at FROM events WHERE position = $1", middle);
        if recorded_at.fetch_one(&mut *connection).await? <= time {
            first = middle;
        } else {
            last = middle - 1;
        }
    }
    Ok(first)
}

/// One stream up to a point.
pub(crate) async fn of_stream(
    reading: &mut Reading,
    (aggregate_type, aggregate_id): (&str, &str),
    at: At,
) -> Result<Vec<Stone>, ReplayError> {
    let (position, time) = match at {
        At::Head => (None, None),
        At::Position(position) => (Some(position), None),
        At::Time(time) => (None, Some(instant(time))),
    };
    let mut stones = sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue", segment
           FROM events
           WHERE aggregate_type = $1 AND aggregate_id = $2
             AND ($3::bigint IS NULL OR position <= $3) AND ($4::timestamptz IS NULL OR recorded_at <= $4)
           ORDER BY sequence"#,
        aggregate_type,
        aggregate_id,
        position,
        time
    )
    .fetch_all(&mut **reading)
    .await?;
    reading.bulk.make_whole(&mut stones).await?;
    Ok(stones)
}

/// The next page of the whole log.
pub(crate) async fn page(
    reading: &mut Reading,
    after: i64,
    limit: i64,
) -> Result<Vec<Stone>, ReplayError> {
    let mut stones = sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue", segment
           FROM events WHERE position > $1 ORDER BY position LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(&mut **reading)
    .await?;
    reading.bulk.make_whole(&mut stones).await?;
    Ok(stones)
}

/// The next page of a range of the log, of some types of aggregate.
pub(super) async fn page_of_types(
    reading: &mut Reading,
    (after, until): (i64, i64),
    (types, limit): (&[&str], i64),
) -> Result<Vec<Stone>, ReplayError> {
    let types: Vec<_> = types.iter().map(|name| (*name).to_owned()).collect();
    let mut stones = sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue", segment
           FROM events WHERE position > $1 AND position <= $2 AND aggregate_type = ANY ($3)
           ORDER BY position LIMIT $4"#,
        after,
        until,
        &types,
        limit
    )
    .fetch_all(&mut **reading)
    .await?;
    reading.bulk.make_whole(&mut stones).await?;
    Ok(stones)
}

/// The next page of the whole log up to a position, or of one type of it, stream after stream.
pub(super) async fn by_stream(
    reading: &mut Reading,
    after: &Place,
    (aggregate_type, to, limit): (Option<&str>, i64, i64),
) -> Result<Vec<Stone>, ReplayError> {
    let mut stones = sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue", segment
           FROM events
           WHERE (aggregate_type, aggregate_id, sequence) > ($1, $2, $3)
             AND ($4::text IS NULL OR aggregate_type = $4) AND position <= $5
           ORDER BY aggregate_type, aggregate_id, sequence LIMIT $6"#,
        after.aggregate_type,
        after.aggregate_id,
        after.sequence,
        aggregate_type,
        to,
        limit
    )
    .fetch_all(&mut **reading)
    .await?;
    reading.bulk.make_whole(&mut stones).await?;
    Ok(stones)
}
