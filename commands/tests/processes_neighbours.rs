//! What the processes make of a neighbour that does not answer: it is left alone, nothing is lost by it, and the others go on.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use cairn_commands::neighbours::{self, NeighbourConfig, Neighbours};
use cairn_commands::payments;
use cairn_commands::ports::{
    Clock, IntentKey, Inventory, NodePort, NodeTarget, PaymentPort, PortError, ProbeReport,
    StepReport, TeardownReport, Tenant,
};
use cairn_compute::{Allocation, AllocationStatus, Step};
use cairn_core::{Money, NodeId, OrganisationId, Timestamp};
use cairn_neighbours::State;
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Host, Memory, World, usd};
use support::stories::{ask, top_up, wallet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

type Options = PgConnectOptions;

/// The door before the simulator: while it is shut, whoever knocks is counted and let go without a word.
struct Door {
    shut: watch::Sender<bool>,
    knocks: Arc<AtomicUsize>,
    url: String,
    _watch: JoinSet<()>,
}

impl Door {
    async fn before(simulator: &Simulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inside = simulator.base_url.trim_start_matches("http://").to_owned();
        let (shut, state) = watch::channel(false);
        let knocks: Arc<AtomicUsize> = Arc::default();
        let (mut watch, counted) = (JoinSet::new(), Arc::clone(&knocks));
        watch.spawn(async move {
            let mut guests = JoinSet::new();
            loop {
                let (mut guest, _) = listener.accept().await.unwrap();
                if *state.borrow() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let (inside, mut state) = (inside.clone(), state.clone());
                guests.spawn(async move {
                    let mut host = TcpStream::connect(inside).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut guest, &mut host) => {}
                        _ = state.wait_for(|shut| *shut) => {}
                    }
                });
            }
        });
        Self { shut, knocks, url, _watch: watch }
    }

    fn knocks(&self) -> usize {
        self.knocks.load(Ordering::SeqCst)
    }
}

/// Nodes in memory, of which one may hang; and Stripe by the simulator, behind a door.
struct Street {
    memory: Arc<Memory>,
    simulator: Simulator,
    door: Door,
    payments: Arc<StripePayments>,
    nodes: Arc<Hanging>,
    addresses: Mutex<Vec<&'static str>>,
}

impl Street {
    async fn new() -> Arc<Self> {
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let door = Door::before(&simulator).await;
        let config = StripeConfig {
            secret_key: "sk_test_processes".to_owned(),
            api_base: Some(door.url.clone()),
            webhook_secrets: vec![],
        };
        let payments = StripePayments::with_timeout(config, Duration::from_millis(400)).unwrap();
        let memory = Memory::new();
        let nodes = Arc::new(Hanging { inner: memory.nodes(), under_way: AtomicUsize::new(0) });
        let addresses = Mutex::new(vec![HANGS, "memory"]);
        Arc::new(Self { memory, simulator, door, payments: Arc::new(payments), nodes, addresses })
    }
}

#[async_trait]
impl World for Street {
    fn nodes(&self) -> Arc<dyn NodePort> {
        Arc::clone(&self.nodes) as Arc<dyn NodePort>
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
        let address = self.addresses.lock().unwrap().pop().unwrap_or("memory").to_owned();
        Host { address, ..self.memory.host(node_id).await }
    }

    async fn left(&self, allocation: &Allocation) -> Vec<String> {
        self.memory.left(allocation).await
    }

    fn cards(&self) -> (Vec<Money>, Vec<Money>) {
        unreachable!("the simulator's book is read")
    }

    fn refund_fails(&self) -> Option<String> {
        None
    }
}

/// Where the node is that hangs.
const HANGS: &str = "hangs";

/// Nodes of which one takes a wish and never answers.
struct Hanging {
    inner: Arc<dyn NodePort>,
    under_way: AtomicUsize,
}

