//! A dispute: a cardholder's bank takes a payment back and asks who is right.
//!
//! Lifecycle: `opened`, then in any order the provider takes the money (`funds_withdrawn`, with its fee), gives it back (`funds_reinstated`) and says
//! how it ended (`closed`). What the provider says of it is read as it stands, so any of these may be heard of first, again, or late: each counts once.
use std::collections::BTreeSet;

use cairn_core::{
    BookEntry, Currency, Decider, DisputeId, JournalTransaction, Nanos, OrganisationId, PaymentId,
    Refusal, Subject, Text, Texts, Timestamp, chart, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// How a dispute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeOutcome {
    /// The money stays with us.
    Won,
    /// It stays with the cardholder.
    Lost,
}

/// What has happened to a dispute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum DisputeEvent {
    /// A payment of ours is disputed.
    #[serde(rename = "dispute.opened")]
    Opened {
        dispute_id: DisputeId,
        provider_id: String,
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        charge_id: String,
        /// The provider's word for why, for example `fraudulent`.
        reason: String,
        at: Timestamp,
    },
    /// The provider took the money.
    #[serde(rename = "dispute.funds_withdrawn")]
    FundsWithdrawn { amount_nanos: Nanos, journal: JournalTransaction },
    /// The provider gave the money back.
    #[serde(rename = "dispute.funds_reinstated")]
    FundsReinstated { amount_nanos: Nanos, journal: JournalTransaction },
    /// What the provider keeps for it, by the line of its book; negative when it gives its fee back.
    #[serde(rename = "dispute.fee_recorded")]
    FeeRecorded { balance_transaction_id: String, fee_nanos: Nanos, journal: JournalTransaction },
    /// It is decided.
    #[serde(rename = "dispute.closed")]
    Closed { outcome: DisputeOutcome, at: Timestamp },
}

domain_event!(DisputeEvent {
    Opened => "dispute.opened", 1;
    FundsWithdrawn => "dispute.funds_withdrawn", 1;
    FundsReinstated => "dispute.funds_reinstated", 1;
    FeeRecorded => "dispute.fee_recorded", 1;
    Closed => "dispute.closed", 1;
});

impl Texts for DisputeEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("dispute_id", Text::Kept),
        ("provider_id", Text::ProviderId),
        ("payment_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("charge_id", Text::ProviderId),
        ("reason", Text::Reported),
        ("balance_transaction_id", Text::ProviderId),
        ("outcome", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// A dispute that the provider reports.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct OpenDispute {
    pub dispute_id: DisputeId,
    pub provider_id: String,
    pub payment_id: PaymentId,
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub amount_nanos: Nanos,
    pub charge_id: String,
    pub reason: String,
    pub at: Timestamp,
}

/// What may be asked of a dispute. Amounts are more than zero.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum DisputeCommand {
    Open(OpenDispute),
    Withdraw {
        amount_nanos: Nanos,
        at: Timestamp,
    },
    Reinstate {
        amount_nanos: Nanos,
        at: Timestamp,
    },
    /// Negative when the provider gives its fee back.
    RecordFee {
        balance_transaction_id: String,
        fee_nanos: Nanos,
        at: Timestamp,
    },
    Close {
        outcome: DisputeOutcome,
        at: Timestamp,
    },
}

/// Why a dispute refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DisputeError {
    #[error("there is no such dispute")]
    Unknown,
    #[error("amount must be more than zero")]
    AmountNotPositive,
    #[error("the dispute's money was {known} and is reported as another amount")]
    AmountMismatch { known: Nanos },
    #[error("the dispute is already {0:?}")]
    WrongState(DisputeOutcome),
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for DisputeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_dispute",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountMismatch { .. } => "provider_amount_mismatch",
            Self::WrongState(_) => "dispute_in_wrong_state",
            Self::IdReused => "id_reused",
        }
    }
}

/// What a dispute remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Dispute {
    pub dispute_id: Option<DisputeId>,
    pub provider_id: Option<String>,
    pub payment_id: Option<PaymentId>,
    pub owner: Option<(OrganisationId, Currency)>,
    pub amount_nanos: Nanos,
    pub withdrawn_nanos: Option<Nanos>,
    pub reinstated_nanos: Option<Nanos>,
    /// The lines whose fee is in the books.
    pub fees: BTreeSet<String>,
    pub outcome: Option<DisputeOutcome>,
}

impl Decider for Dispute {
    const TYPE: &'static str = "dispute";
    type Command = DisputeCommand;
    type Event = DisputeEvent;
    type Error = DisputeError;

    fn decide(&self, command: DisputeCommand) -> Result<Vec<DisputeEvent>, DisputeError> {
        match command {
            DisputeCommand::Open(open) => self.open(open),
            DisputeCommand::Withdraw { amount_nanos, at } => self.withdraw(amount_nanos, at),
            DisputeCommand::Reinstate { amount_nanos, at } => self.reinstate(amount_nanos, at),
            DisputeCommand::RecordFee { balance_transaction_id, fee_nanos, at } => {
                self.record_fee(balance_transaction_id, fee_nanos, at)
            }
            DisputeCommand::Close { outcome, at } => {
                self.identity()?;
                match self.outcome {
                    None => Ok(vec![DisputeEvent::Closed { outcome, at }]),
                    Some(known) if known == outcome => Ok(vec![]),
                    Some(known) => Err(DisputeError::WrongState(known)),
                }
            }
        }
    }

