//! The log as its users see it.
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cairn_core::Timestamp;
use cairn_tasks::kept_up;
use serde::de::IgnoredAny;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::JsonValue;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::appender::Appender;
use crate::bulk::{Archive, Bulk, BulkyRow};
use crate::carried::Carrying;
use crate::loader::{Loader, Wanted};
use crate::reader::Reader;
use crate::types::{AppendRequest, Appended, Outcome, Recorded, StoredOutcome};
use crate::{LogError, Told, listener, pool};

/// A handle on the log; clones share one appender task. The task ends when the last clone is gone and its queue is empty.
#[derive(Debug, Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
    /// What this handle reads by.
    pool: PgPool,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    limit: Duration,
    appender: Appender,
    loader: Loader,
    bulk: Bulk,
    carrying: OnceLock<Carrying>,
    copying: TaskTracker,
    grown: watch::Sender<i64>,
    listening: OnceCell<()>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl EventLog {
    /// Opens the log with a pool of its own, whose connections act as the role `cairn_app`, have statement timeouts, and
    /// are checked when they come back, so that none is ever left in a transaction.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the database does not answer.
    pub async fn connect(options: PgConnectOptions, pool_size: u32) -> Result<Self, LogError> {
        Self::connect_within(options, pool_size, pool::STATEMENT_TIMEOUT).await
    }

    /// As [`EventLog::connect`], but a statement is ended by the database after `statement_timeout`, and is lost soon after.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the database does not answer.
    pub async fn connect_within(
        options: PgConnectOptions,
        pool_size: u32,
        statement_timeout: Duration,
    ) -> Result<Self, LogError> {
        let pool = pool::connect(options, pool_size, statement_timeout).await?;
        Ok(Self::new(pool, pool::limit(statement_timeout)))
    }

    /// Opens the log over a pool that somebody else made.
    #[must_use]
    pub fn over(pool: PgPool) -> Self {
        Self::new(pool, pool::limit(pool::STATEMENT_TIMEOUT))
    }

    fn new(pool: PgPool, limit: Duration) -> Self {
        let (grown, _) = watch::channel(0);
        let appender = Appender::start(pool.clone(), limit, grown.clone());
        let (loader, task) = Loader::new(pool.clone(), limit);
        appender.tasks().spawn(task);
        let stop = CancellationToken::new();
        let inner = Inner {
            pool: pool.clone(),
            limit,
            appender,
            loader,
            bulk: Bulk::default(),
            carrying: OnceLock::new(),
            copying: TaskTracker::new(),
            grown,
            listening: OnceCell::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        };
        Self { inner: Arc::new(inner), pool }
    }

    /// The same log, read by connections of its own: what waits for these takes none from the others. They are closed by whoever
    /// asked for them.
    #[must_use]
    pub fn beside(&self, connections: u32) -> Self {
        let options = self.pool.options().clone().max_connections(connections);
        let to = self.pool.connect_options();
        Self { inner: Arc::clone(&self.inner), pool: options.connect_lazy_with((*to).clone()) }
    }

    /// The pool, for readers.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Reads the bulk of archived events from there, from now on and for every clone.
    pub fn read_through(&self, archive: Arc<dyn Archive>) {
        self.inner.bulk.set(archive);
    }

    /// The way to the bulk of archived events, for readers with statements of their own.
    #[must_use]
    pub fn bulk(&self) -> Bulk {
        self.inner.bulk.clone()
    }

    /// What the database answers to a query, or that it does not.
    pub(crate) async fn ask<T>(
        &self,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, LogError> {
        let answer = pool::in_time(self.inner.limit, answer).await;
        answer.map_err(|error| LogError::reading(&error))
    }

    /// Appends one command's facts and stores its outcome, all or nothing. Dropping the future does not take it back.
    ///
    /// # Errors
    /// [`LogError::InDoubt`] when it may have been committed: ask again with the same command id. Otherwise nothing was
    /// written.
    pub async fn append(&self, mut request: AppendRequest) -> Result<Appended, LogError> {
        let command_id = request.command_id.clone();
        request.metadata.command_id.clone_from(&command_id);
        let command_hash = request.command_hash;
        if let Some(carrying) = self.carrying() {
            return carrying.append(self, request).await;
        }
        match self.inner.appender.append(request).await? {
            Some(appended) => Ok(appended),
            None => self.repeated(&command_id, &command_hash).await,
        }
    }

    async fn repeated(&self, command_id: &str, hash: &[u8; 32]) -> Result<Appended, LogError> {
        match self.copied_outcome(command_id).await? {
            Some((stored, first)) if first == *hash => Ok(Appended::Repeated(stored)),
            Some(_) => Ok(Appended::KeyReused),
            None => Err(LogError::Corrupt(format!("command {command_id} has no outcome"))),
        }
    }

    /// The stored outcome of a command and the hash of what was asked.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], or [`LogError::Corrupt`] when the outcome does not decode.
    pub async fn outcome(
        &self,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
        match self.carrying() {
            Some(carrying) => carrying.outcome(self, command_id).await,
            None => self.copied_outcome(command_id).await,
        }
    }

    /// The outcome that the database has.
    pub(crate) async fn copied_outcome(
        &self,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
        let row = self.ask(sqlx::query!(
            r#"SELECT body_hash AS "body_hash!", outcome AS "outcome!: JsonValue", position AS "position!",
                 aggregate_type AS "aggregate_type!", aggregate_id AS "aggregate_id!", sequence AS "sequence!"
               FROM events WHERE command_id COLLATE "C" = $1 AND outcome IS NOT NULL
               UNION ALL
               SELECT body_hash, outcome, position, aggregate_type, aggregate_id, sequence
               FROM commands WHERE command_id = $1"#,
            command_id
        )
        .fetch_optional(self.pool())).await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |what: String| LogError::Corrupt(format!("command {command_id}: {what}"));
        let outcome: Outcome =
            serde_json::from_value(row.outcome).map_err(|error| corrupt(error.to_string()))?;
        let hash = row.body_hash.try_into().map_err(|_| corrupt("hash of another size".into()))?;
        let stored = StoredOutcome {
            outcome,
            position: row.position,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            sequence: row.sequence,
        };
        Ok(Some((stored, hash)))
    }

    /// The events of one stream after a sequence, oldest first.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    pub async fn load(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after_sequence: i64,
    ) -> Result<Vec<Recorded>, LogError> {
        self.load_some((aggregate_type, aggregate_id), after_sequence, i64::MAX).await
    }

    /// At most `limit` events of one stream after a sequence, oldest first.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    pub async fn load_some(
        &self,
        (aggregate_type, aggregate_id): (&str, &str),
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError> {
        if let Some(carrying) = self.carrying() {
            let stream = (aggregate_type, aggregate_id);
            return carrying.carrier().load_some(stream, after_sequence, limit).await;
        }
        let wanted = Wanted {
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            after_sequence,
            limit,
        };
        self.whole(self.inner.loader.load(wanted).await?).await
    }

    /// A reader of long stretches, with a connection of its own.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone(), self.inner.limit)
    }

    /// Events from rows, with the bulk of those that were archived.
    pub(crate) async fn whole(&self, mut rows: Vec<Row>) -> Result<Vec<Recorded>, LogError> {
        self.inner.bulk.make_whole(&mut rows).await?;
        rows.into_iter().map(Recorded::try_from).collect()
    }

    /// At most `limit` events after a position, in the log's order. It has no gaps, so a reader cannot miss one.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    pub async fn read(&self, after_position: i64, limit: i64) -> Result<Vec<Recorded>, LogError> {
        let rows = self.ask(sqlx::query_as!(
            Row,
            r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                      payload::text AS "payload!", metadata::text AS "metadata!", segment
               FROM events WHERE position > $1 ORDER BY position LIMIT $2"#,
            after_position,
            limit
        )
        .fetch_all(self.pool())).await?;
        self.whole(rows).await
    }

    /// The events after one position and up to another that are of some types, or of any, in the log's order.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    pub async fn read_types(
        &self,
        (after_position, until_position): (i64, i64),
        types: Option<&[String]>,
    ) -> Result<Vec<Recorded>, LogError> {
        let rows = read_types(self.pool(), (after_position, until_position), types);
        self.whole(self.ask(rows).await?).await
    }

    /// The same, as the caller's transaction sees the log.
    ///
    /// # Errors
    /// As [`EventLog::read_types`].
    pub async fn read_types_in_tx(
        &self,
        db: &mut PgConnection,
        range: (i64, i64),
        types: Option<&[String]>,
    ) -> Result<Vec<Recorded>, LogError> {
        let rows = read_types(db, range, types).await;
        self.whole(rows.map_err(|error| LogError::reading(&error))?).await
    }

    /// How many events a stream had at a position of the log, as far as it is copied here.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub async fn sequence_at(
        &self,
        (aggregate_type, aggregate_id): (&str, &str),
        position: i64,
    ) -> Result<i64, LogError> {
        let last = sqlx::query_scalar!(
            "SELECT sequence FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND position <= $3
             ORDER BY sequence DESC LIMIT 1",
            aggregate_type,
            aggregate_id,
            position
        );
        Ok(self.ask(last.fetch_optional(self.pool())).await?.unwrap_or(0))
    }

    /// Position of the last event; 0 when there is none.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub async fn head(&self) -> Result<i64, LogError> {
        let head = sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(self.pool());
        self.ask(head).await
    }

    /// Changes when the log grows, by this process or another. Only a hint: a reader must also poll.
    #[must_use]
    pub fn wake(&self) -> watch::Receiver<i64> {
        let receiver = self.inner.grown.subscribe();
        if self.inner.listening.set(()).is_ok() {
            let (pool, grown) = (self.inner.pool.clone(), self.inner.grown.clone());
            let stop = self.inner.stop.clone();
            let listen = move || listener::listen(pool.clone(), grown.clone(), stop.clone());
            let stop = self.inner.stop.clone();
            self.inner.appender.tasks().spawn(kept_up("log", stop, listen));
        }
        receiver
    }

    /// What carries the log, when it is not this database.
    pub(crate) fn carrying(&self) -> Option<&Carrying> {
        self.inner.carrying.get()
    }

    /// False when something carries it already.
    pub(crate) fn carry(&self, carrying: Carrying) -> bool {
        self.inner.carrying.set(carrying).is_ok()
    }

    pub(crate) fn limit(&self) -> Duration {
        self.inner.limit
    }

    pub(crate) fn grown(&self) -> watch::Sender<i64> {
        self.inner.grown.clone()
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        self.inner.appender.tasks()
    }

    pub(crate) fn copying(&self) -> &TaskTracker {
        &self.inner.copying
    }

    pub(crate) fn stopped(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Ends the batch under way, refuses what is still queued, and closes the pool.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.copying.close();
        self.inner.copying.wait().await;
        self.inner.pool.close().await;
        self.inner.appender.tasks().close();
        self.inner.appender.tasks().wait().await;
    }
}

