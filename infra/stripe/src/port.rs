//! The port: async-stripe makes and carries the requests, with the caller's key and a time limit.
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{
    NewPayment, NewRefund, NewSetup, PaymentPort, PortError, ProviderBalance, ProviderDispute,
    ProviderPayment, ProviderPayout, ProviderRefund, ProviderSetup, ProviderTransaction,
};
use cairn_core::{Money, OrganisationId, PaymentId, PaymentMethodId, RefundId, Timestamp};
use serde::de::DeserializeOwned;
use stripe::{IdempotencyKey, RequestStrategy, StripeRequest};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_core::balance_transaction::ListBalanceTransaction;
use stripe_core::dispute::RetrieveDispute;
use stripe_core::payment_intent::{
    CancelPaymentIntent, CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods,
    CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects, CreatePaymentIntentOffSession,
    ListPaymentIntent, RetrievePaymentIntent,
};
use stripe_core::payout::RetrievePayout;
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_types::RangeQueryTs;

use crate::config::StripeConfig;
use crate::wire::{
    Balance, BalanceTransaction, Dispute, IntentSecret, Page, PaymentIntent, Payout, Refund, Tagged,
};
use crate::{convert, error};

/// How long one call may take before it is in doubt.
const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const PAGE_MAX: u8 = 100;
/// How far our clock and the provider's may be apart.
const CLOCK_SKEW_SECS: i64 = 3_600;
/// A payment carries its charge, and the charge its line in Stripe's book (amount and fee).
const EXPANDED: &str = "latest_charge.balance_transaction";

/// Stripe as a payment provider.
#[derive(Clone, Debug)]
pub struct StripePayments {
    client: stripe::Client,
    pub(crate) default_methods: bool,
}

impl StripePayments {
    /// A client of the account in `config`.
    ///
    /// # Errors
    /// Permanent `provider_config`, when the key or the address cannot be used.
    pub fn try_new(config: StripeConfig) -> Result<Self, PortError> {
        Self::with_timeout(config, TIMEOUT)
    }

    /// Like [`Self::try_new`], with another time limit per call.
    ///
    /// # Errors
    /// As [`Self::try_new`].
    pub fn with_timeout(config: StripeConfig, timeout: Duration) -> Result<Self, PortError> {
        if config.secret_key.trim().is_empty() {
            return Err(PortError::permanent("provider_config", "the Stripe key is empty"));
        }
        // Two providers of cryptography are in the tree (sqlx brings ring); without a choice rustls panics. An earlier choice stands.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = stripe::ClientBuilder::new(config.secret_key).timeout(timeout).app_info(
            "cairn",
            Some(env!("CARGO_PKG_VERSION").to_owned()),
            None,
        );
        if let Some(base) = config.api_base {
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = builder.build().map_err(error::classify)?;
        Ok(Self { client, default_methods: false })
    }

    /// Names no kinds of payment method, for stand-ins that do not know `automatic_payment_methods`. Otherwise every kind that the
    /// account has switched on and that needs no redirect is taken.
    #[must_use]
    pub fn with_default_methods(self) -> Self {
        Self { default_methods: true, ..self }
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: &(impl StripeRequest + Sync),
        idempotency_key: Option<&str>,
    ) -> Result<T, PortError> {
        let strategy = match idempotency_key {
            None => RequestStrategy::Once,
            Some(key) => RequestStrategy::Idempotent(
                IdempotencyKey::new(key)
                    .map_err(|e| PortError::permanent("invalid_idempotency_key", e.to_string()))?,
            ),
        };
        let document: miniserde::json::Value = request
            .build()
            .customize()
            .request_strategy(strategy)
            .send(&self.client)
            .await
            .map_err(error::classify)?;
        serde_json::from_str(&miniserde::json::to_string(&document)).map_err(error::unreadable)
    }

