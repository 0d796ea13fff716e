//! A server on a database of its own, and callers with keys.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_api::auth::{Mode, SecondFactor};
use cairn_api::erasure::Promises;
use cairn_api::http::edge::headers::Origins;
use cairn_api::http::fleet::Enrolments;
use cairn_api::http::limits::Limits;
use cairn_api::http::server::bind;
use cairn_api::http::state::Api;
use cairn_api::live::Pace;
use cairn_api::outside;
use cairn_api::quota::Rates;
use cairn_api::stand_ins::{Simulated, kept_mail};
use cairn_api::system::new_api_key;
use cairn_api::wiring::{self, Outside, Server};
use cairn_commands::identity::{CreateKey, create_key};
use cairn_commands::neighbours::{NeighbourConfig, Neighbours};
use cairn_commands::notify::{DeliverConfig, TellConfig};
use cairn_commands::processes::{RunnerConfig, Settings};
use cairn_commands::{CommandContext, Commands};
use cairn_core::{OrganisationId, Resources};
use cairn_event_log::EventLog;
use cairn_identity::Role;
use cairn_oidc::ProviderConfig;
use cairn_privacy::{MasterFile, MasterKey, SubjectKeys};
use cairn_projections::Projector;
use cairn_sealer::{SealerConfig, StoreOptions};
use cairn_ssh::{CertificateAuthority, ScriptedNodes};
use cairn_webhooks::Strangers;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use crate::contract;

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6NDJ3IX4iL9qqcEXRqPrgAwn0kQ0IJc6cj4vG6OQZ1 me@laptop";

/// Whose pages may ask.
pub const CONSOLE: &str = "https://console.example.org";

pub const MASTER_KEY: &str = "privacy.key";

/// Whose tax is paid by who has not said where it is.
pub const HOME: &str = "DE";

pub struct Stage {
    pub commands: Commands,
    pub projector: Projector,
    pub nodes: Arc<ScriptedNodes>,
    pub provider: Simulated,
    pub base: String,
    server: Server,
    directory: TempDir,
}

impl Stage {
    /// A server over an empty, migrated database.
    pub async fn set(options: PgConnectOptions) -> Self {
        Self::set_within(options, Limits::default()).await
    }

    /// The same with limits of its own.
    pub async fn set_within(options: PgConnectOptions, limits: Limits) -> Self {
        Self::over(EventLog::connect(options, 16).await.unwrap(), limits).await
    }

    /// The same with policies that somebody reaches.
    pub async fn set_counting(options: PgConnectOptions, rates: Rates) -> Self {
        let log = EventLog::connect(options, 16).await.unwrap();
        Self::with(log, (Limits::default(), rates, Pace::default()), webhooks(), |_| ()).await
    }

    /// The same over a log that is open.
    pub async fn over(log: EventLog, limits: Limits) -> Self {
        Self::with(log, (limits, Rates::generous(), Pace::default()), webhooks(), |_| ()).await
    }

    /// The same with streams that are kept otherwise.
    pub async fn set_streaming(options: PgConnectOptions, pace: Pace) -> Self {
        let log = EventLog::connect(options, 16).await.unwrap();
        Self::with(log, (Limits::default(), Rates::generous(), pace), webhooks(), |_| ()).await
    }

    /// The same with something else outside.
    pub async fn set_among(options: PgConnectOptions, change: impl FnOnce(&mut Outside)) -> Self {
        let log = EventLog::connect(options, 16).await.unwrap();
        let usual = (Limits::default(), Rates::generous(), Pace::default());
        Self::with(log, usual, webhooks(), change).await
    }

    /// The same, but no webhook leaves: somebody else sends them.
    pub async fn set_silent(options: PgConnectOptions) -> Self {
        let log = EventLog::connect(options, 16).await.unwrap();
        Self::with(log, (Limits::default(), Rates::generous(), Pace::default()), None, |_| ()).await
    }

    /// The same with other promises to people.
    pub async fn set_promising(options: PgConnectOptions, promises: Promises) -> Self {
        Self::set_among(options, |parts| parts.promises = promises).await
    }

    /// The same with providers that people may sign in through.
    pub async fn set_vouched(options: PgConnectOptions, providers: Vec<ProviderConfig>) -> Self {
        let vouch = |parts: &mut Outside| {
            parts.providers = outside::providers(&providers, &parts.public_url).unwrap();
        };
        Self::set_among(options, vouch).await
    }

    /// Another server over the database of one that has sealed something, with the same master key.
    pub async fn beside(&self, options: PgConnectOptions) -> Self {
        self.beside_among(options, |_| ()).await
    }

    /// The same with something else outside.
    pub async fn beside_among(
        &self,
        options: PgConnectOptions,
        change: impl FnOnce(&mut Outside),
    ) -> Self {
        let log = EventLog::connect(options, 16).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(self.path(MASTER_KEY), directory.path().join(MASTER_KEY)).unwrap();
        let usual = (Limits::default(), Rates::generous(), Pace::default());
        Self::within(directory, log, (usual, webhooks()), change).await
    }

