//! Who may do what: the table, and every route of the document against it.
use std::time::{Duration, Instant};

use cairn_api::auth::{Scope, table};
use cairn_commands::identity::{
    CreateKey, ExpireKey, RevokeKey, create_key, expire_key, revoke_key,
};
use cairn_identity::Role;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::openapi::{Operation, operations};
use crate::rates::serve;
use crate::support::{Answer, Caller, PATIENCE, Stage, answer};

/// What was agreed; `cargo test --workspace --test suite approve_the_matrix -- --ignored` agrees anew.
const APPROVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access-matrix.txt");

#[test]
fn the_table_is_what_was_agreed() {
    let agreed = std::fs::read_to_string(APPROVED).unwrap();
    assert_eq!(table::matrix(), agreed, "agree to docs/access-matrix.txt anew if this is wanted");
}

#[test]
#[ignore = "writes what is agreed to"]
fn approve_the_matrix() {
    std::fs::write(APPROVED, table::matrix()).unwrap();
}

#[test]
fn every_operation_is_in_the_table_or_public_and_nothing_else_is() {
    let documented: Vec<_> = operations().into_iter().map(|o| o.id).collect();
    for id in &documented {
        let known = usize::from(table::rule(id).is_some())
            + usize::from(table::is_public(id))
            + usize::from(table::is_personal(id));
        assert_eq!(known, 1, "{id} must stand once: in the table, among the open or the personal");
    }
    let listed = table::RULES.iter().map(|r| r.operation).chain(table::PUBLIC.iter().map(|p| p.0));
    for name in listed.chain(table::PERSONAL.iter().copied()) {
        assert!(documented.iter().any(|id| id == name), "{name} is no operation");
    }
}

async fn call(caller: &Caller, operation: &Operation) -> Answer {
    let path = operation.path.replace(['{', '}'], "");
    let request = caller.request(operation.method.clone(), &path);
    let request = match operation.method {
        Method::POST => request.header("idempotency-key", "matrix").json(&json!({})),
        _ => request,
    };
    answer(request).await
}

