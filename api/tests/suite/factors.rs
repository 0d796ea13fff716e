//! What people must have shown, and how long ago: second factors that are demanded, and the way back for who has lost theirs.
use std::time::{Duration, Instant};

use cairn_api::auth::SecondFactor;
use cairn_identity::Role;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::one_time::set_up;
use crate::person::{Mailbox, PASSWORD, Person};
use crate::support::{MASTER_KEY, PATIENCE, Stage};

const RULE: &str = "/v1/organisation/second-factor";

/// Signs in with the password and a code for a lost device.
async fn sign_in_with(person: &mut Person, code: &str) {
    let shown = json!({ "email": person.email, "password": PASSWORD, "recovery_code": code });
    let signed_in = person.sign_in_with(&shown).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.body);
}

#[sqlx::test(migrations = "../migrations")]
async fn who_has_shown_one_factor_acts_for_nobody_that_demands_two(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Engines").await;
    let early = ada.post(RULE, &json!({ "demanded": true })).await;
    assert_eq!((early.status, early.code()), (403, "second_factor_needed"), "she shows it first");
    let mailbox = Mailbox::of(&stage, "bob@example.org");
    let invite = json!({ "email": "bob@example.org", "role": "admin" });
    assert_eq!(ada.post("/v1/invitations", &invite).await.status, 201);
    let code = mailbox.code_beside(&[]).await;
    let mut bob = Person::signed_in(&stage, "bob@example.org").await;
    let joined = bob.post("/v1/invitations/accept", &json!({ "code": code })).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    bob.organisation = Some(organisation);
    assert_eq!(bob.get("/v1/members").await.status, 200);
    let mut stream = bob.request(reqwest::Method::GET, "/v1/events").send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let codes = set_up(&stage, &ada).await;
    sign_in_with(&mut ada, &codes[0]).await;
    let set = ada.post(RULE, &json!({ "demanded": true })).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(ada.get("/v1/organisation").await.body["second_factor_demanded"], true);

    let refused = bob.get("/v1/members").await;
    assert_eq!((refused.status, refused.code()), (403, "second_factor_needed"));
    let waived = bob.post(RULE, &json!({ "demanded": false })).await;
    assert_eq!(waived.code(), "second_factor_needed", "nobody rids themselves of it");
    let ticket = bob.post("/v1/tickets", &json!({})).await;
    assert_eq!(ticket.code(), "second_factor_needed");
    let deadline = Instant::now() + PATIENCE;
    while let Ok(Some(_)) = stream.chunk().await {
        assert!(Instant::now() < deadline, "the stream that was open goes on");
    }
    let program = stage.caller_of(Role::Viewer, organisation).await;
    assert_eq!(program.get("/v1/members").await.status, 200, "programs have one factor");

    // What needs no organisation is how he gets on.
    let listed = bob.get("/v1/organisations").await;
    assert_eq!(listed.body["items"][0]["second_factor_demanded"], true);
    let codes = set_up(&stage, &bob).await;
    assert_eq!(bob.get("/v1/members").await.code(), "second_factor_needed", "it is to be shown");
    sign_in_with(&mut bob, &codes[0]).await;
    assert_eq!(bob.get("/v1/members").await.status, 200);
    assert_eq!(bob.post(RULE, &json!({ "demanded": false })).await.status, 200);
    let mut anew = Person::new(&stage, "bob@example.org");
    sign_in_with(&mut anew, &codes[1]).await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_may_demand_two_factors_of_everybody(_: PgPoolOptions, options: PgConnectOptions) {
    let demand = |parts: &mut cairn_api::wiring::Outside| {
        parts.second_factor = SecondFactor::Demanded;
    };
    let stage = Stage::set_among(options, demand).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("Engines").await;
    assert_eq!(ada.get("/v1/organisation").await.code(), "second_factor_needed");
    let codes = set_up(&stage, &ada).await;
    sign_in_with(&mut ada, &codes[0]).await;
    let seen = ada.get("/v1/organisation").await;
    assert_eq!((seen.status, &seen.body["second_factor_demanded"]), (200, &json!(false)));
    stage.strike().await;
}

/// Makes every session of the database older.
async fn age_sessions(pool: &PgPool, minutes: i32) {
    let aged = sqlx::query(
        "UPDATE identity_sessions SET opened_at = opened_at - make_interval(mins => $1)",
    );
    assert!(aged.bind(minutes).execute(pool).await.unwrap().rows_affected() > 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn how_one_signs_in_is_changed_soon_after_signing_in(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let pool = pool.connect_with(options).await.unwrap();
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    age_sessions(&pool, 16).await;
    for (path, body) in [
        ("/v1/totp", json!({})),
        ("/v1/me/identities", json!({ "provider": "none" })),
        ("/v1/me/identities/none/unlink", json!({})),
    ] {
        let refused = ada.post(path, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "sign_in_too_old"), "{path}");
    }
    assert_eq!(ada.get("/v1/session").await.status, 200, "the session itself goes on");
    assert_eq!(ada.sign_in(PASSWORD).await.status, 201);
    assert_eq!(ada.post("/v1/totp", &json!({})).await.status, 200);
    assert_eq!(ada.post("/v1/me/identities", &json!({ "provider": "none" })).await.status, 404);
    stage.strike().await;
}

/// The command line over the database of a stage, with its keys.
fn shell(stage: &Stage, options: &PgConnectOptions) -> Shell {
    let key = stage.path(MASTER_KEY);
    Shell::new(options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy())
}

/// Waits until a session is over: a server remembers for a few seconds that it was not.
async fn ends(person: &Person) {
    let deadline = Instant::now() + PATIENCE;
    while person.get("/v1/session").await.code() != "session_over" {
        assert!(Instant::now() < deadline, "the session goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_runs_it_finds_an_account_and_ends_its_sessions_and_everybodys(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let mut bob = Person::signed_in(&stage, "bob@example.org").await;
    let shell = shell(&stage, &options);
    let found = shell.json("people find Ada@Example.org").await;
    let id = found["user_id"].as_str().unwrap().to_owned();
    assert_eq!(id, ada.get("/v1/session").await.text("/user_id"));
    assert_eq!((&found["verified"], &found["sessions"]), (&json!(true), &json!(1)));
    assert!(!found.to_string().contains("ada@"), "{found}");
    assert_eq!(shell.json(&format!("people find {id}")).await, found);
    for (line, code) in [
        ("people find eve@example.org", 4),
        ("people find ada", 2),
        ("people end-sessions --reason why", 2),
        ("people end-sessions user_01M8FQYZ8ENSZ3T2N024JJ27TE --reason why", 4),
        ("people reset-factors user_01M8FQYZ8ENSZ3T2N024JJ27TE --reason why", 4),
    ] {
        let said = shell.run(line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
    }
    let ended = shell.json(&format!("people end-sessions {id} --reason stolen")).await;
    assert_eq!(ended["people"], 1);
    ends(&ada).await;
    assert_eq!(bob.get("/v1/session").await.status, 200, "nobody else's");
    let all = shell.json("people end-sessions --all --reason leak").await;
    assert_eq!(all["people"], 1, "only bob is signed in");
    ends(&bob).await;
    assert_eq!(bob.sign_in(PASSWORD).await.status, 201, "the password is what it was");
    let trail = shell.json(&format!("audit --aggregate-id {id}")).await;
    assert!(trail.to_string().contains("user.sessions_ended"), "{trail}");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_has_lost_device_and_codes_begins_anew_with_their_address(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let codes = set_up(&stage, &ada).await;
    assert_eq!(ada.sign_in(PASSWORD).await.code(), "one_time_password_needed");
    let shell = shell(&stage, &options);
    let found = shell.json("people find ada@example.org").await;
    assert_eq!(found["one_time_passwords"], true);
    let id = found["user_id"].as_str().unwrap();
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    let known = mailbox.codes();
    let reset = shell.json(&format!("people reset-factors {id} --reason called-back")).await;
    assert_eq!(reset["reset"], true);
    ends(&ada).await;
    assert_eq!(ada.sign_in(PASSWORD).await.code(), "sign_in_failed", "the password is gone too");
    let spent = json!({ "email": ada.email, "password": PASSWORD, "recovery_code": codes[0] });
    assert_eq!(ada.sign_in_with(&spent).await.code(), "sign_in_failed");
    let empty = json!({ "email": ada.email, "password": "" });
    assert_eq!(ada.sign_in_with(&empty).await.code(), "sign_in_failed", "and no password is none");

    let code = mailbox.code_beside(&known).await;
    let body = json!({ "code": code, "password": "qV4-lantern-orchid" });
    let set = ada.post("/v1/password-resets/confirm", &body).await;
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(ada.sign_in("qV4-lantern-orchid").await.status, 201);
    assert_eq!(ada.get("/v1/session").await.body["one_time_passwords"], false);
    stage.strike().await;
}
