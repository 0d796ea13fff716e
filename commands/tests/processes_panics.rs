//! What the processes make of a panic: it is told, nothing is lost by it, and whatever was at work goes on.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{
    IntentKey, Inventory, NodePort, NodeTarget, PaymentPort, PortError, ProbeReport, StepReport,
    TeardownReport, Tenant,
};
use cairn_commands::processes::manager::Reaction;
use cairn_commands::processes::{Alarm, AnyManager, Awoken, Occurrence, Settings, all};
use cairn_compute::{Allocation, AllocationStatus, Step};
use cairn_core::{Money, NodeId};
use cairn_tasks::{Panic, watch};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Host, Memory, World};
use support::stories::{ask, rent, top_up, wallet};

type Options = PgConnectOptions;

/// Something that panics so often; then it does not any more.
#[derive(Default)]
struct Charge(AtomicUsize);

impl Charge {
    fn set(&self, times: usize) {
        self.0.store(times, Ordering::SeqCst);
    }

    fn blow(&self, what: &str) {
        let left =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "{what} blew up");
    }
}

/// Everything in memory, with a node whose steps may panic, before anything is done or after all is.
struct Mined {
    memory: Arc<Memory>,
    nodes: Arc<MinedNodes>,
}

struct MinedNodes {
    inner: Arc<dyn NodePort>,
    before: Charge,
    after: Charge,
}

impl Mined {
    fn new() -> Arc<Self> {
        let memory = Memory::new();
        let (before, after) = (Charge::default(), Charge::default());
        let nodes = Arc::new(MinedNodes { inner: memory.nodes(), before, after });
        Arc::new(Self { memory, nodes })
    }
}

#[async_trait]
impl World for Mined {
    fn nodes(&self) -> Arc<dyn NodePort> {
        Arc::clone(&self.nodes) as Arc<dyn NodePort>
    }

    fn payments(&self) -> Arc<dyn PaymentPort> {
        self.memory.payments()
    }

    async fn host(&self, node_id: NodeId) -> Host {
        self.memory.host(node_id).await
    }

    async fn left(&self, allocation: &Allocation) -> Vec<String> {
        self.memory.left(allocation).await
    }

    fn cards(&self) -> (Vec<Money>, Vec<Money>) {
        self.memory.cards()
    }

    fn refund_fails(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl NodePort for MinedNodes {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        self.inner.probe(node).await
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        self.inner.inventory(node).await
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        self.before.blow("a step that was not taken");
        let report = self.inner.ensure(node, tenant, step, key).await;
        self.after.blow("a step that was taken");
        report
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        self.inner.suspend(node, tenant, key).await
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        self.inner.teardown(node, tenant, key).await
    }
}

/// A process manager that panics where it is told to.
struct Brittle {
    inner: Arc<dyn AnyManager>,
    correlates: Charge,
    rings: Charge,
    /// It cannot take in what happens to this one.
    hates: Mutex<Option<String>>,
}

impl Brittle {
    /// All managers, one of them brittle.
    fn among_all(name: &str) -> (Arc<Self>, Vec<Arc<dyn AnyManager>>) {
        let (mine, mut others): (Vec<_>, Vec<_>) =
            all().into_iter().partition(|it| it.name() == name);
        let inner = mine.into_iter().next().unwrap();
        let (correlates, rings) = (Charge::default(), Charge::default());
        let brittle = Arc::new(Self { inner, correlates, rings, hates: Mutex::default() });
        others.push(Arc::clone(&brittle) as _);
        (brittle, others)
    }
}

impl AnyManager for Brittle {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn reads(&self, aggregate_type: &str) -> bool {
        self.inner.reads(aggregate_type)
    }

    fn correlate(&self, happened: &Occurrence) -> Option<String> {
        let key = self.inner.correlate(happened);
        if key.is_some() {
            self.correlates.blow("the reader of events");
        }
        key
    }

    fn step(
        &self,
        state: Option<Value>,
        happened: &Occurrence,
        settings: &Settings,
    ) -> Result<Option<Reaction>, serde_json::Error> {
        let hated = self.hates.lock().unwrap().clone();
        assert!(hated.is_none() || self.inner.correlate(happened) != hated, "it is hated");
        self.inner.step(state, happened, settings)
    }