    fn evolve(mut self, event: DisputeEvent) -> Self {
        match event {
            DisputeEvent::Opened {
                dispute_id,
                provider_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                ..
            } => {
                self.dispute_id = Some(dispute_id);
                self.provider_id = Some(provider_id);
                self.payment_id = Some(payment_id);
                self.owner = Some((organisation_id, currency));
                self.amount_nanos = amount_nanos;
            }
            DisputeEvent::FundsWithdrawn { amount_nanos, .. } => {
                self.withdrawn_nanos = Some(amount_nanos);
            }
            DisputeEvent::FundsReinstated { amount_nanos, .. } => {
                self.reinstated_nanos = Some(amount_nanos);
            }
            DisputeEvent::FeeRecorded { balance_transaction_id, .. } => {
                self.fees.insert(balance_transaction_id);
            }
            DisputeEvent::Closed { outcome, .. } => self.outcome = Some(outcome),
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.owner.map(|(organisation_id, _)| Subject::organisation(organisation_id))
    }

    fn book_entry(&self, event: &DisputeEvent) -> Option<BookEntry> {
        match event {
            DisputeEvent::FundsWithdrawn { journal, .. }
            | DisputeEvent::FundsReinstated { journal, .. }
            | DisputeEvent::FeeRecorded { journal, .. } => {
                Some(BookEntry::movement(journal.clone()))
            }
            DisputeEvent::Opened { .. } | DisputeEvent::Closed { .. } => None,
        }
    }
}

cqrs_aggregate!(Dispute);

impl Dispute {
    fn identity(&self) -> Result<(&str, Currency), DisputeError> {
        let known = self.provider_id.as_deref().zip(self.owner);
        known
            .map(|(provider_id, (_, currency))| (provider_id, currency))
            .ok_or(DisputeError::Unknown)
    }

    fn open(&self, open: OpenDispute) -> Result<Vec<DisputeEvent>, DisputeError> {
        let OpenDispute {
            dispute_id,
            provider_id,
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            charge_id,
            reason,
            at,
        } = open;
        if self.provider_id.is_some() {
            let known = (self.provider_id.as_deref(), self.payment_id, self.owner);
            let told = (Some(&*provider_id), Some(payment_id), Some((organisation_id, currency)));
            return if known == told { Ok(vec![]) } else { Err(DisputeError::IdReused) };
        }
        if amount_nanos <= 0 {
            return Err(DisputeError::AmountNotPositive);
        }
        Ok(vec![DisputeEvent::Opened {
            dispute_id,
            provider_id,
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            charge_id,
            reason,
            at,
        }])
    }

    fn withdraw(
        &self,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<DisputeEvent>, DisputeError> {
        let (provider_id, currency) = self.identity()?;
        if is_known(self.withdrawn_nanos, amount_nanos)? {
            return Ok(vec![]);
        }
        let journal = JournalTransaction::transfer(
            ("dispute_withdrawn", "stripe", provider_id),
            (currency, amount_nanos),
            (chart::receivable_dispute(currency), chart::stripe(currency)),
            at,
        );
        Ok(vec![DisputeEvent::FundsWithdrawn { amount_nanos, journal }])
    }

    fn reinstate(
        &self,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<DisputeEvent>, DisputeError> {
        let (provider_id, currency) = self.identity()?;
        if is_known(self.reinstated_nanos, amount_nanos)? {
            return Ok(vec![]);
        }
        let journal = JournalTransaction::transfer(
            ("dispute_reinstated", "stripe_dispute_reversal", provider_id),
            (currency, amount_nanos),
            (chart::stripe(currency), chart::receivable_dispute(currency)),
            at,
        );
        Ok(vec![DisputeEvent::FundsReinstated { amount_nanos, journal }])
    }

    fn record_fee(
        &self,
        balance_transaction_id: String,
        fee_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<DisputeEvent>, DisputeError> {
        let (_, currency) = self.identity()?;
        if fee_nanos == 0 || self.fees.contains(&balance_transaction_id) {
            return Ok(vec![]);
        }
        let (fees, stripe) = (chart::dispute_fees(currency), chart::stripe(currency));
        let (kind, accounts) = match fee_nanos > 0 {
            true => ("dispute_fee", (fees, stripe)),
            false => ("dispute_fee_returned", (stripe, fees)),
        };
        let journal = JournalTransaction::transfer(
            (kind, "stripe_fee", &balance_transaction_id),
            (currency, fee_nanos.saturating_abs()),
            accounts,
            at,
        );
        Ok(vec![DisputeEvent::FeeRecorded { balance_transaction_id, fee_nanos, journal }])
    }
}

/// Whether a movement is known already. The provider moves a dispute's money once in each direction.
fn is_known(known: Option<Nanos>, told: Nanos) -> Result<bool, DisputeError> {
    match known {
        Some(known) if known == told => Ok(true),
        Some(known) => Err(DisputeError::AmountMismatch { known }),
        None if told <= 0 => Err(DisputeError::AmountNotPositive),
        None => Ok(false),
    }
}
