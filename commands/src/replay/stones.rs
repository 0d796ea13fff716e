//! Events as the replay reads them.
use cairn_core::Timestamp;
use sqlx::types::JsonValue;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
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
}

impl Stone {
    pub fn recorded_at(&self) -> Timestamp {
        timestamp(self.recorded_at)
    }
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

/// A transaction that sees one moment of the database and that the server holds to be read-only.
pub(crate) async fn reading(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
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
    connection: &mut PgConnection,
    (aggregate_type, aggregate_id): (&str, &str),
    at: At,
) -> Result<Vec<Stone>, ReplayError> {
    let (position, time) = match at {
        At::Head => (None, None),
        At::Position(position) => (Some(position), None),
        At::Time(time) => (None, Some(instant(time))),
    };
    Ok(sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue"
           FROM events
           WHERE aggregate_type = $1 AND aggregate_id = $2
             AND ($3::bigint IS NULL OR position <= $3) AND ($4::timestamptz IS NULL OR recorded_at <= $4)
           ORDER BY sequence"#,
        aggregate_type,
        aggregate_id,
        position,
        time
    )
    .fetch_all(connection)
    .await?)
}

/// The next page of the whole log.
pub(crate) async fn page(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<Stone>, ReplayError> {
    Ok(sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue",
                  command_id, metadata AS "metadata: JsonValue"
           FROM events WHERE position > $1 ORDER BY position LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(connection)
    .await?)
}
