//! Events as they are stored, and the table `log_seals`.
use cairn_event_log::{Bulk, BulkyRow, EventLog, LogError};
use cairn_seal::{Block, Copy, Hash, Header, Proof, SealedEvent, Signed};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::SealError;

/// How far the log is sealed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Head of the log.
    pub head: i64,
    /// Last position that is sealed; 0 when none is.
    pub sealed_position: i64,
    /// Number of the last block; 0 when there is none.
    pub blocks: i64,
    /// How long the first event that is not sealed has waited.
    pub waiting_seconds: f64,
}

impl Standing {
    /// Events that are not sealed yet.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.head - self.sealed_position
    }
}

/// How far the log is sealed.
///
/// # Errors
/// When the database does not answer.
pub async fn standing(executor: impl PgExecutor<'_>) -> Result<Standing, SealError> {
    let found = sqlx::query_as!(
        Standing,
        r#"WITH last AS (SELECT coalesce(max(number), 0) AS number, coalesce(max(last_position), 0) AS position FROM log_seals)
           SELECT h.position AS head, last.position AS "sealed_position!", last.number AS "blocks!",
                  coalesce(extract(epoch FROM clock_timestamp() - (
                      SELECT recorded_at FROM events e WHERE e.position = last.position + 1)), 0)::float8 AS "waiting_seconds!"
           FROM log_head h, last"#
    );
    Ok(found.fetch_one(executor).await?)
}

/// Which log it is.
///
/// # Errors
/// When the database does not answer.
pub async fn log_id(executor: impl PgExecutor<'_>) -> Result<[u8; 16], SealError> {
    let id = sqlx::query_scalar!("SELECT log_id FROM log_identity").fetch_one(executor).await?;
    id.try_into().map_err(|_| SealError::Broken("the log's identity is not 16 bytes".to_owned()))
}

/// The events from one position to another, as they are stored.
///
/// # Errors
/// When the database or the archive does not answer, or a segment of the archive is missing or altered.
pub async fn events(log: &EventLog, range: (i64, i64)) -> Result<Vec<SealedEvent>, LogError> {
    events_in(log.pool(), &log.bulk(), range).await
}

/// An event as it is stored, and the segment that its bulk is in.
struct Stored(SealedEvent, Option<i64>);

impl BulkyRow for Stored {
    fn moved(&self) -> Option<(i64, i64)> {
        self.1.map(|segment| (segment, self.0.position))
    }

    fn refill(&mut self, payload: &str, metadata: &str) -> Result<(), serde_json::Error> {
        (self.0.payload, self.0.metadata) = (payload.to_owned(), metadata.to_owned());
        Ok(())
    }
}

/// The same, as somebody's transaction sees them.
pub(crate) async fn events_in(
    executor: impl PgExecutor<'_>,
    bulk: &Bulk,
    (first, last): (i64, i64),
) -> Result<Vec<SealedEvent>, LogError> {
    let rows = sqlx::query!(
        r#"SELECT position,
                  CASE WHEN isfinite(recorded_at) THEN (extract(epoch FROM recorded_at) * 1000000)::bigint
                       WHEN recorded_at > 'epoch' THEN 9223372036854775807
                       ELSE -9223372036854775808 END AS "recorded_at_micros!",
                  command_id, aggregate_type, aggregate_id, sequence, event_type, event_version,
                  payload::text AS "payload!", metadata::text AS "metadata!", segment
           FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"#,
        first,
        last
    )
    .fetch_all(executor);
    let rows = rows.await.map_err(|error| LogError::reading(&error))?;
    let mut stored: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let event = SealedEvent {
                position: row.position,
                recorded_at_micros: row.recorded_at_micros,
                command_id: row.command_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                sequence: row.sequence,
                event_type: row.event_type,
                event_version: row.event_version,
                payload: row.payload,
                metadata: row.metadata,
            };
            Stored(event, row.segment)
        })
        .collect();
    bulk.make_whole(&mut stored).await?;
    Ok(stored.into_iter().map(|Stored(event, _)| event).collect())
}

/// A row of `log_seals` without its leaves.
pub(crate) struct Row {
    pub number: i64,
    format: i32,
    log_id: Vec<u8>,
    first_position: i64,
    last_position: i64,
    event_count: i64,
    root: Vec<u8>,
    previous: Vec<u8>,
    sealed_at_micros: i64,
    key_id: Vec<u8>,
    signature: Vec<u8>,
}

impl Row {
    fn signed(self) -> Option<Signed> {
        let hash = |bytes: Vec<u8>| bytes.try_into().ok().map(Hash);
        let header = Header {
            format: self.format.try_into().ok()?,
            log_id: self.log_id.try_into().ok()?,
            number: self.number.try_into().ok()?,
            first: self.first_position,
            last: self.last_position,
            count: self.event_count.try_into().ok()?,
            root: hash(self.root)?,
            previous: hash(self.previous)?,
            sealed_at_micros: self.sealed_at_micros,
            key_id: hash(self.key_id)?,
        };
        Some(Signed { header, signature: self.signature.try_into().ok()? })
    }

