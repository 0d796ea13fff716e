//! How far the copy has come, who makes it, and which streams it does not get on with. Leases count in the database's time.
use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;

use crate::{AppendRequest, Carrier, EventLog, LogError};

/// How the copy of a log that another system carries stands.
#[derive(Debug, Clone, Serialize)]
pub struct CarrierStatus {
    /// Names the log.
    pub carrier: String,
    /// Of the carrier: everything up to it is copied, or parked with its stream.
    pub position: i64,
    /// Events of the carrier that are not copied yet, up to a thousand; `None` when the carrier was not asked.
    pub behind: Option<i64>,
    /// Who makes the copy; `None` when nobody does.
    pub leader: Option<String>,
    /// Why it does not get on; `None` when it does.
    pub last_error: Option<String>,
    /// Streams whose copy stands still.
    pub parked: Vec<ParkedStream>,
}

/// A stream whose copy stands still because the database refused it.
#[derive(Debug, Clone, Serialize)]
pub struct ParkedStream {
    /// Its kind.
    pub aggregate_type: String,
    /// Which.
    pub aggregate_id: String,
    /// Its first event that is not copied.
    pub sequence: i64,
    /// The command that was refused.
    pub command_id: String,
    /// Name of the constraint.
    pub refused_by: String,
    /// What the database said.
    pub message: String,
    /// How often it was tried.
    pub tries: i64,
}

impl From<ParkedStream> for LogError {
    fn from(parked: ParkedStream) -> Self {
        let ParkedStream { aggregate_type, aggregate_id, sequence, message, .. } = parked;
        let message = format!(
            "{aggregate_type} {aggregate_id} is parked before its event {sequence}: {message}"
        );
        Self::Rejected { constraint: parked.refused_by, message }
    }
}

/// A place in the carrier, leased.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub position: i64,
    pub token: i64,
}

/// Makes sure that the database has the carrier's log, or none.
pub(super) async fn agree(log: &EventLog, carrier: &dyn Carrier) -> Result<(), LogError> {
    let ours = sqlx::query!(
        r#"SELECT (SELECT carrier FROM log_carrier) AS carrier, (SELECT position FROM log_head) AS "head!",
                  gen_random_uuid()::text AS "new!""#
    );
    let ours = log.ask(ours.fetch_one(log.pool())).await?;
    match ours.carrier {
        Some(known) => {
            let name = carrier.identity(None).await?;
            if name.as_ref() == Some(&known) {
                return Ok(());
            }
            let name = name.map_or_else(|| "no log".to_owned(), |name| format!("log {name}"));
            Err(LogError::Carrier(format!(
                "this database is the copy of log {known}, and the carrier has {name}"
            )))
        }
        None if ours.head > 0 => Err(LogError::Carrier(format!(
            "this database has {} events of its own; another system can only carry a log that begins there",
            ours.head
        ))),
        None => {
            let name = carrier.identity(Some(&ours.new)).await?;
            let known = sqlx::query_scalar!(
                "INSERT INTO log_carrier (carrier) VALUES ($1) ON CONFLICT (id) DO UPDATE SET updated_at = now() RETURNING carrier",
                name.as_deref().unwrap_or(&ours.new)
            );
            match log.ask(known.fetch_one(log.pool())).await? {
                known if name.as_ref() == Some(&known) => Ok(()),
                other => Err(LogError::Carrier(format!("another process named log {other}"))),
            }
        }
    }
}