    fn new_intent(&self, payment: &NewPayment) -> Result<CreatePaymentIntent, PortError> {
        let Money { currency, .. } = payment.amount;
        let mut request =
            CreatePaymentIntent::new(convert::minor(payment.amount)?, wire_currency(currency))
                .metadata(metadata(convert::PAYMENT_KEY, payment.payment_id.to_string()))
                // The asynchronous default would answer before the fee is known.
                .capture_method(stripe_core::PaymentIntentCaptureMethod::Automatic)
                .expand([EXPANDED.to_owned()]);
        if !self.default_methods {
            let mut methods = CreatePaymentIntentAutomaticPaymentMethods::new(true);
            methods.allow_redirects =
                Some(CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Never);
            request = request.automatic_payment_methods(methods);
        }
        if let Some(method) = &payment.payment_method {
            request = request.payment_method(method.clone()).confirm(true);
        }
        if let Some(customer_id) = &payment.customer_id {
            let nobody_there = CreatePaymentIntentOffSession::Bool(true);
            request = request.customer(customer_id.clone()).off_session(nobody_there);
        }
        Ok(request)
    }

    /// Walks a list to the object whose metadata names our id; answers the provider's id of it. Lists are read from the primary
    /// store; Stripe's search lags behind by a minute or more and would miss what was made just now.
    pub(crate) async fn walk<R: StripeRequest + Sync>(
        &self,
        key: &str,
        ours: &str,
        request: impl Fn(Option<String>) -> R,
    ) -> Result<Option<String>, PortError> {
        let mut after = None;
        loop {
            let page: Page<Tagged> = self.ask(&request(after), None).await?;
            if let Some(found) = page.data.iter().find(|object| object.names(key, ours)) {
                return Ok(Some(found.id.clone()));
            }
            after = page.data.last().map(|object| object.id.clone());
            if !page.has_more || after.is_none() {
                return Ok(None);
            }
        }
    }

    async fn page(
        &self,
        request: &ListBalanceTransaction,
    ) -> Result<Page<BalanceTransaction>, PortError> {
        self.ask(request, None).await
    }

    /// The oldest `limit` lines from an instant on: Stripe lists newest first, so the list is walked to its far end.
    async fn oldest(
        &self,
        from: Timestamp,
        limit: usize,
    ) -> Result<Vec<BalanceTransaction>, PortError> {
        let from_secs = from.as_micros().div_euclid(1_000_000);
        let mut oldest = VecDeque::with_capacity(limit);
        let mut cursor: Option<String> = None;
        loop {
            let mut request = ListBalanceTransaction::new().limit(i64::from(PAGE_MAX));
            if let Some(id) = cursor {
                request = request.starting_after(id);
            }
            let page = self.page(&request).await?;
            cursor = page.data.last().map(|line| line.id.clone());
            let lines_before = page.data.len();
            let recent = page.data.into_iter().take_while(|line| line.created >= from_secs);
            let mut lines_taken = 0;
            for line in recent {
                if oldest.len() == limit {
                    oldest.pop_back();
                }
                oldest.push_front(line);
                lines_taken += 1;
            }
            if lines_taken < lines_before || !page.has_more || cursor.is_none() {
                return Ok(oldest.into());
            }
        }
    }
}

fn wire_currency(currency: cairn_core::Currency) -> stripe_types::Currency {
    match currency {
        cairn_core::Currency::CHF => stripe_types::Currency::CHF,
        cairn_core::Currency::EUR => stripe_types::Currency::EUR,
        cairn_core::Currency::GBP => stripe_types::Currency::GBP,
        cairn_core::Currency::USD => stripe_types::Currency::USD,
    }
}

fn metadata(key: &str, value: String) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value)])
}

#[async_trait]
impl PaymentPort for StripePayments {
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError> {
        let request = self.new_intent(payment)?;
        let intent: PaymentIntent = self.ask(&request, Some(&payment.idempotency_key)).await?;
        convert::payment(intent)
    }

