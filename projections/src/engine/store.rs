//! Rows in memory: loaded together, folded one event after the other, written together.
use std::any::{Any, TypeId};

use cairn_event_log::Recorded;
use sqlx::PgConnection;

use super::EngineError;
use super::parked::{Waiting, waiting_in_tx};
use super::row::Row;
use super::table::{AnyTable, Table};

/// Rows of a view's tables while events are folded.
///
/// It is only as true as the lock under which it was loaded: whoever lets go of the lease drops it. A rebuild, whose rows nobody
/// else folds, takes it from one transaction to the next.
#[derive(Default)]
pub(crate) struct Store {
    tables: Vec<Box<dyn AnyTable>>,
    /// Whether a row that is not in memory is in no table either.
    whole: bool,
    /// Whether new rows are written by COPY, which must not be cut short on a connection that others go on with.
    copies: bool,
    now: u32,
    /// What must not be folded, when it is kept from batch to batch.
    waiting: Option<Waiting>,
}

impl Store {
    /// For many rows, on a connection of its own. `empty`: the tables are.
    pub(crate) fn copying(empty: bool) -> Self {
        Self { whole: empty, copies: true, ..Self::default() }
    }

    pub(super) fn table<R: Row>(&mut self) -> &mut Table<R> {
        let found = self.tables.iter().position(|table| table.of() == TypeId::of::<R>());
        let index = found.unwrap_or_else(|| {
            self.tables.push(Box::new(Table::<R>::new(self.whole)));
            self.tables.len() - 1
        });
        let table: &mut dyn Any = self.tables[index].as_any();
        table.downcast_mut().expect("found by the type of its rows")
    }

    /// Rows that are held.
    pub(crate) fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.rows()).sum()
    }

    /// Reads what is wanted and not here, with one statement per table.
    pub(crate) async fn load(&mut self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.now += 1;
        for table in &mut self.tables {
            table.load(db, self.now).await?;
        }
        Ok(())
    }

    /// What of these events must not be folded. Where nobody else folds, it is read once.
    pub(super) async fn waiting_in_tx(
        &mut self,
        db: &mut PgConnection,
        projection: &str,
        events: &[&Recorded],
    ) -> Result<Waiting, EngineError> {
        let position = |event: Option<&&Recorded>| event.map_or(0, |event| event.position);
        match self.waiting.take() {
            Some(waiting) => Ok(waiting),
            None if self.copies => waiting_in_tx(db, projection, (0, i64::MAX)).await,
            None => {
                let range = (position(events.first()), position(events.last()));
                waiting_in_tx(db, projection, range).await
            }
        }
    }

    /// Takes it back, with what was parked meanwhile.
    pub(super) fn still_waiting(&mut self, waiting: Waiting) {
        self.waiting = Some(waiting).filter(|_| self.copies);
    }

    /// Writes what has changed, with at most three statements per table.
    pub(crate) async fn flush(&mut self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.flush_before(db, u32::MAX).await
    }

    /// Writes rows that the last loads did not ask for, and lets go of them. What is busy stays as it is.
    pub(crate) async fn shed(
        &mut self,
        db: &mut PgConnection,
        loads: u32,
    ) -> Result<(), sqlx::Error> {
        let since = self.now.saturating_sub(loads);
        self.flush_before(db, since).await?;
        self.whole = false;
        self.tables.iter_mut().for_each(|table| table.shed(since));
        Ok(())
    }

    async fn flush_before(&mut self, db: &mut PgConnection, since: u32) -> Result<(), sqlx::Error> {
        for table in &mut self.tables {
            table.flush(db, (self.copies, since)).await?;
        }
        Ok(())
    }

    /// What was done since the last time stays.
    pub(super) fn accept(&mut self) {
        self.tables.iter_mut().for_each(|table| table.accept());
    }

    /// What was done since then is taken back.
    pub(super) fn undo(&mut self) {
        self.tables.iter_mut().for_each(|table| table.undo());
    }
}
