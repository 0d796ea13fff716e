//! What answers say to browsers and caches, who else's pages may read them, in fewer bytes, and in which version.
use std::io::Read as _;

use cairn_identity::Role;
use reqwest::{Method, Response};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{CONSOLE, Caller, Stage, answer};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[sqlx::test(migrations = "../migrations")]
async fn every_answer_is_locked_down(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let answers = [
        owner.get("/v1/balance").await,
        owner.get("/v1/nothing").await,
        owner.post("/v1/top-ups", &wish).await,
        owner.post("/v1/top-ups", &json!({})).await,
        stage.nobody().get("/v1/balance").await,
        stage.nobody().get("/openapi.json").await,
    ];
    for answer in &answers {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cairn-version", "2026-11-27"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answer.header(name), value, "{} {name}", answer.status);
        }
        assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
    }
    let cached: Vec<_> = answers.iter().map(|answer| answer.header("cache-control")).collect();
    assert_eq!(cached[..4], ["private, no-cache", "no-store", "no-store", "no-store"]);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn only_a_version_that_there_is_is_served(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let ask = async |version: &str| {
        answer(owner.request(Method::GET, "/v1/whoami").header("cairn-version", version)).await
    };
    assert_eq!(ask("2026-11-27").await.status, 200);
    let unknown = ask("2026-11-28").await;
    assert_eq!((unknown.status, unknown.code()), (400, "version_unknown"));
    let detail = "'2026-11-28' is no version; there is 2026-11-27";
    assert_eq!(unknown.text("/detail"), detail);
    stage.strike().await;
}

async fn preflight(caller: &Caller, origin: &str) -> Response {
    let request = caller.request(Method::OPTIONS, "/v1/top-ups").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let request = request.header("access-control-request-headers", "authorization,idempotency-key");
    request.send().await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn only_pages_that_are_named_may_read(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let asked = preflight(&owner, CONSOLE).await;
    assert_eq!(header(&asked, "access-control-allow-origin"), CONSOLE);
    let allowed = header(&asked, "access-control-allow-headers");
    assert!(allowed.contains("idempotency-key") && allowed.contains("if-match"), "{allowed}");
    assert_eq!(header(&asked, "access-control-allow-credentials"), "true");
    for stranger in ["https://evil.example", "null", "https://console.example.org.evil.example"] {
        let asked = preflight(&owner, stranger).await;
        assert_eq!(header(&asked, "access-control-allow-origin"), "", "{stranger}");
        let request = owner.request(Method::GET, "/v1/whoami").header("origin", stranger);
        let read = request.send().await.unwrap();
        assert_eq!(header(&read, "access-control-allow-origin"), "", "{stranger}");
    }
    let request = owner.request(Method::GET, "/v1/nothing").header("origin", CONSOLE);
    let read = request.send().await.unwrap();
    assert_eq!(read.status(), 404);
    assert_eq!(header(&read, "access-control-allow-origin"), CONSOLE, "problems are read too");
    let exposed = header(&read, "access-control-expose-headers");
    assert!(exposed.contains("etag") && exposed.contains("ratelimit"), "{exposed}");
    assert!(header(&read, "vary").contains("origin"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_long_is_sent_in_fewer_bytes(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let mut position = String::new();
    for _ in 0..12 {
        let made = owner.post("/v1/top-ups", &wish).await;
        position = made.header("cairn-position").to_owned();
    }
    let list = format!("/v1/top-ups?min_position={position}");
    // The provider waits for the customer: nothing changes from here on.
    let pending = |list: &serde_json::Value| {
        list["items"].as_array().unwrap().iter().all(|item| item["status"] == "pending")
    };
    owner.until(&list, pending).await;
    let plain = owner.get(&list).await;
    let fetch = async |tag: Option<&str>| {
        let request = owner.request(Method::GET, &list).header("accept-encoding", "gzip");
        let request = tag.into_iter().fold(request, |r, tag| r.header("if-none-match", tag));
        request.send().await.unwrap()
    };
    let packed = fetch(None).await;
    assert_eq!(header(&packed, "content-encoding"), "gzip");
    assert!(header(&packed, "vary").contains("accept-encoding"));
    let tag = header(&packed, "etag").to_owned();
    assert!(tag.ends_with("-gzip\""), "other bytes, another tag: {tag}");
    let bytes = packed.bytes().await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["items"][11],
        plain.body["items"][11]
    );
    assert!(bytes.len() < text.len() / 2, "{} of {}", bytes.len(), text.len());
    assert_eq!(fetch(Some(&tag)).await.status(), 304);
    assert_eq!(fetch(Some(plain.header("etag"))).await.status(), 304);
    let short = owner.request(Method::GET, "/v1/whoami").header("accept-encoding", "gzip");
    assert_eq!(header(&short.send().await.unwrap(), "content-encoding"), "");
    stage.strike().await;
}