    fn due(
        &self,
        state: Value,
        alarm: Alarm,
        settings: &Settings,
    ) -> Result<Awoken, serde_json::Error> {
        self.rings.blow("the timer");
        self.inner.due(state, alarm, settings)
    }
}

/// A runner whose panics are heard, with these managers.
async fn harness(
    db: Options,
    world: Arc<dyn World>,
    managers: Vec<Arc<dyn AnyManager>>,
) -> (Harness, Arc<Mutex<Vec<Panic>>>) {
    watch();
    let mut harness = Harness::start(db, world).await;
    harness.stop_runner().await;
    let heard = Arc::<Mutex<Vec<Panic>>>::default();
    let ears = Arc::clone(&heard);
    harness.told = Arc::new(move |panic| ears.lock().unwrap().push(panic.clone()));
    harness.managers = managers;
    harness.start_runner();
    (harness, heard)
}

fn said(heard: &Mutex<Vec<Panic>>) -> Vec<String> {
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|panic| panic.task == "processes"), "{heard:?}");
    heard.iter().map(|panic| panic.message.clone()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_call_that_panics_is_made_again_and_counts_once(_: PgPoolOptions, db: Options) {
    let world = Mined::new();
    let (mut harness, heard) = harness(db, Arc::clone(&world) as _, all()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    world.nodes.before.set(1);
    world.nodes.after.set(1);
    let allocation_id = rent(&mut harness, organisation_id).await.to_string();
    let blown = ["a step that was not taken blew up", "a step that was taken blew up"];
    assert_eq!(said(&heard), blown, "the faults bit, and were told");
    let allocation = harness.load::<Allocation>(&allocation_id).await;
    assert_eq!(allocation.status, AllocationStatus::Active);
    let once = world.memory.changes(&allocation).unwrap();
    assert_eq!(once, world.left(&allocation).await.len(), "each step was taken once");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_call_that_always_panics_fails_the_rental_and_gives_back_the_money(
    _: PgPoolOptions,
    db: Options,
) {
    let world = Mined::new();
    let (mut harness, heard) = harness(db, Arc::clone(&world) as _, all()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    world.nodes.before.set(usize::MAX);
    let allocation_id = rent(&mut harness, organisation_id).await.to_string();
    assert!(said(&heard).len() > 2, "the fault bit, each time");
    let allocation = harness.load::<Allocation>(&allocation_id).await;
    assert_eq!(allocation.status, AllocationStatus::Failed);
    assert_eq!(world.left(&allocation).await, [""; 0]);
    let wallet = wallet(&harness, organisation_id).await;
    assert_eq!(wallet.posted_nanos, 40_000_000_000);
    assert_eq!(wallet.held_nanos, 0);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_manager_that_cannot_take_an_event_in_holds_up_that_rental_and_no_other(
    _: PgPoolOptions,
    db: Options,
) {
    let (brittle, managers) = Brittle::among_all("rent_node");
    let (mut harness, heard) = harness(db, Memory::new(), managers).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    // Its id is known before it is asked for.
    harness.stop_runner().await;
    let hated = ask(&harness, organisation_id, None).await.to_string();
    *brittle.hates.lock().unwrap() = Some(hated.clone());
    harness.start_runner();
    let other = rent(&mut harness, organisation_id).await.to_string();
    assert_eq!(harness.load::<Allocation>(&other).await.status, AllocationStatus::Active);
    assert_eq!(harness.load::<Allocation>(&hated).await.status, AllocationStatus::Requested);
    let bitten = said(&heard);
    assert!(!bitten.is_empty() && bitten.iter().all(|said| said == "it is hated"), "{bitten:?}");
    *brittle.hates.lock().unwrap() = None;
    harness.until("it is taken in late", |s| s.ended("rent_node", &hated)).await;
    assert_eq!(harness.load::<Allocation>(&hated).await.status, AllocationStatus::Active);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_follower_that_panics_begins_anew_where_it_was(_: PgPoolOptions, db: Options) {
    let (brittle, managers) = Brittle::among_all("top_up");
    let (mut harness, heard) = harness(db, Memory::new(), managers).await;
    brittle.correlates.set(2);
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    assert_eq!(said(&heard), ["the reader of events blew up"; 2], "the fault bit, twice");
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, 40_000_000_000);
    assert_eq!(harness.world.cards().0.len(), 1, "money moved once");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_timer_that_panics_rings_again(_: PgPoolOptions, db: Options) {
    let (brittle, managers) = Brittle::among_all("meter_usage");
    let (mut harness, heard) = harness(db, Memory::new(), managers).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    brittle.rings.set(3);
    let allocation_id = rent(&mut harness, organisation_id).await.to_string();
    harness.run_for(600).await;
    assert_eq!(said(&heard), ["the timer blew up"; 3], "the fault bit");
    let allocation = harness.load::<Allocation>(&allocation_id).await;
    assert_eq!(allocation.status, AllocationStatus::Active);
    let posted = wallet(&harness, organisation_id).await.posted_nanos;
    // 600 seconds at 3.6 an hour, of which the last tick may be open.
    assert!((39_400_000_000..39_440_000_000).contains(&posted), "it is charged: {posted}");
    harness.kill_runner().await;
}
