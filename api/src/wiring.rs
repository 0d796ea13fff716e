//! The composition root: the one place that joins database, log, executor, views, processes, adapters and HTTP.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use cairn_archive::SegmentReader;
use cairn_commands::effects::Effects;
use cairn_commands::neighbours::{self, Neighbours};
use cairn_commands::notify::{DeliverConfig, Deliverer, TellConfig, Teller};
use cairn_commands::ports::{
    Clock, MailPort, NodeDirectory, NodePort, PaymentPort, PersonalPort, PortError, TopicPort,
    WebhookPort,
};
use cairn_commands::processes::{Runner, RunnerConfig};
use cairn_commands::rehearsal::Rehearsals;
use cairn_commands::relay::{Relay, RelayConfig};
use cairn_commands::{Commands, Executor, Personal};
use cairn_core::{NodeId, Resources};
use cairn_event_log::{EventLog, LogError};
use cairn_eventstore::EventStoreLog;
use cairn_oidc::Provider;
use cairn_privacy::{MasterError, SubjectKeys};
use cairn_projections::{Projector, QueryError, fleet};
use cairn_sealer::{Sealer, SealerConfig};
use cairn_spans::Spans;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::password::Passwords;
use crate::auth::{Directory, Mode, SecondFactor};
use crate::config::Config;
use crate::database::Database;
use crate::erasure::{Erasures, Promises};
use crate::features::Features;
use crate::figures::{self, watch::Watch};
use crate::http;
use crate::http::edge::headers::Origins;
use crate::http::fleet::Enrolments;
use crate::http::flight::InFlight;
use crate::http::limits::Limits;
use crate::http::state::{Api, Parts, Views};
use crate::inbox::Inbox;
use crate::live::{Hub, Pace};
use crate::papers::Press;
use crate::quota::{Quotas, Rates};
use crate::reports::{Fault, ReportAddress, Reports};
use crate::retention;
use crate::system::{RandomIds, SystemClock};
use crate::traces::{Traces, TracesConfig};
use crate::upkeep::Upkeep;

/// Everything that needs no outside: the database, what acts and what is seen.
pub struct Platform {
    /// Holds the private cluster while it is used.
    pub database: Database,
    /// The keys of subjects.
    pub keys: Arc<SubjectKeys>,
    /// What acts.
    pub commands: Commands,
    /// What is seen.
    pub projector: Projector,
    /// Whoever is called outside.
    pub neighbours: Neighbours,
}

/// Why the platform did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database.
    #[error(transparent)]
    Database(#[from] crate::database::DatabaseError),
    /// The log did not open.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Personal data could not be read or written.
    #[error(transparent)]
    Keys(#[from] MasterError),
}

impl Platform {
    /// Opens the database of a configuration, with its schema up to date (see [`Database::ensure_schema`]).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: &Config, migrate: bool) -> Result<Self, OpenError> {
        let database = Database::open(config).await?;
        let platform = Self::over(database, config, migrate).await?;
        if let Some(archive) = &config.archive {
            let log = platform.commands.executor.log();
            let place = archive.place.clone().behind(platform.neighbours.object_store());
            let reader = SegmentReader::new(log.pool().clone(), place);
            log.read_through(Arc::new(reader));
        }
        Ok(platform)
    }

    /// Over a database that is open.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn over(
        database: Database,
        config: &Config,
        migrate: bool,
    ) -> Result<Self, OpenError> {
        database.ensure_schema(migrate).await?;
        let log =
            EventLog::connect(database.options.clone(), requests_share(config.pool_size)).await?;
        // What is counted before somebody counts is lost, and neighbours are counted from their first day.
        let _ = figures::recorder();
        let neighbours = Neighbours::new(config.neighbours, clock());
        carry(&log, config, &neighbours).await?;
        let keys = Arc::new(SubjectKeys::open(log.pool().clone(), config.masters.open()?).await?);
        let personal = personal(&keys);
        Ok(Self {
            database,
            keys,
            commands: Commands {
                home_jurisdiction: config.home_jurisdiction.clone(),
                ..commands(log.clone(), personal)
            },
            projector: projector(log),
            neighbours,
        })
    }

    /// Lets the views follow the log until the token is cancelled. Rows of an older version wait for a server.
    #[must_use]
    pub fn follow(&self, stop: CancellationToken) -> JoinHandle<()> {
        let projector = self.projector.clone().without_rebuilds();
        TaskTracker::new().spawn(async move { projector.run(stop).await })
    }

    /// Keeps the private cluster running until the token is cancelled.
    #[must_use]
    pub fn guard_database(&self, stop: CancellationToken) -> JoinHandle<()> {
        TaskTracker::new().spawn(Database::keep_running(self.database.cluster.clone(), stop))
    }

    /// Lets commands under way finish, and leaves the database.
    pub async fn close(self) {
        self.commands.executor.drain().await;
        self.commands.executor.log().close().await;
        self.database.close().await;
    }
}

