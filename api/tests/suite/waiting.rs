//! Payments that wait over HTTP: for the customer (3-D Secure) and for the bank (debits). Each is shown as it stands, credited once or not at all,
//! and told to whoever has gone away.
use std::time::{Duration, Instant};

use cairn_identity::Role;
use cairn_stripe_simulator::{ChallengeEnd, Simulator, SimulatorConfig};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::{Mailbox, Person};
use crate::races::{SECRET, books_agree, hurried, until_settled};
use crate::support::{Caller, PATIENCE, Stage};

pub const THREE_D_SECURE: &str = "pm_card_threeDSecure2Required";
pub const DEBIT: &str = "pm_usBankAccount";

/// A stage whose provider is in the hands of the test.
pub async fn stage_with(options: PgConnectOptions, seed: u64) -> (Stage, Simulator) {
    let config =
        SimulatorConfig { webhook_secret: SECRET.to_owned(), seed, ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let stage = Stage::set_among(options, |parts| hurried(parts, &simulator)).await;
    simulator.set_webhook(&format!("{}/v1/webhooks/stripe", stage.base), SECRET);
    (stage, simulator)
}

pub fn wish(payment_method: &str) -> Value {
    json!({ "amount": "10.00", "currency": "USD", "payment_method": payment_method })
}

/// What the provider calls a payment, and where it stands there, as soon as it knows of it.
pub async fn at_provider(simulator: &Simulator, id: &str) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let book = simulator.book();
        let mut intents = book.payment_intents().iter();
        let ours =
            intents.find(|it| it.metadata.get("cairn_payment_id").is_some_and(|of| of == id));
        if let Some(intent) = ours {
            return (intent.id.clone(), intent.status.clone());
        }
        assert!(Instant::now() < deadline, "{id} was never made");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A day passes for a payment that waits for its customer, as soon as its process knows that it does. Answers whether it waited.
pub async fn a_day_passes(pool: &PgPool, id: &str) -> bool {
    const AGE: &str = "UPDATE process_states SET state = jsonb_set(state, '{waits_since}', '\"2020-01-01T00:00:00Z\"')
         WHERE process = 'top_up' AND key = $1 AND state->>'phase' = 'action_required'";
    const OVER: &str =
        "SELECT EXISTS (SELECT FROM process_states WHERE process = 'top_up' AND key = $1
         AND state->>'phase' IN ('failed', 'succeeded', 'settled'))";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let aged = sqlx::query(AGE).bind(id).execute(pool).await.unwrap().rows_affected();
        let over: bool = sqlx::query_scalar(OVER).bind(id).fetch_one(pool).await.unwrap();
        if aged == 1 || over {
            return aged == 1;
        }
        assert!(Instant::now() < deadline, "{id} never waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn asked(caller: &Caller, payment_method: &str, status: &str) -> (String, Value) {
    let asked = caller.post("/v1/top-ups", &wish(payment_method)).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let path = asked.header("location").to_owned();
    let shown = caller.until(&path, |top_up| top_up["status"] == status).await;
    (asked.text("/top_up_id"), shown)
}

/// How often a top-up is in the statement.
async fn credits(caller: &Caller, id: &str) -> usize {
    let statement = caller.get("/v1/statement").await;
    let lines = statement.body["items"].as_array().unwrap().iter();
    lines.filter(|line| line["reference"] == id).count()
}

fn why(failed: &Value) -> (&str, &str) {
    let text = |name: &str| failed[name].as_str().unwrap_or_default();
    (text("failure_code"), text("failure_message"))
}

/// Everybody has seen everything.
async fn all_seen(stage: &Stage, simulator: &Simulator) {
    let log = stage.commands.executor.log();
    until_settled(log.pool(), simulator).await;
    let head = log.head().await.unwrap();
    stage.projector.wait_for(head, PATIENCE).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bank_that_wants_to_see_its_customer_is_shown_and_what_nobody_confirms_is_never_taken(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (stage, simulator) = stage_with(options, 3).await;
    let owner = stage.caller(Role::Owner).await;
    let pool = stage.commands.executor.log().pool();
    let mut ids = vec![];
    for _ in 0..3 {
        let (id, shown) = asked(&owner, THREE_D_SECURE, "requires_action").await;
        assert_eq!((why(&shown), shown.get("ended_at")), (("", ""), None), "{shown}");
        let next = owner.get(&format!("/v1/top-ups/{id}/client-secret")).await;
        assert_eq!(next.status, 200, "{}", next.body);
        let (intent, _) = at_provider(&simulator, &id).await;
        let secret = next.text("/client_secret");
        assert!(secret.starts_with(&intent), "what goes on with this one: {secret}");
        let kept = "SELECT count(*) FROM events WHERE payload::text LIKE '%' || $1 || '%'";
        let kept: i64 = sqlx::query_scalar(kept).bind(&secret).fetch_one(pool).await.unwrap();
        assert_eq!(kept, 0, "it is handed on, and not kept");
        ids.push((id, intent));
    }
    assert_eq!(owner.get("/v1/statement").await.body["items"], json!([]), "nothing is taken yet");
    let [confirmed, refused, abandoned] = &ids[..] else { panic!("three") };
    let stranger = stage.caller(Role::Owner).await;
    let foreign = stranger.get(&format!("/v1/top-ups/{}/client-secret", confirmed.0)).await;
    assert_eq!(foreign.status, 404, "{}", foreign.body);

    simulator.end_waiting(&confirmed.1, ChallengeEnd::Complete).unwrap();
    simulator.end_waiting(&refused.1, ChallengeEnd::Fail).unwrap();
    assert!(a_day_passes(pool, &abandoned.0).await, "it waits");
    let path = |id: &str| format!("/v1/top-ups/{id}");
    owner.until(&path(&confirmed.0), |it| it["status"] == "succeeded").await;
    let failed = owner.until(&path(&refused.0), |it| it["status"] == "failed").await;
    let (code, message) = why(&failed);
    assert_eq!(code, "payment_intent_authentication_failure");
    assert!(message.contains("authenticate"), "{failed}");
    let failed = owner.until(&path(&abandoned.0), |it| it["status"] == "failed").await;
    assert_eq!(why(&failed).0, "canceled", "{failed}");
    assert_eq!(at_provider(&simulator, &abandoned.0).await.1, "canceled", "there as well");
    assert!(simulator.end_waiting(&abandoned.1, ChallengeEnd::Complete).is_err(), "too late");

    all_seen(&stage, &simulator).await;
    for ((id, _), times) in ids.iter().zip([1, 0, 0]) {
        assert_eq!(credits(&owner, id).await, times, "{id}");
    }
    let balance = owner.get("/v1/balance").await;
    assert_eq!(balance.text("/items/0/posted"), "10.00", "{}", balance.body);
    books_agree(&stage, &simulator).await;
    stage.strike().await;
    simulator.shutdown().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bank_that_takes_days_is_shown_and_its_word_is_final_with_its_code(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (stage, simulator) = stage_with(options, 4).await;
    let owner = stage.caller(Role::Owner).await;
    let (good, shown) = asked(&owner, DEBIT, "processing").await;
    assert_eq!((why(&shown), shown.get("ended_at")), (("", ""), None), "{shown}");
    let (bad, _) = asked(&owner, DEBIT, "processing").await;
    assert_eq!(owner.get("/v1/statement").await.body["items"], json!([]), "nothing is credited");
    for (id, end) in [(&good, ChallengeEnd::Complete), (&bad, ChallengeEnd::Fail)] {
        let (intent, status) = at_provider(&simulator, id).await;
        assert_eq!(status, "processing");
        simulator.end_waiting(&intent, end).unwrap();
    }
    owner.until(&format!("/v1/top-ups/{good}"), |it| it["status"] == "succeeded").await;
    let failed = owner.until(&format!("/v1/top-ups/{bad}"), |it| it["status"] == "failed").await;
    assert_eq!(why(&failed), ("insufficient_funds", "The account has insufficient funds."));
    assert!(failed["ended_at"].is_string(), "{failed}");
    all_seen(&stage, &simulator).await;
    assert_eq!((credits(&owner, &good).await, credits(&owner, &bad).await), (1, 0));
    books_agree(&stage, &simulator).await;
    stage.strike().await;
    simulator.shutdown().await;
}

/// Those ten minutes are over: the letter is due as soon as it is wanted.
async fn the_letter_is_due(pool: &PgPool, id: &str) {
    const DUE: &str = "UPDATE process_intents SET due_at = now() WHERE process = 'send_mail' AND key = $1 AND due_at > now()";
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query(DUE).bind(id).execute(pool).await.unwrap().rows_affected() == 0 {
        assert!(Instant::now() < deadline, "no letter about {id} is wanted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn who_has_gone_away_has_a_letter_that_says_where_to_go_on(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (stage, simulator) = stage_with(options, 5).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("Analytical Engines").await;
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    let pool = stage.commands.executor.log().pool();
    let mut ids = vec![];
    for payment_method in [THREE_D_SECURE, DEBIT, THREE_D_SECURE] {
        let asked = ada.post("/v1/top-ups", &wish(payment_method)).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        ids.push(asked.text("/top_up_id"));
    }
    let [waits, fails, confirmed] = &ids[..] else { panic!("three") };
    let (intent, _) = at_provider(&simulator, confirmed).await;
    simulator.end_waiting(&intent, ChallengeEnd::Complete).unwrap();
    the_letter_is_due(pool, waits).await;
    mailbox.says(&format!("GET /v1/top-ups/{waits}/client-secret")).await;
    let (intent, _) = at_provider(&simulator, fails).await;
    simulator.end_waiting(&intent, ChallengeEnd::Fail).unwrap();
    mailbox.says(&format!("GET /v1/top-ups/{fails}\r\n")).await;
    mailbox.says("There is not enough money in the account.").await;
    let letters = mailbox.letters().concat();
    assert!(letters.contains("Analytical Engines"), "{letters}");
    assert!(!letters.contains("_secret_"), "no letter holds a secret: {letters}");
    assert!(!letters.contains(&**confirmed), "who has confirmed has no letter: {letters}");
    stage.strike().await;
    simulator.shutdown().await;
}
