//! One worker of a rebuild: folds its share of a stretch in memory, and commits rows and checkpoint at the end of it.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_event_log::{EventLog, Recorded};
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;

use super::advance::{Batch, Folded, Target, advance, flush_in_tx, fold_in_tx, shed_in_tx};
use super::checkpoint::{self, Checkpoint};
use super::feed::Page;
use super::room::{self, Room};
use super::scratch::{self, Scratch};
use super::store::Store;
use super::{EngineError, Projection, generation};

/// Rows that the last so many pages asked for are kept: what is busy stays so for a while.
const KEPT_PAGES: u32 = 8;

/// A worker's share of a page of the log.
pub(crate) struct Share {
    pub page: Arc<Page>,
    /// Which of its events.
    pub events: Vec<usize>,
    /// Goes so far; some of the page may come after it.
    pub until: i64,
}

/// What a worker takes from stretch to stretch.
///
/// The connection is its own: a COPY that is cut short leaves a connection in no state to be used, so it goes with its worker
/// instead of back into the pool.
pub(crate) struct Hand {
    store: Store,
    db: Option<PgConnection>,
}

impl Hand {
    /// `empty`: the tables are.
    pub(crate) fn over(empty: bool) -> Self {
        Self { store: Store::copying(empty), db: None }
    }
}

/// What a worker begins a stretch with.
pub(crate) struct Worker {
    pub log: EventLog,
    pub projection: Arc<dyn Projection>,
    pub index: usize,
    pub position: i64,
    pub hand: Hand,
    /// Rows that it holds at most after a page.
    pub rows_max: usize,
    /// Writes the rows of each page at once, so that what the database refuses is found and parked.
    pub careful: bool,
}

/// What a worker ends a stretch with.
pub(crate) struct Worked {
    pub position: i64,
    pub hand: Hand,
    /// The database took some of the rows for wrong, so none is written.
    pub refused: bool,
}

impl Worker {
    pub(crate) async fn work(
        mut self,
        mut pages: mpsc::Receiver<Share>,
    ) -> Result<Worked, EngineError> {
        let (projection, from) = (Arc::clone(&self.projection), self.position);
        let name = generation::worker(projection.name(), self.index);
        let checkpoint = Checkpoint { version: projection.version(), position: from };
        let mut db = match self.hand.db.take() {
            Some(db) => db,
            None => scratch::connect(&self.log).await?,
        };
        let mut tx = db.begin().await?;
        room::enter_in_tx(&mut tx, Room::Building).await?;
        room::be_patient_in_tx(&mut tx).await?;
        if checkpoint::lock_in_tx(&mut tx, &name).await? != Some(checkpoint) {
            return Err(EngineError::TakenOver(projection.name().to_owned()));
        }
        let mut folded = Folded::Done;
        while let (Folded::Done, Some(share)) = (&folded, pages.recv().await) {
            folded = self.fold(&mut tx, share).await?;
        }
        if matches!(folded, Folded::Done) {
            folded = flush_in_tx((&mut tx, &mut self.hand.store), folded).await?;
        }
        let refused = if let Folded::Refused { error } = folded {
            let projection = projection.name();
            tracing::warn!(projection, from, error, "a stretch is folded again page by page");
            tx.rollback().await?;
            self.position = from;
            self.hand.store = Store::copying(false);
            true
        } else {
            let position = self.position;
            checkpoint::store_in_tx(&mut tx, &name, Checkpoint { position, ..checkpoint }).await?;
            tx.commit().await?;
            false
        };
        self.hand.db = Some(db);
        Ok(Worked { position: self.position, hand: self.hand, refused })
    }

    async fn fold(&mut self, db: &mut PgConnection, share: Share) -> Result<Folded, EngineError> {
        let Share { page, events, until } = share;
        if until <= self.position {
            return Ok(Folded::Done);
        }
        let events = events.into_iter().map(|index| &page.events[index]);
        let new = |event: &&Recorded| event.position > self.position && event.position <= until;
        let events: Vec<_> = events.filter(new).collect();
        let batch = Batch { events: &events, until };
        if self.careful {
            let mut target = Scratch { db, position: self.position };
            advance(&mut target, &*self.projection, batch).await?;
            self.hand.store = Store::copying(false);
        } else {
            let mut target = Buffered { db: &mut *db, store: &mut self.hand.store };
            advance(&mut target, &*self.projection, batch).await?;
        }
        self.position = until;
        if self.hand.store.rows() <= self.rows_max {
            return Ok(Folded::Done);
        }
        shed_in_tx((db, &mut self.hand.store), KEPT_PAGES).await
    }
}

/// Folds into memory only.
struct Buffered<'c> {
    db: &'c mut PgConnection,
    store: &'c mut Store,
}

#[async_trait]
impl Target for Buffered<'_> {
    async fn fold(
        &mut self,
        projection: &dyn Projection,
        batch: Batch<'_>,
        park_first: Option<&str>,
    ) -> Result<Folded, EngineError> {
        fold_in_tx((self.db, self.store), projection, batch.events, park_first).await
    }
}
