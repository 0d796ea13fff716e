//! Drives a runner in virtual time: when nothing is left to do, the clock moves to the next instant at which something is.
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_commands::neighbours::Neighbours;
use cairn_commands::ports::{
    Clock, MailPort, NodeDirectory, NodePort, PaymentPort, ProviderDispute,
};
use cairn_commands::processes::operator::{self, Decision};
use cairn_commands::processes::{AnyManager, Runner, RunnerConfig, Settings, all};
use cairn_commands::{
    CommandContext, Commands, Effects, ExecuteError, Executed, Executor, Expected, catalog, fleet,
};
use cairn_compute::Allocation;
use cairn_core::{Currency, Decider, Money, NodeId, OrganisationId, Resources, Tiers, Timestamp};
use cairn_event_log::EventLog;
use cairn_fleet::NodeFacts;
use cairn_tasks::{Told, telling};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock::{CountingIds, ManualClock, PATIENCE, leases_are_over, owner, recorded_from};
use super::faults::{Faults, Faulty, FaultyClock};
use super::letters::{Blanks, Letters};
use super::nodes::{FixedDirectory, MemoryNodes, facts};
use super::provider::MemoryProvider;

/// A machine that can be enrolled.
#[derive(Debug, Clone)]
pub struct Host {
    pub address: String,
    pub port: u16,
    pub host_keys: Vec<String>,
    pub facts: NodeFacts,
}

/// What the processes touch: in memory here, real elsewhere.
#[async_trait]
pub trait World: Send + Sync {
    fn nodes(&self) -> Arc<dyn NodePort>;
    fn payments(&self) -> Arc<dyn PaymentPort>;
    /// A machine to enrol under this id.
    async fn host(&self, node_id: NodeId) -> Host;
    /// What is left of an allocation on that machine.
    async fn left(&self, allocation: &Allocation) -> Vec<String>;
    /// What was taken from cards and given back to them.
    fn cards(&self) -> (Vec<Money>, Vec<Money>);
    /// A dispute stands so at the provider from now on, if it has any.
    fn dispute_stands(&self, _dispute: ProviderDispute) {}
    /// A payment method whose refunds fail, if the provider has one.
    fn refund_fails(&self) -> Option<String>;
    /// How often something was changed for an allocation on that machine before it was taken down, if that is counted.
    fn changes(&self, _allocation: &Allocation) -> Option<usize> {
        None
    }
    /// When its time begins.
    fn begins_at(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }
    /// Breaks what an intent needs, in the world itself; and mends it.
    async fn set_broken(&self, _name: &str, _broken: bool) {}
    /// The customer's key.
    fn public_key(&self) -> String {
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVzZXJrZXl1c2Vya2V5dXNlcmtleXVzZXJrZXl1c2Vy"
            .to_owned()
    }
}

/// Everything in memory.
pub struct Memory {
    pub nodes: Arc<MemoryNodes>,
    pub provider: Arc<MemoryProvider>,
}

impl Memory {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { nodes: MemoryNodes::new(), provider: MemoryProvider::new() })
    }
}

#[async_trait]
impl World for Memory {
    fn nodes(&self) -> Arc<dyn NodePort> {
        Arc::clone(&self.nodes) as Arc<dyn NodePort>
    }

    fn payments(&self) -> Arc<dyn PaymentPort> {
        Arc::clone(&self.provider) as Arc<dyn PaymentPort>
    }

    async fn host(&self, _: NodeId) -> Host {
        Host {
            address: "memory".to_owned(),
            port: 22,
            host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            facts: facts(),
        }
    }

    async fn left(&self, allocation: &Allocation) -> Vec<String> {
        self.nodes.left(&allocation.allocation_id.unwrap().to_string())
    }

    fn cards(&self) -> (Vec<Money>, Vec<Money>) {
        (self.provider.payments(), self.provider.refunds())
    }

    fn changes(&self, allocation: &Allocation) -> Option<usize> {
        Some(self.nodes.changes(&allocation.allocation_id.unwrap().to_string()))
    }

    fn dispute_stands(&self, dispute: ProviderDispute) {
        self.provider.dispute_stands(dispute);
    }

    fn refund_fails(&self) -> Option<String> {
        Some(super::provider::REFUND_FAILS.to_owned())
    }
}

