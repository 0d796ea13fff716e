//! What the runtime keeps in the database. Leases count in the database's time, due times in the clock's.
use std::collections::HashSet;
use std::time::Duration;

use cairn_core::Timestamp;
use cairn_operations::Verb;
use cairn_tasks::Panicked;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::effects::Origin;

use super::gate::Leased;
use super::intent::{Action, Intent};

/// A manager's place in the log, leased to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub position: i64,
    pub token: i64,
}

/// Takes or keeps the lease on a manager. `None` while another process has it.
pub(crate) async fn lease_manager(
    pool: &PgPool,
    process: &str,
    owner: &str,
    lease: Duration,
) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query!(
        "INSERT INTO process_checkpoints (process) VALUES ($1) ON CONFLICT DO NOTHING",
        process
    )
    .execute(pool)
    .await?;
    sqlx::query_as!(
        Place,
        r#"UPDATE process_checkpoints
           SET lease_token = CASE WHEN lease_owner = $2 THEN lease_token ELSE lease_token + 1 END,
               lease_owner = $2,
               lease_until = clock_timestamp() + make_interval(secs => $3)
           WHERE process = $1
             AND (lease_owner = $2 OR lease_until IS NULL OR lease_until < clock_timestamp())
           RETURNING position, lease_token AS token"#,
        process,
        owner,
        lease.as_secs_f64()
    )
    .fetch_optional(pool)
    .await
}

/// Gives the leases of a process that stops back, so that the next one need not wait.
pub(crate) async fn leave(pool: &PgPool, owner: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE process_checkpoints SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1",
        owner
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        r#"UPDATE process_intents SET status = 'ready', lease_owner = NULL, lease_until = NULL
           WHERE lease_owner = $1 AND status = 'leased'"#,
        owner
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Moves a checkpoint on. False when the lease was lost: roll back.
pub(crate) async fn advance_in_tx(
    tx: &mut PgConnection,
    process: &str,
    place: Place,
    position: i64,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        r#"UPDATE process_checkpoints SET position = $4
           WHERE process = $1 AND lease_token = $2 AND position = $3"#,
        process,
        place.token,
        place.position,
        position
    )
    .execute(tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// What an instance remembers, and its status; locked until the transaction ends.
pub(super) async fn state_in_tx(
    tx: &mut PgConnection,
    process: &str,
    key: &str,
) -> Result<Option<(serde_json::Value, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT state AS "state: serde_json::Value", status FROM process_states
           WHERE process = $1 AND key = $2 FOR UPDATE"#,
        process,
        key
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.state, row.status)))
}

/// Position of the last event that an instance took in.
pub(super) async fn position_in_tx(
    tx: &mut PgConnection,
    process: &str,
    key: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT position FROM process_states WHERE process = $1 AND key = $2 FOR UPDATE",
        process,
        key
    )
    .fetch_optional(tx)
    .await
}

/// Instances of a manager for which an event is left for later.
pub(super) async fn unread_in_tx(
    tx: &mut PgConnection,
    process: &str,
) -> Result<HashSet<String>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"SELECT DISTINCT key FROM process_intents
           WHERE name = 'read_event' AND process = $1
             AND status IN ('ready', 'leased', 'needs_operator')"#,
        process
    );
    Ok(keys.fetch_all(tx).await?.into_iter().collect())
}

/// Whether an event that comes before this one in its instance is left for later as well.
pub(super) async fn has_earlier_unread(
    pool: &PgPool,
    leased: &Leased,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM process_intents other JOIN process_intents mine ON mine.id = $1
             WHERE other.process = mine.process AND other.key = mine.key AND other.name = mine.name
               AND other.seq < mine.seq AND other.status IN ('ready', 'leased', 'needs_operator')
           ) AS "earlier!""#,
        leased.id
    )
    .fetch_one(pool)
    .await
}

/// One instance of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instance<'a> {
    pub process: &'a str,
    pub key: &'a str,
}

pub(super) async fn keep_state_in_tx(
    tx: &mut PgConnection,
    instance: Instance<'_>,
    state: &serde_json::Value,
    (status, position): (&str, i64),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO process_states (process, key, state, status, position)
           VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (process, key) DO UPDATE
           SET state = excluded.state, status = excluded.status, position = excluded.position,
               updated_at = now()"#,
        instance.process,
        instance.key,
        state,
        status,
        position
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// An intent with its id.
#[derive(Debug)]
pub(super) struct NewIntent<'a> {
    pub id: String,
    pub intent: &'a Intent,
    pub origin: &'a Origin,
    pub now: Timestamp,
}

