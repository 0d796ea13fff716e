//! Customers, what is kept for them, and how it comes to be kept.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Book, Card, Change, Charging};
use crate::http::ApiError;

/// Somebody who pays more than once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub metadata: BTreeMap<String, String>,
    pub deleted: bool,
}

/// Something to pay with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PaymentMethod {
    pub id: String,
    pub created: i64,
    /// Which of the test payment methods it is, `pm_card_…`.
    pub behind: String,
    /// Whose it is.
    pub customer: Option<String>,
    /// It was somebody's, and is for nothing any more.
    pub detached: bool,
}

/// The wish to keep something to pay with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SetupIntent {
    pub id: String,
    pub created: i64,
    pub client_secret: String,
    pub customer: Option<String>,
    pub payment_method: Option<String>,
    pub status: String,
    pub metadata: BTreeMap<String, String>,
    /// Code, decline code and message of the last refusal.
    pub failure: Option<(String, String, String)>,
}

/// What is asked of a new wish to keep something.
#[derive(Debug)]
pub(crate) struct SetupTerms {
    pub customer: Option<String>,
    pub payment_method: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// How somebody meets the challenge of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ChallengeEnd {
    Complete,
    Fail,
}

/// A payment method that may be used, and whether it is kept for somebody.
pub(super) struct Usable {
    card: Card,
    kept: bool,
}

impl Usable {
    pub fn charged(&self, off_session: bool) -> Charging {
        self.card.charged(self.kept, off_session)
    }
}

fn unusable(message: String) -> ApiError {
    ApiError::invalid(400, "payment_method_unexpected_state", message).about("payment_method")
}