#[sqlx::test(migrations = "../migrations")]
async fn every_route_obeys_the_table(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let guarded = operations().into_iter().filter(|o| !table::is_public(&o.id));
    let guarded: Vec<_> = guarded.collect();
    assert!(guarded.len() > 20);
    for role in Role::ALL {
        let caller = stage.caller(role).await;
        for operation in &guarded {
            let found = call(&caller, operation).await;
            let rule = table::rule(&operation.id);
            let allowed = rule.is_some_and(|rule| rule.scope(role) != Scope::None);
            let name = role.name();
            assert_eq!(found.status != 403, allowed, "{name} {}: {}", operation.id, found.body);
            assert_ne!(found.status, 401, "{name} {}", operation.id);
            assert!(found.status < 500, "{name} {}: {}", operation.id, found.body);
        }
    }
    for operation in &guarded {
        let found = call(&stage.nobody(), operation).await;
        assert_eq!((found.status, found.code()), (401, "unauthenticated"), "{}", operation.id);
        assert_eq!(found.header("www-authenticate"), "Bearer");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn only_a_living_key_opens(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let who = customer.get("/v1/whoami").await;
    assert_eq!(who.body["role"], "owner");
    assert_eq!(who.body["organisation_id"], customer.organisation_id.to_string());
    let with = |key: &str| Caller { key: Some(key.to_owned()), ..customer.clone() };
    let key = customer.key.clone().unwrap();
    let cut = with(&key[..key.len() - 1]).get("/v1/whoami").await;
    assert_eq!((cut.status, cut.code()), (401, "api_key_malformed"));
    let unknown = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap();
    let unknown = with(unknown.expose()).get("/v1/whoami").await;
    assert_eq!((unknown.status, unknown.code()), (401, "unauthenticated"));
    let basic = customer.http.get(format!("{}/v1/whoami", stage.base)).basic_auth("a", Some(key));
    assert_eq!(answer(basic).await.code(), "unauthenticated");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_takes_real_money_refuses_a_key_that_was_made_for_tests(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let data = tempfile::tempdir().unwrap();
    let shell = |key: &str| {
        Shell::new(&options)
            .with("CAIRN_DATA", data.path().display().to_string())
            .with("STRIPE_SECRET_KEY", key)
            .with("STRIPE_WEBHOOK_SECRET", "whsec_mode")
            .with("STRIPE_API_BASE", "http://127.0.0.1:9")
    };
    let (trial, real) = (shell("sk_test_mode"), shell("sk_live_mode"));
    let made = [
        trial.json("keys create --role owner --name trial").await,
        real.json("keys create --role owner --name real").await,
    ];
    let [tried, live] = made.each_ref().map(|made| made["key"].as_str().unwrap());
    assert!(tried.starts_with("cairn_test_") && live.starts_with("cairn_live_"));
    let asked = async |url: &str, key: &str| {
        answer(reqwest::Client::new().get(format!("{url}/v1/whoami")).bearer_auth(key)).await
    };
    let serving = serve(&real, "serve").await;
    let refused = asked(&serving.base, tried).await;
    assert_eq!((refused.status, refused.code()), (401, "api_key_for_tests"));
    assert_eq!(asked(&serving.base, live).await.status, 200);
    drop(serving);
    let serving = serve(&trial, "serve").await;
    assert_eq!(asked(&serving.base, tried).await.status, 200, "and where it was made it opens");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revoked_key_opens_no_more(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let who = customer.get("/v1/whoami").await;
    let key_id = who.text("/key_id").parse().unwrap();
    let input = RevokeKey { key_id, reason: "lost".to_owned() };
    revoke_key(&stage.commands, &stage.context(), input).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = customer.get("/v1/whoami").await;
        if refused.status != 200 {
            assert_eq!((refused.status, refused.code()), (401, "unauthenticated"));
            break;
        }
        assert!(Instant::now() < deadline, "the key still opens");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.strike().await;
}

/// Whether a key opens, until it does not.
async fn opens_until(caller: &Caller, code: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = caller.get("/v1/whoami").await;
        if found.status != 200 {
            assert_eq!((found.status, found.code()), (401, code), "{}", found.body);
            return;
        }
        assert!(Instant::now() < deadline, "the key still opens");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_expired_key_opens_no_more_and_is_told_so(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let who = customer.get("/v1/whoami").await;
    assert_eq!(who.status, 200);
    let key_id = who.text("/key_id").parse().unwrap();
    let now = stage.commands.clock.now();
    let end = ExpireKey { key_id, expires_at: now.plus_secs(1), successor: None };
    expire_key(&stage.commands, &stage.context(), end).await.unwrap();
    opens_until(&customer, "api_key_expired").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_made_to_expire_works_until_then(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let (organisation_id, role) = (customer.organisation_id, Role::Viewer);
    let secret = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap();
    let made_to_end = |expires_at| CreateKey {
        organisation_id,
        role,
        name: "short".to_owned(),
        secret_sha256: secret.sha256(),
        holder: None,
        scopes: vec![],
        expires_at: Some(expires_at),
    };
    let now = stage.commands.clock.now();
    let past = create_key(&stage.commands, &stage.context(), made_to_end(now)).await;
    assert!(past.unwrap_err().to_string().contains("expiry"));
    let made = made_to_end(now.plus_secs(3));
    let made = create_key(&stage.commands, &stage.context(), made).await.unwrap();
    stage.projector.wait_for(made.position, PATIENCE).await.unwrap();
    let short = Caller { key: Some(secret.expose().to_owned()), ..customer.clone() };
    assert_eq!(short.get("/v1/whoami").await.status, 200);
    opens_until(&short, "api_key_expired").await;
    assert_eq!(customer.get("/v1/whoami").await.status, 200, "the other key of the organisation");
    stage.strike().await;
}
