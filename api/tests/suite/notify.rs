//! Webhooks to customers, over real HTTP, received by somebody who verifies them in another way than we sign them.
use std::sync::Arc;
use std::time::Duration;

use cairn_api::{outside, wiring};
use cairn_commands::Commands;
use cairn_commands::notify::{DeliverConfig, Deliverer, TellConfig, Teller};
use cairn_event_log::EventLog;
use cairn_identity::Role;
use cairn_privacy::{MasterFile, MasterKey, SubjectKeys};
use cairn_webhooks::Strangers;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Shell;
use crate::receiver::Receiver;
use crate::support::{Answer, Caller, MASTER_KEY, Stage};

const ENDPOINTS: &str = "/v1/webhook-endpoints";

async fn endpoint(owner: &Caller, url: &str, event_types: &[&str]) -> (String, String) {
    let made = owner.post(ENDPOINTS, &json!({ "url": url, "event_types": event_types })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    (made.text("/endpoint_id"), made.text("/secret"))
}

async fn something(owner: &Caller) -> String {
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let made = owner.post("/v1/top-ups", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.text("/top_up_id")
}

async fn act(owner: &Caller, id: &str, verb: &str) -> Answer {
    owner.post(&format!("{ENDPOINTS}/{id}/{verb}"), &json!({})).await
}

const REQUESTED: &str = "cairn.payment.requested.v1";

#[sqlx::test(migrations = "../migrations")]
async fn what_is_somebodys_arrives_there_signed_and_nowhere_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (one, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let (ours, theirs) = (Receiver::answering(&[]).await, Receiver::answering(&[]).await);
    let (id, secret) = endpoint(&one, &ours.url, &[REQUESTED]).await;
    let (_, another) = endpoint(&other, &theirs.url, &[REQUESTED]).await;
    let top_up = something(&one).await;
    let got = &ours.have(1).await[0];
    assert_eq!((got.kind().as_str(), got.event()["id"].as_str()), (REQUESTED, Some(got.id())));
    assert!(got.event().to_string().contains(&top_up));
    assert!(got.is_signed(&secret), "{:?}", got.headers);
    assert!(!got.is_signed(&another), "a stranger's secret signs nothing of ours");
    let mut forged = got.clone();
    forged.body = got.body.iter().map(|byte| if *byte == b'5' { b'6' } else { *byte }).collect();
    assert!(forged.body != got.body && !forged.is_signed(&secret), "another body is not signed");
    let mut moved = got.clone();
    moved.headers.insert("webhook-id", "00000000000000000001".parse().unwrap());
    assert!(!moved.is_signed(&secret), "another id is not signed");

    // What belongs to the other one arrives there, and ours has heard nothing of it by then.
    something(&other).await;
    assert!(theirs.have(1).await[0].is_signed(&another));
    assert_eq!((ours.got().len(), theirs.got().len()), (1, 1));
    let path = format!("{ENDPOINTS}/{id}/deliveries/{}", got.id());
    let seen = one.until(&path, |it| it["delivery"]["status"] == "delivered").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1));
    let attempt = &seen["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["answer"]), (&json!(200), &json!("thank you")));
    assert_eq!(one.get(ENDPOINTS).await.body["items"][0]["url"], ours.url);
    let none = [format!("{ENDPOINTS}/{id}"), format!("{ENDPOINTS}/{id}/deliveries"), path];
    for path in none {
        assert_eq!(other.get(&path).await.status, 404, "{path}");
    }
    for verb in ["rotate-secret", "test", "disable", "enable", "delete"] {
        assert_eq!(act(&other, &id, verb).await.code(), "unknown_webhook_endpoint", "{verb}");
    }
    unreadable(&stage, &[&secret, "hook-canary"]).await;
    stage.strike().await;
}

/// Nothing of the kind stands in the log or in a table.
async fn unreadable(stage: &Stage, canaries: &[&str]) {
    let pool = stage.commands.executor.log().pool();
    for table in
        ["events", "notify_endpoints", "notify_targets", "notify_deliveries", "notify_attempts"]
    {
        for canary in canaries {
            let bare = canary.trim_start_matches("whsec_");
            let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'");
            let found: i64 = sqlx::query_scalar(&sql).bind(bare).fetch_one(pool).await.unwrap();
            assert_eq!(found, 0, "{canary} stands in {table}");
        }
    }
    let sealed = "SELECT count(*) FROM events WHERE payload::text LIKE '%secret:1:personal:1:%'";
    let sealed: i64 = sqlx::query_scalar(sealed).fetch_one(pool).await.unwrap();
    assert!(sealed > 0, "the secrets are there, sealed");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_message_keeps_its_id_until_it_is_taken(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let receiver = Receiver::answering(&[500, 302, 429]).await;
    let (id, secret) = endpoint(&owner, &receiver.url, &["cairn.payment.*"]).await;
    something(&owner).await;
    let got = receiver.have(4).await;
    assert!(got.iter().all(|it| it.id() == got[0].id() && it.is_signed(&secret)));
    let path = format!("{ENDPOINTS}/{id}/deliveries/{}", got[0].id());
    let seen = owner.until(&path, |it| it["delivery"]["status"] == "delivered").await;
    let statuses: Vec<_> =
        seen["attempts"].as_array().unwrap().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, [500, 302, 429, 200]);
    let resend = format!("{path}/resend");
    for _ in 0..2 {
        let again = owner.post_as("once", &resend, &json!({})).await;
        assert_eq!(again.status, 202, "{}", again.body);
    }
    assert_eq!(receiver.have(5).await[4].id(), got[0].id());
    owner.until(&path, |it| it["delivery"]["attempts"] == 5).await;
    let never = format!("{ENDPOINTS}/{id}/deliveries/{:020}/resend", 1);
    assert_eq!(owner.post(&never, &json!({})).await.code(), "unknown_webhook_delivery");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_gone_is_disabled_and_the_others_hear_of_it(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let (gone, watching) = (Receiver::answering(&[410]).await, Receiver::answering(&[]).await);
    let (id, secret) = endpoint(&owner, &gone.url, &[REQUESTED]).await;
    endpoint(&owner, &watching.url, &["cairn.webhook_endpoint.*"]).await;
    something(&owner).await;
    let told = &watching.have(1).await[0];
    assert_eq!(told.kind(), "cairn.webhook_endpoint.disabled.v1");
    assert_eq!(told.event()["data"]["reason"], "gone");
    let path = format!("{ENDPOINTS}/{id}");
    let seen = owner.until(&path, |it| it["status"] == "disabled").await;
    assert_eq!(seen["disabled_reason"], "gone");
    assert_eq!(act(&owner, &id, "test").await.code(), "webhook_endpoint_disabled");
    // Enabled again, it gets what it asks for, and what is asked for it alone.
    assert_eq!(act(&owner, &id, "enable").await.status, 200);
    assert_eq!(act(&owner, &id, "test").await.status, 202);
    let tested = &gone.have(2).await[1];
    assert_eq!(tested.kind(), "cairn.webhook_endpoint.test_requested.v1");
    assert!(tested.is_signed(&secret));
    assert_eq!(act(&owner, &id, "delete").await.status, 200);
    assert_eq!(act(&owner, &id, "test").await.code(), "unknown_webhook_endpoint");
    assert_eq!(watching.got().len(), 1, "a test is for the tested");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn both_secrets_sign_while_one_takes_the_place_of_the_other(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let receiver = Receiver::answering(&[]).await;
    let (id, first) = endpoint(&owner, &receiver.url, &[REQUESTED]).await;
    let rotate = format!("{ENDPOINTS}/{id}/rotate-secret");
    let rotated = owner.post_as("rotate", &rotate, &json!({})).await;
    let second = rotated.text("/secret");
    assert!(second.starts_with("whsec_") && second != first, "{}", rotated.body);
    let again = owner.post_as("rotate", &rotate, &json!({})).await;
    assert_eq!((again.status, &again.body["secret"]), (200, &Value::Null), "told once");
    something(&owner).await;
    let both = &receiver.have(1).await[0];
    assert!(both.is_signed(&first) && both.is_signed(&second));
    let now = owner.post(&rotate, &json!({ "overlap_seconds": 0 })).await.text("/secret");
    something(&owner).await;
    let last = &receiver.have(2).await[1];
    assert!(last.is_signed(&now) && !last.is_signed(&second));
    assert!(last.is_signed(&first), "its overlap is a day, whatever came after");
    let long = owner.post(&rotate, &json!({ "overlap_seconds": 2_592_001 })).await;
    assert_eq!((long.status, long.code()), (422, "webhook_overlap_invalid"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_does_not_answer_harms_nobody_else(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let (dead, alive) = (Receiver::answering(&[]).await, Receiver::answering(&[]).await);
    dead.answers(false);
    endpoint(&owner, &dead.url, &[REQUESTED]).await;
    endpoint(&owner, &alive.url, &[REQUESTED]).await;
    for _ in 0..12 {
        something(&owner).await;
    }
    alive.have(12).await;
    let waiting = dead.got().len();
    assert!((1..=4).contains(&waiting), "{waiting} at once to one endpoint");
    dead.answers(true);
    dead.have(12).await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn where_nothing_may_be_sent_is_refused_before_it_is_kept(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    for url in ["http://example.org/", "https://10.0.0.1/", "https://169.254.169.254/", "x"] {
        let refused = owner.post(ENDPOINTS, &json!({ "url": url })).await;
        assert_eq!((refused.status, refused.code()), (422, "webhook_url_refused"), "{url}");
    }
    let wish = json!({ "url": "https://example.org/", "event_types": ["cairn.payment.requested"] });
    let refused = owner.post(ENDPOINTS, &wish).await;
    assert_eq!((refused.status, refused.code()), (422, "webhook_event_types_invalid"));
    assert_eq!(owner.get(ENDPOINTS).await.body["items"], json!([]));
    let (id, _) = endpoint(&owner, "https://example.org/a", &[]).await;
    let path = format!("{ENDPOINTS}/{id}");
    let refused = owner.post(&path, &json!({ "url": "https://[fd00::1]/" })).await;
    assert_eq!(refused.code(), "webhook_url_refused");
    let changed = owner.post_upon("\"1\"", &path, &json!({ "url": "https://example.org/b" })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let stale = owner.post_upon("\"1\"", &path, &json!({ "url": "https://example.org/c" })).await;
    assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));
    let shown = owner.until(&path, |it| it["url"] != "https://example.org/a").await;
    assert_eq!(shown["url"], "https://example.org/b");
    stage.strike().await;
}

/// A server's webhooks without the server: killed as a process is, and started anew.
struct House {
    commands: Commands,
    config: DeliverConfig,
    tasks: JoinSet<()>,
    runs: u32,
}

impl House {
    async fn new(stage: &Stage, options: PgConnectOptions, config: DeliverConfig) -> Self {
        let log = EventLog::connect(options, 8).await.unwrap();
        let file: Arc<dyn MasterKey> = Arc::new(MasterFile::at(stage.path(MASTER_KEY)));
        let keys = Arc::new(SubjectKeys::open(log.pool().clone(), vec![file]).await.unwrap());
        let commands = wiring::commands(log, wiring::personal(&keys));
        Self { commands, config, tasks: JoinSet::new(), runs: 0 }
    }

    fn start(&mut self) {
        self.runs += 1;
        let (bell, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let port = outside::webhooks(Strangers::PublicAndLoopback).unwrap();
        let lease = Duration::from_millis(300);
        let tell =
            TellConfig { lease, ..TellConfig::new(&format!("house-{}", self.runs), "/cairn") };
        let teller = Teller::new(self.commands.clone(), tell, Arc::clone(&bell));
        let deliverer = Deliverer::new(self.commands.clone(), port, self.config.clone(), bell);
        self.tasks.spawn(teller.run(stop.clone()));
        self.tasks.spawn(deliverer.run(stop));
    }

    async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn quick() -> DeliverConfig {
    DeliverConfig {
        lease: Duration::from_millis(300),
        poll: Duration::from_millis(20),
        ..DeliverConfig::new("/cairn")
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_killed_server_left_is_sent_by_the_next(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_silent(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let receiver = Receiver::answering(&[]).await;
    receiver.answers(false);
    let (id, secret) = endpoint(&owner, &receiver.url, &[REQUESTED]).await;
    for _ in 0..6 {
        something(&owner).await;
    }
    let mut house = House::new(&stage, options, quick()).await;
    house.start();
    let cut = receiver.have(1).await;
    house.kill().await;
    assert!(cut.len() < 6, "it died with work before it");
    for _ in 0..2 {
        something(&owner).await;
    }
    receiver.answers(true);
    house.start();
    let list = format!("{ENDPOINTS}/{id}/deliveries");
    let all = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.len() == 8 && items.iter().all(|it| it["status"] == "delivered")
    };
    owner.until(&list, all).await;
    let got = receiver.got();
    let ids: std::collections::BTreeSet<_> = got.iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(ids.len(), 8);
    assert!(got.len() > 8, "what was cut off came again under its id");
    assert!(got.iter().all(|it| it.is_signed(&secret)));
    house.kill().await;
    house.commands.executor.log().close().await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_fails_for_days_is_disabled(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_silent(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let receiver = Receiver::answering(&[500, 500, 500, 500]).await;
    let (id, _) = endpoint(&owner, &receiver.url, &[REQUESTED]).await;
    let config = DeliverConfig { schedule: vec![Duration::from_millis(20)], ..quick() };
    let mut house = House::new(&stage, options.clone(), config).await;
    house.start();
    something(&owner).await;
    receiver.have(2).await;
    let list = format!("{ENDPOINTS}/{id}/deliveries");
    let page = owner.until(&list, |page| page["items"][0]["status"] == "failed").await;
    assert_eq!(page["items"][0]["attempts"], 2, "the schedule is over");
    let path = format!("{ENDPOINTS}/{id}");
    assert_eq!(owner.get(&path).await.body["status"], "enabled", "it has not failed for days");
    house.kill().await;
    house.config.disable_after = Duration::ZERO;
    house.start();
    something(&owner).await;
    let seen = owner.until(&path, |it| it["status"] == "disabled").await;
    assert_eq!(seen["disabled_reason"], "failing");
    house.kill().await;
    house.commands.executor.log().close().await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_operator_sees_what_was_sent_and_sends_it_again(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let receiver = Receiver::answering(&[]).await;
    something(&owner).await;
    let (id, _) = endpoint(&owner, &receiver.url, &[REQUESTED]).await;
    something(&owner).await;
    let first = receiver.have(1).await[0].id().to_owned();
    let list = format!("{ENDPOINTS}/{id}/deliveries");
    owner.until(&list, |page| page["items"][0]["status"] == "delivered").await;
    let key = stage.path(MASTER_KEY).display().to_string();
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key);
    let endpoints = shell.json("webhooks list").await;
    assert_eq!(
        (&endpoints[0]["endpoint_id"], endpoints.as_array().unwrap().len()),
        (&json!(id), 1)
    );
    let sent = shell.json(&format!("webhooks deliveries {id}")).await;
    let seen = (&sent[0]["delivery_id"], &sent[0]["status"], &sent[0]["last_status"]);
    assert_eq!(seen, (&json!(first), &json!("delivered"), &json!(200)));
    shell.json(&format!("webhooks resend {id} {first}")).await;
    assert_eq!(receiver.have(2).await[1].id(), first);
    // What happened before there was an endpoint comes with a replay.
    let replayed = shell.json(&format!("webhooks replay {id} --from-position 1")).await;
    assert_eq!(replayed["messages"], 2, "{replayed}");
    receiver.have(4).await;
    let since = shell.json(&format!("webhooks replay {id} --since 2100-01-01T00:00:00Z")).await;
    assert_eq!(since["messages"], 0);
    let nobody = shell.run("webhooks deliveries whe_00000000000000000000000007").await;
    assert_eq!(nobody.code(), 4, "{}", nobody.talk());
    let wrong = shell.run("webhooks deliveries org_1").await;
    assert_eq!(wrong.code(), 2, "{}", wrong.talk());
    let never = shell.run(&format!("webhooks resend {id} 1")).await;
    assert_eq!(never.code(), 4, "{}", never.talk());
    assert_eq!(shell.run(&format!("webhooks replay {id}")).await.code(), 2);
    stage.strike().await;
}