impl Change<'_> {
    pub fn create_customer(&mut self, metadata: BTreeMap<String, String>) -> String {
        let id = self.random.id("cus");
        let (created, deleted) = (self.now, false);
        self.book.customers.add(Customer { id: id.clone(), created, metadata, deleted });
        self.tell("customer.created", &id);
        id
    }

    /// With everything that is kept for them.
    pub fn delete_customer(&mut self, id: &str) -> Result<(), ApiError> {
        self.customer(id)?;
        if let Some(customer) = self.book.customers.get_mut(id) {
            customer.deleted = true;
        }
        let theirs = self.book.payment_methods.all().iter();
        let theirs = theirs.filter(|method| method.customer.as_deref() == Some(id));
        for method in theirs.map(|method| method.id.clone()).collect::<Vec<_>>() {
            self.detach(&method)?;
        }
        self.tell("customer.deleted", id);
        Ok(())
    }

    pub fn attach(&mut self, method: &str, customer: &str) -> Result<String, ApiError> {
        self.customer(customer)?;
        match self.usable(method, Some(customer))?.card {
            Card::Declines(code, decline_code, message) => {
                Err(ApiError::refused(code, decline_code, message))
            }
            _ => {
                let method = self.named(method);
                self.keep(&method, customer);
                Ok(method)
            }
        }
    }

    pub fn detach(&mut self, id: &str) -> Result<(), ApiError> {
        let method = self.book.payment_methods.get_mut(id);
        let method = method.ok_or_else(|| ApiError::missing("PaymentMethod", id))?;
        method.detached = true;
        if method.customer.take().is_none() {
            let message = "The payment method you provided is not attached to a customer so \
                           detachment is impossible.";
            return Err(ApiError::parameter(message, "payment_method"));
        }
        self.tell("payment_method.detached", id);
        Ok(())
    }

    pub fn create_setup(&mut self, terms: SetupTerms) -> Result<String, ApiError> {
        if let Some(customer) = &terms.customer {
            self.customer(customer)?;
        }
        if let Some(method) = &terms.payment_method {
            self.usable(method, terms.customer.as_deref())?;
        }
        let payment_method = terms.payment_method.map(|method| self.named(&method));
        let id = self.random.id("seti");
        let status = match payment_method {
            Some(_) => "requires_confirmation",
            None => "requires_payment_method",
        };
        self.book.setup_intents.add(SetupIntent {
            client_secret: format!("{id}_secret_{}", self.random.secret()),
            created: self.now,
            customer: terms.customer,
            payment_method,
            status: status.to_owned(),
            metadata: terms.metadata,
            failure: None,
            id: id.clone(),
        });
        self.tell("setup_intent.created", &id);
        Ok(id)
    }

    pub fn confirm_setup(&mut self, id: &str, method: Option<String>) -> Result<(), ApiError> {
        let intent = self.setup(id)?.clone();
        self.setup_open(&intent, "confirm")?;
        let method = method.or(intent.payment_method).ok_or_else(|| {
            let message = "You cannot confirm this SetupIntent because it's missing a payment \
                           method.";
            ApiError::invalid(400, "setup_intent_unexpected_state", message)
        })?;
        let card = self.usable(&method, intent.customer.as_deref())?.card;
        let method = self.named(&method);
        match card {
            Card::NeedsAuthentication | Card::NeedsAuthenticationOnSetup => {
                self.update_setup(id, |intent| {
                    intent.status = "requires_action".to_owned();
                    intent.payment_method = Some(method);
                })?;
                self.tell("setup_intent.requires_action", id);
                Ok(())
            }
            Card::Declines(code, decline_code, message) => {
                self.refuse_setup(id, (code, decline_code, message))?;
                Err(ApiError::refused(code, decline_code, message))
            }
            Card::SettlesLater
            | Card::Succeeds
            | Card::DeclinesCharges
            | Card::RefundPending
            | Card::RefundFails => self.complete_setup(id, &method),
        }
    }

    /// The owner of a card meets its bank's challenge, or does not.
    pub fn end_setup_challenge(&mut self, id: &str, end: ChallengeEnd) -> Result<(), ApiError> {
        let intent = self.setup(id)?.clone();
        let (true, Some(method)) = (intent.status == "requires_action", intent.payment_method)
        else {
            let message = "This SetupIntent waits for nobody.";
            return Err(ApiError::invalid(400, "setup_intent_unexpected_state", message));
        };
        match end {
            ChallengeEnd::Complete => self.complete_setup(id, &method),
            ChallengeEnd::Fail => {
                let message = "We are unable to authenticate your payment method. Please choose a \
                               different payment method and try again.";
                let code = "setup_intent_authentication_failure";
                self.refuse_setup(id, (code, code, message))
            }
        }
    }

    pub fn cancel_setup(&mut self, id: &str) -> Result<(), ApiError> {
        let intent = self.setup(id)?.clone();
        self.setup_open(&intent, "cancel")?;
        self.update_setup(id, |intent| intent.status = "canceled".to_owned())?;
        self.tell("setup_intent.canceled", id);
        Ok(())
    }

    /// A payment method that this customer, or nobody in particular, may pay with.
    pub(super) fn usable(&self, id: &str, customer: Option<&str>) -> Result<Usable, ApiError> {
        let Some(method) = self.book.payment_methods.get(id) else {
            let card = Card::of(id).ok_or_else(|| ApiError::missing("PaymentMethod", id))?;
            return Ok(Usable { card, kept: false });
        };
        match (&method.customer, customer) {
            (Some(owner), Some(customer)) if owner == customer => {}
            (Some(_), _) => {
                let message = format!(
                    "The provided PaymentMethod ({id}) belongs to another Customer. Include the \
                     Customer that owns it in the request."
                );
                return Err(unusable(message));
            }
            (None, _) if !method.detached => {}
            (None, _) => {
                let message = format!(
                    "The provided PaymentMethod ({id}) was detached from a Customer. It may not \
                     be used again."
                );
                return Err(unusable(message));
            }
        }
        let card = self.card_behind(id).ok_or_else(|| ApiError::missing("PaymentMethod", id))?;
        Ok(Usable { card, kept: method.customer.is_some() })
    }

    /// What a payment method does, whosever it is.
    pub(super) fn card_behind(&self, id: &str) -> Option<Card> {
        let method = self.book.payment_methods.get(id);
        Card::of(method.map_or(id, |method| method.behind.as_str()))
    }

    /// What is behind a test payment method gets a name of its own, as at Stripe.
    fn named(&mut self, method: &str) -> String {
        if self.book.payment_methods.get(method).is_some() {
            return method.to_owned();
        }
        let id = self.random.id("pm");
        self.book.payment_methods.add(PaymentMethod {
            id: id.clone(),
            created: self.now,
            behind: method.to_owned(),
            customer: None,
            detached: false,
        });
        id
    }

    fn keep(&mut self, method: &str, customer: &str) {
        let Some(kept) = self.book.payment_methods.get_mut(method) else { return };
        if kept.customer.is_none() {
            kept.customer = Some(customer.to_owned());
            self.tell("payment_method.attached", method);
        }
    }

    fn complete_setup(&mut self, id: &str, method: &str) -> Result<(), ApiError> {
        if let Some(customer) = self.setup(id)?.customer.clone() {
            self.keep(method, &customer);
        }
        self.update_setup(id, |intent| {
            (intent.status, intent.failure) = ("succeeded".to_owned(), None);
            intent.payment_method = Some(method.to_owned());
        })?;
        self.tell("setup_intent.succeeded", id);
        Ok(())
    }

    fn refuse_setup(
        &mut self,
        id: &str,
        (code, decline_code, message): (&str, &str, &str),
    ) -> Result<(), ApiError> {
        self.update_setup(id, |intent| {
            intent.status = "requires_payment_method".to_owned();
            intent.payment_method = None;
            intent.failure = Some((code.to_owned(), decline_code.to_owned(), message.to_owned()));
        })?;
        self.tell("setup_intent.setup_failed", id);
        Ok(())
    }

    fn customer(&self, id: &str) -> Result<&Customer, ApiError> {
        let customer = self.book.customers.get(id).filter(|customer| !customer.deleted);
        customer.ok_or_else(|| ApiError::missing("customer", id))
    }

    fn setup(&self, id: &str) -> Result<&SetupIntent, ApiError> {
        self.book.setup_intents.get(id).ok_or_else(|| ApiError::missing("setup_intent", id))
    }

    fn setup_open(&self, intent: &SetupIntent, verb: &str) -> Result<(), ApiError> {
        if !matches!(intent.status.as_str(), "succeeded" | "canceled") {
            return Ok(());
        }
        let message = format!(
            "You cannot {verb} this SetupIntent because it has a status of {}.",
            intent.status
        );
        Err(ApiError::invalid(400, "setup_intent_unexpected_state", message))
    }

    fn update_setup(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut SetupIntent),
    ) -> Result<(), ApiError> {
        let intent = self.book.setup_intents.get_mut(id);
        change(intent.ok_or_else(|| ApiError::missing("setup_intent", id))?);
        Ok(())
    }
}

