//! The case of a break: a disagreement of the books and the payment provider's book that somebody answers for.
//!
//! Lifecycle: `found → (assigned, restated, resolution proposed)* → resolved | cleared → reopened → …`. The stream's id is derived from
//! what disagrees ([`break_id`](crate::break_id)), so one disagreement is one case however often it is found. A correction is the book
//! entry of the resolution itself: neither can be without the other. Above a limit a second person approves it.
use cairn_core::{
    BookEntry, BreakId, Currency, Decider, JournalTransaction, Nanos, Refusal, Timestamp,
    cqrs_aggregate,
};
use serde::{Deserialize, Serialize};

use crate::correction::Transfer;
use crate::facts::{BreakEvent, BreakType, Disagreement, Resolution};

/// What may be asked. A run of the reconciliation says when it looked: what was decided since then it has not seen.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum BreakCommand {
    Find { item: Disagreement, at: Timestamp },
    Clear { at: Timestamp },
    Assign { owner: String, due_at: Timestamp, reason: String, at: Timestamp },
    Resolve { by: Means, cause: String, actor: String, limit_nanos: Nanos, at: Timestamp },
    Approve { actor: String, reason: String, at: Timestamp },
}

/// By what a break is to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// A journal transaction.
    Post(Transfer),
    /// The difference becomes loss or gain.
    WriteOff,
    /// Nothing is wrong with the books.
    Explain,
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BreakError {
    #[error("there is no such break")]
    Unknown,
    #[error("the break is not open")]
    NotOpen,
    #[error("a cause of 1 to 500 characters is needed")]
    CauseNeeded,
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
    #[error("an owner of 1 to 100 characters is needed")]
    OwnerNeeded,
    #[error("the day it is due lies behind")]
    DueInThePast,
    #[error("an amount above zero is needed")]
    BadAmount,
    #[error(
        "a correction moves money between stripe:pending and bank, clearing, refund_payable, \
             stripe_fees, suspense or receivable:dispute, in one currency"
    )]
    AccountsNotAllowed,
    #[error("a correction is in the currency of the break, {0}")]
    OtherCurrency(String),
    #[error("no books are kept in {0}: it can only be explained")]
    NoBooks(String),
    #[error(
        "the bank disagrees with the provider: what our books have at the provider stays, and it can only be explained"
    )]
    OfTheBank,
    #[error(
        "late usage is in no book: there is nothing to post or to write off, and it can only be explained"
    )]
    OfUsage,
    #[error("nothing is to be written off: the amounts agree")]
    NothingToWriteOff,
    #[error("nothing is proposed for this break")]
    NothingProposed,
    #[error("who proposed it may not approve it")]
    ApproverIsProposer,
}

impl Refusal for BreakError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_break",
            Self::NotOpen => "break_not_open",
            Self::CauseNeeded => "break_cause_needed",
            Self::ReasonNeeded => "reason_needed",
            Self::OwnerNeeded => "break_owner_needed",
            Self::DueInThePast => "break_due_in_the_past",
            Self::BadAmount => "break_amount_invalid",
            Self::AccountsNotAllowed => "break_accounts_not_allowed",
            Self::OtherCurrency(_) => "break_currency_differs",
            Self::NoBooks(_) => "break_currency_without_books",
            Self::OfTheBank => "break_of_bank",
            Self::OfUsage => "break_of_usage",
            Self::NothingToWriteOff => "break_nothing_to_write_off",
            Self::NothingProposed => "break_nothing_proposed",
            Self::ApproverIsProposer => "break_approver_is_proposer",
        }
    }
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has found it.
    #[default]
    Unknown,
    /// Somebody must look.
    Open,
    /// A second person must approve.
    Proposed,
    /// It went away by itself.
    Cleared,
    /// The books were corrected.
    Posted,
    /// The difference was taken as loss or gain.
    WrittenOff,
    /// The books stay as they are.
    Explained,
}

impl Status {
    /// Whether somebody must still do something.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Proposed)
    }
}

/// A resolution that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Proposal {
    pub resolution: Resolution,
    pub cause: String,
    pub journal: Option<JournalTransaction>,
    pub proposed_by: String,
    pub limit_nanos: Nanos,
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct BreakCase {
    /// As it was found last.
    pub item: Option<Disagreement>,
    pub status: Status,
    pub proposal: Option<Proposal>,
    /// Corrections and write-offs that were posted.
    pub postings: u32,
    /// When it was found, reopened or settled last.
    pub turned_at: Timestamp,
    pub owner: Option<(String, Timestamp)>,
}

