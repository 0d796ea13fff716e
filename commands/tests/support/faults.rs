//! Faults at named points: an intent's name and what shall go wrong there. Ports and the gate are wrapped, so that the same
//! faults hit any adapter.
use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{
    Clock, IntentKey, Inventory, NewPayment, NewRefund, NewSetup, NodeDirectory, NodePort,
    NodeTarget, PaymentPort, PortError, ProbeReport, ProviderBalance, ProviderDispute,
    ProviderPayment, ProviderPayout, ProviderRefund, ProviderSetup, ProviderTransaction,
    StepReport, TeardownReport, Tenant,
};
use cairn_commands::processes::{Action, Gate, Leased, Verdict};
use cairn_compute::Step;
use cairn_core::{
    NodeId, OrganisationId, PaymentId, PaymentMethodId, RefundId, Resources, Timestamp,
};
use tokio::sync::watch;

use super::table::{MORE_THAN_ONE_STREAM, at_port};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It never works.
    Permanent,
    /// It never works, and might the next time.
    Forever,
    /// It does not answer, once.
    Hang,
    /// It is done, and nobody ever hears of it.
    Unheard,
    /// The other side is not who it must be.
    Untrusted,
    /// The worker dies before it acts, once.
    KillBefore,
    /// The worker dies after it acted and before it recorded what came of it, once.
    KillBetween,
    /// The worker dies after it recorded what came of it and before it noted so, once.
    KillAfter,
    /// It is done twice, every time.
    Twice,
    /// The worker stands still after it acted, until it is woken, once.
    Stall,
    /// The same for another worker, at a place of its own.
    StallAgain,
    /// The world itself is broken there, without our help.
    Outside,
}

/// Names whose outside call is behind a port; the others fail at the gate.
pub const AT_PORTS: [&str; 16] = [
    "reserve_capacity",
    "suspend_tenant",
    "tear_down",
    "create_payment",
    "retrieve_payment",
    "create_refund",
    "retrieve_refund",
    "retrieve_dispute",
    "cancel_payment",
    "create_setup",
    "retrieve_setup",
    "detach_method",
    "delete_customer",
    "probe_node",
    "watch_node",
    "compare_inventory",
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
    repeats: Mutex<BTreeMap<String, u32>>,
    calls: Mutex<Vec<(String, String)>>,
    /// Workers that die when they read the clock for the second time: between two streams.
    doomed: Mutex<BTreeMap<tokio::task::Id, (String, u32)>>,
    /// Grows each time a worker is to be killed.
    pub kills: watch::Sender<u32>,
    /// Whether a worker stands still.
    pub stalled: watch::Sender<bool>,
    /// Whether a second one does.
    pub stalled_again: watch::Sender<bool>,
}

impl Faults {
    pub fn none() -> Arc<Self> {
        Arc::new(Self {
            rules: Mutex::default(),
            repeated: Mutex::default(),
            repeats: Mutex::default(),
            calls: Mutex::default(),
            doomed: Mutex::default(),
            kills: watch::channel(0).0,
            stalled: watch::channel(false).0,
            stalled_again: watch::channel(false).0,
        })
    }

    /// Breaks one point. `*` is every point.
    pub fn arm(&self, name: &'static str, mode: Mode) {
        self.rules.lock().unwrap().push(Rule { name, mode, hits: 0, armed: true });
    }

    /// Mends everything; what was hit stays counted.
    pub fn mend(&self) {
        self.mend_but(|_| false);
    }

    /// Mends everything but what is to stay broken.
    pub fn mend_but(&self, stays: impl Fn(&str) -> bool) {
        for rule in self.rules.lock().unwrap().iter_mut() {
            rule.armed &= stays(rule.name);
        }
    }

    /// Forgets everything but the repeats.
    pub fn clear(&self) {
        self.rules.lock().unwrap().clear();
        self.calls.lock().unwrap().clear();
    }

    /// How often each point was done once more.
    pub fn repeats(&self) -> BTreeMap<String, u32> {
        self.repeats.lock().unwrap().clone()
    }

