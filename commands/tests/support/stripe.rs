//! A world whose payment provider is Stripe, by the simulator.
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use cairn_commands::ports::{NodePort, PaymentPort};
use cairn_compute::Allocation;
use cairn_core::{Money, NodeId, Timestamp};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};

use crate::support::harness::{Host, Memory, World};

/// Nodes in memory, and Stripe by the simulator.
pub struct Stripe {
    memory: Arc<Memory>,
    pub simulator: Simulator,
    pub payments: Arc<StripePayments>,
}

impl Stripe {
    pub async fn new() -> Arc<Self> {
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let config = StripeConfig {
            secret_key: "sk_test_processes".to_owned(),
            api_base: Some(simulator.base_url.clone()),
            webhook_secrets: vec![],
        };
        let payments = StripePayments::with_timeout(config, Duration::from_millis(400)).unwrap();
        Arc::new(Self { memory: Memory::new(), simulator, payments: Arc::new(payments) })
    }

    /// Charges and refunds that the provider has made.
    pub fn made(&self) -> (usize, usize) {
        let book = self.simulator.book();
        (book.charges().len(), book.refunds().len())
    }
}

#[async_trait]
impl World for Stripe {
    fn nodes(&self) -> Arc<dyn NodePort> {
        self.memory.nodes()
    }

    fn payments(&self) -> Arc<dyn PaymentPort> {
        Arc::clone(&self.payments) as Arc<dyn PaymentPort>
    }

    /// The simulator dates what it makes by the wall clock.
    #[allow(clippy::disallowed_methods, reason = "the simulator has no other clock")]
    fn begins_at(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap())
    }

    async fn host(&self, node_id: NodeId) -> Host {
        self.memory.host(node_id).await
    }

    async fn left(&self, allocation: &Allocation) -> Vec<String> {
        self.memory.left(allocation).await
    }

    fn cards(&self) -> (Vec<Money>, Vec<Money>) {
        unreachable!("the simulator's book is read")
    }

    fn refund_fails(&self) -> Option<String> {
        Some("pm_card_refundFail".to_owned())
    }
}
