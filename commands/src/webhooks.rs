//! The inbox of the payment provider's webhooks: the bytes are stored before they are read, an event counts once however often it is
//! delivered, and what was received is dealt with sooner or later, across crashes.
//!
//! | status | means |
//! |---|---|
//! | `received` | stored, not read (the process died in between; the provider delivers again) |
//! | `unreadable` | signed, but not an event |
//! | `duplicate` | another delivery of an event that is here already |
//! | `ignored` | about nothing that Cairn acts on |
//! | `pending` | its payment, refund or dispute is still to be looked up at the provider |
//! | `processed` | dealt with |
use cairn_core::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

/// A delivery whose signature was verified.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Who sent it, for example `stripe`.
    pub provider: &'a str,
    /// The body, byte for byte.
    pub raw: &'a [u8],
    /// The signature header as it came.
    pub signature_header: &'a str,
    /// When it came.
    pub received_at: Timestamp,
}

/// What the body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The provider's id of the event: the same for every delivery.
    pub event_id: String,
    /// The provider's word for what happened.
    pub kind: String,
    /// When it happened there.
    pub created_at: Timestamp,
    /// What to look up.
    pub subject: Option<Subject>,
}

/// An object at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A payment, by the provider's id.
    Payment(String),
    /// A refund, by the provider's id.
    Refund(String),
    /// A dispute, by the provider's id.
    Dispute(String),
    /// The keeping of a payment method, by the provider's id.
    Setup(String),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// New, and to be looked up.
    Pending(PendingWebhook),
    /// New, and about nothing that Cairn acts on.
    Ignored,
    /// The event is here already.
    Duplicate,
    /// Stored, but it is not an event.
    Unreadable,
}

/// A webhook that is to be dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingWebhook {
    /// Its row, for [`mark_processed`] and [`mark_failed`].
    pub id: i64,
    /// The provider's id of the event: part of the command ids that follow from it.
    pub event_id: String,
    /// What to look up at the provider.
    pub subject: Subject,
    /// How often it was begun before.
    pub attempts: i32,
}

/// Stores a verified delivery, then reads it with `read`.
///
/// # Errors
/// The database's: then the provider must be told to deliver again.
pub async fn receive(
    pool: &PgPool,
    delivery: Delivery<'_>,
    read: impl FnOnce(&[u8]) -> Result<Notice, String>,
) -> Result<Received, sqlx::Error> {
    let id = store(pool, delivery).await?;
    match read(delivery.raw) {
        Err(problem) => {
            sqlx::query!(
                "UPDATE payments_webhook_inbox SET status = 'unreadable', last_error = $2
                 WHERE id = $1",
                id,
                problem,
            )
            .execute(pool)
            .await?;
            Ok(Received::Unreadable)
        }
        Ok(notice) => file(pool, id, notice).await,
    }
}

/// Stores the bytes. Those that nobody could read are there once: the provider repeats them for days.
async fn store(pool: &PgPool, delivery: Delivery<'_>) -> Result<i64, sqlx::Error> {
    let known = sqlx::query_scalar!(
        "SELECT id FROM payments_webhook_inbox
         WHERE provider = $1 AND status = 'unreadable' AND sha256(body) = sha256($2)
         ORDER BY id LIMIT 1",
        delivery.provider,
        delivery.raw,
    );
    if let Some(id) = known.fetch_optional(pool).await? {
        return Ok(id);
    }
    sqlx::query_scalar!(
        "INSERT INTO payments_webhook_inbox
            (provider, received_at, signature_header, body, next_attempt_at)
         VALUES ($1, $2, $3, $4, $2) RETURNING id",
        delivery.provider,
        instant(delivery.received_at),
        delivery.signature_header,
        delivery.raw,
    )
    .fetch_one(pool)
    .await
}