/// Where every process stands, at one instant.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Snapshot {
    /// Nothing is left to do before the next due time.
    pub idle: bool,
    /// Microseconds since the epoch.
    pub next_due: Option<i64>,
    pub processes: Vec<Standing>,
    /// Intents that wait for an operator.
    pub stuck: Vec<Stuck>,
}

#[derive(Debug, Clone, serde::Deserialize)]
pub struct Standing {
    pub process: String,
    pub key: String,
    pub status: String,
}

#[derive(Debug, Clone, serde::Deserialize)]
pub struct Stuck {
    pub id: String,
    pub process: String,
    pub key: String,
    pub name: String,
}

impl Snapshot {
    pub fn status(&self, process: &str, key: &str) -> Option<&str> {
        let found = self.processes.iter().find(|p| p.process == process && p.key == key);
        found.map(|p| p.status.as_str())
    }

    pub fn ended(&self, process: &str, key: &str) -> bool {
        matches!(self.status(process, key), Some("done" | "unwound" | "abandoned"))
    }
}

/// One database, one world, one runner at a time.
pub struct Harness {
    pub commands: Commands,
    pub clock: Arc<ManualClock>,
    pub faults: Arc<Faults>,
    pub world: Arc<dyn World>,
    pub node_id: NodeId,
    pub config: RunnerConfig,
    pub directory: Arc<FixedDirectory>,
    pub letters: Arc<Letters>,
    /// In the place of `letters`.
    pub mail: Option<Arc<dyn MailPort>>,
    /// What stands around the ports; nothing does without.
    pub neighbours: Option<Neighbours>,
    pub managers: Vec<Arc<dyn AnyManager>>,
    /// Who hears of panics.
    pub told: Told,
    owner: PgPool,
    runner: JoinSet<()>,
    stop: CancellationToken,
    runners: u32,
    killed: u32,
    sent: Mutex<u32>,
}

pub const SKU: &str = "small";
/// Of the SKU, for 3,600 seconds.
pub const PER_HOUR: i64 = 3_600_000_000;

pub fn resources() -> Resources {
    Resources { cpu_millis: 500, memory_bytes: 128 << 20, disk_bytes: 32 << 20, pids_max: 24 }
}

pub fn usd(units: i64) -> Money {
    Money::new(units * 1_000_000_000, Currency::USD)
}

fn settings() -> Settings {
    Settings {
        tick_seconds: 30,
        // Another look at the node is a day away, so that nothing but the story happens.
        watch_seconds: 86_400,
        tick_lag_seconds: 2,
        provider_seconds: 600,
        runway_seconds: 3_600,
        ..Settings::default()
    }
}

impl Harness {
    /// A world with one node that is ready and one SKU that is for sale.
    pub async fn start(database: PgConnectOptions, world: Arc<dyn World>) -> Self {
        Self::start_with(database, world, settings()).await
    }

    /// The same, with other numbers.
    pub async fn start_with(
        database: PgConnectOptions,
        world: Arc<dyn World>,
        settings: Settings,
    ) -> Self {
        let log = EventLog::connect(database.clone(), 16).await.unwrap();
        let clock = Arc::new(ManualClock::at(world.begins_at()));
        let commands = Commands {
            executor: Executor::new(log),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(CountingIds::default()),
            home_jurisdiction: None,
        };
        let mut config = RunnerConfig::new("unnamed");
        config.settings = settings;
        config.lease = Duration::from_millis(800);
        config.poll = Duration::from_millis(20);
        config.workers = 4;
        let mut harness = Self {
            commands,
            clock,
            faults: Faults::none(),
            world,
            node_id: NodeId::from_bits(0),
            config,
            directory: Arc::default(),
            letters: Arc::default(),
            mail: None,
            neighbours: None,
            managers: all(),
            told: Arc::new(|_| {}),
            owner: owner(&database),
            runner: JoinSet::new(),
            stop: CancellationToken::new(),
            runners: 0,
            killed: 0,
            sent: Mutex::new(0),
        };
        harness.start_runner();
        harness.stock().await;
        harness
    }

    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pool(&self) -> &PgPool {
        self.commands.executor.log().pool()
    }

    pub fn context(&self) -> CommandContext {
        let mut sent = self.sent.lock().unwrap();
        *sent += 1;
        let command_id = format!("test-{sent}");
        CommandContext {
            body_hash: Sha256::digest(&command_id).into(),
            correlation_id: command_id.clone(),
            command_id,
            actor: "test".to_owned(),
            organisation_id: None,
            causation_id: None,
            traceparent: None,
            origin: Some("cli".to_owned()),
        }
    }

