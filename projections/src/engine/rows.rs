//! Folding to the rows of one generation: rows and checkpoint commit together, under the lock on the checkpoint.
//!
//! The lock is the lease, and the position under it is the fence: whoever was paused and comes back finds another position
//! than the one it knew, and writes nothing.
use async_trait::async_trait;
use cairn_event_log::EventLog;

use super::advance::{Batch, Folded, Target, flush_in_tx, fold_in_tx, reached};
use super::checkpoint::{self, Checkpoint};
use super::room::{self, Room};
use super::store::Store;
use super::{EngineError, Projection};

/// The rows of a generation.
pub(crate) struct Rows {
    pub log: EventLog,
    pub room: Room,
    /// Name of the checkpoint.
    pub name: String,
    pub checkpoint: Checkpoint,
}

impl Rows {
    pub(crate) fn live(log: &EventLog, name: &str, checkpoint: Checkpoint) -> Self {
        Self { log: log.clone(), room: Room::Live, name: name.to_owned(), checkpoint }
    }
}

#[async_trait]
impl Target for Rows {
    async fn fold(
        &mut self,
        projection: &dyn Projection,
        batch: Batch<'_>,
        park_first: Option<&str>,
    ) -> Result<Folded, EngineError> {
        let Batch { events, until } = batch;
        if events.is_empty() && self.room == Room::Live {
            let passed =
                checkpoint::pass(self.log.pool(), &self.name, self.checkpoint, until).await?;
            if passed {
                self.checkpoint.position = until;
            }
            return Ok(if passed { Folded::Done } else { Folded::Elsewhere });
        }
        let mut tx = room::begin(self.log.pool(), self.room).await?;
        if checkpoint::try_lock_in_tx(&mut tx, &self.name).await? != Some(self.checkpoint) {
            tx.rollback().await?;
            return Ok(Folded::Elsewhere);
        }
        let mut store = Store::default();
        let mut folded = fold_in_tx((&mut tx, &mut store), projection, events, park_first).await?;
        if reached(&folded, batch).is_some() {
            folded = flush_in_tx((&mut tx, &mut store), folded).await?;
        }
        let Some(position) = reached(&folded, batch) else {
            tx.rollback().await?;
            return Ok(folded);
        };
        let next = Checkpoint { position, ..self.checkpoint };
        checkpoint::store_in_tx(&mut tx, &self.name, next).await?;
        tx.commit().await?;
        self.checkpoint = next;
        Ok(folded)
    }
}