/// Connections for requests, views and the log itself, of those that a server may have.
const fn requests_share(pool_size: u32) -> u32 {
    pool_size - pool_size / 4
}

/// Connections for work that nobody waits for, beside those for requests: so many that a server has no more than it may.
fn work_share(requests: u32) -> u32 {
    (requests / 3).max(2)
}

/// Lets the log be carried by what the configuration names. A copy of a log is never written as if it were the log.
async fn carry(log: &EventLog, config: &Config, neighbours: &Neighbours) -> Result<(), LogError> {
    if let Some(url) = &config.log_url {
        let cluster = EventStoreLog::connect(url.expose()).await?.behind(neighbours.carrier());
        return log.carried_by(Arc::new(cluster)).await;
    }
    match log.carrier_status().await? {
        None => Ok(()),
        Some(status) => Err(LogError::Carrier(format!(
            "this database is the copy of log {}, which a cluster carries: set CAIRN_LOG_URL to its address",
            status.carrier
        ))),
    }
}

/// What seals and opens personal data, over the keys of subjects.
#[must_use]
pub fn personal(keys: &Arc<SubjectKeys>) -> Personal {
    Personal::from(Arc::clone(keys) as Arc<dyn PersonalPort>)
}

/// What acts, over a log.
#[must_use]
pub fn commands(log: EventLog, personal: Personal) -> Commands {
    Commands {
        executor: Executor::sealing(log, personal),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds::default()),
        home_jurisdiction: None,
    }
}

/// Every view, over a log.
#[must_use]
pub fn projector(log: EventLog) -> Projector {
    Projector::new(log, cairn_projections::all())
}

/// What a server reaches the outside by.
pub struct Outside {
    /// Nodes.
    pub node: Arc<dyn NodePort>,
    /// The payment provider.
    pub payments: Arc<dyn PaymentPort>,
    /// E-mail.
    pub mail: Arc<dyn MailPort>,
    /// Webhooks out.
    pub webhooks: Arc<dyn WebhookPort>,
    /// How they are told, and how they are delivered; `None` when others do.
    pub notify: Option<(TellConfig, DeliverConfig)>,
    /// Secrets that may sign webhooks.
    pub webhook_secrets: Vec<String>,
    /// How nodes are let in.
    pub enrolments: Enrolments,
    /// How nodes and customers reach this server.
    pub public_url: String,
    /// How the processes run.
    pub runner: RunnerConfig,
    /// What stands around every call of these.
    pub neighbours: Neighbours,
    /// Who is told of faults of ours; nobody without.
    pub reports: Option<ReportAddress>,
    /// Who is told what was done, and as part of what; nobody without.
    pub traces: Option<TracesConfig>,
    /// How the log is sealed.
    pub seal: SealerConfig,
    /// Where public events go, and how; `None` when nobody is told.
    pub relay: Option<(Arc<dyn TopicPort>, RelayConfig)>,
    /// Names this Cairn in public events.
    pub event_source: String,
    /// How those who hold a stream of events open are kept.
    pub pace: Pace,
    /// How long anybody waits.
    pub limits: Limits,
    /// How often anybody may ask.
    pub rates: Rates,
    /// Whose pages may ask.
    pub origins: Origins,
    /// Proxies that are believed about who came to them.
    pub proxies: Vec<IpNet>,
    /// Whether money is real.
    pub mode: Mode,
    /// What people are promised.
    pub promises: Promises,
    /// How often the books are derived again from the log.
    pub verify_every: Duration,
    /// How often the provider's book is held against ours.
    pub reconcile_every: Duration,
    /// Through whom people may sign in as well.
    pub providers: Vec<Provider>,
    /// Whether people must show a second factor, whatever their organisation demands.
    pub second_factor: SecondFactor,
}

impl Outside {
    /// With a breaker and a bulkhead around every port that leads to a neighbour.
    fn guarded(self) -> Self {
        let around = self.neighbours.clone();
        let (node, payments) = (around.nodes(self.node), around.payments(self.payments));
        let mail = around.mail(self.mail);
        let relay = self.relay.map(|(topic, config)| (around.topic(topic), config));
        Self { node, payments, mail, relay, ..self }
    }
}

