//! How far each projection is behind the log, and what it has parked.
use cairn_event_log::EventLog;
use serde::Serialize;

use super::{EngineError, Projection, checkpoint};
use crate::At;

/// How one projection stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectionStatus {
    /// The projection.
    pub name: String,
    /// Version of its rows.
    pub version: i32,
    /// Version of this program's code; another one than of the rows means a rebuild is due, or that newer code wrote them.
    pub code_version: i32,
    /// The last event it has folded.
    pub position: i64,
    /// Head of the log.
    pub head: i64,
    /// Events it has yet to fold.
    pub lag_events: i64,
    /// Age of the first of them; 0 when there is none.
    pub lag_seconds: f64,
    /// Keys with a parked event.
    pub parked_keys: i64,
    /// Parked events, those that wait behind another included.
    pub parked_events: i64,
    /// Events that a person decided to go on without.
    pub skipped_events: i64,
    /// Positions of the log folded per second, over the last seconds in which it moved.
    pub events_per_second: f64,
    /// The fault that last held it up, passed or not.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<At>,
    /// How far the rows are that a rebuild builds, or left behind.
    pub building_position: Option<i64>,
    /// Until when the rows that the last rebuild replaced can be gone back to.
    pub kept_until: Option<At>,
    /// When its checkpoint last moved.
    pub updated_at: Option<At>,
}

pub(crate) async fn status(
    log: &EventLog,
    projection: &dyn Projection,
) -> Result<ProjectionStatus, EngineError> {
    let name = projection.name();
    let stored = checkpoint::read(log.pool(), name).await?;
    let position = stored.map_or(0, |stored| stored.position);
    let head = log.head().await?.max(position);
    let parked = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE skipped_at IS NULL) AS "events!",
             count(DISTINCT key) FILTER (WHERE skipped_at IS NULL) AS "keys!",
             count(*) FILTER (WHERE skipped_at IS NOT NULL) AS "skipped!"
           FROM projection_parked WHERE projection = $1"#,
        name
    );
    let parked = parked.fetch_one(log.pool()).await?;
    let told = sqlx::query!(
        r#"SELECT updated_at AS "updated_at: At", last_error, last_error_at AS "last_error_at: At",
             CASE WHEN window_at > now() - interval '10 seconds' THEN events_per_second ELSE 0 END
               AS "events_per_second!",
             (SELECT min(position) FROM view_building.projection_checkpoints
               WHERE split_part(name, '#', 1) = $1) AS building,
             (SELECT keep_until FROM projection_generations
               WHERE projection = $1 AND room = 'kept') AS "kept_until: At"
           FROM (SELECT $1::text AS name) AS asked LEFT JOIN projection_checkpoints USING (name)"#,
        name
    );
    let told = told.fetch_one(log.pool()).await?;
    Ok(ProjectionStatus {
        name: name.to_owned(),
        version: stored.map_or(0, |stored| stored.version),
        code_version: projection.version(),
        position,
        head,
        lag_events: head - position,
        lag_seconds: lag_seconds(log, position).await?,
        parked_keys: parked.keys,
        parked_events: parked.events,
        skipped_events: parked.skipped,
        events_per_second: told.events_per_second,
        last_error: told.last_error,
        last_error_at: told.last_error_at,
        building_position: told.building,
        kept_until: told.kept_until,
        updated_at: told.updated_at,
    })
}

/// Age of the first event that is yet to be folded.
async fn lag_seconds(log: &EventLog, position: i64) -> Result<f64, EngineError> {
    let age = sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM now() - recorded_at), 0)::float8 AS "age!"
           FROM events WHERE position = $1"#,
        position + 1
    );
    Ok(age.fetch_optional(log.pool()).await?.unwrap_or(0.0))
}

/// Publishes a status as gauges.
pub(crate) fn publish(status: &ProjectionStatus) {
    let name = || status.name.clone();
    let count = |amount: i64| f64::from(i32::try_from(amount).unwrap_or(i32::MAX));
    metrics::gauge!("cairn_projection_lag_events", "projection" => name())
        .set(count(status.lag_events));
    metrics::gauge!("cairn_projection_lag_seconds", "projection" => name()).set(status.lag_seconds);
    metrics::gauge!("cairn_projection_events_per_second", "projection" => name())
        .set(status.events_per_second);
    metrics::gauge!("cairn_projection_parked_keys", "projection" => name())
        .set(count(status.parked_keys));
}