    /// The keys under which a port was called, in order.
    pub fn keys(&self, name: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == name).map(|(_, key)| key.clone()).collect()
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
        let once = [
            Mode::KillBefore,
            Mode::KillBetween,
            Mode::KillAfter,
            Mode::Stall,
            Mode::StallAgain,
            Mode::Hang,
        ];
        if once.contains(&rule.mode) {
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

    /// A call of a port: it may fail or hang, be made once more under a key of its own, be the last deed of its worker, or not be heard of.
    async fn call<T, Call>(
        &self,
        name: &str,
        key: &str,
        port: impl Fn(String) -> Call,
    ) -> Result<T, PortError>
    where
        Call: Future<Output = Result<T, PortError>>,
    {
        self.calls.lock().unwrap().push((name.to_owned(), key.to_owned()));
        self.fail(name)?;
        if self.hit(name, &[Mode::Hang]).is_some() {
            std::future::pending::<()>().await;
        }
        let mut answer = port(key.to_owned()).await;
        if answer.is_ok() && self.hit(name, &[Mode::Twice]).is_some() {
            self.count_repeat(&format!("{name}@port"));
            answer = port(format!("{key}!")).await;
        }
        if answer.is_ok() && self.hit(name, &[Mode::KillBetween]).is_some() {
            self.die().await;
        }
        self.lose(name, answer)
    }

    fn count_repeat(&self, name: &str) {
        *self.repeats.lock().unwrap().entry(name.to_owned()).or_default() += 1;
    }

    /// The clock is read. Whoever is doomed dies at the second time.
    fn read_clock(&self) {
        let Some(id) = tokio::task::try_id() else { return };
        let mut doomed = self.doomed.lock().unwrap();
        let Some((name, reads)) = doomed.get_mut(&id) else { return };
        *reads += 1;
        if *reads < 2 {
            return;
        }
        let name = name.clone();
        doomed.remove(&id);
        drop(doomed);
        assert!(self.hit(&name, &[Mode::KillBetween]).is_none(), "the worker dies here: {name}");
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
        if MORE_THAN_ONE_STREAM.contains(&name.as_str())
            && let Some(id) = tokio::task::try_id()
        {
            self.doomed.lock().unwrap().insert(id, (name.clone(), 0));
        }
        let timer = matches!(intent.action, Action::Timer(_));
        if at_port(&name) || timer { Ok(()) } else { self.fail(&name) }
    }

    async fn after(&self, intent: &Leased) -> Verdict {
        let name = intent.action.name();
        if self.hit(&name, &[Mode::KillAfter]).is_some() {
            self.die().await;
        }
        let stall = match self.hit(&name, &[Mode::Stall, Mode::StallAgain]) {
            Some(Mode::Stall) => Some(&self.stalled),
            Some(_) => Some(&self.stalled_again),
            None => None,
        };
        if let Some(place) = stall {
            place.send_replace(true);
            let mut woken = place.subscribe();
            woken.wait_for(|stalled| !stalled).await.unwrap();
        }
        let twice = self.hit(&name, &[Mode::Twice]).is_some();
        let first = self.repeated.lock().unwrap().insert(intent.id.clone());
        if twice && first {
            self.count_repeat(&name);
            return Verdict::Repeat;
        }
        Verdict::Pass
    }
}

/// A port behind faults.
pub struct Faulty<P: ?Sized> {
    pub inner: Arc<P>,
    pub faults: Arc<Faults>,
}

#[async_trait]
impl NodePort for Faulty<dyn NodePort> {
    /// Both looks are the same call; a test breaks the one that it means at its time.
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        let probe = |_| self.inner.probe(node);
        let watch = |_| self.faults.call("watch_node", "", probe);
        self.faults.call("probe_node", "", watch).await
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        let inventory = |_| self.inner.inventory(node);
        self.faults.call("compare_inventory", "", inventory).await
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let name = format!("ensure_{}", step.name());
        let ensure = async |id| {
            let key = IntentKey { id, ..key.clone() };
            self.inner.ensure(node, tenant, step, &key).await
        };
        self.faults.call(&name, &key.id, ensure).await
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let suspend = async |id| {
            let key = IntentKey { id, ..key.clone() };
            self.inner.suspend(node, tenant, &key).await
        };
        self.faults.call("suspend_tenant", &key.id, suspend).await
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        let teardown = async |id| {
            let key = IntentKey { id, ..key.clone() };
            self.inner.teardown(node, tenant, &key).await
        };
        self.faults.call("tear_down", &key.id, teardown).await
    }
}