/// Writes an intent once: its id says where it was born, so a second birth is the same intent.
pub(super) async fn intend_in_tx(
    tx: &mut PgConnection,
    instance: Instance<'_>,
    new: NewIntent<'_>,
) -> Result<(), StoreError> {
    let Intent { action, due_at, give_up_at } = new.intent;
    sqlx::query!(
        r#"INSERT INTO process_intents
             (id, process, key, kind, name, action, origin, status, order_key, due_at,
              give_up_at, patience)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'ready', $8, $9, $10, $10 - $11::timestamptz)
           ON CONFLICT (id) DO NOTHING"#,
        new.id,
        instance.process,
        instance.key,
        action.kind(),
        action.name(),
        serde_json::to_value(action)?,
        serde_json::to_value(new.origin)?,
        action.order_key(),
        to_sql(due_at.unwrap_or(new.now)),
        give_up_at.map(to_sql),
        to_sql(new.now),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the same command, or an effect of the same name, is unfinished.
pub(super) async fn is_open_in_tx(
    tx: &mut PgConnection,
    instance: Instance<'_>,
    action: &Action,
) -> Result<bool, StoreError> {
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM process_intents WHERE process = $1 AND key = $2 AND name = $3
               AND (kind <> 'command' OR action = $4)
               AND status IN ('ready', 'leased', 'needs_operator')) AS "open!""#,
        instance.process,
        instance.key,
        action.name(),
        serde_json::to_value(action)?
    );
    Ok(open.fetch_one(tx).await?)
}

/// Leases the intent that is due longest. Of intents with the same order key at most one is leased.
pub(super) async fn lease_intent(
    pool: &PgPool,
    owner: &str,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Leased>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE process_intents
           SET status = 'leased', lease_owner = $1, lease_token = lease_token + 1,
               lease_until = clock_timestamp() + make_interval(secs => $3), attempts = attempts + 1
           WHERE id = (
             SELECT id FROM process_intents i
             WHERE ((status = 'ready' AND due_at <= $2)
                 OR (status = 'needs_operator' AND retry_at <= $2)
                 OR (status = 'leased' AND lease_until < clock_timestamp()))
               AND (order_key IS NULL OR NOT EXISTS (
                 SELECT FROM process_intents o
                 WHERE o.order_key = i.order_key AND o.status = 'leased' AND o.id <> i.id))
             ORDER BY due_at, seq
             FOR UPDATE SKIP LOCKED LIMIT 1)
           RETURNING id, process, key, action AS "action: serde_json::Value",
                     origin AS "origin: serde_json::Value", attempts, run, round, due_at,
                     give_up_at, retry_at IS NOT NULL AS "called!", skip_reason, lease_token"#,
        owner,
        to_sql(now),
        lease.as_secs_f64()
    )
    .fetch_optional(pool)
    .await;
    let row = match row {
        // Another worker was faster with an intent of the same order key.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(None),
        other => other?,
    };
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Leased {
        id: row.id,
        process: row.process,
        key: row.key,
        action: serde_json::from_value::<Action>(row.action)?,
        attempts: row.attempts.try_into().unwrap_or(u32::MAX),
        run: row.run.try_into().unwrap_or(u32::MAX),
        round: row.round.try_into().unwrap_or(u32::MAX),
        skip_reason: row.skip_reason,
        origin: serde_json::from_value(row.origin)?,
        due_at: from_sql(row.due_at),
        give_up_at: row.give_up_at.map(from_sql),
        called: row.called,
        token: row.lease_token,
    }))
}

