//! What an organisation pays with: its customer at the provider, and the methods that are kept there. One stream per organisation.
//!
//! Lifecycle of a method: `requested → pending → saved → removed | failed`. The provider may report the same outcome any number of
//! times; being saved overrides an earlier failed attempt. One of the methods that are saved is the default, as long as there is one.
use cairn_core::{
    Decider, OrganisationId, PaymentMethodId, Refusal, Subject, Text, Texts, Timestamp,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// What can be seen of a method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodDetails {
    /// The provider's word for what it is, for example `card`.
    pub kind: String,
    /// Of a card its brand, of an account its bank.
    pub brand: String,
    /// Its last characters.
    pub last4: String,
    /// Of a card the month after which it is over, `2031-04`.
    pub expires: Option<String>,
}

/// What has happened to what an organisation pays with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum MethodEvent {
    /// A customer wants to keep a method.
    #[serde(rename = "payment_method.requested")]
    Requested {
        method_id: PaymentMethodId,
        organisation_id: OrganisationId,
        /// The provider's payment method; without it the customer chooses one in the browser.
        payment_method: Option<String>,
        at: Timestamp,
    },
    /// The provider knows the organisation.
    #[serde(rename = "payment_method.customer_made")]
    CustomerMade { customer_id: String, at: Timestamp },
    /// The provider has begun to keep it.
    #[serde(rename = "payment_method.submitted")]
    Submitted { method_id: PaymentMethodId, setup_id: String, at: Timestamp },
    /// It may be charged from now on, also without the customer.
    #[serde(rename = "payment_method.saved")]
    Saved {
        method_id: PaymentMethodId,
        provider_id: String,
        details: MethodDetails,
        is_default: bool,
        at: Timestamp,
    },
    /// The provider or the bank said no.
    #[serde(rename = "payment_method.failed")]
    Failed { method_id: PaymentMethodId, code: String, message: String, at: Timestamp },
    /// It is taken where none is named.
    #[serde(rename = "payment_method.made_default")]
    MadeDefault { method_id: PaymentMethodId, at: Timestamp },
    /// It is charged no more.
    #[serde(rename = "payment_method.removed")]
    Removed { method_id: PaymentMethodId, default_id: Option<PaymentMethodId>, at: Timestamp },
    /// The provider does not keep it any more.
    #[serde(rename = "payment_method.detached")]
    Detached { method_id: PaymentMethodId, at: Timestamp },
}

domain_event!(MethodEvent {
    Requested => "payment_method.requested", 1;
    CustomerMade => "payment_method.customer_made", 1;
    Submitted => "payment_method.submitted", 1;
    Saved => "payment_method.saved", 1;
    Failed => "payment_method.failed", 1;
    MadeDefault => "payment_method.made_default", 1;
    Removed => "payment_method.removed", 1;
    Detached => "payment_method.detached", 1;
});

impl Texts for MethodEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("method_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("payment_method", Text::Instrument),
        ("customer_id", Text::ProviderId),
        ("setup_id", Text::ProviderId),
        ("provider_id", Text::Instrument),
        ("details.kind", Text::Kept),
        ("details.brand", Text::Instrument),
        ("details.last4", Text::Instrument),
        ("details.expires", Text::Instrument),
        ("code", Text::Kept),
        ("message", Text::Reported),
        ("default_id", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum MethodCommand {
    Request {
        method_id: PaymentMethodId,
        organisation_id: OrganisationId,
        payment_method: Option<String>,
        at: Timestamp,
    },
    KnowCustomer {
        customer_id: String,
        at: Timestamp,
    },
    Submit {
        method_id: PaymentMethodId,
        setup_id: String,
        at: Timestamp,
    },
    Save {
        method_id: PaymentMethodId,
        provider_id: String,
        details: MethodDetails,
        at: Timestamp,
    },
    Fail {
        method_id: PaymentMethodId,
        code: String,
        message: String,
        at: Timestamp,
    },
    MakeDefault {
        method_id: PaymentMethodId,
        at: Timestamp,
    },
    Remove {
        method_id: PaymentMethodId,
        at: Timestamp,
    },
    ConfirmDetached {
        method_id: PaymentMethodId,
        at: Timestamp,
    },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MethodError {
    #[error("there is no such payment method")]
    Unknown,
    #[error("the payment method is {0:?}")]
    WrongState(MethodStatus),
    #[error("at most {METHODS_MAX} payment methods are kept; remove one first")]
    Full,
    #[error("the payment method is {known} at the provider, not {reported}")]
    ProviderMismatch { known: String, reported: String },
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for MethodError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_payment_method",
            Self::WrongState(_) => "payment_method_in_wrong_state",
            Self::Full => "payment_methods_full",
            Self::ProviderMismatch { .. } => "provider_id_mismatch",
            Self::IdReused => "id_reused",
        }
    }
}

/// How many methods an organisation keeps or is about to.
pub const METHODS_MAX: usize = 10;
/// How many that failed are remembered.
const FAILED_MAX: usize = 10;

/// Where a method stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MethodStatus {
    Requested,
    Pending,
    Saved,
    Failed,
    /// The provider may still keep it.
    Removed,
}