/// A running server: HTTP, views, processes, the webhook inbox, the sealer.
pub struct Server {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// The API it serves.
    pub api: Api,
    /// Connections of the work that nobody waits for.
    work: PgPool,
    upkeep: Upkeep,
}

impl Server {
    /// Starts every part over a platform.
    ///
    /// # Errors
    /// When a listener has no address.
    pub fn start(
        (commands, projector, master): (Commands, Projector, Arc<SubjectKeys>),
        outside: Outside,
        listeners: Vec<TcpListener>,
    ) -> std::io::Result<Self> {
        let metrics = figures::recorder();
        cairn_tasks::watch();
        let outside = outside.guarded();
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let reports = Reports::begin(outside.reports.as_ref()).map_err(std::io::Error::other)?;
        let mut upkeep = Upkeep::new(reports.of_panics(Fault::default()));
        let stop = upkeep.stop();
        let traces = Traces::begin(outside.traces.as_ref(), &outside.runner.owner)?;
        let spans = traces.spans().clone();
        let bell = Arc::new(Notify::new());
        // However much of it there is, it leaves requests their connections.
        let most = commands.executor.log().pool().options().get_max_connections();
        let work = commands.executor.log().beside(work_share(most));
        let work = Commands { executor: commands.executor.over(work), ..commands.clone() };
        let log = commands.executor.log();
        let behind = Behind { log, commands: &work, outside: &outside, spans: &spans };
        behind.keep(&mut upkeep, &bell);
        let (every, verify_every) = (outside.promises.erasures_every, outside.verify_every);
        let (port, reconcile_every) = (Arc::clone(&outside.payments), outside.reconcile_every);
        let erasures = Erasures::new(work.clone(), projector.clone(), every);
        let (token, around) = (stop.clone(), spans.clone());
        upkeep.keep("erasures", move || around.around(erasures.clone().run(token.clone())));
        let passwords =
            Passwords::new().map_err(|problem| std::io::Error::other(problem.detail))?;
        let told = (bell, passwords, (reports, traces, metrics));
        let api = api((commands, projector.clone(), master), outside, told);
        let token = stop.clone();
        upkeep.keep("projections", move || {
            let (projector, token) = (projector.clone(), token.clone());
            spans.around(async move { projector.run(token).await })
        });
        let (service, token) = (http::service(api.clone()), stop.clone());
        upkeep.run(http::server::serve(listeners, service, (api.limits, token)));
        let (live, token) = (api.live.clone(), stop.clone());
        upkeep.keep("streams", move || live.clone().run(token.clone()));
        api.verification.keep(&mut upkeep, &work, verify_every);
        api.reconciliation.keep(&mut upkeep, (&work, &port), reconcile_every);
        let own = work.executor.log().pool().clone();
        if let Some(recorder) = api.metrics.clone() {
            let (pools, own) =
                (vec![("requests", api.pool().clone()), ("work", own.clone())], own.clone());
            upkeep.keep("figures", move || {
                Watch::new(own.clone(), pools.clone(), recorder.clone()).run(stop.clone())
            });
        }
        Ok(Self { addresses, api, work: own, upkeep })
    }

    /// Stops taking work, lets what has begun finish within the limits, and ends every part. Commands are always finished.
    pub async fn stop(mut self) {
        self.api.tasks.close();
        self.upkeep.end().await;
        let all = self.api.tasks.wait();
        if tokio::time::timeout(self.api.limits.drain, all).await.is_err() {
            tracing::warn!(left = self.api.tasks.len(), "requests that would not end are left");
        }
        self.api.commands.executor.drain().await;
        self.api.reports.close().await;
        self.api.traces.close().await;
        self.work.close().await;
    }
}

/// What works behind the requests.
struct Behind<'a> {
    /// As requests read it.
    log: &'a EventLog,
    commands: &'a Commands,
    outside: &'a Outside,
    spans: &'a Spans,
}