/// Keeps the leases on intents that are being carried out, each under its token.
pub(super) async fn keep_leases(
    pool: &PgPool,
    lease: Duration,
    busy: &[(String, i64)],
) -> Result<(), sqlx::Error> {
    let (ids, tokens): (Vec<String>, Vec<i64>) = busy.iter().cloned().unzip();
    sqlx::query!(
        r#"UPDATE process_intents i SET lease_until = clock_timestamp() + make_interval(secs => $1)
           FROM unnest($2::text[], $3::bigint[]) AS busy (id, token)
           WHERE i.id = busy.id AND i.lease_token = busy.token AND i.status = 'leased'"#,
        lease.as_secs_f64(),
        &ids,
        &tokens
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Done,
    Skipped,
    /// Try again then.
    Retry {
        due_at: Timestamp,
        error: String,
    },
    /// Nobody was asked: try again then. That was no attempt, unless somebody else was asked first.
    Unasked {
        due_at: Timestamp,
        error: String,
        is_attempt: bool,
    },
    /// Somebody must look; it is tried again then all the same, if ever.
    NeedsOperator {
        retry_at: Option<Timestamp>,
        error: String,
    },
}

/// Notes how an attempt ended. False when the lease was lost: whoever has it now notes its own.
pub(super) async fn note(
    pool: &PgPool,
    leased: &Leased,
    ended: &Ended,
) -> Result<bool, sqlx::Error> {
    let (status, due_at, retry_at, error) = match ended {
        Ended::Done => ("done", None, None, None),
        Ended::Skipped => ("skipped", None, None, None),
        Ended::Retry { due_at, error } | Ended::Unasked { due_at, error, .. } => {
            ("ready", Some(*due_at), None, Some(error))
        }
        Ended::NeedsOperator { retry_at, error } => {
            ("needs_operator", None, *retry_at, Some(error))
        }
    };
    let undone = i32::from(matches!(ended, Ended::Unasked { is_attempt: false, .. }));
    let noted = sqlx::query!(
        r#"UPDATE process_intents
           SET status = $3, attempts = attempts - $7, due_at = coalesce($4, due_at), last_error = coalesce($5, last_error),
               retry_at = $6, lease_owner = NULL, lease_until = NULL,
               finished_at = CASE WHEN $3 IN ('done', 'skipped') THEN now() END
           WHERE id = $1 AND lease_token = $2 AND status = 'leased'"#,
        leased.id,
        leased.token,
        status,
        due_at.map(to_sql),
        error,
        retry_at.map(to_sql),
        undone
    )
    .execute(pool)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Sets a timer anew, or ends it. False when the lease was lost: roll back.
pub(super) async fn rewind_in_tx(
    tx: &mut PgConnection,
    leased: &Leased,
    again_at: Option<Timestamp>,
) -> Result<bool, sqlx::Error> {
    let rewound = sqlx::query!(
        r#"UPDATE process_intents
           SET status = CASE WHEN $3::timestamptz IS NULL THEN 'done' ELSE 'ready' END,
               due_at = coalesce($3, due_at), run = run + 1, attempts = 0,
               lease_owner = NULL, lease_until = NULL,
               finished_at = CASE WHEN $3::timestamptz IS NULL THEN now() END
           WHERE id = $1 AND lease_token = $2 AND status = 'leased'"#,
        leased.id,
        leased.token,
        again_at.map(to_sql)
    )
    .execute(tx)
    .await?;
    Ok(rewound.rows_affected() == 1)
}

/// Does to an intent what an operator decided. The new token fences off a worker that still has it.
pub(super) async fn intervene_in_tx(
    tx: &mut PgConnection,
    intent_id: &str,
    (verb, reason): (Verb, &str),
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    if verb == Verb::Abandon {
        return abandon_in_tx(tx, intent_id).await;
    }
    let skip_reason = (verb == Verb::Skip).then_some(reason);
    let changed = sqlx::query!(
        r#"UPDATE process_intents
           SET status = 'ready', due_at = $2::timestamptz, attempts = 0, round = round + 1, skip_reason = $3,
               give_up_at = $2::timestamptz + patience, lease_token = lease_token + 1,
               retry_at = NULL, lease_owner = NULL, lease_until = NULL
           WHERE id = $1 AND status IN ('needs_operator', 'leased')"#,
        intent_id,
        to_sql(now),
        skip_reason
    )
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Ends the instance that an intent is of, with everything that it still wanted.
async fn abandon_in_tx(tx: &mut PgConnection, intent_id: &str) -> Result<bool, sqlx::Error> {
    let instance =
        sqlx::query!("SELECT process, key FROM process_intents WHERE id = $1", intent_id)
            .fetch_optional(&mut *tx)
            .await?;
    let Some(instance) = instance else { return Ok(false) };
    sqlx::query!(
        r#"UPDATE process_states SET status = 'abandoned', updated_at = now()
           WHERE process = $1 AND key = $2"#,
        instance.process,
        instance.key
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        r#"UPDATE process_intents
           SET status = 'abandoned', finished_at = now(), lease_token = lease_token + 1,
               retry_at = NULL, lease_owner = NULL, lease_until = NULL
           WHERE process = $1 AND key = $2 AND status IN ('ready', 'leased', 'needs_operator')"#,
        instance.process,
        instance.key
    )
    .execute(&mut *tx)
    .await?;
    Ok(true)
}

/// When the next intent will be due. One that is due already waits for another of its order key, or for a free hand.
pub(super) async fn next_due(
    pool: &PgPool,
    now: Timestamp,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let due = sqlx::query_scalar!(
        r#"SELECT min(due) FROM (
             SELECT min(due_at) AS due FROM process_intents WHERE status = 'ready' AND due_at > $1
             UNION ALL
             SELECT min(retry_at) FROM process_intents
             WHERE status = 'needs_operator' AND retry_at > $1) AS next"#,
        to_sql(now)
    );
    Ok(due.fetch_one(pool).await?.map(from_sql))
}

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A stored state or intent is not what it must be.
    #[error("a stored state or intent cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The manager itself has a fault.
    #[error("the process manager: {0}")]
    Panicked(#[from] Panicked),
}

pub(crate) fn to_sql(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_micros()) * 1_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(crate) fn from_sql(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
}
