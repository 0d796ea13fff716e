//! Programs that a person lets in: one key, for whoever was let in, as long as whoever let them in is what they were.
use cairn_api::quota::Rates;
use cairn_core::OrganisationId;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::{Mailbox, Person};
use crate::support::{Answer, Caller, Stage, answer};

/// A program that asks, and has two codes.
struct Device {
    caller: Caller,
    codes: Value,
}

impl Device {
    async fn asks(stage: &Stage, scopes: &[&str]) -> Self {
        let caller = stage.nobody();
        let wish = json!({ "name": "ada@laptop", "scopes": scopes, "expires_in_seconds": 3_600 });
        let asked = caller.post("/v1/device/code", &wish).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        Self { caller, codes: asked.body }
    }

    /// What the person types.
    fn typed(&self) -> Value {
        json!({ "user_code": self.codes["user_code"] })
    }

    /// Asks without waiting for the interval.
    async fn polls(&self) -> Answer {
        let asked = json!({ "device_code": self.codes["device_code"] });
        self.caller.post("/v1/device/token", &asked).await
    }

    /// Asks when the interval is over.
    async fn polls_in_time(&self, stage: &Stage) -> Answer {
        change(stage, "UPDATE edge_devices SET polled_at = polled_at - interval '1 hour'").await;
        self.polls().await
    }

    /// Whoever has the key that was given.
    fn with(&self, token: &Answer) -> Caller {
        let organisation_id = token.text("/organisation_id").parse().unwrap();
        Caller { key: Some(token.text("/access_token")), organisation_id, ..self.caller.clone() }
    }
}

