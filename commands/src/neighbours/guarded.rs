//! Ports with a breaker and a bulkhead around every call.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_compute::Step;
use cairn_core::{OrganisationId, PaymentId, PaymentMethodId, RefundId, Timestamp};
use cairn_neighbours::{Kind, Neighbour, Neighbourhood, Unasked};

use crate::ports::{
    BrokerHealth, IntentKey, Inventory, Mail, MailPort, NewPayment, NewRefund, NewSetup, NodePort,
    NodeTarget, PaymentPort, PortError, ProbeReport, Producer, ProviderBalance, ProviderDispute,
    ProviderPayment, ProviderPayout, ProviderRefund, ProviderSetup, ProviderTransaction, Sent,
    StepReport, TeardownReport, Tenant, TopicPort,
};
use crate::public::PublicEvent;

impl From<Unasked> for PortError {
    fn from(unasked: Unasked) -> Self {
        let code = match unasked {
            Unasked::LeftAlone(..) => "neighbour_left_alone",
            Unasked::Busy(_) => "neighbour_busy",
        };
        let wait = Some(unasked.wait());
        Self { unasked: wait, ..Self::transient(code, unasked.to_string()) }
    }
}

fn heard<T>(heard: Result<Result<T, PortError>, Unasked>) -> Result<T, PortError> {
    heard.unwrap_or_else(|unasked| Err(unasked.into()))
}

pub(super) struct Payments {
    pub port: Arc<dyn PaymentPort>,
    pub neighbour: Arc<Neighbour>,
}

#[async_trait]
impl PaymentPort for Payments {
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError> {
        let asked = self.port.create_payment(payment);
        heard(self.neighbour.call("create_payment", asked, PortError::is_silence).await)
    }

    async fn find_payment(
        &self,
        payment_id: PaymentId,
        since: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        let asked = self.port.find_payment(payment_id, since);
        heard(self.neighbour.call("find_payment", asked, PortError::is_silence).await)
    }

    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let asked = self.port.payment(provider_id);
        heard(self.neighbour.call("payment", asked, PortError::is_silence).await)
    }

    async fn cancel_payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let asked = self.port.cancel_payment(provider_id);
        heard(self.neighbour.call("cancel_payment", asked, PortError::is_silence).await)
    }

    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError> {
        let asked = self.port.client_secret(provider_id);
        heard(self.neighbour.call("client_secret", asked, PortError::is_silence).await)
    }

    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError> {
        let asked = self.port.create_refund(refund);
        heard(self.neighbour.call("create_refund", asked, PortError::is_silence).await)
    }

    async fn find_refund(
        &self,
        charge_id: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError> {
        let asked = self.port.find_refund(charge_id, refund_id);
        heard(self.neighbour.call("find_refund", asked, PortError::is_silence).await)
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        let asked = self.port.refund(provider_id);
        heard(self.neighbour.call("refund", asked, PortError::is_silence).await)
    }

    async fn dispute(&self, provider_id: &str) -> Result<ProviderDispute, PortError> {
        let asked = self.port.dispute(provider_id);
        heard(self.neighbour.call("dispute", asked, PortError::is_silence).await)
    }

    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        let asked = self.port.transactions(from, after, limit);
        heard(self.neighbour.call("transactions", asked, PortError::is_silence).await)
    }

    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError> {
        let asked = self.port.payout(provider_id);
        heard(self.neighbour.call("payout", asked, PortError::is_silence).await)
    }

    async fn payout_items(&self, provider_id: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        let asked = self.port.payout_items(provider_id);
        heard(self.neighbour.call("payout_items", asked, PortError::is_silence).await)
    }

    async fn create_customer(
        &self,
        organisation_id: OrganisationId,
        idempotency_key: &str,
    ) -> Result<String, PortError> {
        let asked = self.port.create_customer(organisation_id, idempotency_key);
        heard(self.neighbour.call("create_customer", asked, PortError::is_silence).await)
    }

    async fn delete_customer(&self, customer_id: &str) -> Result<(), PortError> {
        let asked = self.port.delete_customer(customer_id);
        heard(self.neighbour.call("delete_customer", asked, PortError::is_silence).await)
    }

    async fn create_setup(&self, setup: &NewSetup) -> Result<ProviderSetup, PortError> {
        let asked = self.port.create_setup(setup);
        heard(self.neighbour.call("create_setup", asked, PortError::is_silence).await)
    }

    async fn find_setup(
        &self,
        customer_id: &str,
        method_id: PaymentMethodId,
    ) -> Result<Option<ProviderSetup>, PortError> {
        let asked = self.port.find_setup(customer_id, method_id);
        heard(self.neighbour.call("find_setup", asked, PortError::is_silence).await)
    }

    async fn setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        let asked = self.port.setup(provider_id);
        heard(self.neighbour.call("setup", asked, PortError::is_silence).await)
    }

    async fn setup_secret(&self, provider_id: &str) -> Result<String, PortError> {
        let asked = self.port.setup_secret(provider_id);
        heard(self.neighbour.call("setup_secret", asked, PortError::is_silence).await)
    }

    async fn cancel_setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        let asked = self.port.cancel_setup(provider_id);
        heard(self.neighbour.call("cancel_setup", asked, PortError::is_silence).await)
    }

    async fn detach_method(&self, customer_id: &str, provider_id: &str) -> Result<(), PortError> {
        let asked = self.port.detach_method(customer_id, provider_id);
        heard(self.neighbour.call("detach_method", asked, PortError::is_silence).await)
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        let asked = self.port.balances();
        heard(self.neighbour.call("balances", asked, PortError::is_silence).await)
    }
}

