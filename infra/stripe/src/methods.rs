//! What customers pay with, kept by Stripe: a customer per organisation, and methods that a `SetupIntent` attaches to it.
use std::collections::HashMap;

use cairn_commands::ports::{NewSetup, PortError, ProviderSetup};
use cairn_core::{OrganisationId, PaymentMethodId};
use stripe::StripeRequest;
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::customer::{CreateCustomer, DeleteCustomer, RetrievePaymentMethodCustomer};
use stripe_core::setup_intent::{
    CancelSetupIntent, CreateSetupIntent, CreateSetupIntentAutomaticPaymentMethods,
    CreateSetupIntentAutomaticPaymentMethodsAllowRedirects, CreateSetupIntentUsage,
    ListSetupIntent, RetrieveSetupIntent,
};

use crate::convert;
use crate::port::{PAGE_MAX, StripePayments};
use crate::wire::{Identified, IntentSecret, SetupIntent};

/// What a method is known by comes with its `SetupIntent`.
const EXPANDED: &str = "payment_method";

/// `POST /v1/payment_methods/{id}/detach`.
struct DetachPaymentMethod<'a>(&'a str);

impl StripeRequest for DetachPaymentMethod<'_> {
    type Output = ();

    fn build(&self) -> RequestBuilder {
        RequestBuilder::new(StripeMethod::Post, format!("/payment_methods/{}/detach", self.0))
    }
}

/// What is gone already is as it should be.
fn gone_is_done(answer: Result<Identified, PortError>) -> Result<(), PortError> {
    match answer {
        Err(error) if error.code == "resource_missing" => Ok(()),
        answer => answer.map(drop),
    }
}

impl StripePayments {
    pub(crate) async fn make_customer(
        &self,
        organisation_id: OrganisationId,
        idempotency_key: &str,
    ) -> Result<String, PortError> {
        // Only our own name of it: who it is nobody there needs to know.
        let ours = (convert::ORGANISATION_KEY.to_owned(), organisation_id.to_string());
        let request = CreateCustomer::new().metadata(HashMap::from([ours]));
        let Identified { id } = self.ask(&request, Some(idempotency_key)).await?;
        Ok(id)
    }

    pub(crate) async fn end_customer(&self, customer_id: &str) -> Result<(), PortError> {
        gone_is_done(self.ask(&DeleteCustomer::new(customer_id), None).await)
    }

    pub(crate) async fn begin_setup(&self, setup: &NewSetup) -> Result<ProviderSetup, PortError> {
        let ours = [
            (convert::ORGANISATION_KEY.to_owned(), setup.organisation_id.to_string()),
            (convert::METHOD_KEY.to_owned(), setup.method_id.to_string()),
        ];
        let mut request = CreateSetupIntent::new()
            .customer(setup.customer_id.clone())
            .usage(CreateSetupIntentUsage::OffSession)
            .metadata(HashMap::from(ours))
            .expand([EXPANDED.to_owned()]);
        if !self.default_methods {
            let mut methods = CreateSetupIntentAutomaticPaymentMethods::new(true);
            methods.allow_redirects =
                Some(CreateSetupIntentAutomaticPaymentMethodsAllowRedirects::Never);
            request = request.automatic_payment_methods(methods);
        }
        if let Some(method) = &setup.payment_method {
            request = request.payment_method(method.clone()).confirm(true);
        }
        let made: SetupIntent = self.ask(&request, Some(&setup.idempotency_key)).await?;
        Ok(convert::setup(made))
    }

    pub(crate) async fn look_for_setup(
        &self,
        customer_id: &str,
        method_id: PaymentMethodId,
    ) -> Result<Option<ProviderSetup>, PortError> {
        let found = self
            .walk(convert::METHOD_KEY, &method_id.to_string(), |after| {
                let request =
                    ListSetupIntent::new().customer(customer_id).limit(i64::from(PAGE_MAX));
                match after {
                    None => request,
                    Some(id) => request.starting_after(id),
                }
            })
            .await?;
        // Read anew: a list does not say what a method is known by.
        match found {
            None => Ok(None),
            Some(id) => self.read_setup(&id).await.map(Some),
        }
    }

    pub(crate) async fn read_setup(&self, id: &str) -> Result<ProviderSetup, PortError> {
        let request = RetrieveSetupIntent::new(id).expand([EXPANDED.to_owned()]);
        let setup: SetupIntent = self.ask(&request, None).await?;
        Ok(convert::setup(setup))
    }

    pub(crate) async fn read_setup_secret(&self, id: &str) -> Result<String, PortError> {
        let secret: IntentSecret = self.ask(&RetrieveSetupIntent::new(id), None).await?;
        secret.client_secret.ok_or_else(|| {
            PortError::permanent("no_client_secret", "the payment method has no client secret")
        })
    }

    pub(crate) async fn end_setup(&self, id: &str) -> Result<ProviderSetup, PortError> {
        let ended: Result<Identified, PortError> =
            self.ask(&CancelSetupIntent::new(id), None).await;
        match ended {
            // It has become final meanwhile: how, is read.
            Err(error) if error.code != "setup_intent_unexpected_state" => Err(error),
            Ok(_) | Err(_) => self.read_setup(id).await,
        }
    }

    /// Stripe refuses to detach what is not attached, without a code of its own: it is looked first.
    pub(crate) async fn detach(&self, customer_id: &str, id: &str) -> Result<(), PortError> {
        let kept: Result<Identified, PortError> =
            self.ask(&RetrievePaymentMethodCustomer::new(customer_id, id), None).await;
        match kept {
            Err(error) if error.code == "resource_missing" => Ok(()),
            Err(error) => Err(error),
            Ok(_) => gone_is_done(self.ask(&DetachPaymentMethod(id), None).await),
        }
    }
}
