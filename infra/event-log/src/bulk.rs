//! Rows whose bulk was moved to the archive are made whole again, whoever reads them.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use sqlx::PgPool;

use crate::{EventLog, LogError};

/// Segments that one read waits for at the same time.
const AT_ONCE: usize = 4;

/// Where the bulk of archived events lies.
pub trait Archive: fmt::Debug + Send + Sync {
    /// A segment by its number, whole and as it was recorded.
    fn segment(&self, number: i64) -> BoxFuture<'_, Result<Arc<Segment>, SegmentError>>;
}

/// Payload and metadata of a run of events, as the JSON texts that were stored.
#[derive(Debug)]
pub struct Segment {
    first: i64,
    bulk: Vec<(Box<str>, Box<str>)>,
}

/// Why a segment cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SegmentError {
    /// What is wrong.
    pub why: String,
    /// Whether it may be readable later, nothing but time having passed.
    pub transient: bool,
}

impl Segment {
    /// Of events without a gap from the position `first` on.
    #[must_use]
    pub fn new(first: i64, bulk: Vec<(Box<str>, Box<str>)>) -> Self {
        Self { first, bulk }
    }

    /// Payload and metadata of the event at a position.
    #[must_use]
    pub fn at(&self, position: i64) -> Option<(&str, &str)> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.bulk.get(index).map(|(payload, metadata)| (&**payload, &**metadata))
    }

    /// Bytes that it holds in memory, about.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.bulk
            .iter()
            .map(|(payload, metadata)| (payload.len() + metadata.len() + 32) as u64)
            .sum()
    }
}

/// A row of `events` as somebody reads it.
pub trait BulkyRow {
    /// The segment its bulk is in, when it is not here, and its position.
    fn moved(&self) -> Option<(i64, i64)>;

    /// Takes its bulk back.
    ///
    /// # Errors
    /// When a text is no JSON.
    fn refill(&mut self, payload: &str, metadata: &str) -> Result<(), serde_json::Error>;
}

/// A reader's way to the archive; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Bulk(Arc<OnceLock<Arc<dyn Archive>>>);

impl Bulk {
    pub(crate) fn set(&self, archive: Arc<dyn Archive>) {
        // The first one stays: readers may have begun.
        let _ = self.0.set(archive);
    }

    /// Makes rows whole: each segment that is missing is fetched once, some of them at a time.
    ///
    /// # Errors
    /// [`LogError::Segment`] names the segment and the first position that needs it; [`LogError::Unavailable`] when the
    /// archive does not answer. No row is left out.
    pub async fn make_whole<R: BulkyRow>(&self, rows: &mut [R]) -> Result<(), LogError> {
        let mut wanted: BTreeMap<i64, i64> = BTreeMap::new();
        for (segment, position) in rows.iter().filter_map(BulkyRow::moved) {
            wanted
                .entry(segment)
                .and_modify(|first| *first = position.min(*first))
                .or_insert(position);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let fetched: Vec<_> = stream::iter(wanted)
            .map(
                |(segment, position)| async move { (segment, self.fetch(segment, position).await) },
            )
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let fetched: BTreeMap<i64, _> = fetched.into_iter().collect();
        for row in rows {
            let Some((segment, position)) = row.moved() else { continue };
            let Some(found) = fetched.get(&segment) else { continue };
            let found = found.as_ref().map_err(Clone::clone)?;
            let lost = |why: String| LogError::Segment { segment, position, why };
            let bulk = found.at(position);
            let (payload, metadata) =
                bulk.ok_or_else(|| lost("it does not reach this position".to_owned()))?;
            row.refill(payload, metadata).map_err(|error| lost(error.to_string()))?;
        }
        Ok(())
    }

    async fn fetch(&self, segment: i64, position: i64) -> Result<Arc<Segment>, LogError> {
        let lost = |why: String| LogError::Segment { segment, position, why };
        let archive = self.0.get();
        let archive = archive.ok_or_else(|| lost("no archive is configured here".to_owned()))?;
        archive.segment(segment).await.map_err(|error| match error.transient {
            true => LogError::Unavailable(lost(error.why).to_string()),
            false => lost(error.why),
        })
    }
}

/// What the log is read from: a pool, and a way to the bulk of what was archived.
pub trait LogSource: Sync {
    /// The rows.
    fn pool(&self) -> &PgPool;
    /// The bulk that is not in them.
    fn bulk(&self) -> Bulk;
}

impl LogSource for EventLog {
    fn pool(&self) -> &PgPool {
        self.pool()
    }

    fn bulk(&self) -> Bulk {
        self.bulk()
    }
}

/// A pool knows of no archive: what was moved there is an error.
impl LogSource for PgPool {
    fn pool(&self) -> &PgPool {
        self
    }

    fn bulk(&self) -> Bulk {
        Bulk::default()
    }
}
