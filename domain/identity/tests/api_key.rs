//! The rules of an API key.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{ApiKeyId, Decider, OrganisationId, Timestamp};
use cairn_identity::{ApiKey, ApiKeyCommand, Role};

const AT: Timestamp = Timestamp::from_secs(1_000);

fn create(name: &str, secret_sha256: &str) -> ApiKeyCommand {
    ApiKeyCommand::Create {
        key_id: ApiKeyId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        role: Role::Owner,
        name: name.to_owned(),
        secret_sha256: secret_sha256.to_owned(),
        at: AT,
    }
}

fn revoke() -> ApiKeyCommand {
    ApiKeyCommand::Revoke { reason: "leaked".to_owned(), at: AT }
}

fn fold(commands: impl IntoIterator<Item = ApiKeyCommand>) -> ApiKey {
    commands.into_iter().fold(ApiKey::default(), |key, command| {
        let events = key.decide(command).unwrap();
        events.into_iter().fold(key, ApiKey::evolve)
    })
}

fn check(history: &[ApiKeyCommand], command: ApiKeyCommand) -> When<ApiKey> {
    decide_both_ways(fold(history.to_vec()), command)
}

#[test]
fn a_key_is_created_and_revoked_once() {
    assert_eq!(check(&[], create("ci", "aa")).events().len(), 1);
    check(&[create("ci", "aa")], create("ci", "aa")).then([]);
    assert_eq!(check(&[create("ci", "aa")], revoke()).events().len(), 1);
    check(&[create("ci", "aa"), revoke()], revoke()).then([]);
    assert!(fold([create("ci", "aa"), revoke()]).revoked);
}

#[test]
fn a_revoked_key_does_not_come_back() {
    check(&[create("ci", "aa"), revoke()], create("ci", "aa")).then([]);
    assert!(fold([create("ci", "aa"), revoke(), create("ci", "aa")]).revoked);
}

#[test]
fn a_name_is_1_to_100_characters() {
    check(&[], create(&"ü".repeat(100), "aa")).events();
    check(&[], create("", "aa")).then_refused("key_name_invalid");
    check(&[], create(&"x".repeat(101), "aa")).then_refused("key_name_invalid");
}

#[test]
fn an_id_is_one_key_and_an_unknown_one_cannot_be_revoked() {
    check(&[create("ci", "aa")], create("ci", "bb")).then_refused("id_reused");
    check(&[], revoke()).then_refused("unknown_api_key");
}
