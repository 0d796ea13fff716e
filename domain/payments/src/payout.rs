//! A payout: the provider sends what it has for us to our bank.
//!
//! Lifecycle: `paid_out` (with a fee, if there was one), then the bank has it (`arrived`), or it comes back to the provider (`returned`, because it failed
//! or was cancelled), in either order: some banks send back what has arrived, and take it off our account then (`taken_back`); their statement may be
//! read after the provider's book. Each is a line of a book of somebody else's, and counts once. What was paid out and is nowhere yet is in transit.
use std::collections::BTreeSet;

use cairn_core::{
    BookEntry, Currency, Decider, JournalTransaction, Nanos, PayoutId, Refusal, Text, Texts,
    Timestamp, chart, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// What has happened to a payout. Amounts are more than zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum PayoutEvent {
    /// The money has left the provider.
    #[serde(rename = "payout.paid_out")]
    PaidOut {
        payout_id: PayoutId,
        provider_id: String,
        /// The line of the provider's book.
        transaction_id: String,
        currency: Currency,
        amount_nanos: Nanos,
        journal: JournalTransaction,
    },
    /// What the provider keeps for it, by the line of its book.
    #[serde(rename = "payout.fee_recorded")]
    FeeRecorded { transaction_id: String, fee_nanos: Nanos, journal: JournalTransaction },
    /// It failed or was cancelled: the provider has the money again, by another line of its book.
    #[serde(rename = "payout.returned")]
    Returned { transaction_id: String, amount_nanos: Nanos, journal: JournalTransaction },
    /// The bank has it, by a line of its statement.
    #[serde(rename = "payout.arrived")]
    Arrived { bank_line_id: String, account: String, journal: JournalTransaction },
    /// The bank has sent it back, by another line of its statement.
    #[serde(rename = "payout.taken_back")]
    TakenBack { bank_line_id: String, account: String, journal: JournalTransaction },
}

domain_event!(PayoutEvent {
    PaidOut => "payout.paid_out", 1;
    FeeRecorded => "payout.fee_recorded", 1;
    Returned => "payout.returned", 1;
    Arrived => "payout.arrived", 1;
    TakenBack => "payout.taken_back", 1;
});

impl Texts for PayoutEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("payout_id", Text::Kept),
        ("provider_id", Text::ProviderId),
        ("transaction_id", Text::ProviderId),
        ("currency", Text::Kept),
        ("bank_line_id", Text::Kept),
        ("account", Text::Kept),
    ];
}

/// A payout that the provider has in its book.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PayOut {
    pub payout_id: PayoutId,
    pub provider_id: String,
    pub transaction_id: String,
    pub currency: Currency,
    pub amount_nanos: Nanos,
    pub at: Timestamp,
}

/// What a line of the bank's statement did with it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct BankLine {
    /// Ours of the line: unique among all lines of all accounts.
    pub bank_line_id: String,
    /// The name of our account there, for example `main`.
    pub account: String,
    pub amount_nanos: Nanos,
    pub at: Timestamp,
}

/// What may be asked of a payout. Amounts are more than zero.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum PayoutCommand {
    PayOut(PayOut),
    RecordFee { transaction_id: String, fee_nanos: Nanos, at: Timestamp },
    Return { transaction_id: String, amount_nanos: Nanos, at: Timestamp },
    Arrive(BankLine),
    TakeBack(BankLine),
}

/// Why a payout refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PayoutError {
    #[error("there is no such payout")]
    Unknown,
    #[error("amount must be more than zero")]
    AmountNotPositive,
    #[error("the payout is {known} and is reported as another amount")]
    AmountMismatch { known: Nanos },
    #[error("the name of an account is 1 to 32 of a-z, 0-9, _ and -")]
    AccountInvalid,
    #[error("the payout is not where it would have to be for this")]
    WrongState,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for PayoutError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_payout",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountMismatch { .. } => "provider_amount_mismatch",
            Self::AccountInvalid => "bank_account_invalid",
            Self::WrongState => "payout_in_wrong_state",
            Self::IdReused => "id_reused",
        }
    }
}