#[async_trait]
impl NodeDirectory for Faulty<dyn NodeDirectory> {
    async fn candidates(&self, resources: Resources) -> Result<Vec<NodeId>, PortError> {
        let candidates = |_| self.inner.candidates(resources);
        self.faults.call("reserve_capacity", "", candidates).await
    }
}

/// Time behind faults.
pub struct FaultyClock {
    pub inner: Arc<dyn Clock>,
    pub faults: Arc<Faults>,
}

impl Clock for FaultyClock {
    fn now(&self) -> Timestamp {
        self.faults.read_clock();
        self.inner.now()
    }
}

/// A provider may take what comes under another key for another wish, so it is asked again under the same.
#[async_trait]
impl PaymentPort for Faulty<dyn PaymentPort> {
    async fn create_payment(&self, payment: &NewPayment) -> Result<ProviderPayment, PortError> {
        let create = |_| self.inner.create_payment(payment);
        self.faults.call("create_payment", &payment.idempotency_key, create).await
    }

    async fn find_payment(
        &self,
        payment_id: PaymentId,
        since: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        self.inner.find_payment(payment_id, since).await
    }

    async fn payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let retrieve = |_| self.inner.payment(provider_id);
        self.faults.call("retrieve_payment", provider_id, retrieve).await
    }

    async fn cancel_payment(&self, provider_id: &str) -> Result<ProviderPayment, PortError> {
        let cancel = |_| self.inner.cancel_payment(provider_id);
        self.faults.call("cancel_payment", provider_id, cancel).await
    }

    async fn client_secret(&self, provider_id: &str) -> Result<String, PortError> {
        self.inner.client_secret(provider_id).await
    }

    async fn create_refund(&self, refund: &NewRefund) -> Result<ProviderRefund, PortError> {
        let create = |_| self.inner.create_refund(refund);
        self.faults.call("create_refund", &refund.idempotency_key, create).await
    }

    async fn find_refund(
        &self,
        charge_id: &str,
        refund_id: RefundId,
    ) -> Result<Option<ProviderRefund>, PortError> {
        self.inner.find_refund(charge_id, refund_id).await
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        let retrieve = |_| self.inner.refund(provider_id);
        self.faults.call("retrieve_refund", provider_id, retrieve).await
    }

    async fn dispute(&self, provider_id: &str) -> Result<ProviderDispute, PortError> {
        let retrieve = |_| self.inner.dispute(provider_id);
        self.faults.call("retrieve_dispute", provider_id, retrieve).await
    }

    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        self.inner.transactions(from, after, limit).await
    }

    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError> {
        self.inner.payout(provider_id).await
    }

    async fn payout_items(&self, provider_id: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        self.inner.payout_items(provider_id).await
    }

    async fn create_customer(
        &self,
        organisation_id: OrganisationId,
        idempotency_key: &str,
    ) -> Result<String, PortError> {
        self.inner.create_customer(organisation_id, idempotency_key).await
    }

    async fn delete_customer(&self, customer_id: &str) -> Result<(), PortError> {
        let asked = async |_| self.inner.delete_customer(customer_id).await;
        self.faults.call("delete_customer", customer_id, asked).await
    }

    async fn create_setup(&self, setup: &NewSetup) -> Result<ProviderSetup, PortError> {
        let asked = async |_| self.inner.create_setup(setup).await;
        self.faults.call("create_setup", &setup.idempotency_key, asked).await
    }

    async fn find_setup(
        &self,
        customer_id: &str,
        method_id: PaymentMethodId,
    ) -> Result<Option<ProviderSetup>, PortError> {
        self.inner.find_setup(customer_id, method_id).await
    }

    async fn setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        let asked = async |_| self.inner.setup(provider_id).await;
        self.faults.call("retrieve_setup", provider_id, asked).await
    }

    async fn setup_secret(&self, provider_id: &str) -> Result<String, PortError> {
        self.inner.setup_secret(provider_id).await
    }

    async fn cancel_setup(&self, provider_id: &str) -> Result<ProviderSetup, PortError> {
        self.inner.cancel_setup(provider_id).await
    }

    async fn detach_method(&self, customer_id: &str, provider_id: &str) -> Result<(), PortError> {
        let asked = async |_| self.inner.detach_method(customer_id, provider_id).await;
        self.faults.call("detach_method", provider_id, asked).await
    }

    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        self.inner.balances().await
    }
}
