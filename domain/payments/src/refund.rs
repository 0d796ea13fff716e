//! A refund: real money back to the card it came from, as opposed to a credit (requirement M4).
//!
//! Lifecycle: `requested → pending → succeeded | failed`. A refund that succeeded may still fail later at the provider; then the money
//! comes back into the wallet.
use cairn_core::money::format_nanos;
use cairn_core::{
    BookEntry, Currency, Decider, JournalTransaction, Nanos, OrganisationId, PaymentId, RefundId,
    Refusal, Text, Texts, Timestamp, chart, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// What has happened to a refund.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum RefundEvent {
    /// Money was taken out of the wallet for it.
    #[serde(rename = "refund.requested")]
    Requested {
        refund_id: RefundId,
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        charge_id: String,
        at: Timestamp,
    },
    /// The provider knows of it and has not finished.
    #[serde(rename = "refund.submitted")]
    Submitted { provider_id: String, at: Timestamp },
    /// The provider gave the money back.
    #[serde(rename = "refund.succeeded")]
    Succeeded {
        provider_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
        journal: JournalTransaction,
    },
    /// The provider could not. `journal` reverses an earlier success.
    #[serde(rename = "refund.failed")]
    Failed { code: String, at: Timestamp, journal: Option<JournalTransaction> },
}

domain_event!(RefundEvent {
    Requested => "refund.requested", 1;
    Submitted => "refund.submitted", 1;
    Succeeded => "refund.succeeded", 1;
    Failed => "refund.failed", 1;
});

impl Texts for RefundEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("refund_id", Text::Kept),
        ("payment_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("charge_id", Text::ProviderId),
        ("provider_id", Text::ProviderId),
        ("code", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked of a refund.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum RefundCommand {
    Request {
        refund_id: RefundId,
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        charge_id: String,
        at: Timestamp,
    },
    Submit {
        provider_id: String,
        at: Timestamp,
    },
    Succeed {
        provider_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
    },
    Fail {
        code: String,
        at: Timestamp,
    },
}

/// Why a refund refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RefundError {
    #[error("there is no such refund")]
    Unknown,
    #[error("the refund is already {0:?}")]
    WrongState(RefundStatus),
    #[error("the provider reports {reported} where {expected} was asked for")]
    AmountMismatch { expected: String, reported: String },
    #[error("the refund is {known} at the provider, not {reported}")]
    ProviderMismatch { known: String, reported: String },
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for RefundError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_refund",
            Self::WrongState(_) => "refund_in_wrong_state",
            Self::AmountMismatch { .. } => "provider_amount_mismatch",
            Self::ProviderMismatch { .. } => "provider_id_mismatch",
            Self::IdReused => "id_reused",
        }
    }
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RefundStatus {
    #[default]
    Unknown,
    Requested,
    Pending,
    Succeeded,
    Failed,
}

/// What a refund remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refund {
    pub refund_id: Option<RefundId>,
    pub payment_id: Option<PaymentId>,
    pub organisation_id: Option<OrganisationId>,
    pub currency: Option<Currency>,
    pub amount_nanos: Nanos,
    pub requested_at: Timestamp,
    pub charge_id: Option<String>,
    pub provider_id: Option<String>,
    pub status: RefundStatus,
}

impl Decider for Refund {
    const TYPE: &'static str = "refund";
    type Command = RefundCommand;
    type Event = RefundEvent;
    type Error = RefundError;

    fn decide(&self, command: RefundCommand) -> Result<Vec<RefundEvent>, RefundError> {
        match command {
            RefundCommand::Request {
                refund_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                at,
            } => {
                if self.status != RefundStatus::Unknown {
                    let known = (self.payment_id, self.currency, self.amount_nanos);
                    let same = known == (Some(payment_id), Some(currency), amount_nanos);
                    return if same { Ok(vec![]) } else { Err(RefundError::IdReused) };
                }
                Ok(vec![RefundEvent::Requested {
                    refund_id,
                    payment_id,
                    organisation_id,
                    currency,
                    amount_nanos,
                    charge_id,
                    at,
                }])
            }
            RefundCommand::Submit { provider_id, at } => {
                self.same_provider(&provider_id)?;
                match self.status {
                    RefundStatus::Unknown => Err(RefundError::Unknown),
                    RefundStatus::Requested => Ok(vec![RefundEvent::Submitted { provider_id, at }]),
                    RefundStatus::Pending | RefundStatus::Succeeded | RefundStatus::Failed => {
                        Ok(vec![])
                    }
                }
            }
            RefundCommand::Succeed { provider_id, amount_nanos, at } => {
                self.succeed(provider_id, amount_nanos, at)
            }
            RefundCommand::Fail { code, at } => self.fail(code, at),
        }
    }