/// What a payout remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Payout {
    pub payout_id: Option<PayoutId>,
    pub provider_id: Option<String>,
    pub transaction_id: Option<String>,
    pub currency: Option<Currency>,
    pub amount_nanos: Nanos,
    /// The lines whose fee is in the books.
    pub fees: BTreeSet<String>,
    /// The provider's line by which it came back.
    pub returned_by: Option<String>,
    /// The bank's line by which it arrived, and in which account.
    pub arrived_by: Option<(String, String)>,
    pub taken_back_by: Option<(String, String)>,
}

impl Decider for Payout {
    const TYPE: &'static str = "payout";
    type Command = PayoutCommand;
    type Event = PayoutEvent;
    type Error = PayoutError;

    fn decide(&self, command: PayoutCommand) -> Result<Vec<PayoutEvent>, PayoutError> {
        let fact = match command {
            PayoutCommand::PayOut(paid) => self.pay_out(paid)?,
            PayoutCommand::RecordFee { transaction_id, fee_nanos, at } => {
                self.record_fee(transaction_id, fee_nanos, at)?
            }
            PayoutCommand::Return { transaction_id, amount_nanos, at } => {
                self.come_back(transaction_id, amount_nanos, at)?
            }
            PayoutCommand::Arrive(line) => self.arrive(line)?,
            PayoutCommand::TakeBack(line) => self.take_back(line)?,
        };
        Ok(fact.into_iter().collect())
    }

    fn evolve(mut self, event: PayoutEvent) -> Self {
        match event {
            PayoutEvent::PaidOut {
                payout_id,
                provider_id,
                transaction_id,
                currency,
                amount_nanos,
                ..
            } => {
                self.payout_id = Some(payout_id);
                self.provider_id = Some(provider_id);
                self.transaction_id = Some(transaction_id);
                self.currency = Some(currency);
                self.amount_nanos = amount_nanos;
            }
            PayoutEvent::FeeRecorded { transaction_id, .. } => {
                self.fees.insert(transaction_id);
            }
            PayoutEvent::Returned { transaction_id, .. } => {
                self.returned_by = Some(transaction_id);
            }
            PayoutEvent::Arrived { bank_line_id, account, .. } => {
                self.arrived_by = Some((bank_line_id, account));
            }
            PayoutEvent::TakenBack { bank_line_id, account, .. } => {
                self.taken_back_by = Some((bank_line_id, account));
            }
        }
        self
    }

    fn book_entry(&self, event: &PayoutEvent) -> Option<BookEntry> {
        match event {
            PayoutEvent::PaidOut { journal, .. }
            | PayoutEvent::FeeRecorded { journal, .. }
            | PayoutEvent::Returned { journal, .. }
            | PayoutEvent::Arrived { journal, .. }
            | PayoutEvent::TakenBack { journal, .. } => Some(BookEntry::movement(journal.clone())),
        }
    }
}

cqrs_aggregate!(Payout);

impl Payout {
    /// Whether its money is neither at the provider nor at the bank.
    #[must_use]
    pub const fn is_in_transit(&self) -> bool {
        let gone = self.provider_id.is_some() && self.returned_by.is_none();
        gone && self.arrived_by.is_none()
    }

    fn identity(&self) -> Result<(&str, Currency), PayoutError> {
        self.provider_id.as_deref().zip(self.currency).ok_or(PayoutError::Unknown)
    }

    fn pay_out(&self, paid: PayOut) -> Result<Option<PayoutEvent>, PayoutError> {
        let PayOut { payout_id, provider_id, transaction_id, currency, amount_nanos, at } = paid;
        if let Some(known) = &self.transaction_id {
            let same = (known, self.provider_id.as_ref()) == (&transaction_id, Some(&provider_id))
                && (self.currency, self.amount_nanos) == (Some(currency), amount_nanos);
            return if same { Ok(None) } else { Err(PayoutError::IdReused) };
        }
        if amount_nanos <= 0 {
            return Err(PayoutError::AmountNotPositive);
        }
        let journal = JournalTransaction::transfer(
            ("payout", "stripe", &provider_id),
            (currency, amount_nanos),
            (chart::payout_in_transit(currency), chart::stripe(currency)),
            at,
        );
        Ok(Some(PayoutEvent::PaidOut {
            payout_id,
            provider_id,
            transaction_id,
            currency,
            amount_nanos,
            journal,
        }))
    }

