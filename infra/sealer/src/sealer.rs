//! Seals what the log has gained, block by block, and publishes it.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_event_log::EventLog;
use cairn_neighbours::Neighbour;
use cairn_seal::{Block, Header, KeyDirectory, PublicKeys, SealKey, SealedEvent};
use sqlx::{Acquire as _, PgConnection};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{Published, PublishedFile, PublishedObjects, SealError, StoreOptions, table};

/// Held by the one that seals a block, of all processes, until its transaction ends.
const LEASE: i64 = 0x6361_6972_6e5f_7365;
const TICK: Duration = Duration::from_secs(1);
/// Blocks that are published in one go.
const PAGE: i64 = 64;

/// How a process seals.
#[derive(Debug, Clone)]
pub struct SealerConfig {
    /// Where the key is, or is made.
    pub keys: PathBuf,
    /// Most events of a block.
    pub events_max: u32,
    /// A block is sealed at the latest when its first event is so old.
    pub after: Duration,
    /// The published file.
    pub file: PathBuf,
    /// Address of a place in an object store.
    pub url: Option<String>,
    /// What the environment says of object stores.
    pub store: StoreOptions,
}

/// Seals one log.
#[derive(Debug, Clone)]
pub struct Sealer {
    log: EventLog,
    keys: KeyDirectory,
    config: SealerConfig,
    file: PublishedFile,
    /// Number of the last block that is known to be in the object store.
    stored: Arc<AtomicU64>,
    /// What stands around calls to the object store.
    neighbour: Option<Arc<Neighbour>>,
}

/// What a copy of events can be held against.
#[derive(Debug)]
pub struct Evidence {
    /// Every key that signed.
    pub keys: PublicKeys,
    /// The seals as they were published.
    pub published: Published,
}

/// What became of an attempt to seal one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    /// It was sealed.
    Block(Box<Block>),
    /// There is nothing to seal yet.
    NothingDue,
    /// Another process is sealing at this moment.
    Elsewhere,
}

impl Sealer {
    /// Over a log.
    #[must_use]
    pub fn new(log: EventLog, config: SealerConfig) -> Self {
        let keys = KeyDirectory::at(config.keys.clone());
        let file = PublishedFile::at(config.file.clone());
        Self { log, keys, config, file, stored: Arc::default(), neighbour: None }
    }

    /// The same, whose object store is left alone for a while when it does not answer.
    #[must_use]
    pub fn behind(self, neighbour: Arc<Neighbour>) -> Self {
        Self { neighbour: Some(neighbour), ..self }
    }

