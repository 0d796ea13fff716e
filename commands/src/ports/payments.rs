//! The payment provider.
use async_trait::async_trait;
use cairn_core::{Money, Nanos, OrganisationId, PaymentId, PaymentMethodId, RefundId, Timestamp};
use cairn_payments::MethodDetails;
use serde::Serialize;

use super::PortError;

/// A payment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NewPayment {
    pub payment_id: PaymentId,
    pub amount: Money,
    /// Confirm at once with this method; without it the customer confirms with the client secret.
    pub payment_method: Option<String>,
    /// The customer that keeps the method, who is not there to be asked.
    pub customer_id: Option<String>,
    pub idempotency_key: String,
}

/// A method to keep for a customer, so that it can be charged without them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NewSetup {
    pub organisation_id: OrganisationId,
    pub method_id: PaymentMethodId,
    pub customer_id: String,
    /// Keep this one at once; without it the customer chooses one with the client secret.
    pub payment_method: Option<String>,
    pub idempotency_key: String,
}

/// How it stands with a method that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetupOutcome {
    Pending,
    Saved { provider_id: String, details: MethodDetails },
    Failed { code: String, message: String },
}

/// The keeping of a method, as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderSetup {
    pub provider_id: String,
    /// Ours, from the provider's metadata; absent where Cairn did not ask for it.
    pub ours: Option<(OrganisationId, PaymentMethodId)>,
    pub outcome: SetupOutcome,
}

/// How a payment or refund stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProviderOutcome {
    Pending,
    /// Of a payment: its bank wants to see the customer.
    ActionRequired,
    /// Of a payment: its bank takes its time, days perhaps.
    Processing,
    Succeeded,
    Failed {
        code: String,
        message: String,
    },
}

/// What the provider keeps of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderFee {
    pub balance_transaction_id: String,
    /// 0 also when it was taken in another currency than the payment's.
    pub fee_nanos: Nanos,
}

/// A payment as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderPayment {
    pub provider_id: String,
    /// Ours, from the provider's metadata; absent on payments that Cairn did not make.
    pub payment_id: Option<PaymentId>,
    pub outcome: ProviderOutcome,
    pub amount: Money,
    pub charge_id: Option<String>,
    /// When the charge was made, where the provider says so.
    pub charged_at: Option<Timestamp>,
    pub fee: Option<ProviderFee>,
}

/// A refund to make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NewRefund {
    pub refund_id: RefundId,
    pub charge_id: String,
    pub amount: Money,
    pub idempotency_key: String,
}

/// A refund as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderRefund {
    pub provider_id: String,
    pub refund_id: Option<RefundId>,
    pub outcome: ProviderOutcome,
    pub amount: Money,
}

/// Whether a dispute is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProviderDisputeStanding {
    Open,
    Won,
    Lost,
}

/// What the provider did with a dispute's money.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderDisputeLine {
    pub balance_transaction_id: String,
    /// Signed: negative when it was taken from us.
    pub amount: Money,
    /// Negative when a fee was given back.
    pub fee_nanos: Nanos,
    pub at: Timestamp,
}

/// A dispute as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderDispute {
    pub provider_id: String,
    /// Ours, from the metadata of the disputed payment; absent on payments that Cairn did not make.
    pub payment_id: Option<PaymentId>,
    pub charge_id: String,
    pub amount: Money,
    /// The provider's word for why, for example `fraudulent`.
    pub reason: String,
    pub opened_at: Timestamp,
    pub standing: ProviderDisputeStanding,
    pub lines: Vec<ProviderDisputeLine>,
}

/// One line of the provider's own book.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderTransaction {
    pub id: String,
    /// Charge, refund, … that it is for.
    pub source_id: Option<String>,
    /// The provider's `reporting_category`, for example `charge`, `refund`, `refund_failure`.
    pub category: String,
    /// ISO 4217, upper case. The provider may settle in currencies that we keep no books in.
    pub currency: String,
    /// Gross, signed.
    pub amount_nanos: Nanos,
    pub fee_nanos: Nanos,
    /// `amount − fee`.
    pub net_nanos: Nanos,
    pub created_at: Timestamp,
    pub available_at: Timestamp,
}