impl Behind<'_> {
    fn keep(&self, upkeep: &mut Upkeep, bell: &Arc<Notify>) {
        let (log, commands, outside) = (self.log, self.commands, self.outside);
        let pool = commands.executor.log().pool().clone();
        let owner = outside.runner.owner.clone();
        let (around, token) = (outside.neighbours.clone(), upkeep.stop());
        upkeep.keep("neighbours", move || {
            neighbours::tell(pool.clone(), owner.clone(), around.clone(), token.clone())
        });
        if let Some((topic, config)) = &outside.relay {
            let relay = Relay::new(log.clone(), Arc::clone(topic), config.clone());
            self.traced(upkeep, "relay", move |token| relay.clone().run(token));
        }
        self.notify(upkeep);
        let (ours, token) = (commands.clone(), upkeep.stop());
        upkeep.keep("retention", move || retention::keep_to_rules(ours.clone(), token.clone()));
        let inbox = Inbox {
            commands: commands.clone(),
            payments: Arc::clone(&outside.payments),
            bell: Arc::clone(bell),
        };
        self.traced(upkeep, "inbox", move |token| inbox.clone().run(token));
        let sealer = Sealer::new(log.clone(), outside.seal.clone())
            .behind(outside.neighbours.object_store());
        self.traced(upkeep, "sealer", move |token| sealer.clone().run(token));
        let effects = effects(commands, outside);
        let runner = Runner::new(commands.executor.clone(), effects, outside.runner.clone());
        self.traced(upkeep, "processes", move |token| runner.clone().run(token));
    }

    /// Webhooks out: one tells what is owed, the other sends it.
    fn notify(&self, upkeep: &mut Upkeep) {
        let Some((tell, deliver)) = self.outside.notify.clone() else { return };
        let (commands, bell) = (self.commands, Arc::new(Notify::new()));
        let teller = Teller::new(commands.clone(), tell, Arc::clone(&bell));
        let port = Arc::clone(&self.outside.webhooks);
        let deliverer = Deliverer::new(commands.clone(), port, deliver, bell);
        let token = upkeep.stop();
        upkeep.keep("webhooks", move || teller.clone().run(token.clone()));
        self.traced(upkeep, "webhooks", move |token| deliverer.clone().run(token));
    }

    /// A part whose work is seen in traces.
    fn traced<F>(
        &self,
        upkeep: &mut Upkeep,
        name: &'static str,
        begin: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (spans, token) = (self.spans.clone(), upkeep.stop());
        upkeep.keep(name, move || spans.around(begin(token.clone())));
    }
}

fn effects(commands: &Commands, outside: &Outside) -> Effects {
    let pool = commands.executor.log().pool().clone();
    Effects {
        node: Arc::clone(&outside.node),
        payments: Arc::clone(&outside.payments),
        mail: Arc::clone(&outside.mail),
        papers: Arc::new(Press(commands.executor.clone())),
        directory: Arc::new(ViewDirectory { pool }),
        clock: Arc::clone(&commands.clock),
    }
}

fn api(
    (commands, projector, master): (Commands, Projector, Arc<SubjectKeys>),
    outside: Outside,
    (bell, passwords, (reports, traces, metrics)): (
        Arc<Notify>,
        Passwords,
        (Reports, Traces, Option<PrometheusHandle>),
    ),
) -> Api {
    let log = commands.executor.log().clone();
    Api::new(Parts {
        rehearsals: Rehearsals::new(effects(&commands, &outside), outside.runner.settings),
        master,
        in_flight: InFlight::default(),
        live: Hub::new(log.clone(), outside.event_source, outside.pace),
        directory: Directory::new(log.pool().clone(), outside.second_factor),
        features: Features::new(log.pool().clone()),
        passwords,
        quotas: Quotas::new(log.pool().clone(), outside.rates),
        origins: outside.origins,
        proxies: outside.proxies,
        mode: outside.mode,
        promises: outside.promises,
        verification: Arc::default(),
        reconciliation: Arc::default(),
        providers: outside.providers,
        views: Views::new(log, projector),
        commands,
        payments: outside.payments,
        webhooks: outside.webhooks,
        webhook_secrets: outside.webhook_secrets,
        webhook_bell: bell,
        enrolments: outside.enrolments,
        tasks: TaskTracker::new(),
        reports,
        traces,
        metrics,
        started: AtomicBool::new(false),
        public_url: outside.public_url,
        limits: outside.limits,
    })
}

/// Which nodes may be tried, as the fleet's view has it. The node itself decides in the end.
struct ViewDirectory {
    pool: PgPool,
}

const CANDIDATES: i64 = 20;

#[async_trait]
impl NodeDirectory for ViewDirectory {
    async fn candidates(&self, resources: Resources) -> Result<Vec<NodeId>, PortError> {
        let found = fleet::nodes::candidates(&self.pool, resources, CANDIDATES).await;
        let found = found.map_err(|error: QueryError| {
            PortError::transient("database_unavailable", error.to_string())
        })?;
        Ok(found.iter().filter_map(|id| id.parse().ok()).collect())
    }
}

/// The machine's clock, for whoever is outside.
#[must_use]
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