/// What is kept for a customer.
pub(crate) fn kept_for(book: &Book, customer: &str, method: &str) -> bool {
    let method = book.payment_methods.get(method);
    method.is_some_and(|method| method.customer.as_deref() == Some(customer))
}

pub(super) fn customer(customer: &Customer) -> Value {
    if customer.deleted {
        return json!({"id": customer.id, "object": "customer", "deleted": true});
    }
    json!({
        "id": customer.id, "object": "customer", "livemode": false, "created": customer.created,
        "metadata": customer.metadata, "address": null, "balance": 0, "currency": null,
        "default_source": null, "delinquent": false, "description": null, "discount": null,
        "email": null, "invoice_prefix": null,
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null,
            "rendering_options": null,
        },
        "name": null, "phone": null, "preferred_locales": [], "shipping": null,
        "tax_exempt": "none", "test_clock": null,
    })
}

pub(super) fn payment_method(method: &PaymentMethod) -> Value {
    let (brand, last4) = Card::seen(&method.behind);
    let address = json!({
        "city": null, "country": null, "line1": null, "line2": null, "postal_code": null,
        "state": null,
    });
    if Card::of(&method.behind) == Some(Card::SettlesLater) {
        return account(method);
    }
    json!({
        "id": method.id, "object": "payment_method", "livemode": false, "created": method.created,
        "allow_redisplay": "unspecified", "customer": method.customer, "metadata": {},
        "billing_details": {
            "address": address, "email": null, "name": null, "phone": null, "tax_id": null,
        },
        "card": {
            "brand": brand, "checks": {
                "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass",
            },
            "country": "US", "display_brand": brand, "exp_month": 4, "exp_year": 2034,
            "fingerprint": "simulated", "funding": "credit", "generated_from": null,
            "last4": last4, "networks": {"available": [brand], "preferred": null},
            "regulated_status": "unregulated", "three_d_secure_usage": {"supported": true},
            "wallet": null,
        },
        "type": "card",
    })
}

fn account(method: &PaymentMethod) -> Value {
    json!({
        "id": method.id, "object": "payment_method", "livemode": false, "created": method.created,
        "customer": method.customer, "metadata": {}, "type": "us_bank_account",
        "us_bank_account": {
            "account_holder_type": "individual", "account_type": "checking",
            "bank_name": "STRIPE TEST BANK", "last4": "6789", "routing_number": "110000000",
        },
    })
}

pub(super) fn setup_intent(intent: &SetupIntent) -> Value {
    let failure = intent.failure.as_ref().map(|(code, decline_code, message)| {
        json!({
            "code": code, "decline_code": decline_code, "message": message, "type": "card_error",
        })
    });
    let next_action = (intent.status == "requires_action").then(
        || json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}),
    );
    json!({
        "id": intent.id, "object": "setup_intent", "livemode": false, "created": intent.created,
        "application": null,
        "automatic_payment_methods": {"allow_redirects": "never", "enabled": true},
        "cancellation_reason": null, "client_secret": intent.client_secret,
        "customer": intent.customer, "description": null, "flow_directions": null,
        "last_setup_error": failure, "latest_attempt": null, "mandate": null,
        "metadata": intent.metadata, "next_action": next_action, "on_behalf_of": null,
        "payment_method": intent.payment_method, "payment_method_options": {},
        "payment_method_types": ["card"], "single_use_mandate": null, "status": intent.status,
        "usage": "off_session",
    })
}