#[async_trait]
impl NodePort for Hanging {
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
        if node.address == HANGS {
            self.under_way.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        self.inner.ensure(node, tenant, step, key).await
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

/// A runner that calls its neighbours as a server does.
async fn harness(
    db: Options,
    street: &Arc<Street>,
    config: NeighbourConfig,
) -> (Harness, Neighbours) {
    let mut harness = Harness::start(db, Arc::clone(street) as _).await;
    harness.stop_runner().await;
    let neighbours = Neighbours::new(config, Arc::clone(&harness.clock) as Arc<dyn Clock>);
    harness.neighbours = Some(neighbours.clone());
    harness.start_runner();
    (harness, neighbours)
}

fn state(neighbours: &Neighbours, of: &str) -> State {
    neighbours.standings().into_iter().find(|it| it.neighbour == of).unwrap().state
}

async fn ask_for_top_up(harness: &Harness, organisation_id: OrganisationId) -> String {
    let payment_method = Some("pm_card_visa".to_owned());
    let request = payments::RequestTopUp { organisation_id, amount: usd(20), payment_method };
    let asked = payments::request_top_up(&harness.commands, &harness.context(), request).await;
    asked.unwrap().aggregate_id
}

async fn of_intent<T>(harness: &Harness, what: &str, key: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let sql =
        format!("SELECT {what} FROM process_intents WHERE name = 'create_payment' AND key = $1");
    sqlx::query_scalar(&sql).bind(key).fetch_one(harness.pool()).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_that_hangs_up_is_left_alone_and_money_moves_once_when_it_is_back(
    _: PgPoolOptions,
    db: Options,
) {
    let street = Street::new().await;
    let (mut harness, neighbours) = harness(db, &street, NeighbourConfig::default()).await;
    let organisation_id = harness.organisation();
    street.door.shut.send_replace(true);
    let first = ask_for_top_up(&harness, organisation_id).await;
    harness.until("it is left alone", |_| state(&neighbours, "payments") == State::Open).await;
    let knocks = street.door.knocks();
    assert_eq!(knocks, 5, "the fault bit");
    let attempts: i32 = of_intent(&harness, "attempts", &first).await;
    // Whoever comes now is not even tried, and that is no attempt.
    let second = ask_for_top_up(&harness, organisation_id).await;
    harness.until("it waits", |s| s.status("top_up", &second).is_some()).await;
    let why: String = of_intent(&harness, "last_error", &second).await;
    assert!(why.starts_with("neighbour_left_alone: "), "{why}");
    assert_eq!(of_intent::<i32>(&harness, "attempts", &second).await, 0);
    assert_eq!(street.door.knocks(), knocks, "nobody knocks while it is left alone");
    // Nobody is there still: one at a time tries, and no attempt is counted but theirs.
    harness.run_for(120).await;
    let tried = street.door.knocks() - knocks;
    let counted = of_intent::<i32>(&harness, "attempts", &first).await - attempts
        + of_intent::<i32>(&harness, "attempts", &second).await;
    assert!((1..=6).contains(&tried), "5, 10, 20, 40 and 60 seconds apart: {tried}");
    assert_eq!(usize::try_from(counted).unwrap(), tried);
    street.door.shut.send_replace(false);
    harness
        .until("both are credited", |s| s.ended("top_up", &first) && s.ended("top_up", &second))
        .await;
    assert_eq!(state(&neighbours, "payments"), State::Closed);
    assert_eq!(street.simulator.book().charges().len(), 2);
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(40).nanos);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_that_hangs_takes_its_own_places_only_and_another_nodes_rental_goes_on(
    _: PgPoolOptions,
    db: Options,
) {
    let street = Street::new().await;
    let config = NeighbourConfig { node_calls_max: 2, ..NeighbourConfig::default() };
    let (mut harness, _) = harness(db, &street, config).await;
    let hanging = harness.enrol("node-2").await;
    harness.until("both are ready", |s| s.next_due.is_some()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 40).await;
    assert_eq!(harness.config.workers, 4, "as many rentals hang as there are hands");
    for _ in 0..4 {
        ask(&harness, organisation_id, Some(hanging)).await;
    }
    let patience = Instant::now() + Duration::from_secs(60);
    let waits = "SELECT count(*) FROM process_intents WHERE last_error LIKE 'neighbour_busy: %'";
    loop {
        let busy: i64 = sqlx::query_scalar(waits).fetch_one(harness.pool()).await.unwrap();
        if busy == 2 {
            break;
        }
        assert!(Instant::now() < patience, "{}", harness.dump().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(street.nodes.under_way.load(Ordering::SeqCst), 2, "the fault bit, twice");
    let other = ask(&harness, organisation_id, Some(harness.node_id)).await.to_string();
    while harness.load::<Allocation>(&other).await.status != AllocationStatus::Active {
        assert!(Instant::now() < patience, "{}", harness.dump().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(street.nodes.under_way.load(Ordering::SeqCst), 2);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn another_process_sees_how_they_stand_until_the_server_leaves(
    _: PgPoolOptions,
    db: Options,
) {
    let street = Street::new().await;
    let (mut harness, neighbours) = harness(db, &street, NeighbourConfig::default()).await;
    street.door.shut.send_replace(true);
    let organisation_id = harness.organisation();
    ask_for_top_up(&harness, organisation_id).await;
    harness.until("it is left alone", |_| state(&neighbours, "payments") == State::Open).await;
    let (stop, pool) = (CancellationToken::new(), harness.pool().clone());
    let mut server = JoinSet::new();
    server.spawn(neighbours::tell(pool, "server-1".to_owned(), neighbours, stop.clone()));
    let patience = Instant::now() + Duration::from_secs(60);
    let told = loop {
        let told = neighbours::told(harness.pool()).await.unwrap();
        if let Some(told) = told.into_iter().next() {
            break told;
        }
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(told.process, "server-1");
    let away: Vec<_> = told.standings.iter().filter(|it| it.state == State::Open).collect();
    assert_eq!(away.len(), 1, "{away:?}");
    assert!(away[0].last_error.as_ref().unwrap().starts_with("provider_"), "{away:?}");
    stop.cancel();
    while server.join_next().await.is_some() {}
    assert!(neighbours::told(harness.pool()).await.unwrap().is_empty());
    harness.kill_runner().await;
}
