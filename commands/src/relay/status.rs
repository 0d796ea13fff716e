//! How a relay stands.
use cairn_event_log::{EventLog, LogError};
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;

use cairn_core::Timestamp;

/// How the relay to one topic stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayStatus {
    /// The topic.
    pub topic: String,
    /// Everything up to here has been acknowledged.
    pub position: i64,
    /// Head of the log.
    pub head: i64,
    /// Events it has yet to tell of or pass over.
    pub lag_events: i64,
    /// Age of the first of them; 0 when there is none.
    pub lag_seconds: f64,
    /// Messages acknowledged since the beginning, repeats not counted.
    pub sent: i64,
    /// The process that leads; `None` when nobody does.
    pub leader: Option<String>,
    /// Why it does not get on.
    pub last_error: Option<String>,
    /// When its checkpoint last moved.
    pub updated_at: Option<Timestamp>,
}

/// How the relay to a topic stands. One that never ran is at the beginning.
///
/// # Errors
/// [`LogError::Unavailable`].
pub async fn status(log: &EventLog, topic: &str) -> Result<RelayStatus, LogError> {
    let row = sqlx::query!(
        r#"SELECT position, sent, last_error, updated_at,
             CASE WHEN lease_until > clock_timestamp() THEN lease_owner END AS leader
           FROM relay_checkpoints WHERE topic = $1"#,
        topic
    );
    let row = row.fetch_optional(log.pool()).await.map_err(|error| LogError::reading(&error))?;
    let position = row.as_ref().map_or(0, |row| row.position);
    let head = log.head().await?.max(position);
    Ok(RelayStatus {
        topic: topic.to_owned(),
        position,
        head,
        lag_events: head - position,
        lag_seconds: lag_seconds(log, position).await?,
        sent: row.as_ref().map_or(0, |row| row.sent),
        leader: row.as_ref().and_then(|row| row.leader.clone()),
        updated_at: row.as_ref().and_then(|row| instant(row.updated_at)),
        last_error: row.and_then(|row| row.last_error),
    })
}

/// How far every topic has been told of the log.
///
/// # Errors
/// When the database does not answer.
pub async fn checkpoints(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!("SELECT topic, position FROM relay_checkpoints ORDER BY topic");
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.topic, row.position)).collect())
}

/// Age of the first event after a position; 0 when there is none.
pub(super) async fn lag_seconds(log: &EventLog, position: i64) -> Result<f64, LogError> {
    let age = sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM now() - recorded_at), 0)::float8 AS "age!"
           FROM events WHERE position = $1"#,
        position + 1
    );
    let age = age.fetch_optional(log.pool()).await.map_err(|error| LogError::reading(&error))?;
    Ok(age.unwrap_or(0.0))
}

fn instant(at: OffsetDateTime) -> Option<Timestamp> {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).ok().map(Timestamp::from_micros)
}
