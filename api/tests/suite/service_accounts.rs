//! Service accounts: who a program is, whatever key it comes with, and what becomes of its keys when it is another than it was.
use std::time::{Duration, Instant};

use cairn_api::live::Pace;
use cairn_core::{OrganisationId, ServiceAccountId};
use cairn_identity::Role;
use cairn_projections::operations::audit;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::listen::{Socket, Sse};
use crate::person::Person;
use crate::support::{Answer, Caller, MASTER_KEY, PATIENCE, Stage, answer};

const PATH: &str = "/v1/service-accounts";

/// A program that is a service account, by one of its keys.
#[derive(Clone)]
struct Program {
    id: String,
    key_id: String,
    caller: Caller,
}

impl Program {
    fn path(&self, what: &str) -> String {
        format!("{PATH}/{}{what}", self.id)
    }

    /// Whether it is let in, and what is said of it when it is not.
    async fn opens(&self) -> (u16, String) {
        let found = self.caller.get("/v1/whoami").await;
        (found.status, found.code().to_owned())
    }
}

/// Somebody who owns an organisation.
async fn owner(stage: &Stage, name: &str) -> Person {
    let mut owner = Person::signed_in(stage, &format!("{name}@example.org")).await;
    owner.found(name).await;
    owner
}

async fn add(owner: &Person, role: &str) -> String {
    let added = owner.post(PATH, &json!({ "name": "deployments", "role": role })).await;
    assert_eq!(added.status, 201, "{}", added.body);
    added.text("/service_account_id")
}