    fn evolve(mut self, event: RefundEvent) -> Self {
        match event {
            RefundEvent::Requested {
                refund_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                at,
            } => Self {
                refund_id: Some(refund_id),
                payment_id: Some(payment_id),
                organisation_id: Some(organisation_id),
                currency: Some(currency),
                amount_nanos,
                requested_at: at,
                charge_id: Some(charge_id),
                provider_id: None,
                status: RefundStatus::Requested,
            },
            RefundEvent::Submitted { provider_id, .. } => {
                self.provider_id = Some(provider_id);
                self.status = RefundStatus::Pending;
                self
            }
            RefundEvent::Succeeded { provider_id, .. } => {
                self.provider_id = Some(provider_id);
                self.status = RefundStatus::Succeeded;
                self
            }
            RefundEvent::Failed { .. } => {
                self.status = RefundStatus::Failed;
                self
            }
        }
    }

    fn book_entry(&self, event: &RefundEvent) -> Option<BookEntry> {
        let journal = match event {
            RefundEvent::Succeeded { journal, .. } => Some(journal.clone()),
            RefundEvent::Failed { journal, .. } => journal.clone(),
            RefundEvent::Requested { .. } | RefundEvent::Submitted { .. } => None,
        };
        journal.map(BookEntry::movement)
    }
}

cqrs_aggregate!(Refund);

impl Refund {
    fn same_provider(&self, reported: &str) -> Result<(), RefundError> {
        match &self.provider_id {
            Some(known) if known != reported => Err(RefundError::ProviderMismatch {
                known: known.clone(),
                reported: reported.to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn identity(&self) -> Result<(RefundId, Currency), RefundError> {
        self.refund_id.zip(self.currency).ok_or(RefundError::Unknown)
    }

    fn succeed(
        &self,
        provider_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<RefundEvent>, RefundError> {
        let (_, currency) = self.identity()?;
        self.same_provider(&provider_id)?;
        if amount_nanos != self.amount_nanos {
            return Err(RefundError::AmountMismatch {
                expected: format_nanos(self.amount_nanos),
                reported: format_nanos(amount_nanos),
            });
        }
        match self.status {
            RefundStatus::Succeeded => Ok(vec![]),
            RefundStatus::Failed | RefundStatus::Unknown => {
                Err(RefundError::WrongState(self.status))
            }
            RefundStatus::Requested | RefundStatus::Pending => {
                let journal = JournalTransaction::transfer(
                    ("refund_paid", "stripe", &provider_id),
                    (currency, amount_nanos),
                    (chart::refund_payable(currency), chart::stripe(currency)),
                    at,
                );
                Ok(vec![RefundEvent::Succeeded { provider_id, amount_nanos, at, journal }])
            }
        }
    }

    fn fail(&self, code: String, at: Timestamp) -> Result<Vec<RefundEvent>, RefundError> {
        let (refund_id, currency) = self.identity()?;
        match self.status {
            RefundStatus::Failed => Ok(vec![]),
            RefundStatus::Succeeded => {
                let provider_id = self.provider_id.as_ref().ok_or(RefundError::Unknown)?;
                let mut journal = JournalTransaction::transfer(
                    ("refund_failed", "stripe_refund_failure", &refund_id.to_string()),
                    (currency, self.amount_nanos),
                    (chart::stripe(currency), chart::refund_payable(currency)),
                    at,
                );
                journal.reverses = Some(format!("stripe/{provider_id}"));
                Ok(vec![RefundEvent::Failed { code, at, journal: Some(journal) }])
            }
            RefundStatus::Unknown | RefundStatus::Requested | RefundStatus::Pending => {
                Ok(vec![RefundEvent::Failed { code, at, journal: None }])
            }
        }
    }
}
