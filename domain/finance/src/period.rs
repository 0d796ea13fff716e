//! A period of the books: one calendar month, UTC. The stream's id is the month, for example `2026-10`.
//!
//! Lifecycle: `closed → reopened → closed → …`. It is closed only when every item of the checklist holds; there is no way to accept one
//! that does not. What it writes into the books is that nothing takes effect in it any more. The seal says which balances it was closed
//! with, so that whoever adds them up again can see that they are those.
use cairn_core::{
    BookEntry, Decider, Month, PeriodChange, Refusal, Text, Texts, Timestamp, cqrs_aggregate,
    domain_event,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What must hold before a month is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The month is over.
    Over,
    /// Every month before it in which something was posted is closed.
    EarlierClosed,
    /// Everything that was used until its end is metered and charged.
    UsageRated,
    /// The payment provider's book is proven up to its end.
    Reconciled,
    /// No break above the limit is open.
    BreaksSettled,
    /// What only passes through has passed.
    ClearingAged,
    /// The postings sum to zero in every currency.
    Balanced,
}

impl Item {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::Over,
        Self::EarlierClosed,
        Self::UsageRated,
        Self::Reconciled,
        Self::BreaksSettled,
        Self::ClearingAged,
        Self::Balanced,
    ];
}

/// One item of the checklist, as somebody found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub item: Item,
    /// What was looked at, for people.
    pub says: String,
    /// What stands against it; empty when it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<String>,
}

/// A sealed block of the log, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its number in the chain.
    pub number: i64,
    /// The root over its events, in hex.
    pub root: String,
}

/// The books as they are when a month is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// The last position of the log that is counted.
    pub position: i64,
    /// The last block that was sealed by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// Accounts whose balance at the month's end is not zero.
    pub accounts: i64,
    /// Hash of all of those balances, in hex.
    pub balances_sha256: String,
}