/// A method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Method {
    pub method_id: PaymentMethodId,
    pub status: MethodStatus,
    pub requested_at: Timestamp,
    /// What the customer brought.
    pub payment_method: Option<String>,
    pub setup_id: Option<String>,
    /// The provider's name for it, once it is saved.
    pub provider_id: Option<String>,
    pub details: Option<MethodDetails>,
    /// Code and message.
    pub failure: Option<(String, String)>,
}

/// What is remembered of what an organisation pays with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PaymentMethods {
    pub organisation_id: Option<OrganisationId>,
    pub customer_id: Option<String>,
    /// In the order in which they were asked for.
    pub methods: Vec<Method>,
    pub default_id: Option<PaymentMethodId>,
}

impl Decider for PaymentMethods {
    const TYPE: &'static str = "payment_methods";
    type Command = MethodCommand;
    type Event = MethodEvent;
    type Error = MethodError;

    fn decide(&self, command: MethodCommand) -> Result<Vec<MethodEvent>, MethodError> {
        use MethodCommand as C;
        match command {
            C::Request { method_id, organisation_id, payment_method, at } => {
                self.request((method_id, organisation_id), payment_method, at)
            }
            C::KnowCustomer { customer_id, at } => Ok(match self.customer_id {
                None => vec![MethodEvent::CustomerMade { customer_id, at }],
                // Whoever asked twice made another one there, which nobody uses.
                Some(_) => vec![],
            }),
            C::Submit { method_id, setup_id, at } => {
                let method = self.known(method_id)?;
                same_setup(method, &setup_id)?;
                let first = method.status == MethodStatus::Requested;
                let submitted = MethodEvent::Submitted { method_id, setup_id, at };
                Ok(if first { vec![submitted] } else { vec![] })
            }
            C::Save { method_id, provider_id, details, at } => {
                match self.known(method_id)?.status {
                    MethodStatus::Saved | MethodStatus::Removed => Ok(vec![]),
                    MethodStatus::Requested | MethodStatus::Pending | MethodStatus::Failed => {
                        let is_default = self.default_id.is_none();
                        Ok(vec![MethodEvent::Saved {
                            method_id,
                            provider_id,
                            details,
                            is_default,
                            at,
                        }])
                    }
                }
            }
            C::Fail { method_id, code, message, at } => {
                let status = self.known(method_id)?.status;
                match status {
                    MethodStatus::Failed => Ok(vec![]),
                    MethodStatus::Saved | MethodStatus::Removed => {
                        Err(MethodError::WrongState(status))
                    }
                    MethodStatus::Requested | MethodStatus::Pending => {
                        Ok(vec![MethodEvent::Failed { method_id, code, message, at }])
                    }
                }
            }
            C::MakeDefault { method_id, at } => {
                self.saved(method_id)?;
                let made = MethodEvent::MadeDefault { method_id, at };
                Ok(if self.default_id == Some(method_id) { vec![] } else { vec![made] })
            }
            C::Remove { method_id, at } => self.remove(method_id, at),
            C::ConfirmDetached { method_id, at } => match self.find(method_id) {
                None => Ok(vec![]),
                Some(method) if method.status == MethodStatus::Removed => {
                    Ok(vec![MethodEvent::Detached { method_id, at }])
                }
                Some(method) => Err(MethodError::WrongState(method.status)),
            },
        }
    }

