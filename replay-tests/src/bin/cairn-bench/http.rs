//! `http`: what customers get from a server that is a process of its own: keys checked, views read, money moved, over loopback.
//!
//! The server runs as for development: the whole of it with process managers, a durable cluster, and the provider simulated. Each refund that
//! is asked for is carried out behind the answer, so what is measured is the rate that it can take beside that.
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;
use crate::measure::{Cell, measure};
use crate::stage::say;

/// Organisations that ask, each with its own key and wallet.
const ORGANISATIONS: usize = 32;
/// Rentals of each, enough for a page.
const RENTALS: usize = 50;
/// How long the shop may take to open.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub organisations: usize,
    pub seconds_per_cell: f64,
    /// `GET /v1/balance`.
    pub balance: Vec<Cell>,
    /// `GET /v1/allocations?limit=50`.
    pub allocations: Vec<Cell>,
    /// `POST /v1/refunds`: one transfer out of a wallet, acknowledged when it is durable.
    pub refunds: Vec<Cell>,
}

/// The server and where its data is.
#[derive(Debug)]
pub struct House {
    program: PathBuf,
    data: TempDir,
    server: Child,
    url: String,
}

impl House {
    pub fn build(program: &Path, directory: Option<&PathBuf>) -> Result<Self, Failure> {
        let parent = directory.cloned().unwrap_or_else(std::env::temp_dir);
        let data = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(parent)?;
        let mut command = cairn(program, data.path(), "serve --dev");
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut said = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let url = serde_json::from_str(&said).ok().and_then(|line: Value| text(&line, "listening"));
        let Some(url) = url else {
            let _gone = server.kill();
            return Err(format!("{} does not listen: {said:?}", program.display()).into());
        };
        Ok(Self { program: program.to_owned(), data, server, url })
    }

    /// Runs one command of the command line and reads what it prints.
    fn run(&self, line: &str) -> Result<Value, Failure> {
        let said = cairn(&self.program, self.data.path(), line).output()?;
        if !said.status.success() {
            return Err(format!("cairn {line}: {}", String::from_utf8_lossy(&said.stderr)).into());
        }
        Ok(serde_json::from_slice(&said.stdout)?)
    }

    fn caller(&self, role: &str) -> Result<Caller, Failure> {
        let made = self.run(&format!("keys create --role {role} --name bench"))?;
        let key = text(&made, "key").ok_or("no key")?;
        Ok(Caller { http: Client::new(), url: self.url.clone(), key, top_up: String::new() })
    }

    /// Asks the server to stop, which takes its cluster along.
    pub fn demolish(mut self) {
        let pid = self.server.id().to_string();
        let _asked = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _reaped = self.server.wait();
    }
}

fn cairn(program: &Path, data: &Path, line: &str) -> Command {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).args(["--output", "json"]);
    command.env("CAIRN_DATA", data).env("CAIRN_LISTEN", "127.0.0.1:0").env("CAIRN_LOG", "error");
    command.env("CAIRN_RATE_LIMITS", "off");
    for other in ["DATABASE_URL", "STRIPE_SECRET_KEY", "CAIRN_KAFKA_BROKERS", "CAIRN_SEAL_URL"] {
        command.env_remove(other);
    }
    command
}

/// One organisation.
#[derive(Debug, Clone)]
struct Caller {
    http: Client,
    url: String,
    key: String,
    /// What its refunds are of.
    top_up: String,
}

