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
             count(*) FILTER (WHERE skipped_at IS NOT NULL) AS "skipped!",
             (SELECT updated_at FROM projection_checkpoints WHERE name = $1) AS "updated_at: At"
           FROM projection_parked WHERE projection = $1"#,
        name
    );
    let parked = parked.fetch_one(log.pool()).await?;
    Ok(ProjectionStatus {
        name: name.to_owned(),
        version: stored.map_or(0, |stored| stored.version),
        code_version: projection.version(),
        position,
        head,
        lag_events: head - position,
        lag_seconds: lag_seconds(log, position, head).await?,
        parked_keys: parked.keys,
        parked_events: parked.events,
        skipped_events: parked.skipped,
        updated_at: parked.updated_at,
    })
}

async fn lag_seconds(log: &EventLog, position: i64, head: i64) -> Result<f64, EngineError> {
    if position >= head {
        return Ok(0.0);
    }
    let Some(next) = log.read(position, 1).await?.into_iter().next() else { return Ok(0.0) };
    let age = sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM now() - $1), 0)::float8 AS "age!""#,
        At(next.recorded_at) as _,
    );
    Ok(age.fetch_one(log.pool()).await?)
}

/// Publishes a status as gauges.
pub(crate) fn publish(status: &ProjectionStatus) {
    let name = || status.name.clone();
    let count = |amount: i64| f64::from(i32::try_from(amount).unwrap_or(i32::MAX));
    metrics::gauge!("cairn_projection_lag_events", "projection" => name())
        .set(count(status.lag_events));
    metrics::gauge!("cairn_projection_lag_seconds", "projection" => name()).set(status.lag_seconds);
    metrics::gauge!("cairn_projection_parked_keys", "projection" => name())
        .set(count(status.parked_keys));
}
