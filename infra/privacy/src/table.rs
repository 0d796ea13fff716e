//! The table of wrapped keys.
use cairn_commands::ports::SubjectKey;
use cairn_core::{Subject, Timestamp};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

/// A key as it is stored.
#[derive(Debug)]
pub struct Row {
    subject: String,
    pub key_id: String,
    pub wrapped: Option<Vec<u8>>,
    pub master_id: String,
    created_at: OffsetDateTime,
    destroyed_at: Option<OffsetDateTime>,
}

impl Row {
    /// What anybody may know of it; `None` when the table holds what is no subject.
    pub fn key(&self) -> Option<SubjectKey> {
        Some(SubjectKey {
            subject: self.subject.parse().ok()?,
            key_id: self.key_id.clone(),
            created_at: timestamp(self.created_at),
            destroyed_at: self.destroyed_at.map(timestamp),
        })
    }
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default())
}

pub async fn of_subject(pool: &PgPool, subject: &Subject) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT subject, key_id, wrapped, master_id, created_at, destroyed_at
         FROM privacy_subject_keys WHERE subject = $1",
        subject.as_str()
    )
    .fetch_optional(pool)
    .await
}

pub async fn of_ids(pool: &PgPool, key_ids: &[String]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT subject, key_id, wrapped, master_id, created_at, destroyed_at
         FROM privacy_subject_keys WHERE key_id = ANY($1)",
        key_ids
    )
    .fetch_all(pool)
    .await
}

/// Every key that is wrapped by another master key than this one.
pub async fn not_under(pool: &PgPool, master_id: &str) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT subject, key_id, wrapped, master_id, created_at, destroyed_at
         FROM privacy_subject_keys WHERE wrapped IS NOT NULL AND master_id <> $1
         ORDER BY subject LIMIT 1000",
        master_id
    )
    .fetch_all(pool)
    .await
}

/// Keeps a new key, unless its subject has one, or its master key is no longer in use.
pub async fn insert(
    pool: &PgPool,
    subject: &Subject,
    (key_id, wrapped, master_id): (&str, &[u8], &str),
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO privacy_subject_keys (subject, key_id, wrapped, master_id)
         SELECT $1, $2, $3, master_id FROM privacy_master WHERE master_id = $4 FOR SHARE
         ON CONFLICT (subject) DO NOTHING",
        subject.as_str(),
        key_id,
        wrapped,
        master_id
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Wraps a key anew; one that was destroyed meanwhile stays so.
pub async fn rewrap(
    pool: &PgPool,
    key_id: &str,
    (wrapped, master_id): (&[u8], &str),
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE privacy_subject_keys SET wrapped = $2, master_id = $3
         WHERE key_id = $1 AND wrapped IS NOT NULL",
        key_id,
        wrapped,
        master_id
    )
    .execute(pool)
    .await
    .map(drop)
}

pub async fn destroy(pool: impl PgExecutor<'_>, subject: &Subject) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE privacy_subject_keys SET wrapped = NULL, destroyed_at = now()
         WHERE subject = $1 AND wrapped IS NOT NULL",
        subject.as_str()
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The keys that were destroyed, the last first.
pub async fn destroyed(pool: &PgPool) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT subject, key_id, wrapped, master_id, created_at, destroyed_at
         FROM privacy_subject_keys WHERE wrapped IS NULL
         ORDER BY destroyed_at DESC, subject LIMIT 1000"
    )
    .fetch_all(pool)
    .await
}

/// How many keys each master key wraps.
pub async fn masters(pool: &PgPool) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT master_id, count(*) AS "keys!" FROM privacy_subject_keys
           WHERE wrapped IS NOT NULL GROUP BY master_id ORDER BY master_id"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.master_id, row.keys)).collect())
}

/// Says which version of the master key is in use, unless it is said already.
pub async fn begin(pool: &PgPool, master_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO privacy_master (master_id) VALUES ($1) ON CONFLICT (id) DO NOTHING",
        master_id
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The version of the master key that wraps what is new.
pub async fn in_use(pool: &PgPool) -> sqlx::Result<String> {
    sqlx::query_scalar!("SELECT master_id FROM privacy_master").fetch_one(pool).await
}

/// From now on this version wraps what is new.
pub async fn use_master(pool: &PgPool, master_id: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE privacy_master SET master_id = $1, since = now()", master_id)
        .execute(pool)
        .await
        .map(drop)
}

/// Whether it is our turn to exchange the master key, until this connection ends.
pub async fn take_turn(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let turn = "cairn master key";
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtext($1)) AS "taken!""#, turn)
        .fetch_one(connection)
        .await
}