impl Caller {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        answer(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Value, Failure> {
        answer(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    /// Pays in, and rents what there is no node for: the rentals are refused, and listed.
    async fn settle_in(&mut self) -> Result<(), Failure> {
        let body =
            json!({ "amount": "500000.00", "currency": "USD", "payment_method": "pm_card_visa" });
        let paid = self.post("/v1/top-ups", "money", &body).await?;
        self.top_up = text(&paid, "top_up_id").ok_or("no top-up")?;
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6NDJ3IX4iL9qqcEXRqPrgAwn0kQ0IJc6cj4vG6OQZ1";
        let body = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": key });
        let deadline = Instant::now() + PATIENCE;
        while self.get("/v1/balance").await?["items"].as_array().is_none_or(Vec::is_empty) {
            if Instant::now() > deadline {
                return Err("the top-up is not credited".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for number in 0..RENTALS {
            self.post("/v1/allocations", &format!("rent-{number}"), &body).await?;
        }
        Ok(())
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

async fn answer(request: RequestBuilder) -> Result<Value, Failure> {
    let answer = request.send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        return Err(format!("{status}: {body}").into());
    }
    Ok(serde_json::from_str(&body)?)
}

pub async fn run(house: &House, callers: &[usize], span: Duration) -> Result<Measured, Failure> {
    say(&format!("{ORGANISATIONS} organisations settle in"));
    let shop = Arc::new(open(house).await?);
    let mut measured = Measured {
        organisations: ORGANISATIONS,
        seconds_per_cell: span.as_secs_f64(),
        balance: vec![],
        allocations: vec![],
        refunds: vec![],
    };
    for &callers in callers {
        say(&format!("{callers} callers"));
        measured.balance.push(reads(&shop, callers, span, "/v1/balance").await?);
        let list = format!("/v1/allocations?limit={RENTALS}");
        measured.allocations.push(reads(&shop, callers, span, &list).await?);
        measured.refunds.push(refunds(&shop, callers, span).await?);
        rest(&shop).await?;
    }
    Ok(measured)
}

async fn open(house: &House) -> Result<Vec<Caller>, Failure> {
    let operator = house.caller("platform_operator")?;
    let resources = json!({
        "cpu_millis": 500, "memory_bytes": 64 << 20, "disk_bytes": 64 << 20, "pids_max": 64
    });
    let sku = json!({ "sku_id": "small", "resources": resources });
    operator.post("/v1/skus", "sku", &sku).await?;
    let price = json!({ "amount": "0.36", "currency": "USD" });
    let priced = operator.request(Method::POST, "/v1/skus/small/prices");
    let priced = priced.header("idempotency-key", "price").header("if-match", "*");
    answer(priced.json(&price)).await?;
    let mut shop = vec![];
    for _ in 0..ORGANISATIONS {
        let mut caller = house.caller("owner")?;
        caller.settle_in().await?;
        shop.push(caller);
    }
    rest(&shop).await?;
    Ok(shop)
}

/// Until what was begun behind the answers has ended: every refund is with the provider, every rental refused.
async fn rest(shop: &[Caller]) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    for caller in shop {
        for (path, under_way) in
            [("/v1/allocations?limit=1", "requested"), ("/v1/refunds?limit=1", "pending")]
        {
            while caller.get(path).await?["items"][0]["status"] == under_way {
                if Instant::now() > deadline {
                    return Err(format!("{path} stays {under_way}").into());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}

async fn reads(
    shop: &Arc<Vec<Caller>>,
    callers: usize,
    span: Duration,
    path: &str,
) -> Result<Cell, Failure> {
    let (shop, path) = (Arc::clone(shop), path.to_owned());
    measure((callers, 1), span, move |caller, _| {
        let (shop, path) = (Arc::clone(&shop), path.clone());
        async move { shop[caller % shop.len()].get(&path).await.map(drop) }
    })
    .await
}

async fn refunds(shop: &Arc<Vec<Caller>>, callers: usize, span: Duration) -> Result<Cell, Failure> {
    let shop = Arc::clone(shop);
    measure((callers, 1), span, move |caller, number| {
        let shop = Arc::clone(&shop);
        async move {
            let asks = &shop[caller % shop.len()];
            let body = json!({ "top_up_id": asks.top_up, "amount": "0.01", "currency": "USD" });
            asks.post("/v1/refunds", &format!("{callers}-{caller}-{number}"), &body).await?;
            Ok(())
        }
    })
    .await
}