    fn record_fee(
        &self,
        transaction_id: String,
        fee_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Option<PayoutEvent>, PayoutError> {
        let (_, currency) = self.identity()?;
        if self.fees.contains(&transaction_id) {
            return Ok(None);
        }
        if fee_nanos <= 0 {
            return Err(PayoutError::AmountNotPositive);
        }
        let journal = JournalTransaction::transfer(
            ("stripe_fee", "stripe_fee", &transaction_id),
            (currency, fee_nanos),
            (chart::stripe_fees(currency), chart::stripe(currency)),
            at,
        );
        Ok(Some(PayoutEvent::FeeRecorded { transaction_id, fee_nanos, journal }))
    }

    /// It comes back as a whole.
    fn come_back(
        &self,
        transaction_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Option<PayoutEvent>, PayoutError> {
        let (provider_id, currency) = self.identity()?;
        if let Some(known) = &self.returned_by {
            return if *known == transaction_id { Ok(None) } else { Err(PayoutError::WrongState) };
        }
        self.whole(amount_nanos)?;
        let journal = JournalTransaction::transfer(
            ("payout_returned", "stripe_payout_return", provider_id),
            (currency, amount_nanos),
            (chart::stripe(currency), chart::payout_in_transit(currency)),
            at,
        );
        let journal =
            JournalTransaction { reverses: Some(format!("stripe/{provider_id}")), ..journal };
        Ok(Some(PayoutEvent::Returned { transaction_id, amount_nanos, journal }))
    }

    fn arrive(&self, line: BankLine) -> Result<Option<PayoutEvent>, PayoutError> {
        let (_, currency) = self.identity()?;
        if let Some((known, _)) = &self.arrived_by {
            let same = *known == line.bank_line_id;
            return if same { Ok(None) } else { Err(PayoutError::WrongState) };
        }
        let (bank, transit) = self.accounts(&line, currency)?;
        let BankLine { bank_line_id, account, amount_nanos, at } = line;
        let journal = JournalTransaction::transfer(
            ("payout_arrived", "bank", &bank_line_id),
            (currency, amount_nanos),
            (bank, transit),
            at,
        );
        Ok(Some(PayoutEvent::Arrived { bank_line_id, account, journal }))
    }

    fn take_back(&self, line: BankLine) -> Result<Option<PayoutEvent>, PayoutError> {
        let (_, currency) = self.identity()?;
        if let Some((known, _)) = &self.taken_back_by {
            let same = *known == line.bank_line_id;
            return if same { Ok(None) } else { Err(PayoutError::WrongState) };
        }
        // Taken from where it arrived, and only what the provider has again.
        let is_there = self.arrived_by.as_ref().is_some_and(|(_, at)| *at == line.account);
        if !is_there || self.returned_by.is_none() {
            return Err(PayoutError::WrongState);
        }
        let (bank, transit) = self.accounts(&line, currency)?;
        let BankLine { bank_line_id, account, amount_nanos, at } = line;
        let journal = JournalTransaction::transfer(
            ("payout_taken_back", "bank", &bank_line_id),
            (currency, amount_nanos),
            (transit, bank),
            at,
        );
        Ok(Some(PayoutEvent::TakenBack { bank_line_id, account, journal }))
    }

    fn accounts(
        &self,
        line: &BankLine,
        currency: Currency,
    ) -> Result<(String, String), PayoutError> {
        self.whole(line.amount_nanos)?;
        if !is_bank_account(&line.account) {
            return Err(PayoutError::AccountInvalid);
        }
        Ok((chart::bank(&line.account, currency), chart::payout_in_transit(currency)))
    }

    const fn whole(&self, amount_nanos: Nanos) -> Result<(), PayoutError> {
        if self.amount_nanos == amount_nanos {
            return Ok(());
        }
        Err(PayoutError::AmountMismatch { known: self.amount_nanos })
    }
}

/// Whether an account at a bank may be called so: 1 to 32 of `a-z`, `0-9`, `_` and `-`.
#[must_use]
pub fn is_bank_account(name: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}
