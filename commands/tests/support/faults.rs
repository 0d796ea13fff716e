//! Faults at named points: an intent's name and what shall go wrong there. Ports and the gate are wrapped, so that the same
//! faults hit any adapter.
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{
    IntentKey, NewPayment, NewRefund, NodeDirectory, NodePort, NodeTarget, PaymentPort, PortError,
    ProbeReport, ProviderBalance, ProviderPayment, ProviderRefund, ProviderTransaction, StepReport,
    TeardownReport, Tenant,
};
use cairn_commands::processes::{Action, Gate, Leased, Verdict};
use cairn_compute::Step;
use cairn_core::{NodeId, PaymentId, RefundId, Resources, Timestamp};
use tokio::sync::watch;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It never works.
    Permanent,
    /// It never answers.
    Forever,
    /// It is done, and nobody ever hears of it.
    Unheard,
    /// The other side is not who it must be.
    Untrusted,
    /// The worker dies before it acts, once.
    KillBefore,
    /// The worker dies after it acted and before it noted so, once.
    KillAfter,
    /// It is done twice, every time.
    Twice,
    /// The worker stands still after it acted, until it is woken, once.
    Stall,
    /// The world itself is broken there, without our help.
    Outside,
}

/// Names whose outside call is behind a port; the others fail at the gate.
const AT_PORTS: [&str; 8] = [
    "reserve_capacity",
    "tear_down",
    "create_payment",
    "retrieve_payment",
    "create_refund",
    "retrieve_refund",
    "probe_node",
    "watch_node",
];

#[derive(Debug)]
struct Rule {
    name: &'static str,
    mode: Mode,
    hits: u32,
    armed: bool,
}

/// The faults of one test.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    repeated: Mutex<HashSet<String>>,
    /// Grows each time a worker is to be killed.
    pub kills: watch::Sender<u32>,
    /// Whether a worker stands still.
    pub stalled: watch::Sender<bool>,
}

impl Faults {
    pub fn none() -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::default(),
            repeated: Mutex::default(),
            kills: watch::channel(0).0,
            stalled: watch::channel(false).0,
        })
    }

    /// Breaks one point. `*` is every point.
    pub fn arm(&self, name: &'static str, mode: Mode) {
        self.rules.lock().unwrap().push(Rule { name, mode, hits: 0, armed: true });
    }

    /// Mends everything; what was hit stays counted.
    pub fn mend(&self) {
        self.rules.lock().unwrap().iter_mut().for_each(|rule| rule.armed = false);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// How often a point was hit.
    pub fn hits(&self, name: &str) -> u32 {
        self.rules.lock().unwrap().iter().filter(|r| r.name == name).map(|r| r.hits).sum()
    }

    fn hit(&self, name: &str, modes: &[Mode]) -> Option<Mode> {
        let mut rules = self.rules.lock().unwrap();
        let matches = |rule: &&mut Rule| {
            rule.armed && (rule.name == name || rule.name == "*") && modes.contains(&rule.mode)
        };
        let rule = rules.iter_mut().find(matches)?;
        rule.hits += 1;
        if matches!(rule.mode, Mode::KillBefore | Mode::KillAfter | Mode::Stall) {
            rule.armed = false;
        }
        Some(rule.mode)
    }

    fn fail(&self, name: &str) -> Result<(), PortError> {
        match self.hit(name, &[Mode::Permanent, Mode::Forever, Mode::Untrusted]) {
            None => Ok(()),
            Some(Mode::Forever) => Err(PortError::transient("injected_timeout", name)),
            Some(Mode::Untrusted) => Err(PortError::new(
                cairn_commands::ports::FailureKind::Untrusted,
                "host_key_changed",
                name,
            )),
            Some(_) => Err(PortError::permanent("injected_failure", name)),
        }
    }

    /// The answer is lost, whatever it was.
    fn lose<T>(&self, name: &str, answer: Result<T, PortError>) -> Result<T, PortError> {
        match self.hit(name, &[Mode::Unheard]) {
            None => answer,
            Some(_) => answer.and(Err(PortError::transient("injected_silence", name))),
        }
    }

    /// The worker dies here: it never goes on.
    async fn die(&self) {
        self.kills.send_modify(|kills| *kills += 1);
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Gate for Faults {
    async fn before(&self, intent: &Leased) -> Result<(), PortError> {
        let name = intent.action.name();
        if self.hit(&name, &[Mode::KillBefore]).is_some() {
            self.die().await;
        }
        let at_port = AT_PORTS.contains(&name.as_str()) || name.starts_with("ensure_");
        let timer = matches!(intent.action, Action::Timer(_));
        if at_port || timer { Ok(()) } else { self.fail(&name) }
    }

    async fn after(&self, intent: &Leased) -> Verdict {
        let name = intent.action.name();
        if self.hit(&name, &[Mode::KillAfter]).is_some() {
            self.die().await;
        }
        if self.hit(&name, &[Mode::Stall]).is_some() {
            self.stalled.send_replace(true);
            let mut woken = self.stalled.subscribe();
            woken.wait_for(|stalled| !stalled).await.unwrap();
        }
        let twice = self.hit(&name, &[Mode::Twice]).is_some();
        let first = self.repeated.lock().unwrap().insert(intent.id.clone());
        if twice && first { Verdict::Repeat } else { Verdict::Pass }
    }
}

/// A port behind faults.
pub struct Faulty<P: ?Sized> {
    pub inner: Arc<P>,
    pub faults: Arc<Faults>,
}

#[async_trait]
impl NodePort for Faulty<dyn NodePort> {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        // Both looks are the same call; the domain tells them apart.
        self.faults.fail("probe_node")?;
        self.faults.fail("watch_node")?;
        self.inner.probe(node).await
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let name = format!("ensure_{}", step.name());
        self.faults.fail(&name)?;
        self.faults.lose(&name, self.inner.ensure(node, tenant, step, key).await)
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        self.faults.fail("tear_down")?;
        self.faults.lose("tear_down", self.inner.teardown(node, tenant, key).await)
    }
}

#[async_trait]
impl NodeDirectory for Faulty<dyn NodeDirectory> {
    async fn candidates(&self, resources: Resources) -> Result<Vec<NodeId>, PortError> {
        self.faults.fail("reserve_capacity")?;
        self.inner.candidates(resources).await
    }
}

#[async_trait]
impl PaymentPort for Faulty<dyn PaymentPort> {
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError> {
        self.faults.fail("create_payment")?;
        self.inner.create_payment(payment).await
    }

    async fn find_payment(
        &self,
        payment_id: PaymentId,
        since: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        self.inner.find_payment(payment_id, since).await
    }

    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        self.faults.fail("retrieve_payment")?;
        self.inner.payment(provider_id).await
    }

    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError> {
        self.inner.client_secret(provider_id).await
    }

    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError> {
        self.faults.fail("create_refund")?;
        self.inner.create_refund(refund).await
    }

    async fn find_refund(
        &self,
        charge_id: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError> {
        self.inner.find_refund(charge_id, refund_id).await
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        self.faults.fail("retrieve_refund")?;
        self.inner.refund(provider_id).await
    }

    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        self.inner.transactions(from, after, limit).await
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        self.inner.balances().await
    }
}
