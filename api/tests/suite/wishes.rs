//! What people may ask about their own data.
use std::time::{Duration, Instant};

use cairn_api::erasure::Promises;
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::person::{Mailbox, PASSWORD, Person};
use crate::support::{MASTER_KEY, PATIENCE, Stage};

const ERASURE: &str = "/v1/me/erasure";

fn confirmed(person: &Person) -> Value {
    json!({ "password": PASSWORD, "confirm": person.email })
}

/// Erasures are carried out at once.
fn at_once() -> Promises {
    let erasures_every = Duration::from_millis(50);
    Promises { erasure_secs: 0, erasures_every, ..Promises::default() }
}

/// Joins the organisation of `owner` as `role`.
async fn join(stage: &Stage, owner: &Person, (member, role): (&Person, &str)) {
    let mailbox = Mailbox::of(stage, &member.email);
    let known = mailbox.codes();
    let invited = json!({ "email": member.email, "role": role });
    assert_eq!(owner.post("/v1/invitations", &invited).await.status, 201);
    let code = json!({ "code": mailbox.code_beside(&known).await });
    let joined = member.post("/v1/invitations/accept", &code).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
}

/// Waits until somebody is signed in no longer.
async fn gone(person: &Person) {
    let deadline = Instant::now() + PATIENCE;
    while person.get("/v1/session").await.status == 200 {
        assert!(Instant::now() < deadline, "nobody erased {}", person.email);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_reads_all_that_is_held_on_them_and_no_secret(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Analytical Engines").await;
    let marketing = json!({ "document": "marketing", "version": "1", "given": true });
    let said = ada.post("/v1/me/consents", &marketing).await;
    assert_eq!(said.status, 200, "{}", said.body);
    let taken_back = json!({ "document": "marketing", "version": "1", "given": false });
    let said = ada.post("/v1/me/consents", &taken_back).await;
    assert_eq!(said.body["items"].as_array().unwrap().len(), 2, "{}", said.body);
    assert_eq!(ada.get("/v1/me/consents").await.body["items"][0]["given"], false);

    let wrong = ada.post("/v1/me/export", &json!({ "password": "not-mine-at-all" })).await;
    assert_eq!((wrong.status, wrong.code()), (401, "sign_in_failed"));
    let found = ada.post("/v1/me/export", &json!({ "password": PASSWORD })).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.text("/email"), "ada@example.org");
    assert_eq!(found.text("/organisations/0/name"), "Analytical Engines");
    let kinds = |list: &str| -> Vec<String> {
        let list = found.body[list].as_array().unwrap();
        list.iter().map(|one| one["event_type"].as_str().unwrap().to_owned()).collect()
    };
    for kind in ["user.registered", "user.link_requested", "user.signed_in", "user.consented"] {
        assert!(
            kinds("events").contains(&kind.to_owned()),
            "{kind} is not in {:?}",
            kinds("events")
        );
    }
    assert!(kinds("acts").contains(&"organisation.founded".to_owned()), "{:?}", kinds("acts"));
    let text = found.body.to_string();
    assert!(text.contains("withheld") && text.contains("127.0.0.1"), "{text}");
    for secret in ["argon2", "cairn_code_", "personal:1:"] {
        assert!(!text.contains(secret), "{secret} leaves: {text}");
    }

    let whole = ada.get("/v1/organisation/export").await;
    assert_eq!(whole.status, 200, "{}", whole.body);
    assert!(whole.body.to_string().contains("Analytical Engines"), "{}", whole.body);
    let developer = stage.caller_of(Role::Developer, organisation).await;
    assert_eq!(developer.get("/v1/organisation/export").await.code(), "forbidden");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_asks_to_be_forgotten_is_told_when_and_may_think_better_of_it(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    assert_eq!(ada.get(ERASURE).await.body["status"], "none");
    let wrong = json!({ "password": "not-mine-at-all", "confirm": ada.email });
    assert_eq!(ada.post(ERASURE, &wrong).await.code(), "sign_in_failed");
    let other = json!({ "password": PASSWORD, "confirm": "bob@example.org" });
    assert_eq!(ada.post(ERASURE, &other).await.code(), "confirmation_wrong");
    let asked = ada.post(ERASURE, &confirmed(&ada)).await;
    assert_eq!((asked.status, asked.text("/status")), (202, "pending".to_owned()));
    assert!(asked.text("/due_at") > asked.text("/requested_at"), "{}", asked.body);
    Mailbox::of(&stage, &ada.email).says("everything personal be erased").await;
    let again = ada.post(ERASURE, &confirmed(&ada)).await;
    assert_eq!(again.text("/due_at"), asked.text("/due_at"), "asking again changes nothing");
    let cancelled = ada.post(&format!("{ERASURE}/cancel"), &json!({})).await;
    assert_eq!((cancelled.status, cancelled.text("/status")), (200, "none".to_owned()));
    assert_eq!(ada.get("/v1/session").await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_organisation_keeps_an_owner_whoever_is_erased(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    let stage = Stage::set_promising(options.clone(), at_once()).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Analytical Engines").await;
    let bob = Person::signed_in(&stage, "bob@example.org").await;
    join(&stage, &ada, (&bob, "developer")).await;

    let refused = ada.post(ERASURE, &confirmed(&ada)).await;
    assert_eq!((refused.status, refused.code()), (409, "last_owner"), "{}", refused.body);
    assert_eq!(ada.get(ERASURE).await.body["kept_by"], json!([organisation.to_string()]));
    let user_id = ada.get("/v1/session").await.text("/user_id");
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let typed = shell.run(&format!("privacy erase {user_id} --reason asked --yes")).await;
    assert_eq!(typed.code(), 3, "{}", typed.talk());
    assert!(typed.talk().contains("last_owner"), "{}", typed.talk());

    let owner = json!({ "role": "owner" });
    let bobs_id = bob.get("/v1/session").await.text("/user_id");
    let raised = ada.post(&format!("/v1/members/{bobs_id}/role"), &owner).await;
    assert_eq!(raised.status, 200, "{}", raised.body);
    let asked = ada.post(ERASURE, &confirmed(&ada)).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    gone(&ada).await;
    let erased =
        "SELECT count(*) FROM privacy_subject_keys WHERE subject = $1 AND destroyed_at IS NOT NULL";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let subject = format!("user/{user_id}");
        let gone: i64 = sqlx::query_scalar(erased).bind(subject).fetch_one(&pool).await.unwrap();
        if gone == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "the key of {user_id} lives on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bob = Person { organisation: Some(organisation), ..bob };
    let members = bob.get("/v1/members").await;
    let members = members.body["items"].as_array().unwrap().clone();
    assert_eq!(members.len(), 1, "{members:?}");
    assert_eq!((&members[0]["user_id"], &members[0]["role"]), (&json!(bobs_id), &json!("owner")));
    Person::signed_in(&stage, "ada@example.org").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_else_is_in_is_suspended_when_its_owner_goes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_promising(options, at_once()).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Alone").await;
    let key = stage.caller_of(Role::Owner, organisation).await;
    key.top_up("20.00").await;
    let refused = ada.post(ERASURE, &confirmed(&ada)).await;
    assert_eq!(refused.code(), "last_owner", "money is there: {}", refused.body);
    let mut eve = Person::signed_in(&stage, "eve@example.org").await;
    let empty = eve.found("Empty").await;
    let key = stage.caller_of(Role::Owner, empty).await;
    assert_eq!(eve.post(ERASURE, &confirmed(&eve)).await.status, 202);
    gone(&eve).await;
    let body = json!({ "name": "more", "role": "viewer" });
    let deadline = Instant::now() + PATIENCE;
    while key.post("/v1/keys", &body).await.code() != "organisation_suspended" {
        assert!(Instant::now() < deadline, "its keys still make others");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_registers_agrees_to_the_terms_in_force(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let promises = Promises { terms: Some("2026-11".to_owned()), ..Promises::default() };
    let stage = Stage::set_promising(options, promises).await;
    let mut ada = Person::new(&stage, "ada@example.org");
    let with = |version: Value| json!({ "email": "ada@example.org", "name": "Ada", "password": PASSWORD, "terms_version": version });
    for wrong in [Value::Null, json!("2025-01")] {
        let refused = ada.post("/v1/users", &with(wrong)).await;
        assert_eq!((refused.status, refused.code()), (422, "terms_not_accepted"));
    }
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    assert_eq!(mailbox.codes(), Vec::<String>::new());
    assert_eq!(ada.post("/v1/users", &with(json!("2026-11"))).await.status, 202);
    let code = json!({ "code": mailbox.code_beside(&[]).await });
    assert_eq!(ada.post("/v1/email-verifications", &code).await.status, 200);
    assert_eq!(ada.sign_in(PASSWORD).await.status, 201);
    let said = ada.get("/v1/me/consents").await;
    assert_eq!(
        (said.text("/terms_version"), said.text("/items/0/said")),
        ("2026-11".to_owned(), "registering".to_owned())
    );
    assert_eq!(said.text("/items/0/version"), "2026-11");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_command_line_says_what_is_kept_and_what_would_go(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    let used = "INSERT INTO identity_session_uses VALUES ('old', now() - interval '31 days'), ('new', now())";
    let shell = Shell::new(&options);
    shell.json("flags list").await;
    sqlx::query(used).execute(&pool).await.unwrap();
    let past = async || {
        let shown = shell.json("privacy retention --dry-run").await;
        let rules = shown["rules"].as_array().unwrap().clone();
        let uses = rules.iter().find(|rule| rule["rule"] == "session_uses").unwrap().clone();
        (uses["past"].clone(), shown["last_run"].clone())
    };
    assert_eq!(past().await, (json!(1), Value::Null), "a look removes nothing");
    let run = shell.json("privacy retention --run").await;
    assert_eq!(run["removed"], json!({ "session_uses": 1 }));
    let (left, last) = past().await;
    assert_eq!((left, &last["removed"]), (json!(0), &json!({ "session_uses": 1 })));
    assert!(shell.run("privacy retention").await.data().contains("session_uses"));
}
