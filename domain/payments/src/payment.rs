//! A payment: one top-up through the provider.
//!
//! Lifecycle: `requested → pending → action_required → processing → succeeded | failed`; the two in the middle are mostly passed over. Webhooks and polling may report the same outcome any number of times and
//! in any order; the first final outcome stands, except that success overrides an earlier failed attempt.
use cairn_core::money::format_nanos;
use cairn_core::{
    BookEntry, Currency, Decider, JournalTransaction, Nanos, OrganisationId, PaymentId,
    PaymentMethodId, RefundId, Refusal, Subject, Text, Texts, Timestamp, chart, cqrs_aggregate,
    domain_event,
};
use serde::{Deserialize, Serialize};

use crate::refund::RefundCommand;

/// What has happened to a payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum PaymentEvent {
    /// A customer wants to pay in.
    #[serde(rename = "payment.requested")]
    Requested {
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        /// The provider's payment method to confirm with; without it the customer confirms.
        payment_method: Option<String>,
        at: Timestamp,
    },
    /// It is paid with a method that is kept at the provider, without the customer. Comes with the request.
    #[serde(rename = "payment.method_named")]
    MethodNamed { method_id: PaymentMethodId, customer_id: String },
    /// The provider knows of it.
    #[serde(rename = "payment.submitted")]
    Submitted { provider_id: String, at: Timestamp },
    /// The bank wants to see the customer.
    #[serde(rename = "payment.action_required")]
    ActionRequired { at: Timestamp },
    /// The bank takes its time, for days perhaps.
    #[serde(rename = "payment.processing_begun")]
    ProcessingBegun { at: Timestamp },
    /// The provider took the money.
    #[serde(rename = "payment.succeeded")]
    Succeeded { provider_id: String, charge_id: String, amount_nanos: Nanos, at: Timestamp },
    /// The provider or the bank said no.
    #[serde(rename = "payment.failed")]
    Failed { code: String, message: String, at: Timestamp },
    /// What the provider keeps of it. Without a `journal` it keeps nothing that is ours to book.
    #[serde(rename = "payment.fee_recorded")]
    FeeRecorded {
        balance_transaction_id: String,
        fee_nanos: Nanos,
        journal: Option<JournalTransaction>,
    },
}

domain_event!(PaymentEvent {
    Requested => "payment.requested", 1;
    MethodNamed => "payment.method_named", 1;
    Submitted => "payment.submitted", 1;
    ActionRequired => "payment.action_required", 1;
    ProcessingBegun => "payment.processing_begun", 1;
    Succeeded => "payment.succeeded", 1;
    Failed => "payment.failed", 1;
    FeeRecorded => "payment.fee_recorded", 1;
});

impl Texts for PaymentEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("payment_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("payment_method", Text::Instrument),
        ("method_id", Text::Kept),
        ("customer_id", Text::ProviderId),
        ("provider_id", Text::ProviderId),
        ("charge_id", Text::ProviderId),
        ("balance_transaction_id", Text::ProviderId),
        ("code", Text::Kept),
        ("message", Text::Reported),
        ("at", Text::Kept),
    ];
}

/// A method that is kept at the provider: ours, and whose and what it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct KeptMethod {
    pub method_id: PaymentMethodId,
    pub customer_id: String,
    pub provider_id: String,
}

/// For whom a payment waits at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WaitsFor {
    Customer,
    Bank,
}

/// What may be asked of a payment.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum PaymentCommand {
    Request {
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        payment_method: Option<String>,
        at: Timestamp,
    },
    /// With a method that is kept at the provider, without the customer.
    RequestWith {
        payment_id: PaymentId,
        organisation_id: OrganisationId,
        currency: Currency,
        amount_nanos: Nanos,
        kept: KeptMethod,
        at: Timestamp,
    },
    Submit {
        provider_id: String,
        at: Timestamp,
    },
    /// It waits for somebody before it goes on.
    Wait {
        waits_for: WaitsFor,
        at: Timestamp,
    },
    Succeed {
        provider_id: String,
        charge_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
    },
    Fail {
        code: String,
        message: String,
        at: Timestamp,
    },
    RecordFee {
        balance_transaction_id: String,
        fee_nanos: Nanos,
        at: Timestamp,
    },
}

/// Why a payment refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PaymentError {
    #[error("a top-up is from {min} to {max}; {given} was asked for")]
    AmountOutOfRange { min: String, max: String, given: String },
    #[error("a top-up is in whole cents; {0} is not")]
    NotWholeMinor(String),
    #[error("there is no such payment")]
    Unknown,
    #[error("the payment is already {0:?}")]
    WrongState(PaymentStatus),
    #[error("the provider reports {reported} where {expected} was asked for")]
    AmountMismatch { expected: String, reported: String },
    #[error("the payment is {known} at the provider, not {reported}")]
    ProviderMismatch { known: String, reported: String },
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for PaymentError {
    fn code(&self) -> &'static str {
        match self {
            Self::AmountOutOfRange { .. } => "amount_out_of_range",
            Self::NotWholeMinor(_) => "not_whole_minor_units",
            Self::Unknown => "unknown_payment",
            Self::WrongState(_) => "payment_in_wrong_state",
            Self::AmountMismatch { .. } => "provider_amount_mismatch",
            Self::ProviderMismatch { .. } => "provider_id_mismatch",
            Self::IdReused => "id_reused",
        }
    }
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PaymentStatus {
    #[default]
    Unknown,
    Requested,
    Pending,
    /// The customer is wanted.
    RequiresAction,
    /// The bank is at it.
    Processing,
    Succeeded,
    Failed,
}

