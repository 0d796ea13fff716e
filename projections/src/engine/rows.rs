//! Folding to the rows of one generation: rows and checkpoint commit together, under the lock on the checkpoint.
//!
//! The lock is the lease, and the position under it is the fence: whoever was paused and comes back finds another position
//! than the one it knew, and writes nothing.
use async_trait::async_trait;
use cairn_event_log::EventLog;

use super::advance::{Batch, Folded, Target, fold_in_tx};
use super::checkpoint::{self, Checkpoint};
use super::room::{self, Room};
use super::{EngineError, Projection};

/// The rows of a generation, or one worker's share of them.
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
        Batch { events, until }: Batch<'_>,
        park_first: Option<&str>,
    ) -> Result<Folded, EngineError> {
        let next = Checkpoint { position: until, ..self.checkpoint };
        if events.is_empty() && self.room == Room::Live {
            let passed =
                checkpoint::pass(self.log.pool(), &self.name, self.checkpoint, until).await?;
            self.checkpoint = if passed { next } else { self.checkpoint };
            return Ok(if passed { Folded::Done } else { Folded::Elsewhere });
        }
        let mut tx = room::begin(self.log.pool(), self.room).await?;
        if checkpoint::try_lock_in_tx(&mut tx, &self.name).await? != Some(self.checkpoint) {
            tx.rollback().await?;
            return Ok(Folded::Elsewhere);
        }
        let folded = fold_in_tx(&mut tx, projection, events, park_first).await?;
        let Folded::Done = folded else {
            tx.rollback().await?;
            return Ok(folded);
        };
        checkpoint::store_in_tx(&mut tx, &self.name, next).await?;
        tx.commit().await?;
        self.checkpoint = next;
        Ok(folded)
    }
}