    fn evolve(mut self, event: MethodEvent) -> Self {
        use MethodEvent as E;
        match event {
            E::Requested { method_id, organisation_id, payment_method, at } => {
                self.organisation_id = Some(organisation_id);
                self.methods.push(Method {
                    method_id,
                    status: MethodStatus::Requested,
                    requested_at: at,
                    payment_method,
                    setup_id: None,
                    provider_id: None,
                    details: None,
                    failure: None,
                });
            }
            E::CustomerMade { customer_id, .. } => self.customer_id = Some(customer_id),
            E::Submitted { method_id, setup_id, .. } => self.change(method_id, |method| {
                (method.status, method.setup_id) = (MethodStatus::Pending, Some(setup_id));
            }),
            E::Saved { method_id, provider_id, details, is_default, .. } => {
                self.change(method_id, |method| {
                    (method.status, method.failure) = (MethodStatus::Saved, None);
                    (method.provider_id, method.details) = (Some(provider_id), Some(details));
                });
                self.default_id = if is_default { Some(method_id) } else { self.default_id };
            }
            E::Failed { method_id, code, message, .. } => {
                self.change(method_id, |method| {
                    (method.status, method.failure) = (MethodStatus::Failed, Some((code, message)));
                });
                self.forget_failed();
            }
            E::MadeDefault { method_id, .. } => self.default_id = Some(method_id),
            E::Removed { method_id, default_id, .. } => {
                self.change(method_id, |method| method.status = MethodStatus::Removed);
                self.methods.retain(|it| it.method_id != method_id || it.provider_id.is_some());
                self.default_id = default_id;
            }
            E::Detached { method_id, .. } => self.methods.retain(|it| it.method_id != method_id),
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }
}

cqrs_aggregate!(PaymentMethods);

/// What the provider calls it never changes once we know it.
fn same_setup(method: &Method, reported: &str) -> Result<(), MethodError> {
    match &method.setup_id {
        Some(known) if known != reported => Err(MethodError::ProviderMismatch {
            known: known.clone(),
            reported: reported.to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}

impl PaymentMethods {
    /// A method of this organisation.
    #[must_use]
    pub fn find(&self, method_id: PaymentMethodId) -> Option<&Method> {
        self.methods.iter().find(|method| method.method_id == method_id)
    }

    /// What the customer is shown: what was removed is not there any more.
    pub fn shown(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(|method| method.status != MethodStatus::Removed)
    }

    /// A method that may be charged.
    ///
    /// # Errors
    /// When there is none, or it is not saved.
    pub fn saved(&self, method_id: PaymentMethodId) -> Result<&Method, MethodError> {
        let method = self.known(method_id)?;
        match method.status {
            MethodStatus::Saved => Ok(method),
            MethodStatus::Removed => Err(MethodError::Unknown),
            MethodStatus::Requested | MethodStatus::Pending | MethodStatus::Failed => {
                Err(MethodError::WrongState(method.status))
            }
        }
    }

    fn known(&self, method_id: PaymentMethodId) -> Result<&Method, MethodError> {
        self.find(method_id).ok_or(MethodError::Unknown)
    }

    fn change(&mut self, method_id: PaymentMethodId, change: impl FnOnce(&mut Method)) {
        if let Some(method) = self.methods.iter_mut().find(|it| it.method_id == method_id) {
            change(method);
        }
    }

    fn forget_failed(&mut self) {
        let failed = |method: &Method| method.status == MethodStatus::Failed;
        if self.methods.iter().filter(|method| failed(method)).count() > FAILED_MAX
            && let Some(oldest) = self.methods.iter().position(failed)
        {
            self.methods.remove(oldest);
        }
    }

    fn request(
        &self,
        (method_id, organisation_id): (PaymentMethodId, OrganisationId),
        payment_method: Option<String>,
        at: Timestamp,
    ) -> Result<Vec<MethodEvent>, MethodError> {
        if self.organisation_id.is_some_and(|owner| owner != organisation_id) {
            return Err(MethodError::IdReused);
        }
        if self.find(method_id).is_some() {
            return Ok(vec![]);
        }
        let kept = self.shown().filter(|method| method.status != MethodStatus::Failed).count();
        if kept >= METHODS_MAX {
            return Err(MethodError::Full);
        }
        Ok(vec![MethodEvent::Requested { method_id, organisation_id, payment_method, at }])
    }

    /// The default passes on to the one that has been kept longest.
    fn remove(
        &self,
        method_id: PaymentMethodId,
        at: Timestamp,
    ) -> Result<Vec<MethodEvent>, MethodError> {
        let status = self.known(method_id)?.status;
        match status {
            MethodStatus::Removed => return Err(MethodError::Unknown),
            // The customer may be choosing one in the browser at this moment.
            MethodStatus::Requested | MethodStatus::Pending => {
                return Err(MethodError::WrongState(status));
            }
            MethodStatus::Saved | MethodStatus::Failed => {}
        }
        let rest = |it: &&Method| it.status == MethodStatus::Saved && it.method_id != method_id;
        let next = || self.methods.iter().find(rest).map(|method| method.method_id);
        let default_id = self.default_id.filter(|id| *id != method_id).or_else(next);
        Ok(vec![MethodEvent::Removed { method_id, default_id, at }])
    }
}