async fn read_types(
    db: impl PgExecutor<'_>,
    (after_position, until_position): (i64, i64),
    types: Option<&[String]>,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"SELECT position, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version,
                      payload::text AS "payload!", metadata::text AS "metadata!", segment
               FROM events WHERE position > $1 AND position <= $2 AND ($3::text[] IS NULL OR event_type = ANY ($3))
               ORDER BY position"#,
        after_position,
        until_position,
        types
    )
    .fetch_all(db)
    .await
}

/// A row of `events`.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) recorded_at: OffsetDateTime,
    pub(crate) aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) sequence: i64,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: String,
    pub(crate) metadata: String,
    pub(crate) segment: Option<i64>,
}

impl BulkyRow for Row {
    fn moved(&self) -> Option<(i64, i64)> {
        self.segment.map(|segment| (segment, self.position))
    }

    fn refill(&mut self, payload: &str, metadata: &str) -> Result<(), serde_json::Error> {
        for text in [payload, metadata] {
            serde_json::from_str::<IgnoredAny>(text)?;
        }
        (self.payload, self.metadata) = (payload.to_owned(), metadata.to_owned());
        Ok(())
    }
}

impl TryFrom<Row> for Recorded {
    type Error = LogError;

    fn try_from(row: Row) -> Result<Self, LogError> {
        let corrupt =
            |what: String| LogError::Corrupt(format!("position {}: {what}", row.position));
        // One event that cannot be read is nobody's reason not to read the others.
        let mut fault = None;
        let event_version = row.event_version.parse().unwrap_or_else(|_| {
            fault = Some(format!("event version '{}'", row.event_version));
            0
        });
        let micros = row.recorded_at.unix_timestamp_nanos() / 1_000;
        let micros = i64::try_from(micros).map_err(|_| corrupt("recorded_at".to_owned()))?;
        let (metadata, wrong) = Told::checked(row.metadata);
        if let Some(error) = wrong {
            fault = Some(format!("metadata: {error}"));
        }
        Ok(Self {
            position: row.position,
            recorded_at: Timestamp::from_micros(micros),
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            sequence: row.sequence,
            event_type: row.event_type,
            event_version,
            payload: row.payload.into(),
            metadata,
            fault,
        })
    }
}