    async fn with(
        log: EventLog,
        how: (Limits, Rates, Pace),
        deliver: Option<DeliverConfig>,
        change: impl FnOnce(&mut Outside),
    ) -> Self {
        Self::within(tempfile::tempdir().unwrap(), log, (how, deliver), change).await
    }

    async fn within(
        directory: TempDir,
        log: EventLog,
        ((limits, rates, pace), deliver): ((Limits, Rates, Pace), Option<DeliverConfig>),
        change: impl FnOnce(&mut Outside),
    ) -> Self {
        let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(directory.path().join(MASTER_KEY)));
        let keys = Arc::new(SubjectKeys::open(log.pool().clone(), vec![file]).await.unwrap());
        // Where there is no tax until a test sets one.
        let commands = Commands {
            home_jurisdiction: Some(HOME.to_owned()),
            ..wiring::commands(log.clone(), wiring::personal(&keys))
        };
        let projector = wiring::projector(log);
        let authority = CertificateAuthority::open(&directory.path().join("keys")).unwrap();
        let provider = Simulated::start(directory.path()).await.unwrap();
        let nodes = Arc::new(ScriptedNodes::default());
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let base = format!("http://{}", listeners[0].local_addr().unwrap());
        let settings = Settings { tick_seconds: 1, poll_seconds: 1, ..Settings::default() };
        let mut outside = Outside {
            mode: Mode::Test,
            node: Arc::clone(&nodes) as _,
            payments: Arc::clone(&provider.payments.port),
            mail: kept_mail(directory.path()),
            webhooks: outside::webhooks(Strangers::PublicAndLoopback).unwrap(),
            notify: deliver
                .map(|deliver| (TellConfig::new(&outside::process_name(), "/cairn"), deliver)),
            webhook_secrets: provider.payments.webhook_secrets.clone(),
            enrolments: Enrolments {
                authority: Arc::new(authority),
                reserve: Resources::default(),
            },
            public_url: base.clone(),
            runner: RunnerConfig { settings, ..RunnerConfig::new(outside::process_name()) },
            neighbours: Neighbours::new(NeighbourConfig::default(), wiring::clock()),
            reports: None,
            traces: None,
            seal: SealerConfig {
                keys: directory.path().join("keys"),
                events_max: 16,
                after: Duration::from_secs(1),
                file: directory.path().join("published.ndjson"),
                url: None,
                store: StoreOptions::default(),
            },
            relay: None,
            event_source: "/test".to_owned(),
            pace,
            limits,
            rates,
            origins: Origins(vec![HeaderValue::from_static(CONSOLE)]),
            proxies: vec!["127.0.0.1/32".parse().unwrap()],
            promises: Promises::default(),
            verify_every: Duration::from_secs(60),
            reconcile_every: Duration::from_secs(3_600),
            second_factor: SecondFactor::Offered,
            providers: vec![],
        };
        change(&mut outside);
        let parts = (commands.clone(), projector.clone(), keys);
        let server = Server::start(parts, outside, listeners).unwrap();
        provider.deliver_to(&base);
        Self { commands, projector, nodes, provider, base, server, directory }
    }

    /// Somebody with a key of this role, of an organisation of their own.
    pub async fn caller(&self, role: Role) -> Caller {
        let organisation = OrganisationId::from_bits(self.commands.ids.next());
        self.caller_of(role, organisation).await
    }

    /// Somebody with a key of this role and organisation.
    pub async fn caller_of(&self, role: Role, organisation_id: OrganisationId) -> Caller {
        let secret = new_api_key(Mode::Test).unwrap();
        let input = CreateKey {
            organisation_id,
            role,
            scopes: vec![],
            name: "test".to_owned(),
            secret_sha256: secret.sha256(),
            holder: None,
            expires_at: None,
        };
        let made = create_key(&self.commands, &self.context(), input).await.unwrap();
        self.projector.wait_for(made.position, PATIENCE).await.unwrap();
        Caller {
            http: reqwest::Client::new(),
            base: self.base.clone(),
            key: Some(secret.expose().to_owned()),
            organisation_id,
        }
    }

    /// Somebody without a key.
    pub fn nobody(&self) -> Caller {
        Caller {
            http: reqwest::Client::new(),
            base: self.base.clone(),
            key: None,
            organisation_id: OrganisationId::from_bits(0),
        }
    }

    pub fn context(&self) -> CommandContext {
        context(&format!("test:{:032x}", self.commands.ids.next()))
    }

    /// A SKU at 3.60 USD per hour, and a node that is ready.
    pub async fn open_shop(&self, operator: &Caller) {
        sell(operator, "small", (500, 64, 64), "3.60").await;
        let invited = operator.post("/v1/nodes", &json!({ "name": "n1" })).await;
        assert_eq!(invited.status, 201, "{}", invited.body);
        let enrolled = self.nobody().post("/v1/nodes/enrol", &self.enrolment(&invited.body)).await;
        assert_eq!(enrolled.status, 200, "{}", enrolled.body);
        let path = format!("/v1/nodes/{}", invited.text("/node_id"));
        operator
            .until(&path, |node| node["lifecycle"] == "ready" && node["link"] == "online")
            .await;
    }

    /// What the invited node would post.
    pub fn enrolment(&self, invitation: &Value) -> Value {
        let command = invitation["command"].as_str().unwrap();
        let token = command.split(' ').skip_while(|word| *word != "--token").nth(1).unwrap();
        let facts = self.nodes.facts();
        let key = SSH_KEY.rsplit_once(' ').unwrap().0;
        json!({
            "token": token, "hostname": "n1", "address": "192.0.2.7", "port": 22, "host_keys": [key],
            "facts": {
                "hostname": "n1", "os": facts.os, "helper_version": facts.helper_version,
                "cgroup": facts.cgroup, "home_limit": "none", "clock_micros": 0,
                "total": facts.total, "missing": [],
            },
        })
    }

    /// What the server does now.
    pub const fn api(&self) -> &Api {
        &self.server.api
    }

    /// Where its keys and its seals are.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Ends the server in order.
    pub async fn strike(self) {
        self.server.stop().await;
        self.provider.shutdown(self.directory.path()).await;
        self.commands.executor.log().close().await;
        drop(self.directory);
    }
}

