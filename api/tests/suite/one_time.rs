//! One-time passwords: each in its own time and once, and codes for when the device is lost.
use std::time::Duration;

use cairn_core::Timestamp;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::person::{PASSWORD, Person};
use crate::support::Stage;

#[sqlx::test(migrations = "../migrations")]
async fn one_time_passwords_work_once_and_codes_replace_a_lost_device(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let ada = Person::signed_in(&stage, "ada@example.org").await;
    let begun = ada.post("/v1/totp", &json!({})).await;
    let secret = begun.text("/secret");
    assert!(begun.text("/address").contains(&secret), "{}", begun.body);
    let now = || stage.commands.clock.now();
    let late = json!({ "one_time_password": shown(&secret, now().plus_secs(-35)) });
    let over = ada.post("/v1/totp/confirm", &late).await;
    assert_eq!(over.code(), "one_time_password_wrong");
    assert!(over.text("/detail").contains("over"), "{}", over.body);
    next_step(now()).await;
    let confirm = json!({ "one_time_password": shown(&secret, now()) });
    let wrong = ada.post("/v1/totp/confirm", &json!({ "one_time_password": "abc" })).await;
    assert_eq!(wrong.code(), "one_time_password_wrong");
    let confirmed = ada.post("/v1/totp/confirm", &confirm).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let code = confirmed.text("/recovery_codes/0");
    let mut other = Person::new(&stage, "ada@example.org");
    let needed = other.sign_in(PASSWORD).await;
    assert_eq!((needed.status, needed.code()), (401, "one_time_password_needed"));
    let with = |name: &str, value: &str| json!({ "email": "ada@example.org", "password": PASSWORD, name: value });
    let replayed = confirm["one_time_password"].as_str().unwrap();
    let replayed = other.sign_in_with(&with("one_time_password", replayed)).await;
    assert_eq!(replayed.code(), "one_time_password_used", "it was used to confirm");
    let early = shown(&secret, now().plus_secs(30));
    let early = other.sign_in_with(&with("one_time_password", &early)).await;
    assert_eq!(early.code(), "one_time_password_wrong", "it works in its own time alone");
    next_step(now()).await;
    let next = shown(&secret, now());
    let fresh = other.sign_in_with(&with("one_time_password", &next)).await;
    assert_eq!(fresh.status, 201, "{}", fresh.body);
    let recovered = other.sign_in_with(&with("recovery_code", &code)).await;
    assert_eq!(recovered.status, 201, "{}", recovered.body);
    let spent = other.sign_in_with(&with("recovery_code", &code)).await;
    assert_eq!(spent.code(), "one_time_password_used");
    stage.strike().await;
}

/// What a device shows that has this secret.
pub fn shown(secret: &str, at: Timestamp) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let device = TOTP::new(Algorithm::SHA1, 6, 0, 30, bytes).unwrap();
    device.generate(at.as_micros().unsigned_abs() / 1_000_000)
}

/// Sets one-time passwords up: the codes for when the device is lost.
pub async fn set_up(stage: &Stage, person: &Person) -> Vec<String> {
    let begun = person.post("/v1/totp", &json!({})).await;
    let now = stage.commands.clock.now();
    let confirm = json!({ "one_time_password": shown(&begun.text("/secret"), now) });
    let confirmed = person.post("/v1/totp/confirm", &confirm).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let codes = confirmed.body["recovery_codes"].as_array().unwrap().iter();
    codes.map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Waits until the next one-time password has only begun.
async fn next_step(now: Timestamp) {
    let into = now.as_micros().unsigned_abs() % 30_000_000;
    tokio::time::sleep(Duration::from_micros(30_050_000 - into)).await;
}