    pub(crate) fn copy(self) -> Copy {
        let malformed = || Copy::Malformed("a column has another size".to_owned());
        self.signed().map_or_else(malformed, Copy::Found)
    }
}

/// Some headers after a block, in order.
pub(crate) async fn headers(pool: &PgPool, after: i64, limit: i64) -> Result<Vec<Row>, SealError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT number, format, log_id, first_position, last_position, event_count, root, previous,
                sealed_at_micros, key_id, signature
         FROM log_seals WHERE number > $1 ORDER BY number LIMIT $2",
        after,
        limit
    );
    Ok(rows.fetch_all(pool).await?)
}

/// The leaves of a block; `None` when there is no such block, or they are none.
pub(crate) async fn leaves(pool: &PgPool, number: u64) -> Result<Option<Vec<Hash>>, SealError> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let found = sqlx::query_scalar!("SELECT leaves FROM log_seals WHERE number = $1", number);
    Ok(found.fetch_optional(pool).await?.and_then(|bytes| Hash::split(&bytes)))
}

/// A block by its number; `None` when there is none.
///
/// # Errors
/// When the database does not answer, or the block cannot be read.
pub async fn block(pool: &PgPool, number: u64) -> Result<Option<Block>, SealError> {
    let before = i64::try_from(number).unwrap_or(i64::MAX) - 1;
    let row = headers(pool, before, 1).await?.pop();
    let Some(row) = row.filter(|row| u64::try_from(row.number) == Ok(number)) else {
        return Ok(None);
    };
    let malformed = || SealError::Malformed { number, why: "a column has another size".to_owned() };
    let signed = row.signed().ok_or_else(malformed)?;
    let leaves = leaves(pool, number).await?.ok_or_else(malformed)?;
    Ok(Some(Block { signed, leaves }))
}

/// The header of the last block.
pub(crate) async fn last(connection: &mut PgConnection) -> Result<Option<Header>, SealError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT number, format, log_id, first_position, last_position, event_count, root, previous,
                sealed_at_micros, key_id, signature
         FROM log_seals ORDER BY number DESC LIMIT 1"
    );
    let Some(row) = row.fetch_optional(connection).await? else { return Ok(None) };
    let number = row.number.unsigned_abs();
    let why = "a column has another size".to_owned();
    let signed = row.signed().ok_or(SealError::Malformed { number, why })?;
    Ok(Some(signed.header))
}

/// Writes a block.
pub(crate) async fn insert(connection: &mut PgConnection, block: &Block) -> Result<(), SealError> {
    let Signed { header, signature } = &block.signed;
    let count = i64::try_from(header.count).unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO log_seals (number, format, log_id, first_position, last_position, event_count, root, previous,
                                sealed_at_micros, key_id, signature, leaves)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        i64::try_from(header.number).unwrap_or(i64::MAX),
        i32::from(header.format),
        &header.log_id[..],
        header.first,
        header.last,
        count,
        &header.root.0[..],
        &header.previous.0[..],
        header.sealed_at_micros,
        &header.key_id.0[..],
        &signature[..],
        Hash::join(&block.leaves)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Shows that one event is in the log; `None` when it is not sealed yet, or is not there.
///
/// # Errors
/// When the database or the archive does not answer, or the block cannot be read.
pub async fn prove(log: &EventLog, position: i64) -> Result<Option<Proof>, SealError> {
    let pool = log.pool();
    let number = sqlx::query_scalar!(
        "SELECT number FROM log_seals WHERE first_position <= $1 AND last_position >= $1",
        position
    );
    let Some(number) = number.fetch_optional(pool).await? else { return Ok(None) };
    let block = block(pool, number.unsigned_abs()).await?;
    let event = events(log, (position, position)).await?.pop();
    Ok(event.zip(block).and_then(|(event, block)| Proof::new(event, &block)))
}

/// Anything before the first position.
pub(crate) async fn misplaced(pool: &PgPool) -> Result<Option<i64>, SealError> {
    let found = sqlx::query_scalar!("SELECT min(position) FROM events WHERE position < 1");
    Ok(found.fetch_one(pool).await?)
}

/// The first position without an event after one position and up to another.
pub(crate) async fn first_gap(
    pool: &PgPool,
    (after, until): (i64, i64),
) -> Result<Option<i64>, SealError> {
    let found = sqlx::query_scalar!(
        r#"SELECT min(due) FROM (
               SELECT position, row_number() OVER (ORDER BY position) + $1 AS due
               FROM events WHERE position > $1 AND position <= $2
               UNION ALL
               SELECT NULL, count(*) + $1 + 1 FROM events WHERE position > $1 AND position <= $2
               HAVING count(*) < $2::bigint - $1::bigint
           ) AS placed WHERE position IS DISTINCT FROM due"#,
        after,
        until
    );
    Ok(found.fetch_one(pool).await?)
}
