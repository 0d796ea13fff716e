//! `cairn serve` as a process of its own on its private cluster, with the provider outside: everything that a SIGKILL can hit.
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_core::OrganisationId;
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Row as _};
use tempfile::TempDir;

use crate::support::{Caller, PATIENCE};

pub const SECRET: &str = "whsec_house";

/// A data directory, the provider, and now and then a server.
pub struct House {
    pub simulator: Simulator,
    /// Variables beyond those that every house has.
    pub variables: Vec<(&'static str, String)>,
    data: TempDir,
    server: Option<Child>,
    base: String,
    /// What the server has said.
    said: Arc<Mutex<String>>,
}

impl House {
    /// Without a server yet.
    pub async fn build() -> Self {
        let config =
            SimulatorConfig { webhook_secret: SECRET.to_owned(), ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let (base, said) = (String::new(), Arc::default());
        Self { simulator, variables: vec![], data, server: None, base, said }
    }

    fn cairn(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(line.split_whitespace()).env_clear();
        command.env("PATH", env!("PATH")).env("USER", "tester").env("CAIRN_LOG", "warn");
        command.env("CAIRN_RATE_LIMITS", "off");
        command.env("CAIRN_DATA", self.data.path()).env("CAIRN_LISTEN", "127.0.0.1:0");
        command.env("STRIPE_SECRET_KEY", "sk_test_house").env("STRIPE_WEBHOOK_SECRET", SECRET);
        command.env("STRIPE_API_BASE", &self.simulator.base_url);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs one command, which must succeed, and reads what it prints.
    pub async fn run(&self, line: &str) -> Value {
        let mut command = self.cairn(&format!("{line} --output json"));
        let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let talk = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "cairn {line}: {talk}");
        serde_json::from_slice(&said.stdout).unwrap()
    }

    /// Starts the server and waits until it listens.
    pub async fn open(&mut self) {
        let mut command = self.cairn("serve");
        let all = Arc::clone(&self.said);
        let started = tokio::task::spawn_blocking(move || {
            let mut server = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let (said, heard) = mpsc::channel();
            let talk = BufReader::new(server.stderr.take().unwrap());
            // Ends with the server; until then somebody must listen, or it would be stopped by a full pipe.
            std::thread::spawn(move || {
                for line in talk.lines().map_while(Result::ok) {
                    all.lock().unwrap().push_str(&(line.clone() + "\n"));
                    let _ = said.send(line);
                }
            });
            (server, listening(&heard))
        });
        let (server, base) = started.await.unwrap();
        self.simulator.set_webhook(&format!("{base}/v1/webhooks/stripe"), SECRET);
        (self.server, self.base) = (Some(server), base);
    }

    /// Where the server listens.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where it keeps what it keeps.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Whatever it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Somebody with a new key, of an organisation of their own.
    pub async fn caller(&self, role: &str) -> Caller {
        let made = self.run(&format!("keys create --role {role} --name house")).await;
        Caller {
            http: reqwest::Client::new(),
            base: self.base.clone(),
            key: made["key"].as_str().map(str::to_owned),
            organisation_id: OrganisationId::from_str(made["organisation_id"].as_str().unwrap())
                .unwrap(),
        }
    }

    /// The same caller at the server that runs now.
    pub fn moved(&self, caller: &Caller) -> Caller {
        Caller { http: reqwest::Client::new(), base: self.base.clone(), ..caller.clone() }
    }

    /// SIGKILL: the server has no time for anything.
    pub async fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            server.kill().unwrap();
            server.wait().unwrap()
        });
        let ended = ended.await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Whether the server is there.
    pub fn is_open(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| server.try_wait().unwrap().is_none())
    }

    /// Joins the private cluster that the server runs.
    pub async fn cluster(&self) -> Cluster {
        let config = self.cluster_config();
        tokio::task::spawn_blocking(move || Cluster::start(config).unwrap()).await.unwrap()
    }

    fn cluster_config(&self) -> ClusterConfig {
        let directory = self.data.path().join("postgres");
        ClusterConfig { directory, durable: true, settings: vec![] }
    }

    /// Ends everything and removes it.
    pub async fn demolish(mut self, cluster: Cluster) {
        self.kill().await;
        // Before its directory goes.
        tokio::task::spawn_blocking(move || cluster.remove()).await.unwrap();
    }
}

impl Drop for House {
    /// A failed test leaves neither server nor database behind.
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _gone = server.kill();
            let _reaped = server.wait();
            if let Ok(cluster) = Cluster::start(self.cluster_config()) {
                cluster.remove();
            }
        }
    }
}

/// Where the server says it listens.
fn listening(heard: &mpsc::Receiver<String>) -> String {
    let (deadline, mut said) = (Instant::now() + PATIENCE, vec![]);
    while let Ok(line) = heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some((_, rest)) = line.split_once("Cairn listens on ") {
            return rest.split(';').next().unwrap().to_owned();
        }
        said.push(line);
    }
    panic!("the server does not listen: {said:#?}")
}

/// A look at the database with other eyes than the server's.
pub struct Eyes(PgPool);

impl Eyes {
    pub async fn open(cluster: &Cluster) -> Self {
        let options = PgConnectOptions::from_str(&cluster.url("cairn")).unwrap();
        Self(PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap())
    }

    /// One number.
    pub async fn count(&self, sql: &str) -> i64 {
        let row = sqlx::query(sql).fetch_one(&self.0).await.unwrap();
        row.get(0)
    }

    /// The processes that serve the server's sessions.
    pub async fn sessions(&self) -> Vec<u32> {
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'cairn'";
        let rows = sqlx::query(sql).fetch_all(&self.0).await.unwrap();
        rows.iter().map(|row| u32::try_from(row.get::<i32, _>(0)).unwrap()).collect()
    }

    /// Asks again until the number is this. Gives up when it has not changed for long.
    pub async fn until(&self, wanted: i64, sql: &str) {
        let (mut before, mut since) = (None, Instant::now());
        loop {
            let found = self.count(sql).await;
            if found == wanted {
                return;
            }
            if before.replace(found) != Some(found) {
                since = Instant::now();
            }
            if since.elapsed() >= PATIENCE {
                let why = self.unfinished().await;
                panic!("{sql}: {found}, never {wanted}\n{why}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the process managers still have to do, and what the database does meanwhile: why nothing moves.
    async fn unfinished(&self) -> String {
        let sql = "
            SELECT format('%s %s, %s of them, due since %s s, %s attempts at most, last error: %s', status, name, count(*),
                   round(extract(epoch FROM now() - min(due_at))), max(attempts), max(last_error))
            FROM process_intents WHERE status NOT IN ('done', 'skipped', 'abandoned') GROUP BY status, name
            UNION ALL SELECT format('%s follows to %s under %s until %s', process, position, lease_owner, lease_until - now())
            FROM process_checkpoints
            UNION ALL SELECT format('head %s', position) FROM log_head
            UNION ALL SELECT format('session %s since %s waits for %s: %s', state, now() - state_change, wait_event, left(query, 80))
            FROM pg_stat_activity WHERE application_name = 'cairn'";
        let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.0).await.unwrap();
        lines.join("\n")
    }

    pub async fn close(self) {
        self.0.close().await;
    }
}