    pub fn effects(&self) -> Effects {
        let faults = || Arc::clone(&self.faults);
        let effects = Effects {
            node: Arc::new(Faulty { inner: self.world.nodes(), faults: faults() }),
            payments: Arc::new(Faulty { inner: self.world.payments(), faults: faults() }),
            mail: self.mail.clone().unwrap_or_else(|| Arc::clone(&self.letters) as _),
            papers: Arc::new(Blanks),
            directory: Arc::new(Faulty {
                inner: Arc::clone(&self.directory) as Arc<dyn NodeDirectory>,
                faults: faults(),
            }),
            clock: Arc::new(FaultyClock {
                inner: Arc::clone(&self.clock) as Arc<dyn Clock>,
                faults: faults(),
            }),
        };
        let Some(around) = &self.neighbours else { return effects };
        Effects {
            node: around.nodes(effects.node),
            payments: around.payments(effects.payments),
            mail: around.mail(effects.mail),
            ..effects
        }
    }

    pub fn start_runner(&mut self) {
        self.runners += 1;
        let mut config = self.config.clone();
        config.owner = format!("runner-{}", self.runners);
        let runner = Runner::new(self.commands.executor.clone(), self.effects(), config)
            .with_managers(self.managers.clone())
            .with_gate(Arc::clone(&self.faults) as _);
        self.runner.spawn(telling(Arc::clone(&self.told), runner.run(self.stop.clone())));
    }

    /// The worker dies: nothing of it goes on, and its leases stay until they are over.
    pub async fn kill_runner(&mut self) {
        self.runner.shutdown().await;
    }

    /// Asks the runners to stop, and waits until they have.
    pub async fn stop_runner(&mut self) {
        std::mem::take(&mut self.stop).cancel();
        while self.runner.join_next().await.is_some() {}
    }

    /// Starts another runner when the gate has asked for the death of this one, whose leases are over then.
    async fn revive(&mut self) {
        let kills = *self.faults.kills.borrow();
        if kills > self.killed {
            self.killed = kills;
            self.kill_runner().await;
            leases_are_over(self.pool()).await;
            self.start_runner();
        }
    }

    /// Moves on to an instant. What is recorded from then on is recorded then, so that deadlines are of the story's time.
    async fn advance_to(&self, at: Timestamp) {
        self.clock.advance_to(at);
        recorded_from(&self.owner, self.clock.now()).await;
    }

    async fn stock(&mut self) {
        let define = self.context();
        let sku = catalog::DefineSku { sku_id: SKU.to_owned(), resources: resources() };
        catalog::define_sku(&self.commands, &define, sku).await.unwrap();
        self.price(PER_HOUR, Tiers::NONE).await;
        self.node_id = self.enrol("node-1").await;
        self.directory.0.lock().unwrap().push(self.node_id);
    }

    /// What new rentals pay from now on.
    pub async fn price(&self, nanos_per_hour: i64, tiers: Tiers) {
        let per_hour = Money::new(nanos_per_hour, Currency::USD);
        let (sku_id, effective_at, expected) = (SKU.to_owned(), None, Expected::Anything);
        let set = catalog::SetPrice { sku_id, per_hour, tiers, effective_at, expected };
        catalog::set_price(&self.commands, &self.context(), set).await.unwrap();
    }

    /// Invites and enrols the world's machine, and waits until it is ready.
    pub async fn enrol(&mut self, name: &str) -> NodeId {
        self.enrol_as(None, name).await
    }

    /// Puts the world's machine under its node id again, as after a quarantine.
    pub async fn enrol_anew(&mut self) {
        self.enrol_as(Some(self.node_id), "node-1").await;
    }

    async fn enrol_as(&mut self, node_id: Option<NodeId>, name: &str) -> NodeId {
        let invite = fleet::InviteNode { node_id, name: name.to_owned() };
        let invited = fleet::invite_node(&self.commands, &self.context(), invite).await.unwrap();
        let token = invited.token.unwrap();
        let node_id = fleet::node_of_token(&token).unwrap();
        let host = self.world.host(node_id).await;
        let enrol = fleet::EnrolNode {
            node_id,
            token,
            address: host.address,
            port: host.port,
            host_keys: host.host_keys,
            facts: host.facts,
            reserve: Resources::default(),
            host_certificate_serial: 1,
        };
        fleet::enrol_node(&self.commands, &self.context(), enrol).await.unwrap();
        self.until("the node is looked at", |s| {
            s.status("verify_node", &node_id.to_string()).is_some()
        })
        .await;
        node_id
    }

