//! The books of a batch as columns, in the order of the database functions `ledger_post` and `log_append`.
use cairn_core::{BookEntry, HoldChange, JournalTransaction, PeriodChange, Timestamp};
use time::{Date, OffsetDateTime};

use crate::LogError;

/// Four tables; every row names its event by its number in the batch, from 1.
#[derive(Debug, Default)]
pub(crate) struct Books<'a> {
    pub journal: Journal<'a>,
    pub legs: Legs<'a>,
    pub holds: Holds<'a>,
    pub periods: Periods,
}

#[derive(Debug, Default)]
pub(crate) struct Journal<'a> {
    pub events: Vec<i32>,
    pub kinds: Vec<&'a str>,
    pub sources: Vec<&'a str>,
    pub source_ids: Vec<&'a str>,
    pub currencies: Vec<&'static str>,
    pub occurred: Vec<OffsetDateTime>,
    pub reverses: Vec<Option<&'a str>>,
}

#[derive(Debug, Default)]
pub(crate) struct Legs<'a> {
    pub events: Vec<i32>,
    pub numbers: Vec<i16>,
    pub accounts: Vec<&'a str>,
    pub currencies: Vec<&'static str>,
    pub amounts: Vec<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Holds<'a> {
    pub events: Vec<i32>,
    pub ids: Vec<String>,
    pub accounts: Vec<&'a str>,
    pub currencies: Vec<&'static str>,
    pub expires: Vec<OffsetDateTime>,
    pub reserved: Vec<i64>,
    pub captured: Vec<i64>,
    pub released: Vec<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Periods {
    pub events: Vec<i32>,
    pub months: Vec<Date>,
    pub closed: Vec<bool>,
    pub counted: Vec<i64>,
}

impl<'a> Books<'a> {
    pub(crate) fn add(&mut self, event: usize, entry: &'a BookEntry) -> Result<(), LogError> {
        let event = i32::try_from(event).map_err(|_| LogError::Corrupt("batch".to_owned()))?;
        if let Some(journal) = &entry.journal {
            self.journal.push(event, journal)?;
            self.legs.push(event, journal)?;
        }
        for hold in entry.hold_changes() {
            self.holds.push(event, hold)?;
        }
        if let Some(period) = &entry.period {
            self.periods.push(event, *period)?;
        }
        Ok(())
    }
}

impl<'a> Journal<'a> {
    fn push(&mut self, event: i32, journal: &'a JournalTransaction) -> Result<(), LogError> {
        self.events.push(event);
        self.kinds.push(&journal.kind);
        self.sources.push(&journal.source);
        self.source_ids.push(&journal.source_id);
        self.currencies.push(journal.currency.code());
        self.occurred.push(instant(journal.occurred_at)?);
        self.reverses.push(journal.reverses.as_deref());
        Ok(())
    }
}

impl<'a> Legs<'a> {
    fn push(&mut self, event: i32, journal: &'a JournalTransaction) -> Result<(), LogError> {
        for (posting, number) in journal.postings.iter().zip(1..) {
            let number = i16::try_from(number)
                .map_err(|_| LogError::Corrupt("more legs than there are numbers".to_owned()))?;
            self.events.push(event);
            self.numbers.push(number);
            self.accounts.push(&posting.account);
            self.currencies.push(journal.currency.code());
            self.amounts.push(posting.amount_nanos);
        }
        Ok(())
    }
}

impl<'a> Holds<'a> {
    fn push(&mut self, event: i32, hold: &'a HoldChange) -> Result<(), LogError> {
        self.events.push(event);
        self.ids.push(hold.hold_id.to_string());
        self.accounts.push(&hold.account);
        self.currencies.push(hold.currency.code());
        self.expires.push(instant(hold.expires_at)?);
        self.reserved.push(hold.reserved_nanos);
        self.captured.push(hold.captured_nanos);
        self.released.push(hold.released_nanos);
        Ok(())
    }
}

impl Periods {
    fn push(&mut self, event: i32, period: PeriodChange) -> Result<(), LogError> {
        self.events.push(event);
        self.months.push(instant(period.month.starts_at())?.date());
        self.closed.push(period.closed);
        self.counted.push(period.counted_position);
        Ok(())
    }
}

fn instant(at: Timestamp) -> Result<OffsetDateTime, LogError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_micros()) * 1_000)
        .map_err(|error| LogError::Corrupt(format!("an instant of the books: {error}")))
}
