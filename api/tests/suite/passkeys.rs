//! Passkeys: added, shown in place of a password, and everything that must not pass for one.
use cairn_commands::privacy::{Wish, erase};
use cairn_core::Subject;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::authenticator::{ADD, Device, ORIGIN, SIGN_IN, begun, forged, within};
use crate::person::{PASSWORD, Person};
use crate::support::{Answer, Stage};

async fn setting(options: PgConnectOptions) -> Stage {
    Stage::set_among(options, |parts| parts.public_url = ORIGIN.to_owned()).await
}

/// Answers an attempt to sign in.
async fn finish(person: &Person, attempt: &str, credential: &Value) -> Answer {
    let path = format!("{SIGN_IN}/finish");
    within(person, attempt).post(&path, &json!({ "credential": credential })).await
}

fn proof() -> Value {
    json!({ "password": PASSWORD })
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_passkey_signs_in_in_place_of_the_password_until_it_is_removed(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = setting(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let wrong = ada.post(ADD, &json!({ "password": "not-her-password" })).await;
    assert_eq!(said(&wrong), (401, "sign_in_failed"), "a session alone is not enough");
    let mut laptop = Device::new();
    let id = laptop.added_to(&ada, "laptop").await;
    let listed = ada.get("/v1/me/passkeys").await;
    assert_eq!(listed.text("/items/0/name"), "laptop");
    assert_eq!(listed.body["items"][0]["last_used_at"], Value::Null);
    let (again, _) = begun(&ada, ADD, &proof()).await;
    let known = again["excludeCredentials"][0]["id"].as_str().unwrap();
    assert_eq!(listed.text("/items/0/credential_id"), known, "no device gets a second one");
    assert_eq!(again["authenticatorSelection"]["userVerification"], "required");

    let mut elsewhere = Person::new(&stage, "");
    let opened = laptop.signs_in(&mut elsewhere).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let session = elsewhere.get("/v1/session").await;
    assert_eq!(session.text("/email"), "ada@example.org");
    assert_eq!(elsewhere.get("/v1/sessions").await.text("/items/0/factor"), "passkey");
    assert_eq!(laptop.signs_in(&mut elsewhere).await.status, 201, "and again");
    let exported = ada.post("/v1/me/export", &proof()).await;
    assert_eq!(exported.text("/passkeys/0/name"), "laptop");
    assert!(!exported.text("/passkeys/0/last_used_at").is_empty(), "{}", exported.body);

    let path = |what: &str| format!("/v1/me/passkeys/{id}/{what}");
    let renamed = json!({ "name": "old laptop", "password": PASSWORD });
    assert_eq!(ada.post(&path("name"), &renamed).await.status, 200);
    assert_eq!(ada.get("/v1/me/passkeys").await.text("/items/0/name"), "old laptop");
    let nameless = json!({ "name": "", "password": PASSWORD });
    let nameless = ada.post(&path("name"), &nameless).await;
    assert_eq!(said(&nameless), (422, "passkey_name_invalid"));
    let refused = ada.post(&path("remove"), &json!({ "password": "guess-guess-1" })).await;
    assert_eq!(said(&refused), (401, "sign_in_failed"));
    assert_eq!(ada.post(&path("remove"), &proof()).await.status, 200);
    assert_eq!(said(&ada.post(&path("remove"), &proof()).await), (404, "unknown_passkey"));
    assert_eq!(said(&laptop.signs_in(&mut elsewhere).await), (404, "unknown_passkey"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_attempt_is_answered_once_in_time_and_where_it_was_begun(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = setting(options.clone()).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let mut key = Device::new();
    key.added_to(&ada, "key").await;
    let nobody = Person::new(&stage, "");
    let invalid = (400, "passkey_attempt_invalid");

    let (asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    assert_eq!(asked["allowCredentials"], json!([]), "nobody is looked up");
    let answer = key.get(&asked);
    assert_eq!(said(&finish(&nobody, "", &answer).await), invalid, "another browser");
    assert_eq!(finish(&nobody, &attempt, &answer).await.status, 201);
    assert_eq!(said(&finish(&nobody, &attempt, &answer).await), invalid, "it was used");

    let (other, elsewhere) = begun(&nobody, SIGN_IN, &json!({})).await;
    assert_ne!(other["challenge"], asked["challenge"]);
    let mixed = finish(&nobody, &elsewhere, &answer).await;
    assert_eq!(said(&mixed), (403, "passkey_refused"), "an answer to another challenge");
    let spent = key.get(&other);
    assert_eq!(
        said(&finish(&nobody, &elsewhere, &spent).await),
        invalid,
        "also a wrong one uses up"
    );

    let (asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    let mut owner = options.connect().await.unwrap();
    let aged = sqlx::query("UPDATE edge_tickets SET expires_at = now() - interval '1 second'");
    assert_eq!(aged.execute(&mut owner).await.unwrap().rows_affected(), 1, "nothing else waits");
    owner.close().await.unwrap();
    let late = key.get(&asked);
    assert_eq!(said(&finish(&nobody, &attempt, &late).await), invalid, "it is over");

    // An attempt to add one is of the session that began it, and no sign-in.
    let (asked, attempt) = begun(&ada, ADD, &proof()).await;
    let credential = Device::new().create(&asked);
    let wish = json!({ "name": "other", "credential": credential });
    let eve = Person::signed_in(&stage, "eve@example.org").await;
    let stolen = within(&eve, &attempt).post("/v1/me/passkeys", &wish).await;
    assert_eq!(said(&stolen), invalid);
    assert_eq!(said(&finish(&nobody, &attempt, &answer).await), invalid);
    let added = within(&ada, &attempt).post("/v1/me/passkeys", &wish).await;
    assert_eq!(added.status, 201, "it was still ada's: {}", added.body);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_that_does_not_hold_signs_nobody_in(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = setting(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let eve = Person::signed_in(&stage, "eve@example.org").await;
    let mut key = Device::new();
    key.added_to(&ada, "key").await;
    let mut eves = Device::new();
    eves.added_to(&eve, "eve's").await;
    let mut nobody = Person::new(&stage, "");
    let refused = (403, "passkey_refused");

    // A page below our name that nobody named; it could have asked the authenticator.
    let mut page = Device { origin: "https://blog.cairn.example.org".to_owned(), ..key.clone() };
    let found = page.signs_in(&mut nobody).await;
    assert_eq!(said(&found), refused);
    assert!(found.text("/detail").contains("origin"), "{}", found.body);

    let (asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    let mut parent = asked.clone();
    parent["rpId"] = "example.org".into();
    let answer = key.get(&parent);
    let found = finish(&nobody, &attempt, &answer).await;
    assert_eq!(said(&found), refused, "for another domain");
    assert!(found.text("/detail").contains("RP ID"), "{}", found.body);

    let (asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    let answer = key.get(&asked);
    // The last byte of r or s: still the form of a signature.
    let bad = forged(&answer, "/response/signature", |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_ne!(bad, answer);
    let found = finish(&nobody, &attempt, &bad).await;
    assert_eq!(said(&found), refused);
    assert!(found.text("/detail").contains("signature"), "{}", found.body);

    let (mut asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    asked["userVerification"] = "discouraged".into();
    let mut shy = Device { verifies: false, ..key.clone() };
    let found = finish(&nobody, &attempt, &shy.get(&asked)).await;
    assert_eq!(said(&found), refused, "it verified nobody");
    assert!(found.text("/detail").contains("verif"), "{}", found.body);

    // Eve's authenticator says that it is ada's, and the other way round.
    let ada_is = key.get(&asked)["response"]["userHandle"].clone();
    let (asked, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    let mut answer = eves.get(&asked);
    answer["response"]["userHandle"] = ada_is;
    assert_eq!(said(&finish(&nobody, &attempt, &answer).await), (404, "unknown_passkey"));
    let (_, attempt) = begun(&nobody, SIGN_IN, &json!({})).await;
    assert_eq!(said(&finish(&nobody, &attempt, &json!({ "id": "x" })).await), refused);
    assert_eq!(nobody.get("/v1/session").await.status, 401);
    let found = key.signs_in(&mut nobody).await;
    assert_eq!(found.status, 201, "the right answer holds: {}", found.body);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn only_what_an_authenticator_made_for_us_is_added(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = setting(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let add = async |person: &Person, attempt: &str, credential: &Value| {
        let wish = json!({ "name": "key", "credential": credential });
        within(person, attempt).post("/v1/me/passkeys", &wish).await
    };
    let (asked, attempt) = begun(&ada, ADD, &proof()).await;
    let mut page = Device { origin: "https://blog.cairn.example.org".to_owned(), ..Device::new() };
    let found = add(&ada, &attempt, &page.create(&asked)).await;
    assert_eq!(said(&found), (403, "passkey_refused"), "another page");
    let (mut asked, attempt) = begun(&ada, ADD, &proof()).await;
    asked["authenticatorSelection"]["userVerification"] = "discouraged".into();
    let mut shy = Device { verifies: false, ..Device::new() };
    let found = add(&ada, &attempt, &shy.create(&asked)).await;
    assert_eq!(said(&found), (403, "passkey_refused"), "it verified nobody");
    let (_, attempt) = begun(&ada, ADD, &proof()).await;
    assert_eq!(said(&add(&ada, &attempt, &json!({})).await), (403, "passkey_refused"));

    // Whoever claims the id of another's passkey gets none. Nothing of an answer without attestation is signed.
    let mut key = Device::new();
    key.added_to(&ada, "key").await;
    let adas = key.held.clone().unwrap().id;
    let eve = Person::signed_in(&stage, "eve@example.org").await;
    let (asked, attempt) = begun(&eve, ADD, &proof()).await;
    let mut device = Device::new();
    let mut made = device.create(&asked);
    let own = device.held.unwrap().id;
    let swap = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(own.len()).position(|part| part == own).unwrap();
        bytes.splice(at..at + own.len(), adas.iter().copied());
    };
    for pointer in ["/id", "/rawId", "/response/attestationObject"] {
        made = forged(&made, pointer, swap);
    }
    assert_eq!(said(&add(&eve, &attempt, &made).await), (409, "passkey_in_use"));
    assert_eq!(ada.get("/v1/me/passkeys").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(eve.get("/v1/me/passkeys").await.body["items"], json!([]));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_passkey_that_counts_backwards_is_refused_and_that_is_recorded(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = setting(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let mut key = Device::new();
    key.added_to(&ada, "key").await;
    let mut copy = key.clone();
    let mut browser = Person::new(&stage, "");
    for _ in 0..2 {
        assert_eq!(key.signs_in(&mut browser).await.status, 201);
    }
    let cloned = copy.signs_in(&mut Person::new(&stage, "")).await;
    assert_eq!(said(&cloned), (403, "passkey_cloned"));
    let exported = ada.post("/v1/me/export", &proof()).await;
    let events = exported.body["events"].as_array().unwrap();
    let failed = events.iter().filter(|event| event["event_type"] == "user.sign_in_failed");
    assert_eq!(failed.count(), 1, "whose it is reads of it");
    assert_eq!(key.signs_in(&mut browser).await.status, 201, "the one that is ahead goes on");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_locked_out_or_erased_does_not_come_in_by_a_passkey(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = setting(options.clone()).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let known = ada.get("/v1/session").await.text("/user_id");
    let mut key = Device::new();
    let id = key.added_to(&ada, "key").await;
    let mut guesser = Person::new(&stage, "ada@example.org");
    for _ in 0..10 {
        assert_eq!(guesser.sign_in("not-her-password").await.code(), "sign_in_failed");
    }
    assert_eq!(said(&key.signs_in(&mut guesser).await), (403, "sign_in_locked"));
    let begun = ada.post(ADD, &proof()).await;
    assert_eq!(said(&begun), (403, "sign_in_locked"), "nor is the password guessed from inside");
    let removed = ada.post(&format!("/v1/me/passkeys/{id}/remove"), &proof()).await;
    assert_eq!(said(&removed), (403, "sign_in_locked"));

    let subject = Subject::user(known.parse().unwrap());
    let wish = Wish {
        subject,
        reason: "asked".to_owned(),
        despite_findings: true,
        organisations: vec![],
        when_due: false,
    };
    let mut owner = options.connect().await.unwrap();
    let erased = erase(&stage.commands, &stage.context(), &mut owner, wish).await.unwrap();
    assert!(erased.key_destroyed, "{erased:?}");
    owner.close().await.unwrap();
    let forgotten = key.signs_in(&mut Person::new(&stage, "")).await;
    assert_eq!(said(&forgotten), (404, "unknown_passkey"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_one_server_began_any_other_finishes_once(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let first = setting(options.clone()).await;
    let here = Person::signed_in(&first, "ada@example.org").await;
    let mut key = Device::new();
    key.added_to(&here, "key").await;
    let named = |parts: &mut cairn_api::wiring::Outside| parts.public_url = ORIGIN.to_owned();
    let second = first.beside_among(options, named).await;
    let (one, other) = (Person::new(&first, ""), Person::new(&second, ""));
    let (asked, attempt) = begun(&one, SIGN_IN, &json!({})).await;
    let answer = key.get(&asked);
    let (a, b) = tokio::join!(finish(&one, &attempt, &answer), finish(&other, &attempt, &answer));
    let mut codes = [said(&a), said(&b)];
    codes.sort_unstable();
    assert_eq!(codes, [(201, ""), (400, "passkey_attempt_invalid")]);
    let (asked, attempt) = begun(&one, SIGN_IN, &json!({})).await;
    let opened = finish(&other, &attempt, &key.get(&asked)).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    second.strike().await;
    first.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_without_a_name_takes_no_passkeys(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    for (path, body) in [(SIGN_IN, json!({})), (ADD, proof())] {
        let refused = ada.post(path, &body).await;
        assert_eq!(said(&refused), (409, "passkeys_unavailable"), "{path}");
    }
    assert_eq!(ada.get("/v1/me/passkeys").await.body["items"], json!([]));
    stage.strike().await;
}
