//! Whoever asks too often is told so, over all processes together, and told beforehand how it stands.
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cairn_api::auth::Mode;
use cairn_api::quota::{Quotas, Rates};
use cairn_api::system::new_api_key;
use cairn_api::wiring;
use cairn_commands::identity::{ExpireKey, expire_key};
use cairn_commands::privacy::retention;
use cairn_core::OrganisationId;
use cairn_identity::Role;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

use crate::cli::Shell;
use crate::support::{Answer, Caller, PATIENCE, Stage, answer};

/// Windows of a day: none ends while a test runs.
fn rates(text: &str) -> Rates {
    text.parse().unwrap()
}

fn expect_limited(answer: &Answer, policy: &str) {
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"), "{}", answer.body);
    assert!(answer.text("/detail").starts_with(&format!("'{policy}' ")), "{}", answer.body);
    assert_eq!(answer.body["retryable"], true);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert!(answer.header("ratelimit").contains(&format!("\"{policy}\";r=0;t={wait}")));
}

async fn from(caller: &Caller, address: &str, path: &str) -> Answer {
    answer(caller.request(Method::GET, path).header("x-forwarded-for", address)).await
}

#[sqlx::test(migrations = "../migrations")]
async fn each_key_has_its_own_and_each_class_too(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_counting(options, rates("read=10/86400,deploy=1/86400")).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    for left in (0..10).rev() {
        let read = owner.get("/v1/balance").await;
        assert_eq!(read.status, 200, "{}", read.body);
        let policy = read.header("ratelimit-policy");
        assert_eq!(policy, "\"read\";q=10;w=86400, \"address\";q=6000;w=60");
        let limit = read.header("ratelimit").to_owned();
        assert!(limit.starts_with(&format!("\"read\";r={left};t=86")), "{limit}");
    }
    expect_limited(&owner.get("/v1/balance").await, "read");
    expect_limited(&owner.get("/v1/whoami").await, "read");
    assert_eq!(other.get("/v1/balance").await.status, 200, "another key has its own");
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let paid = owner.post("/v1/top-ups", &wish).await;
    assert_eq!(paid.status, 201, "a change is no read: {}", paid.body);
    let release = "/v1/allocations/alloc_00000000000000000000000000/release";
    assert_eq!(owner.post(release, &json!({})).await.status, 404);
    expect_limited(&owner.post(release, &json!({})).await, "deploy");
    for _ in 0..20 {
        let alive = owner.get("/livez").await;
        assert_eq!((alive.status, alive.header("ratelimit")), (200, ""), "who watches is let in");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_refused_leaves_nothing_under_its_key(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_counting(options, rates("change=1/86400")).await;
    let owner = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    assert_eq!(owner.post_as("first", "/v1/top-ups", &wish).await.status, 201);
    expect_limited(&owner.post_as("again", "/v1/top-ups", &wish).await, "change");
    let log = stage.commands.executor.log();
    let known = async |key: &str| {
        let id = format!("http:{}:{key}", owner.organisation_id);
        log.outcome(&id).await.unwrap().is_some()
    };
    assert_eq!((known("first").await, known("again").await), (true, false));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_window_that_is_over_is_begun_anew_and_goes(pool: PgPool) {
    let rates = rates("read=100/86400");
    let processes = [0; 2].map(|_| Quotas::new(pool.clone(), rates));
    let mut granted = 0;
    for asked in 0..300 {
        let stand = processes[asked % 2].take(rates.read, "somebody").await.unwrap();
        granted += usize::from(stand.is_granted);
    }
    assert_eq!(granted, 100);
    let windows = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM edge_quotas");
        count.fetch_one(&pool).await.unwrap()
    };
    let over = "UPDATE edge_quotas SET ends_at = now()";
    assert_eq!(sqlx::raw_sql(over).execute(&pool).await.unwrap().rows_affected(), 1);
    let anew = Quotas::new(pool.clone(), rates);
    let stand = anew.take(rates.read, "somebody").await.unwrap();
    assert_eq!((stand.is_granted, stand.remaining), (true, 99));
    assert_eq!(windows().await, 1);
    let now = wiring::clock().now();
    retention::run(&pool, now).await.unwrap().unwrap();
    assert_eq!(windows().await, 1, "it is not over");
    retention::run(&pool, now.plus_secs(86_400 + 600)).await.unwrap().unwrap();
    assert_eq!(windows().await, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn whom_the_database_does_not_count_is_not_refused(pool: PgPool) {
    let rates = rates("read=1/86400");
    let quotas = Quotas::new(pool.clone(), rates);
    let granted =
        async |subject: &str| quotas.take(rates.read, subject).await.map(|stand| stand.is_granted);
    assert_eq!((granted("one").await, granted("one").await), (Some(true), Some(false)));
    pool.close().await;
    assert_eq!((granted("other").await, granted("other").await), (None, None));
    assert_eq!(granted("one").await, Some(false), "what is known needs no database");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_is_counted_as_our_proxies_tell_it(_: PgPoolOptions, options: PgConnectOptions) {
    let rates = rates("open=5/86400,failures=3/86400,address=30/86400");
    let stage = Stage::set_counting(options, rates).await;
    let (owner, nobody) = (stage.caller(Role::Owner).await, stage.nobody());
    for _ in 0..5 {
        assert_eq!(from(&nobody, "203.0.113.1", "/docs/errors/internal").await.status, 200);
    }
    expect_limited(&from(&nobody, "203.0.113.1", "/docs/errors/internal").await, "open");
    let forged = "203.0.113.9, 203.0.113.1";
    expect_limited(&from(&nobody, forged, "/docs/errors/internal").await, "open");
    assert_eq!(from(&nobody, "203.0.113.2", "/docs/errors/internal").await.status, 200);

    // Without a key nothing is guessed.
    for _ in 0..5 {
        assert_eq!(from(&nobody, "203.0.113.3", "/v1/balance").await.code(), "unauthenticated");
    }
    let wrong = Caller { key: Some("cairn_test_wrong".to_owned()), ..owner.clone() };
    for _ in 0..3 {
        assert_eq!(from(&wrong, "203.0.113.3", "/v1/balance").await.code(), "api_key_malformed");
    }
    expect_limited(&from(&wrong, "203.0.113.3", "/v1/balance").await, "failures");
    expect_limited(&from(&owner, "203.0.113.3", "/v1/balance").await, "failures");
    assert_eq!(from(&owner, "203.0.113.4", "/v1/balance").await.status, 200);

    for _ in 0..29 {
        assert_eq!(from(&owner, "203.0.113.4", "/v1/balance").await.status, 200);
    }
    expect_limited(&from(&owner, "203.0.113.4", "/v1/balance").await, "address");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_no_guess_locks_nobody_out(_: PgPoolOptions, options: PgConnectOptions) {
    let rates = rates("failures=2/86400");
    let owned = PgPool::connect_with(options.clone()).await.unwrap();
    let stage = Stage::set_counting(options, rates).await;
    let (late, owner) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let key_id = late.get("/v1/whoami").await.text("/key_id").parse().unwrap();
    let now = stage.commands.clock.now();
    let end = ExpireKey { key_id, expires_at: now.plus_secs(1), successor: None };
    expire_key(&stage.commands, &stage.context(), end).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while late.get("/v1/whoami").await.status == 200 {
        assert!(Instant::now() < deadline, "the key still opens");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        assert_eq!(late.get("/v1/whoami").await.code(), "api_key_expired");
    }
    assert_eq!(owner.get("/v1/whoami").await.status, 200);

    // Neither does a database that does not say whose a key is.
    let unknown =
        Caller { key: Some(new_api_key(Mode::Test).unwrap().expose().to_owned()), ..owner.clone() };
    owned.execute("ALTER TABLE identity_key_uses RENAME TO away").await.unwrap();
    for _ in 0..5 {
        let found = unknown.get("/v1/whoami").await;
        assert!(found.status >= 500, "{}", found.body);
    }
    owned.execute("ALTER TABLE away RENAME TO identity_key_uses").await.unwrap();
    assert_eq!(owner.get("/v1/whoami").await.status, 200);
    assert_eq!(unknown.get("/v1/whoami").await.code(), "unauthenticated");
    stage.strike().await;
}

pub struct Process {
    child: Child,
    pub base: String,
}

/// A server of its own, with a pool and a memory of its own.
pub async fn serve(shell: &Shell, line: &str) -> Process {
    let mut command = shell.command(&format!("{line} --output json"));
    let started = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        Process { child, base: said["listening"].as_str().unwrap().to_owned() }
    });
    started.await.unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn two_processes_together_allow_no_more_than_the_limit(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    const QUOTA: usize = 200;
    let shell = Shell::new(&options);
    let shell = shell.with("CAIRN_RATE_LIMITS", format!("read={QUOTA}/86400"));
    let made = shell.json("keys create --role owner --name busy").await;
    let servers = [serve(&shell, "serve --dev").await, serve(&shell, "serve --dev").await];
    let callers = servers.each_ref().map(|server| Caller {
        http: reqwest::Client::new(),
        base: server.base.clone(),
        key: made["key"].as_str().map(str::to_owned),
        organisation_id: OrganisationId::from_bits(0),
    });
    let asked = (0..QUOTA * 2).map(|number| callers[number % 2].get("/v1/whoami"));
    let answers = join_all(asked).await;
    let granted = |of: usize| {
        answers.iter().skip(of).step_by(2).filter(|answer| answer.status == 200).count()
    };
    let (one, other) = (granted(0), granted(1));
    assert!(one > 0 && other > 0, "{one} and {other}: only one was asked");
    assert_eq!(one + other, QUOTA, "{one} and {other}");
    for caller in &callers {
        expect_limited(&caller.get("/v1/whoami").await, "read");
    }
    let pool = PgPool::connect_with(options).await.unwrap();
    let most: i32 =
        sqlx::query_scalar("SELECT max(used) FROM edge_quotas").fetch_one(&pool).await.unwrap();
    assert!(most >= i32::try_from(QUOTA).unwrap(), "it is counted in one place: {most}");
    pool.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn each_way_to_prove_oneself_is_counted_by_itself(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_counting(options, rates("sign_in=2/86400")).await;
    let nobody = stage.nobody();
    let (email, password) = ("ada@example.org", "not-hers-at-all");
    let sign_in = json!({ "email": email, "password": password });
    for _ in 0..2 {
        assert_eq!(nobody.post("/v1/sessions", &sign_in).await.code(), "sign_in_failed");
    }
    expect_limited(&nobody.post("/v1/sessions", &sign_in).await, "sign_in");
    let asked = nobody.post("/v1/password-resets", &json!({ "email": email })).await;
    assert_eq!(asked.status, 202, "whoever mistyped may still ask for a new one");
    stage.strike().await;
}