/// Files a delivery under its event; a second one of the same event is a duplicate.
async fn file(pool: &PgPool, id: i64, notice: Notice) -> Result<Received, sqlx::Error> {
    let (status, kind, subject_id) = match &notice.subject {
        None => ("ignored", None, None),
        Some(Subject::Payment(id)) => ("pending", Some("payment"), Some(id)),
        Some(Subject::Refund(id)) => ("pending", Some("refund"), Some(id)),
        Some(Subject::Dispute(id)) => ("pending", Some("dispute"), Some(id)),
        Some(Subject::Setup(id)) => ("pending", Some("setup"), Some(id)),
    };
    let filed = sqlx::query!(
        "UPDATE payments_webhook_inbox
         SET status = $2, event_id = $3, event_kind = $4, event_created_at = $5, subject_kind = $6,
             subject_id = $7
         WHERE id = $1",
        id,
        status,
        notice.event_id,
        notice.kind,
        instant(notice.created_at),
        kind,
        subject_id,
    )
    .execute(pool)
    .await;
    match filed {
        Ok(_) => Ok(notice.subject.map_or(Received::Ignored, |subject| {
            let event_id = notice.event_id;
            Received::Pending(PendingWebhook { id, event_id, subject, attempts: 0 })
        })),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            sqlx::query!(
                "UPDATE payments_webhook_inbox
                 SET status = 'duplicate', event_id = $2, event_kind = $3, event_created_at = $4
                 WHERE id = $1",
                id,
                notice.event_id,
                notice.kind,
                instant(notice.created_at),
            )
            .execute(pool)
            .await?;
            Ok(Received::Duplicate)
        }
        Err(error) => Err(error),
    }
}

/// Takes up to `limit` webhooks that are due, oldest first. Whoever takes one has it alone for a while; one that is neither marked
/// processed nor failed comes back by itself, later each time (2 s, 4 s, … up to about an hour).
///
/// # Errors
/// The database's.
pub async fn claim(
    pool: &PgPool,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<PendingWebhook>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"UPDATE payments_webhook_inbox
           SET attempts = attempts + 1,
               next_attempt_at = $1::timestamptz + make_interval(secs => 2 ^ least(attempts + 1, 12))
           WHERE id IN (
               SELECT id FROM payments_webhook_inbox
               WHERE status = 'pending' AND next_attempt_at <= $1
               ORDER BY next_attempt_at, id LIMIT $2
               FOR UPDATE SKIP LOCKED)
           RETURNING id, event_id AS "event_id!", subject_kind AS "subject_kind!",
               subject_id AS "subject_id!", attempts"#,
        instant(now),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let mut claimed: Vec<PendingWebhook> = rows
        .into_iter()
        .map(|row| PendingWebhook {
            id: row.id,
            event_id: row.event_id,
            subject: match row.subject_kind.as_str() {
                "refund" => Subject::Refund(row.subject_id),
                "dispute" => Subject::Dispute(row.subject_id),
                "setup" => Subject::Setup(row.subject_id),
                _ => Subject::Payment(row.subject_id),
            },
            attempts: row.attempts - 1,
        })
        .collect();
    claimed.sort_by_key(|webhook| webhook.id);
    Ok(claimed)
}

/// It was dealt with; `remark` says what people should know about how. Saying so twice changes nothing.
///
/// # Errors
/// The database's.
pub async fn mark_processed(
    pool: &PgPool,
    id: i64,
    remark: Option<&str>,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE payments_webhook_inbox
         SET status = 'processed', processed_at = $2, last_error = $3
         WHERE id = $1 AND status = 'pending'",
        id,
        instant(at),
        remark,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// It could not be dealt with yet; it stays pending, and the reason is kept for people.
///
/// # Errors
/// The database's.
pub async fn mark_failed(pool: &PgPool, id: i64, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE payments_webhook_inbox SET last_error = $2 WHERE id = $1 AND status = 'pending'",
        id,
        reason,
    )
    .execute(pool)
    .await
    .map(drop)
}

fn instant(at: Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.as_micros()) * 1_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