    async fn find_payment(
        &self,
        payment_id: PaymentId,
        since: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        let since_secs = since.as_micros().div_euclid(1_000_000) - CLOCK_SKEW_SECS;
        let ours = payment_id.to_string();
        let found = self
            .walk(convert::PAYMENT_KEY, &ours, |after| {
                let request = ListPaymentIntent::new()
                    .limit(i64::from(PAGE_MAX))
                    .created(RangeQueryTs::gte(since_secs));
                match after {
                    None => request,
                    Some(id) => request.starting_after(id),
                }
            })
            .await?;
        // Read anew: a list does not carry the charge and its fee.
        match found {
            None => Ok(None),
            Some(id) => self.payment(&id).await.map(Some),
        }
    }

    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let request = RetrievePaymentIntent::new(provider_id).expand([EXPANDED.to_owned()]);
        convert::payment(self.ask(&request, None).await?)
    }

    async fn cancel_payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let request = CancelPaymentIntent::new(provider_id).expand([EXPANDED.to_owned()]);
        match self.ask(&request, None).await {
            // It has become final meanwhile: how, is read.
            Err(error) if error.code == "payment_intent_unexpected_state" => {
                self.payment(provider_id).await
            }
            answer => convert::payment(answer?),
        }
    }

    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError> {
        let secret: IntentSecret = self.ask(&RetrievePaymentIntent::new(provider_id), None).await?;
        secret.client_secret.ok_or_else(|| {
            PortError::permanent("no_client_secret", "the payment has no client secret")
        })
    }

    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError> {
        let request = CreateRefund::new()
            .charge(refund.charge_id.clone())
            .amount(convert::minor(refund.amount)?)
            .metadata(metadata(convert::REFUND_KEY, refund.refund_id.to_string()));
        let refund: Refund = self.ask(&request, Some(&refund.idempotency_key)).await?;
        convert::refund(refund)
    }

    async fn find_refund(
        &self,
        charge_id: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError> {
        let ours = refund_id.to_string();
        let found = self
            .walk(convert::REFUND_KEY, &ours, |after| {
                let request =
                    ListRefund::new().limit(i64::from(PAGE_MAX)).charge(charge_id.to_owned());
                match after {
                    None => request,
                    Some(id) => request.starting_after(id),
                }
            })
            .await?;
        match found {
            None => Ok(None),
            Some(id) => self.refund(&id).await.map(Some),
        }
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        convert::refund(self.ask(&RetrieveRefund::new(provider_id), None).await?)
    }

    async fn dispute(&self, provider_id: &str) -> Result<ProviderDispute, PortError> {
        // The payment carries our id.
        let request = RetrieveDispute::new(provider_id).expand(["payment_intent".to_owned()]);
        let dispute: Dispute = self.ask(&request, None).await?;
        convert::dispute(dispute)
    }

    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let lines = match after {
            None => self.oldest(from, usize::from(limit)).await?,
            Some(id) => {
                let request = ListBalanceTransaction::new()
                    .limit(i64::from(limit))
                    .ending_before(id.to_owned());
                let mut newest_first = self.page(&request).await?.data;
                newest_first.reverse();
                newest_first
            }
        };
        lines.into_iter().map(convert::transaction).collect()
    }

    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError> {
        let payout: Payout = self.ask(&RetrievePayout::new(provider_id), None).await?;
        Ok(convert::payout(payout))
    }

    async fn payout_items(&self, provider_id: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut request =
                ListBalanceTransaction::new().payout(provider_id).limit(i64::from(PAGE_MAX));
            if let Some(id) = after {
                request = request.starting_after(id);
            }
            let page = self.page(&request).await?;
            after = page.data.last().map(|line| line.id.clone());
            let lines = page.data.into_iter().map(convert::transaction);
            items.extend(lines.collect::<Result<Vec<_>, _>>()?);
            if !page.has_more || after.is_none() {
                break;
            }
        }
        // The provider lists the payout's own line among what it pays out.
        items.retain(|line| line.source_id.as_deref() != Some(provider_id));
        Ok(items)
    }

    async fn create_customer(
        &self,
        organisation_id: OrganisationId,
        idempotency_key: &str,
    ) -> Result<String, PortError> {
        self.make_customer(organisation_id, idempotency_key).await
    }

    async fn delete_customer(&self, customer_id: &str) -> Result<(), PortError> {
        self.end_customer(customer_id).await
    }

    async fn create_setup(&self, setup: &NewSetup) -> Result<ProviderSetup, PortError> {
        self.begin_setup(setup).await
    }

    async fn find_setup(
        &self,
        customer_id: &str,
        method_id: PaymentMethodId,
    ) -> Result<Option<ProviderSetup>, PortError> {
        self.look_for_setup(customer_id, method_id).await
    }

    async fn setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        self.read_setup(provider_id).await
    }

    async fn setup_secret(&self, provider_id: &str) -> Result<String, PortError> {
        self.read_setup_secret(provider_id).await
    }

    async fn cancel_setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        self.end_setup(provider_id).await
    }

    async fn detach_method(&self, customer_id: &str, provider_id: &str) -> Result<(), PortError> {
        self.detach(customer_id, provider_id).await
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        let balance: Balance = self.ask(&RetrieveForMyAccountBalance::new(), None).await?;
        convert::balances(balance)
    }
}
