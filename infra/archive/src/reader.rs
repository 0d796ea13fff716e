//! The log's way to its archive: segments are fetched once, checked against what was recorded, and kept while there is room.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_event_log::{Archive, Segment, SegmentError, SegmentRecord, segments};
use cairn_sealer::Place;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::store;

/// Memory for segments at hand.
const CACHE_BYTES: u64 = 128 << 20;
/// Segments that are fetched at the same time, whoever asks.
const FETCHES: usize = 8;
/// A store that takes longer is out of reach.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads segments from an archive.
#[derive(Debug)]
pub struct SegmentReader {
    pool: PgPool,
    place: Place,
    records: Mutex<BTreeMap<i64, SegmentRecord>>,
    cache: Cache<i64, Arc<Segment>, Weight>,
    fetches: Semaphore,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<i64, Arc<Segment>> for Weight {
    fn weight(&self, _: &i64, segment: &Arc<Segment>) -> u64 {
        segment.weight().max(1)
    }
}

fn broken(why: impl ToString) -> SegmentError {
    SegmentError { why: why.to_string(), transient: false }
}

impl SegmentReader {
    /// Over the records of a log and the place that its segments are in.
    #[must_use]
    pub fn new(pool: PgPool, place: Place) -> Self {
        // One shard: a segment may take a good part of all the room there is.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(64)
            .weight_capacity(CACHE_BYTES)
            .shards(1)
            .build()
            .unwrap_or_else(|_| unreachable!("every option that has no default is given"));
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), Default::default());
        Self {
            pool,
            place,
            records: Mutex::default(),
            cache: Cache::with_options(options, Weight, hasher, lifecycle),
            fetches: Semaphore::new(FETCHES),
        }
    }

    /// What was recorded of a segment. Records never change, so each is read once, with all that came after those known.
    async fn record(&self, number: i64) -> Result<SegmentRecord, SegmentError> {
        let known = || self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = known().get(&number) {
            return Ok(record.clone());
        }
        let last = known().keys().next_back().copied().unwrap_or(0);
        let more = segments(&self.pool, last).await.map_err(|error| SegmentError {
            transient: error.is_transient(),
            why: error.to_string(),
        })?;
        known().extend(more.into_iter().map(|record| (record.number, record)));
        let record = known().get(&number).cloned();
        record.ok_or_else(|| broken("there is no record of it"))
    }

    async fn fetch(&self, number: i64) -> Result<Arc<Segment>, SegmentError> {
        let record = self.record(number).await?;
        let _permit = self.fetches.acquire().await.map_err(broken)?;
        let started = Instant::now();
        let late = |_| SegmentError {
            why: format!("{} did not answer within {PATIENCE:?}", self.place.url()),
            transient: true,
        };
        let object = record.object.clone();
        let named = |why: String| format!("{object}: {why}");
        let body = tokio::time::timeout(PATIENCE, store::body(&self.place, &record));
        let body = body.await.map_err(late)?;
        let body = body.map_err(|error| SegmentError { why: named(error.why), ..error })?;
        let first = record.first_position;
        let segment = spawn_blocking(move || {
            let events = store::events(&record, &body)?;
            let bulk =
                events.into_iter().map(|event| (event.payload.into(), event.metadata.into()));
            Ok(Arc::new(Segment::new(first, bulk.collect())))
        });
        let segment = segment.await.map_err(broken)?;
        let segment = segment.map_err(|why: String| broken(named(why)))?;
        metrics::counter!("cairn_archive_fetches_total").increment(1);
        metrics::histogram!("cairn_archive_fetch_seconds").record(started.elapsed());
        Ok(segment)
    }

    async fn get(&self, number: i64) -> Result<Arc<Segment>, SegmentError> {
        let got = self.cache.get_or_insert_async(&number, self.fetch(number)).await;
        if let Err(error) = &got {
            metrics::counter!("cairn_archive_failures_total").increment(1);
            tracing::error!(segment = number, %error, "a segment of the archive cannot be read");
        }
        got
    }
}

impl Archive for SegmentReader {
    fn segment(&self, number: i64) -> BoxFuture<'_, Result<Arc<Segment>, SegmentError>> {
        self.get(number).boxed()
    }
}