    /// Seals and publishes until the token is cancelled. What fails is said, counted, and tried again.
    pub async fn run(self, stop: CancellationToken) {
        let mut said = String::new();
        loop {
            let failed = self.turn(false).await.err().map(|error| error.to_string());
            let failed = failed.unwrap_or_default();
            if !failed.is_empty() {
                metrics::counter!("cairn_seal_failures_total").increment(1);
            }
            if failed != said && !failed.is_empty() {
                tracing::error!(error = %failed, "the log is not being sealed and published");
            } else if failed != said {
                tracing::info!("the log is being sealed and published again");
            }
            said = failed;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Publishes what is not published yet, seals every block that is due (or all that there is, `now`), and publishes those.
    /// Returns how many blocks it sealed.
    ///
    /// # Errors
    /// [`SealError`]. Nothing is sealed on top of a copy that disagrees.
    pub async fn turn(&self, now: bool) -> Result<u64, SealError> {
        self.publish_to_file().await?;
        let stored = match self.publish_to_store().await {
            Err(error @ SealError::Disagrees { .. }) => return Err(error),
            // A store that is out of reach keeps nobody from sealing.
            stored => stored,
        };
        let mut sealed = 0;
        while let Sealed::Block(block) = self.seal_block(now).await? {
            sealed += 1;
            let Header { number, first, last, .. } = &block.signed.header;
            tracing::debug!(number, first, last, "a block was sealed");
            metrics::counter!("cairn_seal_blocks_total").increment(1);
            self.publish_to_file().await?;
        }
        let standing = table::standing(self.log.pool()).await?;
        metrics::gauge!("cairn_seal_position").set(exact(standing.sealed_position));
        metrics::gauge!("cairn_seal_lag_events").set(exact(standing.lag()));
        metrics::gauge!("cairn_seal_lag_seconds").set(standing.waiting_seconds);
        stored?;
        self.publish_to_store().await?;
        Ok(sealed)
    }

    /// Seals the next block, if it is full, or old enough, or `now`. Does not publish.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn seal_block(&self, now: bool) -> Result<Sealed, SealError> {
        let keys = self.keys.clone();
        let keys = spawn_blocking(move || keys.open()).await??;
        let mut connection = self.log.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        let sealed = self.seal_in_tx(&mut transaction, &keys, now).await?;
        transaction.commit().await?;
        Ok(sealed)
    }

    async fn seal_in_tx(
        &self,
        tx: &mut PgConnection,
        (key, public): &(SealKey, PublicKeys),
        now: bool,
    ) -> Result<Sealed, SealError> {
        let leased =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "leased!""#, LEASE);
        if !leased.fetch_one(&mut *tx).await? {
            return Ok(Sealed::Elsewhere);
        }
        let standing = table::standing(&mut *tx).await?;
        let most = i64::from(self.config.events_max);
        let old = standing.waiting_seconds >= self.config.after.as_secs_f64();
        if standing.lag() < 1 || !(now || old || standing.lag() >= most) {
            return Ok(Sealed::NothingDue);
        }
        let before = table::last(&mut *tx).await?;
        check_key(key, public, before.as_ref())?;
        let first = standing.sealed_position + 1;
        let range = (first, standing.head.min(standing.sealed_position + most));
        let events = table::events_in(&mut *tx, &self.log.bulk(), range).await?;
        let gap = (first..=range.1).zip(&events).find(|(due, event)| event.position != *due);
        let whole = i64::try_from(events.len()) == Ok(range.1 - range.0 + 1);
        match gap {
            Some((due, _)) => return Err(SealError::Gap(due)),
            None if !whole => {
                return Err(SealError::Gap(first + i64::try_from(events.len()).unwrap_or(0)));
            }
            None => {}
        }
        let leaves = spawn_blocking(move || events.iter().map(SealedEvent::leaf).collect()).await?;
        let log_id = table::log_id(&mut *tx).await?;
        let sealed_at = sqlx::query_scalar!(
            r#"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "now!""#
        );
        let sealed_at = sealed_at.fetch_one(&mut *tx).await?;
        let block = Block::seal(key, (log_id, before.as_ref()), leaves, sealed_at);
        table::insert(tx, &block).await?;
        Ok(Sealed::Block(Box::new(block)))
    }

    /// Brings the file up to the table. Returns the number of its last block.
    ///
    /// # Errors
    /// [`SealError::Disagrees`] when the file's last block is not what the table has under its number.
    pub async fn publish_to_file(&self) -> Result<u64, SealError> {
        loop {
            let (seen, number) = self.published().await?;
            let blocks = self.blocks_after(number).await?;
            let lines: Vec<String> = blocks.iter().map(Block::to_line).collect::<Result<_, _>>()?;
            if lines.is_empty() {
                metrics::gauge!("cairn_seal_published_block").set(exact(number.cast_signed()));
                return Ok(number);
            }
            let file = self.file.clone();
            // Another process of the same data directory may have been faster: then look again.
            spawn_blocking(move || file.append(seen.as_deref(), &lines)).await??;
        }
    }

    /// Number of the last block in the file, which is the one that the table has.
    ///
    /// # Errors
    /// [`SealError::Disagrees`] when it is not.
    pub async fn published_blocks(&self) -> Result<u64, SealError> {
        self.published().await.map(|(_, number)| number)
    }

    /// Number of the last block that is published wherever it is to be.
    ///
    /// # Errors
    /// [`SealError::Disagrees`] when a copy's last block is not the one that the table has.
    pub async fn published_everywhere(&self) -> Result<u64, SealError> {
        let file = self.published_blocks().await?;
        let Some(url) = &self.config.url else { return Ok(file) };
        let store = PublishedObjects::open(url, &self.config.store)?;
        let number = store.last().await?;
        self.check_stored(&store, number).await?;
        Ok(file.min(number))
    }

    /// What a copy of events can be held against: the public keys and the published file.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn evidence(&self) -> Result<Evidence, SealError> {
        let (public, file) = (self.keys.public_path(), self.config.file.clone());
        let keys = spawn_blocking(move || PublicKeys::read(&public)).await??;
        let published = Published::open(&file.to_string_lossy(), &self.config.store).await?;
        Ok(Evidence { keys, published })
    }

