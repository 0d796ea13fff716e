//! What is closed: sealed, published, old enough, and passed by everybody who follows the log.
use std::time::Duration;

use cairn_event_log::EventLog;
use serde::Serialize;
use sqlx::PgPool;

use crate::ArchiveError;

/// What may go.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Only events that are older.
    pub older_than: Duration,
    /// The newest so many stay.
    pub keep_events: i64,
    /// Who follows the log, and how far they are: what they have not passed stays.
    pub readers: Vec<Reader>,
}

/// Somebody who follows the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Who, for people.
    pub name: String,
    /// The last position that is done.
    pub position: i64,
}

/// The last position that one condition lets go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// The condition, or who is still behind.
    pub what: String,
    /// Up to where.
    pub position: i64,
}

/// How much is in the archive, and what is keeping the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Where the archive is.
    pub archive: String,
    /// Segments that hold bulk of events.
    pub segments: Vec<SegmentStanding>,
    /// Events whose bulk is there.
    pub events_archived: i64,
    /// Bytes that they take there.
    pub bytes_archived: i64,
    /// Bytes that `events` takes in the database, with its indexes. What was let go is given back by VACUUM.
    pub bytes_in_database: i64,
    /// Head of the log.
    pub head: i64,
    /// Up to where ranges are closed: the least of the bounds.
    pub closed_position: i64,
    /// Events that are closed and not archived yet.
    pub events_due: i64,
    /// What closes ranges, the narrowest first.
    pub bounds: Vec<Bound>,
}

/// A segment that holds bulk of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentStanding {
    /// Its number.
    pub segment: i64,
    /// Position of its first event.
    pub first_position: i64,
    /// Position of its last event.
    pub last_position: i64,
    /// Length of its object.
    pub byte_length: i64,
    /// Its name in the archive.
    pub object: String,
}

/// A run of whole blocks that becomes one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Number of the first block.
    pub first_block: i64,
    /// Number of the last block.
    pub last_block: i64,
    /// Position of the first event.
    pub first: i64,
    /// Position of the last event.
    pub last: i64,
}

impl Piece {
    /// How many events.
    #[must_use]
    pub fn events(self) -> i64 {
        self.last - self.first + 1
    }
}

/// Every bound, the narrowest first. `published` is the last block that is published everywhere.
pub(crate) async fn bounds(
    log: &EventLog,
    published: u64,
    policy: &Policy,
) -> Result<Vec<Bound>, ArchiveError> {
    let sealed = sqlx::query_scalar!(
        r#"SELECT coalesce(max(last_position), 0) AS "position!" FROM log_seals WHERE number <= $1"#,
        i64::try_from(published).unwrap_or(i64::MAX)
    );
    // Time never runs backwards in the log, so the youngest event of a block is its last.
    let old = sqlx::query_scalar!(
        r#"SELECT coalesce(max(s.last_position), 0) AS "position!" FROM log_seals s
           WHERE (SELECT e.recorded_at FROM events e WHERE e.position = s.last_position)
                 <= clock_timestamp() - make_interval(secs => $1)"#,
        policy.older_than.as_secs_f64()
    );
    let (sealed, old) = (sealed.fetch_one(log.pool()).await?, old.fetch_one(log.pool()).await?);
    let bound = |what: &str, position| Bound { what: what.to_owned(), position };
    let mut bounds = vec![
        bound("sealed and published", sealed),
        bound("old enough", old),
        bound("all but the newest", log.head().await? - policy.keep_events),
    ];
    bounds.extend(policy.readers.iter().map(|reader| bound(&reader.name, reader.position)));
    bounds.iter_mut().for_each(|bound| bound.position = bound.position.max(0));
    bounds.sort_by_key(|bound| bound.position);
    Ok(bounds)
}

/// What is closed and not archived yet, in pieces of at most so many events, but at least a block.
pub(crate) async fn pieces(
    pool: &PgPool,
    closed: i64,
    events_max: i64,
) -> Result<Vec<Piece>, ArchiveError> {
    // A segment goes and comes back as a whole: its first event tells.
    let blocks = sqlx::query!(
        r#"SELECT number, first_position, last_position FROM log_seals s
           WHERE last_position <= $1
             AND EXISTS (SELECT FROM events e WHERE e.position = s.first_position AND e.segment IS NULL)
           ORDER BY number"#,
        closed
    );
    let mut pieces: Vec<Piece> = vec![];
    for block in blocks.fetch_all(pool).await? {
        let (number, last) = (block.number, block.last_position);
        match pieces.last_mut() {
            Some(piece) if piece.last_block + 1 == number && last - piece.first < events_max => {
                (piece.last_block, piece.last) = (number, last);
            }
            _ => pieces.push(Piece {
                first_block: number,
                last_block: number,
                first: block.first_position,
                last,
            }),
        }
    }
    Ok(pieces)
}

/// Bytes of `events` in the database, with its indexes and what was stored aside.
pub(crate) async fn bytes_in_database(pool: &PgPool) -> Result<i64, ArchiveError> {
    let bytes = sqlx::query_scalar!(r#"SELECT pg_total_relation_size('events') AS "bytes!""#);
    Ok(bytes.fetch_one(pool).await?)
}

/// The segments that hold bulk of events.
pub(crate) async fn in_use(pool: &PgPool) -> Result<Vec<SegmentStanding>, ArchiveError> {
    let segments = sqlx::query_as!(
        SegmentStanding,
        r#"SELECT number AS segment, first_position, last_position, byte_length, object FROM log_segments s
           WHERE EXISTS (SELECT FROM events e WHERE e.position = s.first_position AND e.segment = s.number)
           ORDER BY first_position"#
    );
    Ok(segments.fetch_all(pool).await?)
}

/// How many events have their bulk in an archive.
///
/// # Errors
/// When the database does not answer.
pub async fn archived(pool: &PgPool) -> Result<i64, ArchiveError> {
    let segments = in_use(pool).await?;
    Ok(segments.iter().map(|segment| segment.last_position - segment.first_position + 1).sum())
}