impl Decider for BreakCase {
    const TYPE: &'static str = "break";
    type Command = BreakCommand;
    type Event = BreakEvent;
    type Error = BreakError;

    fn decide(&self, command: BreakCommand) -> Result<Vec<BreakEvent>, BreakError> {
        let fact = match command {
            BreakCommand::Find { item, at } => self.find(item, at),
            BreakCommand::Clear { at } => {
                self.known()?;
                let goes = self.status.is_open() && at > self.turned_at;
                goes.then_some(BreakEvent::Cleared { at })
            }
            BreakCommand::Assign { owner, due_at, reason, at } => {
                self.assign((owner, due_at), reason, at)?
            }
            BreakCommand::Resolve { by, cause, actor, limit_nanos, at } => {
                Some(self.resolve((by, cause), (actor, limit_nanos), at)?)
            }
            BreakCommand::Approve { actor, reason, at } => Some(self.approve(actor, reason, at)?),
        };
        Ok(fact.into_iter().collect())
    }

    fn evolve(mut self, event: BreakEvent) -> Self {
        match event {
            BreakEvent::Found { item, at }
            | BreakEvent::Restated { item, at }
            | BreakEvent::Reopened { item, at } => {
                (self.item, self.status, self.proposal) = (Some(item), Status::Open, None);
                self.turned_at = at;
            }
            BreakEvent::Assigned { owner, due_at, .. } => self.owner = Some((owner, due_at)),
            BreakEvent::Cleared { at } => {
                (self.status, self.proposal, self.turned_at) = (Status::Cleared, None, at);
            }
            BreakEvent::ResolutionProposed {
                resolution,
                cause,
                journal,
                proposed_by,
                limit_nanos,
                ..
            } => {
                self.status = Status::Proposed;
                self.proposal =
                    Some(Proposal { resolution, cause, journal, proposed_by, limit_nanos });
            }
            BreakEvent::Resolved { resolution, journal, at, .. } => {
                self.status = match resolution {
                    Resolution::Posted => Status::Posted,
                    Resolution::WrittenOff => Status::WrittenOff,
                    Resolution::Explained => Status::Explained,
                };
                self.postings += u32::from(journal.is_some());
                (self.proposal, self.turned_at) = (None, at);
            }
        }
        self
    }

    fn book_entry(&self, event: &BreakEvent) -> Option<BookEntry> {
        match event {
            BreakEvent::Resolved { journal, .. } => journal.clone().map(BookEntry::movement),
            BreakEvent::Found { .. }
            | BreakEvent::Restated { .. }
            | BreakEvent::Assigned { .. }
            | BreakEvent::Cleared { .. }
            | BreakEvent::Reopened { .. }
            | BreakEvent::ResolutionProposed { .. } => None,
        }
    }
}

cqrs_aggregate!(BreakCase);

impl BreakCase {
    /// Whether what a run found is what was explained.
    #[must_use]
    pub fn explains(&self, found: &Disagreement) -> bool {
        self.status == Status::Explained
            && self.item.as_ref().is_some_and(|item| item.is_the_same_as(found))
    }

    fn known(&self) -> Result<&Disagreement, BreakError> {
        self.item.as_ref().ok_or(BreakError::Unknown)
    }

    fn open(&self) -> Result<&Disagreement, BreakError> {
        let item = self.known()?;
        if self.status.is_open() { Ok(item) } else { Err(BreakError::NotOpen) }
    }

    fn find(&self, item: Disagreement, at: Timestamp) -> Option<BreakEvent> {
        let Some(known) = &self.item else { return Some(BreakEvent::Found { item, at }) };
        // What changed the case since the run looked, the run has not seen.
        if at <= self.turned_at || self.explains(&item) {
            return None;
        }
        if !self.status.is_open() {
            return Some(BreakEvent::Reopened { item, at });
        }
        (!known.is_the_same_as(&item)).then_some(BreakEvent::Restated { item, at })
    }