/// Whether the provider says which lines a payout is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ProviderItems {
    Complete,
    NotYet,
    /// Of what somebody asked for by hand.
    Never,
}

/// A payout as the provider sees it; its money is in the lines of the provider's book.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderPayout {
    pub provider_id: String,
    pub items: ProviderItems,
    /// What the bank's statement says of it, where the provider knows.
    pub descriptor: Option<String>,
    /// The bank's own reference of it, where the provider knows.
    pub trace: Option<String>,
    pub arrives_at: Timestamp,
}

/// What the provider holds for us in one currency, pending and available together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProviderBalance {
    /// ISO 4217, upper case.
    pub currency: String,
    pub total_nanos: Nanos,
}

/// Talks to the payment provider. Every call that moves money carries an idempotency key; the provider forgets it after a day, so
/// whoever may have called before looks first.
#[async_trait]
pub trait PaymentPort: Send + Sync {
    /// Makes a payment.
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError>;
    /// The payment that was made for this id of ours since an instant, if there is one. Read from the provider itself, not from an
    /// index of it that lags: what it does not find was not made.
    async fn find_payment(
        &self,
        payment_id: PaymentId,
        since: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError>;
    /// A payment as it stands now.
    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError>;
    /// Cancels a payment, so that it can never be taken, unless it is final. Answers how it stands then; who cannot cancel, how it stands.
    async fn cancel_payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        self.payment(provider_id).await
    }
    /// What the customer's browser needs to confirm a payment. Never stored.
    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError>;
    /// Makes a refund against the original charge.
    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError>;
    /// The refund of a charge that was made for this id of ours, if there is one. As sure as [`Self::find_payment`].
    async fn find_refund(
        &self,
        charge_id: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError>;
    /// A refund as it stands now.
    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError>;
    /// A dispute as it stands now, with what was done with its money.
    async fn dispute(&self, provider_id: &str) -> Result<ProviderDispute, PortError>;
    /// The provider's book, oldest first, from an instant on, after `after` if given; at most `limit` (≤ 100) lines.
    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError>;
    /// A payout as it stands now.
    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError>;
    /// The lines that a payout is made of, without its own. Refused for one that is not itemised.
    async fn payout_items(&self, provider_id: &str) -> Result<Vec<ProviderTransaction>, PortError>;
    /// Makes a customer; answers the provider's id of it. Whoever asks after the key is forgotten gets another one.
    async fn create_customer(
        &self,
        _organisation_id: OrganisationId,
        _idempotency_key: &str,
    ) -> Result<String, PortError> {
        Err(keeps_nothing())
    }
    /// Deletes a customer with every method that is kept for it. One that is gone already is no error.
    async fn delete_customer(&self, _customer_id: &str) -> Result<(), PortError> {
        Err(keeps_nothing())
    }
    /// Begins to keep a method.
    async fn create_setup(&self, _setup: &NewSetup) -> Result<ProviderSetup, PortError> {
        Err(keeps_nothing())
    }
    /// What was begun for this id of ours, if anything was. As sure as [`Self::find_payment`].
    async fn find_setup(
        &self,
        _customer_id: &str,
        _method_id: PaymentMethodId,
    ) -> Result<Option<ProviderSetup>, PortError> {
        Err(keeps_nothing())
    }
    /// How it stands now.
    async fn setup(&self, _provider_id: &str) -> Result<ProviderSetup, PortError> {
        Err(keeps_nothing())
    }
    /// What the customer's browser needs to choose a method. Never stored.
    async fn setup_secret(&self, _provider_id: &str) -> Result<String, PortError> {
        Err(keeps_nothing())
    }
    /// Ends what nobody completes, unless it is complete. Answers how it stands then.
    async fn cancel_setup(&self, _provider_id: &str) -> Result<ProviderSetup, PortError> {
        Err(keeps_nothing())
    }
    /// Keeps a method no more. One that is gone already is no error.
    async fn detach_method(&self, _customer_id: &str, _provider_id: &str) -> Result<(), PortError> {
        Err(keeps_nothing())
    }
    /// What the provider holds for us.
    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError>;
}

fn keeps_nothing() -> PortError {
    PortError::permanent("methods_not_kept", "this provider keeps no payment methods")
}
