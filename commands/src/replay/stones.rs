//! Events as the replay reads them.
use cairn_core::Timestamp;
use sqlx::types::JsonValue;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{At, ReplayError};

/// One event of the log, undecoded.
pub(super) struct Stone {
    pub position: i64,
    pub recorded_at: OffsetDateTime,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: JsonValue,
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

/// One stream up to a point.
pub(super) async fn of_stream(
    pool: &PgPool,
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
                  payload AS "payload: JsonValue"
           FROM events
           WHERE aggregate_type = $1 AND aggregate_id = $2
             AND ($3::bigint IS NULL OR position <= $3) AND ($4::timestamptz IS NULL OR recorded_at <= $4)
           ORDER BY sequence"#,
        aggregate_type,
        aggregate_id,
        position,
        time
    )
    .fetch_all(pool)
    .await?)
}

/// The next page of the whole log.
pub(super) async fn page(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<Stone>, ReplayError> {
    Ok(sqlx::query_as!(
        Stone,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload AS "payload: JsonValue"
           FROM events WHERE position > $1 ORDER BY position LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(connection)
    .await?)
}