    fn assign(
        &self,
        (owner, due_at): (String, Timestamp),
        reason: String,
        at: Timestamp,
    ) -> Result<Option<BreakEvent>, BreakError> {
        self.open()?;
        said(&owner, 100, BreakError::OwnerNeeded)?;
        said(&reason, 500, BreakError::ReasonNeeded)?;
        if due_at < at {
            return Err(BreakError::DueInThePast);
        }
        let changes = self.owner.as_ref() != Some(&(owner.clone(), due_at));
        Ok(changes.then_some(BreakEvent::Assigned { owner, due_at, reason, at }))
    }

    fn resolve(
        &self,
        (by, cause): (Means, String),
        (actor, limit_nanos): (String, Nanos),
        at: Timestamp,
    ) -> Result<BreakEvent, BreakError> {
        let item = self.open()?;
        said(&cause, 500, BreakError::CauseNeeded)?;
        if item.break_type.is_of_the_bank() && by != Means::Explain {
            return Err(BreakError::OfTheBank);
        }
        if item.break_type.is_of_usage() && by != Means::Explain {
            return Err(BreakError::OfUsage);
        }
        let number = (item.id(), self.postings + 1);
        let (resolution, journal, amount_nanos) = match by {
            Means::Explain => (Resolution::Explained, None, item.difference_nanos),
            Means::WriteOff => {
                let currency = books_of(item)?;
                if item.difference_nanos == 0 {
                    return Err(BreakError::NothingToWriteOff);
                }
                let off = Transfer::write_off(currency, item.difference_nanos);
                let amount_nanos = off.amount_nanos;
                let journal = off.journal("break_write_off", number, at);
                (Resolution::WrittenOff, Some(journal), amount_nanos)
            }
            Means::Post(transfer) => {
                let amount_nanos = transfer.amount_nanos;
                let journal = correction(item, transfer, number, at)?;
                (Resolution::Posted, Some(journal), amount_nanos)
            }
        };
        // The larger of what is moved and what is settled by it: neither is a way around the limit.
        let weight = amount_nanos.saturating_abs().max(item.difference_nanos.saturating_abs());
        Ok(if weight > limit_nanos {
            let proposed_by = actor;
            BreakEvent::ResolutionProposed {
                resolution,
                cause,
                journal,
                proposed_by,
                limit_nanos,
                at,
            }
        } else {
            BreakEvent::Resolved {
                resolution,
                cause,
                journal,
                resolved_by: actor,
                approved_by: None,
                reason: None,
                limit_nanos,
                at,
            }
        })
    }

    fn approve(
        &self,
        actor: String,
        reason: String,
        at: Timestamp,
    ) -> Result<BreakEvent, BreakError> {
        self.known()?;
        let proposal = self.proposal.clone().ok_or(BreakError::NothingProposed)?;
        said(&reason, 500, BreakError::ReasonNeeded)?;
        if actor == proposal.proposed_by {
            return Err(BreakError::ApproverIsProposer);
        }
        let Proposal { resolution, cause, journal, proposed_by, limit_nanos } = proposal;
        // It is posted when it is approved, not when it was thought of.
        let journal = journal.map(|journal| JournalTransaction { occurred_at: at, ..journal });
        Ok(BreakEvent::Resolved {
            resolution,
            cause,
            journal,
            resolved_by: proposed_by,
            approved_by: Some(actor),
            reason: Some(reason),
            limit_nanos,
            at,
        })
    }
}

fn books_of(item: &Disagreement) -> Result<Currency, BreakError> {
    item.currency.parse().map_err(|_| BreakError::NoBooks(item.currency.clone()))
}

fn correction(
    item: &Disagreement,
    transfer: Transfer,
    number: (BreakId, u32),
    at: Timestamp,
) -> Result<JournalTransaction, BreakError> {
    if transfer.amount_nanos <= 0 {
        return Err(BreakError::BadAmount);
    }
    if !transfer.is_allowed() {
        return Err(BreakError::AccountsNotAllowed);
    }
    let currency = transfer.debit.currency;
    // Two currencies disagree in such a break, and either book may be the one to correct.
    if item.break_type != BreakType::Currency && books_of(item)? != currency {
        return Err(BreakError::OtherCurrency(item.currency.clone()));
    }
    Ok(transfer.journal("break_correction", number, at))
}

fn said(text: &str, longest: usize, otherwise: BreakError) -> Result<(), BreakError> {
    let fits = !text.trim().is_empty() && text.chars().count() <= longest;
    if fits { Ok(()) } else { Err(otherwise) }
}