/// A name for this process.
pub(super) async fn owner(log: &EventLog) -> Result<String, LogError> {
    let drawn = sqlx::query_scalar!(r#"SELECT left(gen_random_uuid()::text, 8) AS "drawn!""#);
    let drawn = log.ask(drawn.fetch_one(log.pool())).await?;
    Ok(format!("cairn-{}-{drawn}", std::process::id()))
}

/// Takes or keeps the lease. `None` while another process has it.
pub(super) async fn lease(
    pool: &PgPool,
    owner: &str,
    lease: Duration,
) -> sqlx::Result<Option<Place>> {
    sqlx::query_as!(
        Place,
        r#"UPDATE log_carrier
           SET lease_token = CASE WHEN lease_owner = $1 THEN lease_token ELSE lease_token + 1 END,
               lease_owner = $1,
               lease_until = clock_timestamp() + make_interval(secs => $2)
           WHERE lease_owner = $1 OR lease_until IS NULL OR lease_until < clock_timestamp()
           RETURNING position, lease_token AS token"#,
        owner,
        lease.as_secs_f64()
    )
    .fetch_optional(pool)
    .await
}

/// Gives the lease back.
pub(super) async fn release(pool: &PgPool, owner: &str) -> sqlx::Result<()> {
    let release = sqlx::query!(
        "UPDATE log_carrier SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1",
        owner
    );
    release.execute(pool).await.map(drop)
}

/// Moves the checkpoint on. False when the lease was lost.
pub(super) async fn advance(pool: &PgPool, token: i64, position: i64) -> sqlx::Result<bool> {
    let moved = sqlx::query!(
        r#"UPDATE log_carrier SET position = $2, last_error = NULL, failed_at = NULL, updated_at = now()
           WHERE lease_token = $1 AND position <= $2"#,
        token,
        position
    );
    Ok(moved.execute(pool).await?.rows_affected() == 1)
}

/// Says why it does not get on. Without effect when another process has the lease.
pub(super) async fn fail(pool: &PgPool, owner: &str, error: &str) -> sqlx::Result<()> {
    let fail = sqlx::query!(
        "UPDATE log_carrier SET last_error = $2, failed_at = now() WHERE lease_owner = $1",
        owner,
        error
    );
    fail.execute(pool).await.map(drop)
}

pub(super) async fn status(log: &EventLog) -> Result<Option<CarrierStatus>, LogError> {
    let row = sqlx::query!(
        r#"SELECT carrier, position, CASE WHEN lease_until > clock_timestamp() THEN lease_owner END AS leader, last_error
           FROM log_carrier"#
    );
    let Some(row) = log.ask(row.fetch_optional(log.pool())).await? else { return Ok(None) };
    let parked = log.ask(all_parked(log.pool())).await?;
    let (carrier, position, last_error) = (row.carrier, row.position, row.last_error);
    Ok(Some(CarrierStatus {
        carrier,
        position,
        behind: None,
        leader: row.leader,
        last_error,
        parked,
    }))
}

/// Every parked stream, in no order.
pub(super) async fn all_parked(pool: &PgPool) -> sqlx::Result<Vec<ParkedStream>> {
    sqlx::query_as!(
        ParkedStream,
        "SELECT aggregate_type, aggregate_id, sequence, command_id, refused_by, message, tries FROM log_parked"
    )
    .fetch_all(pool)
    .await
}

/// What a stream is parked for, if it is.
pub(super) async fn parked(
    log: &EventLog,
    (aggregate_type, aggregate_id): (&str, &str),
) -> Result<Option<ParkedStream>, LogError> {
    let parked = sqlx::query_as!(
        ParkedStream,
        r#"SELECT aggregate_type, aggregate_id, sequence, command_id, refused_by, message, tries FROM log_parked
           WHERE aggregate_type = $1 AND aggregate_id = $2"#,
        aggregate_type,
        aggregate_id
    );
    log.ask(parked.fetch_optional(log.pool())).await
}

/// Parks a stream before a request, or says that it was tried once more.
pub(super) async fn park(
    pool: &PgPool,
    request: &AppendRequest,
    (refused_by, message): (&str, &str),
) -> sqlx::Result<()> {
    let park = sqlx::query!(
        r#"INSERT INTO log_parked AS p (aggregate_type, aggregate_id, command_id, sequence, refused_by, message)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE
           SET command_id = $3, sequence = $4, refused_by = $5, message = $6, tries = p.tries + 1, tried_at = now()"#,
        request.aggregate_type,
        request.aggregate_id,
        request.command_id,
        request.expected_sequence + 1,
        refused_by,
        message
    );
    park.execute(pool).await.map(drop)
}

pub(super) async fn unpark(pool: &PgPool, (kind, id): (&str, &str)) -> sqlx::Result<()> {
    let unpark = sqlx::query!(
        "DELETE FROM log_parked WHERE aggregate_type = $1 AND aggregate_id = $2",
        kind,
        id
    );
    unpark.execute(pool).await.map(drop)
}

/// Events that the copy of a stream has.
pub(super) async fn length(pool: &PgPool, (kind, id): (&str, &str)) -> sqlx::Result<i64> {
    let length = sqlx::query_scalar!(
        r#"SELECT coalesce(max(sequence), 0) AS "length!" FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"#,
        kind,
        id
    );
    length.fetch_one(pool).await
}