pub(super) struct Mails {
    pub port: Arc<dyn MailPort>,
    pub neighbour: Arc<Neighbour>,
}

#[async_trait]
impl MailPort for Mails {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        let asked = self.port.send(mail);
        heard(self.neighbour.call("send", asked, PortError::is_silence).await)
    }
}

pub(super) struct Nodes {
    pub port: Arc<dyn NodePort>,
    pub kind: Kind,
    pub all: Neighbourhood,
}

impl Nodes {
    fn one(&self, node: &NodeTarget) -> Arc<Neighbour> {
        self.all.of(self.kind, &node.node_id.to_string())
    }
}

/// A probe is a look: it finds out whether the node is there again, and the watch over nodes lives by it.
#[async_trait]
impl NodePort for Nodes {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        let asked = self.port.probe(node);
        heard(self.one(node).look("probe", asked, PortError::is_silence).await)
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        let asked = self.port.inventory(node);
        heard(self.one(node).call("inventory", asked, PortError::is_silence).await)
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let asked = self.port.ensure(node, tenant, step, key);
        heard(self.one(node).call("ensure", asked, PortError::is_silence).await)
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let asked = self.port.suspend(node, tenant, key);
        heard(self.one(node).call("suspend", asked, PortError::is_silence).await)
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        let asked = self.port.teardown(node, tenant, key);
        heard(self.one(node).call("teardown", asked, PortError::is_silence).await)
    }
}

pub(super) struct Topic {
    pub port: Arc<dyn TopicPort>,
    pub neighbour: Arc<Neighbour>,
}

#[async_trait]
impl TopicPort for Topic {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn producer(&self) -> Result<Arc<dyn Producer>, PortError> {
        let (port, neighbour) = (self.port.producer()?, Arc::clone(&self.neighbour));
        Ok(Arc::new(Sending { port, neighbour }))
    }

    async fn read(&self, each: tokio::sync::mpsc::Sender<Sent>) -> Result<(), PortError> {
        let asked = self.port.read(each);
        heard(self.neighbour.call("read", asked, PortError::is_silence).await)
    }

    fn health(&self) -> BrokerHealth {
        self.port.health()
    }
}

struct Sending {
    port: Arc<dyn Producer>,
    neighbour: Arc<Neighbour>,
}

#[async_trait]
impl Producer for Sending {
    async fn send(&self, events: &[PublicEvent]) -> Result<(), PortError> {
        let asked = self.port.send(events);
        heard(self.neighbour.call("send", asked, PortError::is_silence).await)
    }

    async fn close(&self) {
        self.port.close().await;
    }
}
