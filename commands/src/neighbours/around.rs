//! Who stands around which port.
use std::sync::Arc;

use cairn_neighbours::{BreakerConfig, Kind, Neighbour, Neighbourhood, Standing};

use super::guarded;
use crate::ports::{Clock, MailPort, NodePort, PaymentPort, TopicPort};

/// When neighbours are left alone, and how many calls may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// When they are left alone, and for how long.
    pub breaker: BreakerConfig,
    /// Calls at once to any of them but nodes.
    pub calls_max: usize,
    /// Calls at once to one node; and to all nodes together that do not answer.
    pub node_calls_max: usize,
}

impl Default for NeighbourConfig {
    fn default() -> Self {
        Self { breaker: BreakerConfig::default(), calls_max: 8, node_calls_max: 4 }
    }
}

/// All neighbours of one process. Clones share them.
#[derive(Debug, Clone)]
pub struct Neighbours {
    all: Neighbourhood,
    config: NeighbourConfig,
}

impl Neighbours {
    /// Nobody was called yet.
    #[must_use]
    pub fn new(config: NeighbourConfig, clock: Arc<dyn Clock>) -> Self {
        let all = Neighbourhood::new(config.breaker, Arc::new(move || clock.now()));
        Self { all, config }
    }

    /// How they stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.all.standings()
    }

    /// The payment provider, behind its breaker.
    #[must_use]
    pub fn payments(&self, port: Arc<dyn PaymentPort>) -> Arc<dyn PaymentPort> {
        Arc::new(guarded::Payments { port, neighbour: self.only("payments") })
    }

    /// The mail server, behind its breaker.
    #[must_use]
    pub fn mail(&self, port: Arc<dyn MailPort>) -> Arc<dyn MailPort> {
        Arc::new(guarded::Mails { port, neighbour: self.only("mail") })
    }

    /// Nodes, each behind its own breaker.
    #[must_use]
    pub fn nodes(&self, port: Arc<dyn NodePort>) -> Arc<dyn NodePort> {
        let (calls_max, all) = (self.config.node_calls_max, self.all.clone());
        let kind = Kind { name: "node", calls_max, ailing_max: calls_max };
        Arc::new(guarded::Nodes { port, kind, all })
    }

    /// The brokers, behind their breaker.
    #[must_use]
    pub fn topic(&self, port: Arc<dyn TopicPort>) -> Arc<dyn TopicPort> {
        Arc::new(guarded::Topic { port, neighbour: self.only("topic") })
    }

    /// What stands around calls to the object store.
    #[must_use]
    pub fn object_store(&self) -> Arc<Neighbour> {
        self.only("object_store")
    }

    /// What stands around calls to the cluster that carries the log. All of the house calls it, so only its breaker counts.
    #[must_use]
    pub fn carrier(&self) -> Arc<Neighbour> {
        const MANY: usize = 1_024;
        self.all.only(Kind { name: "carrier", calls_max: MANY, ailing_max: MANY })
    }

    fn only(&self, name: &'static str) -> Arc<Neighbour> {
        let calls_max = self.config.calls_max;
        self.all.only(Kind { name, calls_max, ailing_max: calls_max })
    }
}