async fn key_of(owner: &Person, id: &str, scopes: &[&str]) -> Program {
    let wish = json!({ "name": "runner", "service_account_id": id, "scopes": scopes });
    let made = owner.post("/v1/keys", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let caller = Caller {
        http: reqwest::Client::new(),
        base: owner.base.clone(),
        key: Some(made.text("/key")),
        organisation_id: owner.organisation.unwrap(),
    };
    Program { id: id.to_owned(), key_id: made.text("/key_id"), caller }
}

async fn program(owner: &Person, role: &str) -> Program {
    key_of(owner, &add(owner, role).await, &[]).await
}

/// Posts upon what was seen.
async fn upon(owner: &Person, tag: &str, path: &str, body: &Value) -> Answer {
    let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
    let request = owner.request(Method::POST, path).header("idempotency-key", key);
    answer(request.header("if-match", tag).json(body)).await
}

const OPEN: (u16, &str) = (200, "");
const DISABLED: (u16, &str) = (401, "service_account_disabled");
const GONE: (u16, &str) = (401, "unauthenticated");

fn is(found: &(u16, String), wanted: (u16, &str)) {
    assert_eq!((found.0, found.1.as_str()), wanted);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_service_account_comes_changes_is_shut_and_goes(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = owner(&stage, "ada").await;
    let added = owner.post(PATH, &json!({ "name": "deployments", "role": "developer" })).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let id = added.text("/service_account_id");
    assert!(id.parse::<ServiceAccountId>().is_ok(), "{id}");
    assert_eq!(added.header("location"), format!("{PATH}/{id}"));
    let found = owner.get(&format!("{PATH}/{id}")).await;
    assert_eq!(
        (found.text("/name"), found.text("/role")),
        ("deployments".into(), "developer".into())
    );
    assert!(found.body.get("disabled_at").is_none() && found.body.get("last_used_at").is_none());

    let program = key_of(&owner, &id, &[]).await;
    let who = program.caller.get("/v1/whoami").await;
    assert_eq!(who.text("/service_account_id"), id);
    assert_eq!(
        (who.text("/key_id"), who.text("/role")),
        (program.key_id.clone(), "developer".into())
    );
    let used = owner.get(&program.path("")).await;
    assert!(!used.text("/last_used_at").is_empty(), "{}", used.body);

    // What was seen is held against what is.
    let tag = used.header("etag").to_owned();
    let changed = upon(&owner, &tag, &program.path(""), &json!({ "name": "nightly" })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let stale = upon(&owner, &tag, &program.path(""), &json!({ "name": "daily" })).await;
    assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));
    let next = changed.header("etag").to_owned();
    let disabled = upon(&owner, &next, &program.path("/disable"), &json!({})).await;
    assert_eq!(disabled.status, 200, "a change tells the version that it made: {}", disabled.body);

    is(&program.opens().await, DISABLED);
    let found = owner.get(&program.path("")).await;
    assert_eq!(found.text("/name"), "nightly");
    assert!(!found.text("/disabled_at").is_empty());
    assert_eq!(owner.post(&program.path("/disable"), &json!({})).await.status, 200, "it is");
    assert_eq!(owner.post(&program.path("/enable"), &json!({})).await.status, 200);
    is(&program.opens().await, OPEN);

    assert_eq!(owner.post(&program.path("/remove"), &json!({})).await.status, 200);
    is(&program.opens().await, GONE);
    let gone = owner.get(&program.path("")).await;
    assert_eq!((gone.status, gone.code()), (404, "unknown_service_account"));
    let again = owner.post(&program.path("/enable"), &json!({})).await;
    assert_eq!((again.status, again.code()), (404, "unknown_service_account"), "for good");
    assert_eq!(owner.get(PATH).await.body["items"], json!([]));
    let key = owner.get(&format!("/v1/keys/{}", program.key_id)).await;
    assert!(!key.text("/revoked_at").is_empty(), "{}", key.body);
    let rotate = format!("/v1/keys/{}/rotate", program.key_id);
    assert_eq!(owner.post(&rotate, &json!({})).await.code(), "api_key_revoked");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn accounts_and_their_keys_are_listed_in_pages(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = owner(&stage, "ada").await;
    let mut added = vec![];
    for _ in 0..3 {
        added.push(add(&owner, "viewer").await);
    }
    added.reverse();
    let first = owner.get(&format!("{PATH}?limit=2")).await;
    let cursor = first.text("/next_cursor");
    let second = owner.get(&format!("{PATH}?limit=2&cursor={cursor}")).await;
    let ids = |page: &Answer, name: &str| -> Vec<String> {
        let items = page.body["items"].as_array().unwrap().iter();
        items.map(|item| item[name].as_str().unwrap().to_owned()).collect()
    };
    let mut listed = ids(&first, "service_account_id");
    listed.extend(ids(&second, "service_account_id"));
    assert_eq!(listed, added, "the newest first, each once");
    assert!(second.body.get("next_cursor").is_none());

    let program = key_of(&owner, &added[0], &[]).await;
    let other = key_of(&owner, &added[1], &[]).await;
    let plain = owner.post("/v1/keys", &json!({ "name": "own", "role": "viewer" })).await;
    let all = owner.get("/v1/keys").await;
    assert_eq!(ids(&all, "key_id"), [plain.text("/key_id"), other.key_id, program.key_id.clone()]);
    let narrowed = format!("/v1/keys?service_account_id={}", program.id);
    let own = owner.get(&narrowed).await;
    assert_eq!(ids(&own, "key_id"), [program.key_id]);
    assert_eq!(own.body["items"][0]["service_account_id"], json!(program.id));
    // A cursor is of one list.
    let cursor = owner.get("/v1/keys?limit=1").await.text("/next_cursor");
    let elsewhere = owner.get(&format!("{narrowed}&cursor={cursor}")).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (400, "cursor_invalid"));
    let malformed = owner.get("/v1/keys?service_account_id=key_1").await;
    assert_eq!((malformed.status, malformed.code()), (400, "query_invalid"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_of_role_reaches_every_key_at_once(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = owner(&stage, "ada").await;
    let id = add(&owner, "viewer").await;
    let programs = [key_of(&owner, &id, &[]).await, key_of(&owner, &id, &[]).await];
    for (role, may) in [("viewer", false), ("developer", true), ("finance", false), ("admin", true)]
    {
        let changed = owner.post(&format!("{PATH}/{id}"), &json!({ "role": role })).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        for program in &programs {
            let found = program.caller.get("/v1/keys").await;
            let wanted = if may { (200, "") } else { (403, "forbidden") };
            assert_eq!((found.status, found.code()), wanted, "{role}");
            let key = owner.get(&format!("/v1/keys/{}", program.key_id)).await;
            assert_eq!(key.text("/role"), role, "what is listed is what it may");
        }
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn no_program_rises_above_what_it_was_made(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = owner(&stage, "ada").await;
    let wish = |role: &str| json!({ "name": "x", "role": role });
    let refused = owner.post(PATH, &wish("owner")).await;
    assert_eq!((refused.status, refused.code()), (422, "service_account_role_invalid"));
    let refused = owner.post(PATH, &wish("platform_operator")).await;
    assert_eq!((refused.status, refused.code()), (422, "body_invalid"));
    for name in [String::new(), "x".repeat(101)] {
        let refused = owner.post(PATH, &json!({ "name": name, "role": "viewer" })).await;
        assert_eq!((refused.status, refused.code()), (422, "service_account_name_invalid"));
    }
    let developer = program(&owner, "developer").await;
    for (path, body) in [
        (PATH.to_owned(), wish("viewer")),
        (developer.path(""), json!({ "role": "admin" })),
        (developer.path("/disable"), json!({})),
        ("/v1/keys".to_owned(), json!({ "name": "x", "service_account_id": developer.id })),
    ] {
        let refused = developer.caller.post(&path, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{path}");
    }
    let admin = program(&owner, "admin").await;
    for (path, body) in [
        (PATH.to_owned(), wish("owner")),
        (admin.path(""), json!({ "role": "owner" })),
        ("/v1/keys".to_owned(), wish("owner")),
    ] {
        let refused = admin.caller.post(&path, &body).await;
        assert_eq!((refused.status, refused.code()), (403, "role_too_high"), "{path}");
    }
    let lowered = admin.caller.post(&developer.path(""), &json!({ "role": "viewer" })).await;
    assert_eq!(lowered.status, 200, "an admin that is a program manages as one: {}", lowered.body);
    // A key of less than its account.
    let scoped = key_of(&owner, &admin.id, &["ledger:read"]).await;
    assert_eq!(scoped.caller.get("/v1/balance?currency=USD").await.status, 200);
    assert_eq!(scoped.caller.get("/v1/allocations").await.code(), "scope_missing");
    assert_eq!(scoped.caller.post(PATH, &wish("viewer")).await.code(), "scope_missing");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_is_of_a_role_or_of_an_account_that_is_ones_own(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (ada, eve) = (owner(&stage, "ada").await, owner(&stage, "eve").await);
    let id = add(&ada, "viewer").await;
    for (body, pointer) in [
        (json!({ "name": "x" }), "/role"),
        (json!({ "name": "x", "role": "viewer", "service_account_id": id }), "/role"),
        (json!({ "name": "x", "service_account_id": "key_1" }), "/service_account_id"),
    ] {
        let refused = ada.post("/v1/keys", &body).await;
        assert_eq!((refused.status, refused.code()), (422, "body_invalid"), "{body}");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}");
    }
    let missing = ServiceAccountId::from_bits(7).to_string();
    let whole = async |id: &str, key: &str| {
        let body = json!({ "name": "x", "service_account_id": id });
        let request = eve.request(Method::POST, "/v1/keys").header("idempotency-key", key);
        let response =
            request.header("x-request-id", "the-same-request").json(&body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (foreign, missing) = (whole(&id, "foreign").await, whole(&missing, "missing").await);
    assert_eq!(foreign, missing, "what is another's is as if it were not there");
    assert_eq!(foreign.0, 404);
    assert!(foreign.1.contains("unknown_service_account"), "{}", foreign.1);
    let narrowed = eve.get(&format!("/v1/keys?service_account_id={id}")).await;
    assert_eq!(narrowed.body["items"], json!([]));

    // The first answer stands, also when the account has gone meanwhile; a refusal does, when it has come.
    let caller = stage.caller_of(Role::Owner, ada.organisation.unwrap()).await;
    let wish = json!({ "name": "once", "service_account_id": id });
    let made = caller.post_as("once", "/v1/keys", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(ada.post(&format!("{PATH}/{id}/remove"), &json!({})).await.status, 200);
    let again = caller.post_as("once", "/v1/keys", &wish).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.text("/key_id"), made.text("/key_id"));
    assert!(again.body.get("key").is_none(), "it is shown once");
    let late = caller.post_as("late", "/v1/keys", &wish).await;
    assert_eq!((late.status, late.code()), (404, "unknown_service_account"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_that_takes_anothers_place_is_the_same_account(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = owner(&stage, "ada").await;
    let program = program(&owner, "viewer").await;
    let rotate = format!("/v1/keys/{}/rotate", program.key_id);
    let rotated = owner.post(&rotate, &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    // The operator's way as well.
    let shell = Shell::new(&options)
        .with("CAIRN_PRIVACY_KEY", stage.path(MASTER_KEY).display().to_string());
    let by_hand = shell.json(&format!("keys rotate {}", rotated.text("/key_id"))).await;
    let successors = [rotated.text("/key"), by_hand["key"].as_str().unwrap().to_owned()];
    for key in &successors {
        let caller = Caller { key: Some(key.clone()), ..program.caller.clone() };
        let who = caller.get("/v1/whoami").await;
        assert_eq!(who.text("/service_account_id"), program.id, "{}", who.body);
    }
    let risen = owner.post(&program.path(""), &json!({ "role": "developer" })).await;
    assert_eq!(risen.status, 200, "{}", risen.body);
    assert_eq!(owner.post(&program.path("/disable"), &json!({})).await.status, 200);
    for key in successors {
        let caller = Caller { key: Some(key), ..program.caller.clone() };
        is(&Program { caller, ..program.clone() }.opens().await, DISABLED);
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_program_does_stands_under_its_name(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options.clone()).await;
    let owner = owner(&stage, "ada").await;
    let program = program(&owner, "admin").await;
    let beside = key_of(&owner, &program.id, &[]).await;
    let made = program.caller.post("/v1/keys", &json!({ "name": "x", "role": "viewer" })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    program.caller.top_up("20.00").await;
    let filter = audit::Filter { actor: Some(program.id.clone()), ..audit::Filter::default() };
    stage
        .projector
        .wait_for(stage.commands.executor.log().head().await.unwrap(), PATIENCE)
        .await
        .unwrap();
    let acts = audit::list(stage.api().pool(), filter, None, 50).await.unwrap().items;
    let types: Vec<_> = acts.iter().map(|act| act.event_type.as_str()).collect();
    assert!(
        types.contains(&"api_key.created") && types.contains(&"payment.requested"),
        "{types:?}"
    );
    let actor = format!("{} with {}", program.id, program.key_id);
    assert!(acts.iter().all(|act| act.actor == actor), "{acts:?}");
    let shell = Shell::new(&options)
        .with("CAIRN_PRIVACY_KEY", stage.path(MASTER_KEY).display().to_string());
    let said = shell.json(&format!("audit --actor {}", program.id)).await;
    assert_eq!(said.as_array().unwrap().len(), acts.len(), "{said}");

    let export = owner.get("/v1/organisation/export").await;
    let told = |event_type: &str| {
        let events = export.body["events"].as_array().unwrap();
        let found = events.iter().find(|event| event["event_type"] == event_type);
        found.unwrap_or_else(|| panic!("no {event_type} in {}", export.body)).clone()
    };
    let added = told("organisation.service_account_added");
    assert_eq!(added["payload"]["service_account_id"], json!(program.id));
    assert_eq!(added["payload"]["name"], "deployments", "it is opened for its owner");
    assert_eq!(told("api_key.assigned")["payload"]["service_account_id"], json!(program.id));

    // What one key has read, the account has read.
    let unread = async |caller: &Caller| caller.get("/v1/inbox").await.body["unread"].clone();
    let inbox = program.caller.until("/v1/inbox", |inbox| inbox["unread"] != 0).await;
    let newest = inbox["items"][0]["notice_id"].as_str().unwrap();
    let read = format!("/v1/inbox/{newest}/read-until");
    assert_eq!(program.caller.post(&read, &json!({})).await.status, 200);
    assert_eq!(unread(&beside.caller).await, 0);
    let other = stage.caller_of(Role::Owner, owner.organisation.unwrap()).await;
    assert_ne!(unread(&other).await, 0, "and nobody else has");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn streams_of_a_program_that_was_shut_end(_: PgPoolOptions, options: PgConnectOptions) {
    let pace = Pace { recheck: Duration::from_millis(100), ..Pace::default() };
    let stage = Stage::set_streaming(options, pace).await;
    let owner = owner(&stage, "ada").await;
    let (shut, gone) = (program(&owner, "viewer").await, program(&owner, "viewer").await);
    let (changed, stays) = (program(&owner, "viewer").await, program(&owner, "viewer").await);
    let mut streams = vec![];
    for program in [&shut, &gone, &changed, &stays] {
        streams.push(Sse::open(&program.caller, "/v1/events", None).await);
    }
    let mut socket = Socket::greeted(&shut.caller, json!([])).await;
    // The first look at each is what a change is held against.
    tokio::time::sleep(pace.recheck * 5).await;
    assert_eq!(owner.post(&shut.path("/disable"), &json!({})).await.status, 200);
    assert_eq!(owner.post(&gone.path("/remove"), &json!({})).await.status, 200);
    assert_eq!(owner.post(&changed.path(""), &json!({ "role": "finance" })).await.status, 200);
    for (stream, code) in
        streams.iter_mut().zip(["unauthenticated", "unauthenticated", "forbidden"])
    {
        let end = stream.next().await.unwrap();
        assert_eq!((end.event.as_str(), end.json()["code"].as_str()), ("end", Some(code)));
        assert_eq!(stream.next().await, None, "it is closed");
    }
    let end = socket.next().await.unwrap();
    assert_eq!(
        (end["type"].as_str(), end["code"].as_str()),
        (Some("end"), Some("unauthenticated"))
    );
    assert_eq!(socket.next().await, None);
    let payer = stage.caller_of(Role::Owner, owner.organisation.unwrap()).await;
    payer.top_up("5.00").await;
    streams[3].until("cairn.wallet.topped_up.v1").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_one_server_was_told_holds_at_every_other_within_seconds(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = owner(&stage, "ada").await;
    let program = program(&owner, "viewer").await;
    let next = stage.beside(options).await;
    let there = Program {
        caller: Caller { base: next.base.clone(), ..program.caller.clone() },
        ..program.clone()
    };
    is(&there.opens().await, OPEN);
    let role = json!({ "role": "developer" });
    assert_eq!(owner.post(&program.path(""), &role).await.status, 200);
    there.caller.until("/v1/whoami", |who| who["role"] == "developer").await;
    for (what, wanted) in [("/disable", DISABLED), ("/enable", OPEN), ("/remove", GONE)] {
        assert_eq!(owner.post(&program.path(what), &json!({})).await.status, 200, "{what}");
        is(&program.opens().await, wanted);
        let deadline = Instant::now() + Duration::from_secs(15);
        while there.opens().await != (wanted.0, wanted.1.to_owned()) {
            assert!(Instant::now() < deadline, "{what} never reached the other server");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    next.strike().await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_organisation_that_nobody_founded_has_no_accounts(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let nameless = OrganisationId::from_bits(stage.commands.ids.next());
    let caller = stage.caller_of(Role::Owner, nameless).await;
    assert_eq!(caller.get(PATH).await.body["items"], json!([]));
    let refused = caller.post(PATH, &json!({ "name": "x", "role": "viewer" })).await;
    assert_eq!((refused.status, refused.code()), (404, "unknown_organisation"));
    stage.strike().await;
}