/// Attempts that are made again at once.
fn webhooks() -> Option<DeliverConfig> {
    let schedule = vec![Duration::from_millis(20); 8];
    Some(DeliverConfig { schedule, ..DeliverConfig::new("/cairn") })
}

/// A SKU of so many thousandths of a processor and MiB of memory and disk, in dollars an hour.
pub async fn sell(
    operator: &Caller,
    sku_id: &str,
    (cpu_millis, memory_mib, disk_mib): (u32, u64, u64),
    per_hour: &str,
) {
    let resources = json!({
        "cpu_millis": cpu_millis, "memory_bytes": memory_mib << 20, "disk_bytes": disk_mib << 20, "pids_max": 64
    });
    let sku = json!({ "sku_id": sku_id, "resources": resources });
    assert_eq!(operator.post("/v1/skus", &sku).await.status, 201);
    let price = json!({ "amount": per_hour, "currency": "USD" });
    let priced = operator.post_upon("*", &format!("/v1/skus/{sku_id}/prices"), &price).await;
    assert_eq!(priced.status, 200, "{}", priced.body);
}

/// Of a command of nobody's.
pub fn context(command_id: &str) -> CommandContext {
    CommandContext::by_itself("test", command_id.to_owned())
}

/// A sequence that looks random and is the same each time.
pub struct Whim(pub u64);

impl Whim {
    pub fn next(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[derive(Clone)]
pub struct Caller {
    pub http: reqwest::Client,
    pub base: String,
    pub key: Option<String>,
    pub organisation_id: OrganisationId,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Caller {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// Posts under a new key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = new_api_key(Mode::Test).unwrap();
        self.post_as(&key.sha256(), path, body).await
    }

    /// Posts under a new key, on what was seen.
    pub async fn post_upon(&self, tag: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("if-match", tag);
        let key = new_api_key(Mode::Test).unwrap().sha256();
        answer(request.header("idempotency-key", key).json(body)).await
    }

    /// Posts under this key.
    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("idempotency-key", key);
        answer(request.json(body)).await
    }

    /// Posts under this key until the first one with it is answered.
    pub async fn post_again(&self, key: &str, path: &str, body: &Value) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.post_as(key, path, body).await;
            if answer.code() != "command_in_flight" {
                return answer;
            }
            assert!(Instant::now() < deadline, "{key} never lands");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads until it is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get(path).await;
            if found.status == 200 && wanted(&found.body) {
                return found.body;
            }
            assert!(Instant::now() < deadline, "{path} never came about: {}", found.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Pays in and waits for the credit.
    pub async fn top_up(&self, amount: &str) -> String {
        let wish = json!({ "amount": amount, "currency": "USD", "payment_method": "pm_card_visa" });
        let asked = self.post("/v1/top-ups", &wish).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let id = asked.text("/top_up_id");
        self.until(&format!("/v1/top-ups/{id}"), |t| t["status"] == "succeeded").await;
        self.until("/v1/statement", |s| {
            s["items"].as_array().unwrap().iter().any(|line| line["reference"] == id)
        })
        .await;
        // Another view, with a checkpoint of its own.
        let seen = self.get("/v1/statement").await;
        let position = seen.header("cairn-position");
        let balance = self.get(&format!("/v1/balance?min_position={position}")).await;
        assert_eq!(balance.status, 200, "{}", balance.body);
        id
    }
}

/// Sends, and holds what comes back against the document.
pub async fn answer(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // A stream has no end; whoever wants to hear it reads it piece by piece.
    let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let text = if is_stream { String::new() } else { response.text().await.unwrap() };
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let answer = Answer { status, headers, body };
    contract::check(&method, &path, &answer);
    answer
}
