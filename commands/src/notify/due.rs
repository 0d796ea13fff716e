//! Deliveries that are due, in the database: leased, sent, noted. Leases count in the database's time, due times in the clock's.
use std::time::Duration;

use cairn_core::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::processes::store::{from_sql, to_sql};

/// A delivery that this worker has the lease of.
#[derive(Debug, Clone)]
pub(super) struct Leased {
    pub endpoint_id: String,
    pub position: i64,
    pub attempt: i32,
    /// Since it was last wanted; from 1.
    pub tries: u32,
    pub token: i64,
    /// Whether the endpoint's last attempt failed.
    pub failing: bool,
}

/// Whom a worker can take on now.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    /// These endpoints are busy enough.
    pub busy: Vec<String>,
    /// And none that fails.
    pub healthy_only: bool,
}

/// Leases what is due longest, of endpoints that answer before those that fail. `None` when nothing is due, or another was faster.
pub(super) async fn lease(
    pool: &PgPool,
    now: Timestamp,
    lease: Duration,
    room: &Room,
) -> Result<Option<Leased>, sqlx::Error> {
    let row = sqlx::query!(
        r#"UPDATE notify_deliveries d
           SET lease_token = d.lease_token + 1, attempts = d.attempts + 1, tries = d.tries + 1,
               lease_until = clock_timestamp() + make_interval(secs => $2)
           FROM (
             SELECT t.endpoint_id, due.position, t.failing_since IS NOT NULL AS failing
             FROM notify_targets t CROSS JOIN LATERAL (
               SELECT n.position, n.due_at FROM notify_deliveries n
               WHERE n.endpoint_id = t.endpoint_id AND n.status = 'pending' AND n.due_at <= $1
                 AND (n.lease_until IS NULL OR n.lease_until < clock_timestamp())
               ORDER BY n.due_at, n.position LIMIT 1
             ) due
             WHERE t.status = 'enabled' AND t.endpoint_id <> ALL ($3)
               AND (t.failing_since IS NULL OR NOT $4)
             ORDER BY t.failing_since IS NOT NULL, due.due_at LIMIT 1
           ) next
           WHERE d.endpoint_id = next.endpoint_id AND d.position = next.position AND d.status = 'pending'
             AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
           RETURNING d.endpoint_id, d.position, d.attempts, d.tries, d.lease_token, next.failing AS "failing!""#,
        to_sql(now),
        lease.as_secs_f64(),
        &room.busy,
        room.healthy_only,
    );
    let leased = row.fetch_optional(pool).await?.map(|row| Leased {
        endpoint_id: row.endpoint_id,
        position: row.position,
        attempt: row.attempts,
        tries: row.tries.try_into().unwrap_or(u32::MAX),
        token: row.lease_token,
        failing: row.failing,
    });
    Ok(leased)
}

/// When the next delivery that waits is due; `None` when none waits.
pub(super) async fn next(pool: &PgPool, now: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
    let next = sqlx::query_scalar!(
        r#"SELECT min(n.due_at) FROM notify_targets t JOIN notify_deliveries n USING (endpoint_id)
           WHERE t.status = 'enabled' AND n.status = 'pending' AND n.due_at > $1"#,
        to_sql(now)
    );
    Ok(next.fetch_one(pool).await?.map(from_sql))
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub at: Timestamp,
    pub latency: Duration,
    /// Status and beginning of the answer, or why there was none.
    pub heard: Result<(u16, String), String>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// Tried again then.
    Pending(Timestamp),
    /// Never again by itself.
    Failed,
}

impl Fate {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending(_) => "pending",
            Self::Failed => "failed",
        }
    }
}

/// Notes an attempt with what becomes of the delivery. Answers since when the endpoint has failed; nothing is noted when the lease
/// was lost, and then it is `Err(())`.
pub(super) async fn note(
    pool: &PgPool,
    leased: &Leased,
    attempt: &Attempt,
    fate: Fate,
) -> Result<Result<Option<Timestamp>, ()>, sqlx::Error> {
    let at = to_sql(attempt.at);
    let due_at = if let Fate::Pending(due) = fate { Some(to_sql(due)) } else { None };
    let finished_at: Option<OffsetDateTime> = due_at.is_none().then_some(at);
    let (status, answer, error) = match &attempt.heard {
        Ok((status, answer)) => (Some(i32::from(*status)), Some(answer.as_str()), None),
        Err(error) => (None, None, Some(error.as_str())),
    };
    let mut tx = pool.begin().await?;
    let noted = sqlx::query!(
        r#"UPDATE notify_deliveries
           SET status = $4, due_at = coalesce($5, due_at), finished_at = $6, lease_until = NULL,
               last_status = $7, last_error = $8
           WHERE endpoint_id = $1 AND position = $2 AND lease_token = $3 AND status = 'pending'"#,
        leased.endpoint_id,
        leased.position,
        leased.token,
        fate.name(),
        due_at,
        finished_at,
        status,
        error,
    )
    .execute(&mut *tx)
    .await?;
    if noted.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(Err(()));
    }
    sqlx::query!(
        r#"INSERT INTO notify_attempts (endpoint_id, position, attempt, at, latency_ms, status, answer, error)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        leased.endpoint_id,
        leased.position,
        leased.attempt,
        at,
        i32::try_from(attempt.latency.as_millis()).unwrap_or(i32::MAX),
        status,
        answer,
        error,
    )
    .execute(&mut *tx)
    .await?;
    let failing = sqlx::query_scalar!(
        r#"UPDATE notify_targets SET failing_since = CASE WHEN $2 THEN NULL ELSE coalesce(failing_since, $3) END
           WHERE endpoint_id = $1 RETURNING failing_since"#,
        leased.endpoint_id,
        fate == Fate::Delivered,
        at,
    );
    let failing = failing.fetch_optional(&mut *tx).await?.flatten();
    tx.commit().await?;
    Ok(Ok(failing.map(from_sql)))
}

/// Gives a delivery back that could not be attempted, as if nobody had looked at it.
pub(super) async fn give_back(
    pool: &PgPool,
    leased: &Leased,
    due_at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE notify_deliveries
           SET lease_until = NULL, due_at = $4, attempts = attempts - 1, tries = tries - 1
           WHERE endpoint_id = $1 AND position = $2 AND lease_token = $3 AND status = 'pending'"#,
        leased.endpoint_id,
        leased.position,
        leased.token,
        to_sql(due_at),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What will never be sent: its endpoint or its secret is no more.
pub(super) async fn drop_it(
    pool: &PgPool,
    leased: &Leased,
    (now, why): (Timestamp, &str),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE notify_deliveries SET status = 'dropped', finished_at = $4, lease_until = NULL, last_error = $5
           WHERE endpoint_id = $1 AND position = $2 AND lease_token = $3 AND status = 'pending'"#,
        leased.endpoint_id,
        leased.position,
        leased.token,
        to_sql(now),
        why,
    )
    .execute(pool)
    .await?;
    Ok(())
}