async fn change(stage: &Stage, sql: &'static str) -> u64 {
    sqlx::query(sql).execute(stage.api().pool()).await.unwrap().rows_affected()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_program_is_let_in_once_as_whoever_let_it_in(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Analytical Engines").await;
    let device = Device::asks(&stage, &["compute:read", "ledger:read"]).await;
    let pending = device.polls().await;
    assert_eq!((pending.status, pending.code()), (400, "authorization_pending"));
    assert_eq!(pending.header("retry-after"), "5");
    let hasty = device.polls().await;
    assert_eq!((hasty.status, hasty.code()), (400, "slow_down"));
    assert_eq!(hasty.header("retry-after"), "10", "and from now on the interval is longer");

    let asked = ada.post("/v1/device/lookup", &device.typed()).await;
    assert_eq!(asked.text("/name"), "ada@laptop");
    assert_eq!(asked.body["scopes"], json!(["compute:read", "ledger:read"]));
    assert_eq!(asked.text("/address"), "127.0.0.1");
    let narrowed = json!({ "user_code": device.codes["user_code"], "scopes": ["compute:read"] });
    let approved = ada.post("/v1/device/approve", &narrowed).await;
    assert_eq!((approved.status, approved.text("/status")), (200, "approved".to_owned()));
    for path in ["/v1/device/approve", "/v1/device/deny", "/v1/device/lookup"] {
        let again = ada.post(path, &device.typed()).await;
        assert_eq!((again.status, again.code()), (422, "link_invalid"), "{path}: one decision");
    }

    let token = device.polls_in_time(&stage).await;
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(
        (token.text("/scope"), token.text("/role")),
        ("compute:read".into(), "owner".into())
    );
    let again = device.polls().await;
    assert_eq!((again.status, again.code()), (400, "expired_token"), "the key is given once");

    let key = device.with(&token);
    assert_eq!(key.get("/v1/allocations").await.status, 200);
    assert_eq!(key.get("/v1/balance").await.code(), "scope_missing");
    let who = key.get("/v1/whoami").await;
    assert_eq!(who.text("/organisation_id"), organisation.to_string(), "whatever its scopes are");
    let listed = ada.get(&format!("/v1/keys/{}", token.text("/key_id"))).await;
    assert_eq!(listed.text("/name"), "ada@laptop");
    assert_eq!(listed.text("/user_id"), ada.get("/v1/session").await.text("/user_id"));
    assert!(!listed.text("/expires_at").is_empty());
    let made = "SELECT count(*) FROM events WHERE event_type = 'api_key.issued' AND metadata->>'actor' = payload->>'user_id'";
    let made: i64 = sqlx::query_scalar(made).fetch_one(stage.api().pool()).await.unwrap();
    assert_eq!(made, 1, "who let it in stands in the log");

    let given_up = key.post("/v1/key-surrenders", &json!({ "key": key.key })).await;
    let unknown = json!({ "key": cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().expose() });
    for stranger in [unknown, json!({ "key": "none" })] {
        let other = key.post("/v1/key-surrenders", &stranger).await;
        assert_eq!((other.status, other.body), (200, given_up.body.clone()), "nobody learns more");
    }
    assert_eq!(key.get("/v1/whoami").await.status, 401);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_is_denied_late_or_unknown_gets_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("A").await;
    let denied = Device::asks(&stage, &[]).await;
    assert_eq!(ada.post("/v1/device/deny", &denied.typed()).await.text("/status"), "denied");
    let found = denied.polls().await;
    assert_eq!((found.status, found.code()), (400, "access_denied"));
    assert_eq!(ada.post("/v1/device/approve", &denied.typed()).await.code(), "link_invalid");

    let late = Device::asks(&stage, &[]).await;
    assert_eq!(ada.post("/v1/device/approve", &late.typed()).await.status, 200);
    let over = "UPDATE edge_devices SET expires_at = now() - interval '1 second'";
    assert_eq!(change(&stage, over).await, 2);
    assert_eq!(late.polls().await.code(), "expired_token");
    let unseen = Device::asks(&stage, &[]).await;
    change(&stage, over).await;
    assert_eq!(ada.post("/v1/device/approve", &unseen.typed()).await.code(), "link_invalid");

    for code in ["", "cairn_device_x", unseen.codes["user_code"].as_str().unwrap()] {
        let found = stage.nobody().post("/v1/device/token", &json!({ "device_code": code })).await;
        assert_eq!((found.status, found.code()), (400, "expired_token"), "{code}");
    }
    let typo = ada.post("/v1/device/approve", &json!({ "user_code": "AEIO-UAEI" })).await;
    assert_eq!(
        (typo.status, typo.body["errors"][0]["pointer"].as_str()),
        (422, Some("/user_code"))
    );
    let keys = ada.get("/v1/keys").await;
    assert_eq!(keys.body["items"], json!([]), "no key was made");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn only_a_person_at_their_own_page_lets_a_program_in(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("A").await;
    let device = Device::asks(&stage, &[]).await;
    let key = stage.caller_of(cairn_identity::Role::Owner, organisation).await;
    for path in ["/v1/device/approve", "/v1/device/deny", "/v1/device/lookup"] {
        assert_eq!(key.post(path, &device.typed()).await.code(), "forbidden", "{path}: a key");
        let forged = Person { csrf: "0".repeat(64), ..ada.clone() };
        assert_eq!(forged.post(path, &device.typed()).await.code(), "csrf_token_invalid", "{path}");
        let request = ada.request(Method::POST, path).header("origin", "https://evil.example.org");
        let foreign = answer(request.json(&device.typed())).await;
        assert_eq!(foreign.code(), "origin_forbidden", "{path}");
        let nobody = Person::new(&stage, "nobody@example.org").post(path, &device.typed()).await;
        assert_eq!(nobody.code(), "unauthenticated", "{path}");
    }
    let elsewhere = Person { organisation: Some(OrganisationId::from_bits(7)), ..ada.clone() };
    assert_eq!(elsewhere.post("/v1/device/approve", &device.typed()).await.code(), "forbidden");
    let homeless = Person::signed_in(&stage, "homeless@example.org").await;
    let found = homeless.post("/v1/device/approve", &device.typed()).await;
    assert_eq!(found.code(), "organisation_needed");
    let operator = stage.caller(cairn_identity::Role::PlatformOperator).await;
    let path = format!("/v1/organisations/{organisation}/suspend");
    assert_eq!(operator.post(&path, &json!({ "reason": "unpaid" })).await.status, 200);
    let found = ada.post("/v1/device/approve", &device.typed()).await;
    assert_eq!(found.code(), "organisation_suspended");
    assert_eq!(device.polls().await.code(), "authorization_pending", "nobody has decided");

    let kept =
        "SELECT count(*) FROM edge_devices d WHERE d::text ~ ($1 || '|' || $2 || '|ada@|127[.]0')";
    let code = |name: &str| device.codes[name].as_str().unwrap().to_owned();
    let kept = sqlx::query_scalar(kept).bind(code("device_code"));
    let kept = kept.bind(code("user_code").replace('-', "")).fetch_one(stage.api().pool()).await;
    assert_eq!(kept.unwrap_or(1), 0_i64, "only hashes of codes are kept, and the rest is sealed");
    stage.strike().await;
}

/// A member of Ada's organisation, by her invitation.
async fn member(stage: &Stage, ada: &Person, role: &str) -> Person {
    let email = "bob@example.org";
    let mut bob = Person::signed_in(stage, email).await;
    let mailbox = Mailbox::of(stage, email);
    let known = mailbox.codes();
    let invited = ada.post("/v1/invitations", &json!({ "email": email, "role": role })).await;
    assert_eq!(invited.status, 201, "{}", invited.body);
    let code = json!({ "code": mailbox.code_beside(&known).await });
    assert_eq!(bob.post("/v1/invitations/accept", &code).await.status, 200);
    bob.organisation = ada.organisation;
    bob
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_of_a_person_ends_with_what_they_were(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("A").await;
    let bob = member(&stage, &ada, "developer").await;
    let bobs = bob.get("/v1/session").await.text("/user_id");
    let device = Device::asks(&stage, &[]).await;
    assert_eq!(bob.post("/v1/device/approve", &device.typed()).await.status, 200);
    let token = device.polls().await;
    assert_eq!(token.text("/role"), "developer", "a developer makes no keys, but has this one");
    let key = device.with(&token);
    assert_eq!(key.get("/v1/allocations").await.status, 200);

    let waiting = Device::asks(&stage, &[]).await;
    assert_eq!(bob.post("/v1/device/approve", &waiting.typed()).await.status, 200);
    let change = ada.post(&format!("/v1/members/{bobs}/role"), &json!({ "role": "admin" })).await;
    assert_eq!(change.status, 200, "{}", change.body);
    let found = waiting.polls().await;
    assert_eq!((found.status, found.code()), (400, "access_denied"), "he is another than he was");
    // What this process remembers of a key is a few seconds old at most.
    let key_id = token.text("/key_id").parse().unwrap();
    stage.api().directory.forget_key(key_id);
    let found = key.get("/v1/allocations").await;
    assert_eq!(
        (found.status, found.code()),
        (401, "unauthenticated"),
        "no key grows with its person"
    );

    let back = ada.post(&format!("/v1/members/{bobs}/role"), &json!({ "role": "developer" })).await;
    assert_eq!(back.status, 200, "{}", back.body);
    stage.api().directory.forget_key(key_id);
    assert_eq!(key.get("/v1/allocations").await.status, 200);
    let left = Device::asks(&stage, &[]).await;
    assert_eq!(bob.post("/v1/device/approve", &left.typed()).await.status, 200);
    assert_eq!(bob.post("/v1/session/end", &json!({})).await.status, 200);
    assert_eq!(left.polls().await.code(), "access_denied", "whoever let it in has signed out");
    let rotate = format!("/v1/keys/{}/rotate", token.text("/key_id"));
    let rotated = ada.post(&rotate, &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let later = Caller { key: Some(rotated.text("/key")), ..key.clone() };
    assert_eq!(later.get("/v1/allocations").await.status, 200);
    let removed = ada.post(&format!("/v1/members/{bobs}/remove"), &json!({})).await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    stage.api().directory.forget_key(key_id);
    assert_eq!(key.get("/v1/allocations").await.code(), "unauthenticated");
    stage.api().directory.forget_key(rotated.text("/key_id").parse().unwrap());
    let found = later.get("/v1/allocations").await;
    assert_eq!(found.code(), "unauthenticated", "whose it was it stays");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_guesses_a_code(_: PgPoolOptions, options: PgConnectOptions) {
    let rates: Rates = "sign_in=7/900".parse().unwrap();
    let stage = Stage::set_counting(options, rates).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("A").await;
    let mut refused = 0;
    for letter in ["B", "C", "D", "F", "G", "H", "J", "K", "L"] {
        let guess = json!({ "user_code": letter.repeat(8) });
        let found = ada.post("/v1/device/lookup", &guess).await;
        match found.status {
            422 => assert_eq!((found.code(), refused), ("link_invalid", 0)),
            _ => {
                assert_eq!((found.status, found.code()), (429, "rate_limited"));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2);
    stage.strike().await;
}