    pub fn organisation(&self) -> OrganisationId {
        OrganisationId::from_bits(self.commands.ids.next())
    }

    pub async fn load<A: Decider>(&self, id: &str) -> A {
        self.commands.executor.load::<A>(id).await.unwrap().0
    }

    /// Where everything stands; asks again while the database is not there.
    pub async fn snapshot(&self) -> Snapshot {
        let patience = Instant::now() + PATIENCE;
        loop {
            let now = self.clock.now().as_micros();
            let managers = i64::try_from(cairn_commands::processes::all().len()).unwrap();
            let asked =
                sqlx::query_scalar(SNAPSHOT).bind(now).bind(managers).fetch_one(self.pool()).await;
            match asked {
                Ok(text) => return read(text),
                Err(error) => assert!(Instant::now() < patience, "{error}"),
            }
        }
    }

    /// Goes on until nothing is left to do and the condition holds.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let patience = Instant::now() + PATIENCE;
        let horizon = self.clock.now().plus_secs(40 * 86_400).as_micros();
        self.advance_to(self.clock.now()).await;
        loop {
            self.revive().await;
            let snapshot = self.snapshot().await;
            if snapshot.idle && holds(&snapshot) {
                return snapshot;
            }
            match snapshot.next_due {
                Some(due) if snapshot.idle && due <= horizon => {
                    self.advance_to(Timestamp::from_micros(due)).await;
                }
                _ if snapshot.idle => {
                    let intents = self.dump().await;
                    panic!("never: {what}\n{:#?}\n{intents}", snapshot.processes);
                }
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
            if Instant::now() > patience {
                let intents = self.dump().await;
                panic!("too slow: {what}\n{:#?}\n{intents}", self.snapshot().await);
            }
        }
    }

    /// Goes on until so much time is over.
    pub async fn run_for(&mut self, secs: i64) -> Snapshot {
        let end = self.clock.now().plus_secs(secs);
        let micros = end.as_micros();
        let snapshot =
            self.until("time passes", |s| s.next_due.is_none_or(|due| due > micros)).await;
        self.advance_to(end).await;
        snapshot
    }

    pub async fn retry(&self, intent_id: &str) -> Result<Executed, ExecuteError> {
        let decision = Decision { intent_id: intent_id.to_owned(), reason: "mended".to_owned() };
        operator::retry(&self.commands, &self.context(), decision).await
    }

    /// Every intent, for a failure's message.
    pub async fn dump(&self) -> String {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT format('%s %s %s %s due=%s attempts=%s %s', id, key, name, status, due_at, attempts, last_error)
             FROM process_intents ORDER BY seq",
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        rows.join("\n")
    }
}

fn read(text: String) -> Snapshot {
    serde_json::from_str(&text).unwrap()
}

const SNAPSHOT: &str = "
WITH now AS (SELECT 'epoch'::timestamptz + $1::bigint * interval '1 microsecond' AS at)
SELECT json_build_object(
  'idle',
    (SELECT count(*) = $2 AND min(position) = (SELECT position FROM log_head) FROM process_checkpoints)
    AND NOT EXISTS (SELECT FROM process_intents, now
                    WHERE status = 'leased' OR (status = 'ready' AND due_at <= now.at)
                       OR (status = 'needs_operator' AND retry_at <= now.at)),
  'next_due',
    (SELECT (extract(epoch FROM min(CASE status WHEN 'ready' THEN due_at ELSE retry_at END)) * 1000000)::bigint
     FROM process_intents WHERE status IN ('ready', 'needs_operator')),
  'processes',
    (SELECT coalesce(json_agg(json_build_object('process', process, 'key', key, 'status', status)), '[]')
     FROM process_states),
  'stuck',
    (SELECT coalesce(json_agg(json_build_object('id', id, 'process', process, 'key', key, 'name', name)), '[]')
     FROM process_intents WHERE status = 'needs_operator' OR retry_at IS NOT NULL))::text";
