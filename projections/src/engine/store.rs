//! Rows in memory: loaded together, folded one event after the other, written together.
use std::any::{Any, TypeId};

use sqlx::PgConnection;

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

    /// Writes what has changed, with at most three statements per table.
    pub(crate) async fn flush(&mut self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        for table in &mut self.tables {
            table.flush(db, self.copies).await?;
        }
        Ok(())
    }

    /// Lets go of rows that the last loads did not ask for; all of them must be written.
    pub(crate) fn shed(&mut self, loads: u32) {
        self.whole = false;
        let since = self.now.saturating_sub(loads);
        self.tables.iter_mut().for_each(|table| table.shed(since));
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
