//! The books derived again from the log while they are written, by nothing but the domain.
use std::collections::BTreeMap;

use cairn_event_log::LogSource;
use serde::Serialize;

use super::ReplayError;
use super::books::{self, Holds, Periods};
use super::fold::{self, Fold};
use super::report::{Difference, VerifyReport};
use super::stones::{self, Stone};

/// Aggregates whose events write into the books, and no others.
pub const IN_THE_BOOKS: &[&str] =
    &["break", "dispute", "payment", "payout", "period", "refund", "wallet"];

const PAGE: i64 = 2_000;

/// What the books are after a look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VerifiedBooks {
    /// Up to which position of the log.
    pub position: i64,
    /// Journal transactions compared with their events, since the first position.
    pub journal_transactions: i64,
    /// Wallets whose guarded balances were compared with their fold.
    pub wallets: i64,
    /// Holds compared with what their wallets' events say.
    pub holds: i64,
    /// How many differences there are.
    pub differences_found: i64,
    /// The first hundred of them.
    pub differences: Vec<Difference>,
}

/// Follows the log with a fold of everything that writes into the books. Each look goes on where the last one ended, and then compares every
/// balance, hold and month as it stands. A journal transaction is compared once: who wants to see one that was changed later begins anew.
#[derive(Default)]
pub struct BooksVerifier {
    streams: BTreeMap<(String, String), Box<dyn Fold>>,
    holds: Holds,
    periods: Periods,
    position: i64,
    journal_transactions: i64,
    /// What was wrong with events and journal: it stays.
    lasting: VerifyReport,
}

impl BooksVerifier {
    /// Goes on to the end of the log, and compares, in one moment of the database.
    ///
    /// # Errors
    /// [`ReplayError`]; then the same verifier may look again. What is wrong with the data is an answer, not an error.
    pub async fn look(&mut self, source: &impl LogSource) -> Result<VerifiedBooks, ReplayError> {
        let mut reading = stones::reading(source).await?;
        let head = stones::position(&mut reading, super::At::Head).await?;
        while self.position < head {
            let after = self.position;
            let stones =
                stones::page_of_types(&mut reading, (after, head), (IN_THE_BOOKS, PAGE)).await?;
            let whole = i64::try_from(stones.len()).unwrap_or(i64::MAX) < PAGE;
            let last = stones.last().map_or(head, |last| last.position);
            let until = if whole { head } else { last };
            let live = books::journal(&mut reading, (after, until)).await?;
            let mut journal = BTreeMap::new();
            for stone in stones {
                self.add(&stone, &mut journal);
            }
            self.journal_transactions += i64::try_from(journal.len()).unwrap_or(i64::MAX);
            books::compare(&mut self.lasting, "journal", &journal, &live);
            self.position = until;
        }
        let mut report = self.lasting.clone();
        let wallets = self.streams.values().filter_map(|folded| folded.wallet());
        books::balances(&mut reading, wallets, &mut report).await?;
        self.holds.compare(&mut reading, &mut report).await?;
        self.periods.compare(&mut reading, &mut report).await?;
        reading.rollback().await?;
        let VerifyReport { wallets, holds, differences_found, differences, .. } = report;
        let (position, journal_transactions) = (self.position, self.journal_transactions);
        Ok(VerifiedBooks {
            position,
            journal_transactions,
            wallets,
            holds,
            differences_found,
            differences,
        })
    }

    fn add(&mut self, stone: &Stone, journal: &mut BTreeMap<i64, String>) {
        let name = (stone.aggregate_type.clone(), stone.aggregate_id.clone());
        if !self.streams.contains_key(&name) {
            let Some(folded) = fold::start(&stone.aggregate_type) else { return };
            self.streams.insert(name.clone(), folded);
        }
        let Some(folded) = self.streams.get_mut(&name) else { return };
        let book = match folded.add(stone) {
            Ok(book) => book.unwrap_or_default(),
            Err(message) => return self.lasting.differ("event", stone.position, message),
        };
        if let Some(entry) = &book.journal {
            journal.insert(stone.position, books::line(entry));
        }
        for change in book.hold_changes() {
            self.holds.add(change);
        }
        if let Some(change) = &book.period {
            self.periods.add(stone.position, *change);
        }
    }
}