    async fn published(&self) -> Result<(Option<String>, u64), SealError> {
        let file = self.file.clone();
        let seen = spawn_blocking(move || file.last_line()).await??;
        let number = self.check_last(seen.as_deref()).await?;
        Ok((seen, number))
    }

    /// The number of a line's block, which the table must have as it is.
    async fn check_last(&self, line: Option<&str>) -> Result<u64, SealError> {
        let Some(line) = line else { return Ok(0) };
        let disagrees = |number, why: String| {
            let copy = self.file.path().display().to_string();
            Err(SealError::Disagrees { copy, number, why })
        };
        let block = match Block::from_line(line) {
            Ok(block) => block,
            Err(why) => return disagrees(0, format!("the last line is no block: {why}")),
        };
        let number = block.signed.header.number;
        match table::block(self.log.pool(), number).await? {
            Some(stored) if stored == block => Ok(number),
            Some(_) => disagrees(number, "it is another one there".to_owned()),
            None => disagrees(number, "the table does not have it".to_owned()),
        }
    }

    /// Brings the object store up to the table. What is there already is looked at once, when this process begins.
    async fn publish_to_store(&self) -> Result<(), SealError> {
        let Some(url) = &self.config.url else { return Ok(()) };
        let store = PublishedObjects::open(url, &self.config.store)?;
        let store = store.behind(self.neighbour.clone());
        let mut number = self.stored.load(Ordering::Relaxed);
        if number == 0 {
            number = store.last().await?;
            self.check_stored(&store, number).await?;
        }
        loop {
            self.stored.store(number, Ordering::Relaxed);
            let blocks = self.blocks_after(number).await?;
            let Some(last) = blocks.last() else { return Ok(()) };
            number = last.signed.header.number;
            for block in &blocks {
                store.put(block).await?;
            }
        }
    }

    async fn check_stored(&self, store: &PublishedObjects, number: u64) -> Result<(), SealError> {
        match table::block(self.log.pool(), number).await? {
            _ if number == 0 => Ok(()),
            Some(block) => store.put(&block).await,
            None => {
                let (copy, why) = (store.url().to_owned(), "the table does not have it".to_owned());
                Err(SealError::Disagrees { copy, number, why })
            }
        }
    }

    async fn blocks_after(&self, number: u64) -> Result<Vec<Block>, SealError> {
        let pool = self.log.pool();
        let after = i64::try_from(number).unwrap_or(i64::MAX);
        let mut blocks = vec![];
        for row in table::headers(pool, after, PAGE).await? {
            blocks.extend(table::block(pool, row.number.unsigned_abs()).await?);
        }
        Ok(blocks)
    }
}

/// A key that was rotated out does not sign after the one that came after it.
fn check_key(key: &SealKey, public: &PublicKeys, before: Option<&Header>) -> Result<(), SealError> {
    let Some(before) = before else { return Ok(()) };
    let (own, last) = (public.index_of(key.id()), public.index_of(before.key_id));
    if last.is_some() && own >= last {
        return Ok(());
    }
    Err(SealError::KeyOutOfDate { number: before.number, key_id: before.key_id.to_string() })
}

#[allow(clippy::cast_precision_loss, reason = "a figure to look at")]
fn exact(number: i64) -> f64 {
    number as f64
}