/// What a payment remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Payment {
    pub payment_id: Option<PaymentId>,
    pub organisation_id: Option<OrganisationId>,
    pub currency: Option<Currency>,
    pub amount_nanos: Nanos,
    pub requested_at: Timestamp,
    pub status: PaymentStatus,
    pub provider_id: Option<String>,
    pub charge_id: Option<String>,
    pub fee_of: Option<String>,
    /// Whose kept method it is paid with at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
}

/// Smallest and largest top-up, in units of the currency.
pub const TOP_UP_UNITS: (i64, i64) = (1, 1_000_000);

impl Decider for Payment {
    const TYPE: &'static str = "payment";
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentError;

    fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match command {
            PaymentCommand::Request {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                payment_method,
                at,
            } => self.request(PaymentEvent::Requested {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                payment_method,
                at,
            }),
            PaymentCommand::RequestWith {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                kept: KeptMethod { method_id, customer_id, provider_id },
                at,
            } => {
                let mut events = self.request(PaymentEvent::Requested {
                    payment_id,
                    organisation_id,
                    currency,
                    amount_nanos,
                    payment_method: Some(provider_id),
                    at,
                })?;
                if !events.is_empty() {
                    events.push(PaymentEvent::MethodNamed { method_id, customer_id });
                }
                Ok(events)
            }
            PaymentCommand::Submit { provider_id, at } => self.submit(provider_id, at),
            PaymentCommand::Wait { waits_for, at } => self.wait(waits_for, at),
            PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at } => {
                self.succeed(provider_id, charge_id, amount_nanos, at)
            }
            PaymentCommand::Fail { code, message, at } => match self.status {
                PaymentStatus::Unknown => Err(PaymentError::Unknown),
                PaymentStatus::Failed => Ok(vec![]),
                PaymentStatus::Succeeded => Err(PaymentError::WrongState(self.status)),
                PaymentStatus::Requested
                | PaymentStatus::Pending
                | PaymentStatus::RequiresAction
                | PaymentStatus::Processing => Ok(vec![PaymentEvent::Failed { code, message, at }]),
            },
            PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at } => {
                self.record_fee(balance_transaction_id, fee_nanos, at)
            }
        }
    }

    fn evolve(mut self, event: PaymentEvent) -> Self {
        match event {
            PaymentEvent::Requested {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                at,
                ..
            } => {
                self.payment_id = Some(payment_id);
                self.requested_at = at;
                self.organisation_id = Some(organisation_id);
                self.currency = Some(currency);
                self.amount_nanos = amount_nanos;
                self.status = PaymentStatus::Requested;
            }
            PaymentEvent::MethodNamed { customer_id, .. } => self.customer_id = Some(customer_id),
            PaymentEvent::Submitted { provider_id, .. } => {
                self.provider_id = Some(provider_id);
                self.status = PaymentStatus::Pending;
            }
            PaymentEvent::ActionRequired { .. } => self.status = PaymentStatus::RequiresAction,
            PaymentEvent::ProcessingBegun { .. } => self.status = PaymentStatus::Processing,
            PaymentEvent::Succeeded { provider_id, charge_id, .. } => {
                self.provider_id = Some(provider_id);
                self.charge_id = Some(charge_id);
                self.status = PaymentStatus::Succeeded;
            }
            PaymentEvent::Failed { .. } => self.status = PaymentStatus::Failed,
            PaymentEvent::FeeRecorded { balance_transaction_id, .. } => {
                self.fee_of = Some(balance_transaction_id);
            }
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }

    fn book_entry(&self, event: &PaymentEvent) -> Option<BookEntry> {
        match event {
            PaymentEvent::FeeRecorded { journal, .. } => journal.clone().map(BookEntry::movement),
            PaymentEvent::Requested { .. }
            | PaymentEvent::MethodNamed { .. }
            | PaymentEvent::Submitted { .. }
            | PaymentEvent::ActionRequired { .. }
            | PaymentEvent::ProcessingBegun { .. }
            | PaymentEvent::Succeeded { .. }
            | PaymentEvent::Failed { .. } => None,
        }
    }
}

cqrs_aggregate!(Payment);

pub(crate) fn check_amount(amount_nanos: Nanos, currency: Currency) -> Result<(), PaymentError> {
    let unit = currency.nanos_per_minor() * 100;
    let (min, max) = (TOP_UP_UNITS.0 * unit, TOP_UP_UNITS.1 * unit);
    if !(min..=max).contains(&amount_nanos) {
        return Err(PaymentError::AmountOutOfRange {
            min: format_nanos(min),
            max: format_nanos(max),
            given: format_nanos(amount_nanos),
        });
    }
    if amount_nanos % currency.nanos_per_minor() != 0 {
        return Err(PaymentError::NotWholeMinor(format_nanos(amount_nanos)));
    }
    Ok(())
}

