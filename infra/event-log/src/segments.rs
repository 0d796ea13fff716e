//! Segments of the archive as the log records them, and the functions that move the bulk of events. They hold what was sealed.
use sqlx::PgPool;

use crate::{EventLog, LogError};

/// A segment that was written and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its number.
    pub number: i64,
    /// Number of its first block.
    pub first_block: i64,
    /// Number of its last block.
    pub last_block: i64,
    /// Position of its first event.
    pub first_position: i64,
    /// Position of its last event.
    pub last_position: i64,
    /// Its name in the archive.
    pub object: String,
    /// Length of the object.
    pub byte_length: i64,
    /// SHA-256 of the object's bytes.
    pub digest: Vec<u8>,
}

/// A segment about to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSegment {
    /// Number of its first block.
    pub first_block: i64,
    /// Number of its last block.
    pub last_block: i64,
    /// Its name in the archive.
    pub object: String,
    /// Length of the object.
    pub byte_length: i64,
    /// SHA-256 of the object's bytes.
    pub digest: [u8; 32],
}

/// Bulk on its way back, column by column.
#[derive(Debug, Default)]
pub struct ReturnedBulk {
    /// Positions.
    pub positions: Vec<i64>,
    /// Payloads, as they were stored.
    pub payloads: Vec<String>,
    /// Metadata, as it was stored.
    pub metadata: Vec<String>,
}

/// The segments recorded after a number, in order. A record never changes.
///
/// # Errors
/// [`LogError::Unavailable`].
pub async fn segments(pool: &PgPool, after: i64) -> Result<Vec<SegmentRecord>, LogError> {
    let records = sqlx::query_as!(
        SegmentRecord,
        "SELECT number, first_block, last_block, first_position, last_position, object, byte_length, digest
         FROM log_segments WHERE number > $1 ORDER BY number",
        after
    );
    records.fetch_all(pool).await.map_err(|error| LogError::reading(&error))
}

impl EventLog {
    /// Records a segment that was written and read back. The same one has the same number however often it is recorded.
    ///
    /// # Errors
    /// [`LogError::Rejected`] when a part of its range is in another segment.
    pub async fn record_segment(&self, segment: &NewSegment) -> Result<i64, LogError> {
        let number = sqlx::query_scalar!(
            r#"SELECT log_segment_record($1, $2, $3, $4, $5) AS "number!""#,
            segment.first_block,
            segment.last_block,
            segment.object,
            segment.byte_length,
            &segment.digest[..]
        );
        self.ask(number.fetch_one(self.pool())).await
    }

    /// Lets go of the bulk of a recorded segment's events. Returns how many those were: none when it was done before.
    ///
    /// # Errors
    /// [`LogError::Rejected`] when an event is not as it was sealed; then nothing is let go.
    pub async fn empty_segment(&self, number: i64) -> Result<i64, LogError> {
        let moved = sqlx::query_scalar!(r#"SELECT log_archive($1) AS "moved!""#, number);
        self.ask(moved.fetch_one(self.pool())).await
    }

    /// Brings bulk of a segment back into its events. Returns how many those were.
    ///
    /// # Errors
    /// [`LogError::Rejected`] when it is not what was sealed; then nothing comes back.
    pub async fn restore_bulk(&self, number: i64, bulk: &ReturnedBulk) -> Result<i64, LogError> {
        let returned = sqlx::query_scalar!(
            r#"SELECT log_restore($1, $2, $3, $4) AS "returned!""#,
            number,
            &bulk.positions,
            &bulk.payloads,
            &bulk.metadata
        );
        self.ask(returned.fetch_one(self.pool())).await
    }
}