impl Books {
    /// The seal of a month with these books: SHA-256 over the month, number and root of the last sealed block (or else the position)
    /// and the hash of the balances, each with its length before it.
    #[must_use]
    pub fn seal(&self, month: Month) -> String {
        let log = match &self.block {
            Some(Block { number, root }) => format!("{number} {root}"),
            None => self.position.to_string(),
        };
        let mut hash = Sha256::new();
        for part in [&month.to_string(), &log, &self.balances_sha256] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum PeriodEvent {
    #[serde(rename = "period.closed")]
    Closed {
        month: Month,
        checks: Vec<Check>,
        books: Books,
        seal: String,
        closed_by: String,
        at: Timestamp,
    },
    #[serde(rename = "period.reopened")]
    Reopened { month: Month, reason: String, reopened_by: String, at: Timestamp },
}

domain_event!(PeriodEvent {
    Closed => "period.closed", 1;
    Reopened => "period.reopened", 1;
});

impl Texts for PeriodEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("month", Text::Kept),
        ("checks[].item", Text::Kept),
        ("checks[].says", Text::Reported),
        ("books.block.root", Text::Hash),
        ("books.balances_sha256", Text::Hash),
        ("seal", Text::Hash),
        ("closed_by", Text::Name),
        ("reason", Text::Said),
        ("reopened_by", Text::Name),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum PeriodCommand {
    Close {
        month: Month,
        checks: Vec<Check>,
        books: Books,
        actor: String,
        at: Timestamp,
    },
    /// `later` are the months after it that are closed.
    Reopen {
        month: Month,
        later: Vec<Month>,
        reason: String,
        actor: String,
        at: Timestamp,
    },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PeriodError {
    #[error("the month is not over: {0}")]
    NotOver(String),
    #[error("an earlier month is open: {0}")]
    EarlierOpen(String),
    #[error("usage is not rated up to the month's end: {0}")]
    UsageUnrated(String),
    #[error("the payment provider's book is not proven up to the month's end: {0}")]
    NotReconciled(String),
    #[error("breaks above the limit are open: {0}")]
    BreaksOpen(String),
    #[error("what is on its way has not arrived for too long: {0}")]
    ClearingOpen(String),
    #[error("the books do not sum to zero: {0}")]
    Unbalanced(String),
    #[error("not every item of the checklist was looked at")]
    ChecklistIncomplete,
    #[error("the month is not closed")]
    NotClosed,
    #[error("a later month is closed; reopen that first: {0}")]
    LaterClosed(String),
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
}

impl Refusal for PeriodError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOver(_) => "period_not_over",
            Self::EarlierOpen(_) => "period_earlier_open",
            Self::UsageUnrated(_) => "period_usage_unrated",
            Self::NotReconciled(_) => "period_not_reconciled",
            Self::BreaksOpen(_) => "period_breaks_open",
            Self::ClearingOpen(_) => "period_clearing_open",
            Self::Unbalanced(_) => "period_unbalanced",
            Self::ChecklistIncomplete => "period_checklist_incomplete",
            Self::NotClosed => "period_not_closed",
            Self::LaterClosed(_) => "period_later_closed",
            Self::ReasonNeeded => "reason_needed",
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Period {
    pub closed: bool,
    /// How often it was closed.
    pub times: u32,
    /// Of the last time it was closed.
    pub books: Option<Books>,
    pub seal: String,
}

impl Decider for Period {
    const TYPE: &'static str = "period";
    type Command = PeriodCommand;
    type Event = PeriodEvent;
    type Error = PeriodError;

    fn decide(&self, command: PeriodCommand) -> Result<Vec<PeriodEvent>, PeriodError> {
        match command {
            PeriodCommand::Close { .. } if self.closed => Ok(vec![]),
            PeriodCommand::Close { month, checks, books, actor, at } => {
                holds(&checks)?;
                let seal = books.seal(month);
                let closed_by = actor;
                Ok(vec![PeriodEvent::Closed { month, checks, books, seal, closed_by, at }])
            }
            PeriodCommand::Reopen { month, later, reason, actor, at } => {
                if reason.trim().is_empty() || reason.chars().count() > 500 {
                    return Err(PeriodError::ReasonNeeded);
                }
                if !self.closed {
                    return Err(PeriodError::NotClosed);
                }
                if !later.is_empty() {
                    let later: Vec<_> = later.iter().map(ToString::to_string).collect();
                    return Err(PeriodError::LaterClosed(later.join(", ")));
                }
                Ok(vec![PeriodEvent::Reopened { month, reason, reopened_by: actor, at }])
            }
        }
    }

    fn evolve(mut self, event: PeriodEvent) -> Self {
        match event {
            PeriodEvent::Closed { books, seal, .. } => {
                (self.closed, self.books, self.seal) = (true, Some(books), seal);
                self.times += 1;
            }
            PeriodEvent::Reopened { .. } => self.closed = false,
        }
        self
    }

    fn book_entry(&self, event: &PeriodEvent) -> Option<BookEntry> {
        let period = match event {
            PeriodEvent::Closed { month, books, .. } => {
                PeriodChange { month: *month, closed: true, counted_position: books.position }
            }
            PeriodEvent::Reopened { month, .. } => {
                PeriodChange { month: *month, closed: false, counted_position: 0 }
            }
        };
        Some(BookEntry { period: Some(period), ..BookEntry::default() })
    }
}

cqrs_aggregate!(Period);

/// Every item was looked at once, and nothing stands against any.
fn holds(checks: &[Check]) -> Result<(), PeriodError> {
    let mut items: Vec<_> = checks.iter().map(|check| check.item).collect();
    items.sort();
    if items != Item::ALL {
        return Err(PeriodError::ChecklistIncomplete);
    }
    let Some(failed) = checks.iter().find(|check| !check.against.is_empty()) else { return Ok(()) };
    let against = failed.against.join("; ");
    Err(match failed.item {
        Item::Over => PeriodError::NotOver(against),
        Item::EarlierClosed => PeriodError::EarlierOpen(against),
        Item::UsageRated => PeriodError::UsageUnrated(against),
        Item::Reconciled => PeriodError::NotReconciled(against),
        Item::BreaksSettled => PeriodError::BreaksOpen(against),
        Item::ClearingAged => PeriodError::ClearingOpen(against),
        Item::Balanced => PeriodError::Unbalanced(against),
    })
}