/// What the provider calls a thing never changes once we know it.
fn same_id(known: Option<&str>, reported: &str) -> Result<(), PaymentError> {
    match known {
        Some(known) if known != reported => Err(PaymentError::ProviderMismatch {
            known: known.to_owned(),
            reported: reported.to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}

impl Payment {
    /// The first fact, unless it is there already.
    fn request(&self, requested: PaymentEvent) -> Result<Vec<PaymentEvent>, PaymentError> {
        let PaymentEvent::Requested { organisation_id, currency, amount_nanos, .. } = &requested
        else {
            return Err(PaymentError::Unknown);
        };
        let same = self.organisation_id == Some(*organisation_id)
            && (self.currency, self.amount_nanos) == (Some(*currency), *amount_nanos);
        if self.status != PaymentStatus::Unknown {
            return if same { Ok(vec![]) } else { Err(PaymentError::IdReused) };
        }
        check_amount(*amount_nanos, *currency)?;
        Ok(vec![requested])
    }

    /// The wish to give some of it back; none as long as it has no charge that could be refunded.
    #[must_use]
    pub fn refund(
        &self,
        (refund_id, amount_nanos): (RefundId, Nanos),
        at: Timestamp,
    ) -> Option<RefundCommand> {
        Some(RefundCommand::Request {
            refund_id,
            payment_id: self.payment_id?,
            organisation_id: self.organisation_id?,
            currency: self.currency?,
            amount_nanos,
            charge_id: self.charge_id.clone()?,
            at,
        })
    }

    fn submit(
        &self,
        provider_id: String,
        at: Timestamp,
    ) -> Result<Vec<PaymentEvent>, PaymentError> {
        if self.status == PaymentStatus::Unknown {
            return Err(PaymentError::Unknown);
        }
        self.same_provider(&provider_id)?;
        match self.status {
            PaymentStatus::Requested => Ok(vec![PaymentEvent::Submitted { provider_id, at }]),
            PaymentStatus::Unknown
            | PaymentStatus::Pending
            | PaymentStatus::RequiresAction
            | PaymentStatus::Processing
            | PaymentStatus::Succeeded
            | PaymentStatus::Failed => Ok(vec![]),
        }
    }

    /// Forward only: a report that is older than what is known changes nothing.
    fn wait(&self, waits_for: WaitsFor, at: Timestamp) -> Result<Vec<PaymentEvent>, PaymentError> {
        use PaymentStatus as S;
        match (self.status, waits_for) {
            (S::Unknown, _) => Err(PaymentError::Unknown),
            (S::Requested | S::Pending, WaitsFor::Customer) => {
                Ok(vec![PaymentEvent::ActionRequired { at }])
            }
            (S::Requested | S::Pending | S::RequiresAction, WaitsFor::Bank) => {
                Ok(vec![PaymentEvent::ProcessingBegun { at }])
            }
            (S::RequiresAction | S::Processing | S::Succeeded | S::Failed, _) => Ok(vec![]),
        }
    }

    fn succeed(
        &self,
        provider_id: String,
        charge_id: String,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<PaymentEvent>, PaymentError> {
        if self.status == PaymentStatus::Unknown {
            return Err(PaymentError::Unknown);
        }
        self.same_provider(&provider_id)?;
        if amount_nanos != self.amount_nanos {
            return Err(PaymentError::AmountMismatch {
                expected: format_nanos(self.amount_nanos),
                reported: format_nanos(amount_nanos),
            });
        }
        if self.status != PaymentStatus::Succeeded {
            return Ok(vec![PaymentEvent::Succeeded { provider_id, charge_id, amount_nanos, at }]);
        }
        same_id(self.charge_id.as_deref(), &charge_id)?;
        Ok(vec![])
    }

    fn same_provider(&self, reported: &str) -> Result<(), PaymentError> {
        same_id(self.provider_id.as_deref(), reported)
    }

    fn record_fee(
        &self,
        balance_transaction_id: String,
        fee_nanos: Nanos,
        at: Timestamp,
    ) -> Result<Vec<PaymentEvent>, PaymentError> {
        let currency = self.currency.ok_or(PaymentError::Unknown)?;
        if self.status != PaymentStatus::Succeeded {
            return Err(PaymentError::WrongState(self.status));
        }
        same_id(self.fee_of.as_deref(), &balance_transaction_id)?;
        if self.fee_of.is_some() {
            return Ok(vec![]);
        }
        let journal = (fee_nanos > 0).then(|| {
            JournalTransaction::transfer(
                ("stripe_fee", "stripe_fee", &balance_transaction_id),
                (currency, fee_nanos),
                (chart::stripe_fees(currency), chart::stripe(currency)),
                at,
            )
        });
        Ok(vec![PaymentEvent::FeeRecorded { balance_transaction_id, fee_nanos, journal }])
    }
}
