//! Snapshots: states of long streams, so that a first load need not read all of it. A cache, in the table that postgres-es has.
use sqlx::types::JsonValue;

use crate::{EventLog, LogError};

/// The state of a stream after some of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How many events it is the state after.
    pub sequence: i64,
    /// The state.
    pub state: serde_json::Value,
}

impl EventLog {
    /// The snapshot of a stream, if this version of the code made one and the stream is that long.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub async fn snapshot(
        &self,
        (aggregate_type, aggregate_id): (&str, &str),
        made_by: &str,
    ) -> Result<Option<Snapshot>, LogError> {
        let row = self
            .ask(
                sqlx::query!(
                    r#"SELECT last_sequence, payload AS "payload: JsonValue" FROM snapshots s
               WHERE aggregate_type = $1 AND aggregate_id = $2 AND made_by = $3 AND EXISTS (
                   SELECT FROM events e WHERE e.aggregate_type = s.aggregate_type
                   AND e.aggregate_id = s.aggregate_id AND e.sequence = s.last_sequence)"#,
                    aggregate_type,
                    aggregate_id,
                    made_by
                )
                .fetch_optional(self.pool()),
            )
            .await?;
        Ok(row.map(|row| Snapshot { sequence: row.last_sequence, state: row.payload }))
    }

    /// Keeps a snapshot, unless a later one of the same code is there.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub async fn keep_snapshot(
        &self,
        (aggregate_type, aggregate_id): (&str, &str),
        made_by: &str,
        snapshot: &Snapshot,
    ) -> Result<(), LogError> {
        self.ask(
            sqlx::query!(
                "INSERT INTO snapshots AS s
                 (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload, made_by)
             VALUES ($1, $2, $3, 1, $4, $5)
             ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE
             SET last_sequence = excluded.last_sequence, current_snapshot = s.current_snapshot + 1,
                 payload = excluded.payload, made_by = excluded.made_by
             WHERE s.last_sequence < excluded.last_sequence OR s.made_by <> excluded.made_by",
                aggregate_type,
                aggregate_id,
                snapshot.sequence,
                snapshot.state,
                made_by
            )
            .execute(self.pool()),
        )
        .await
        .map(drop)
    }
}
