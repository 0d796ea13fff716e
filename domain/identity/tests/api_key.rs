//! The rules of an API key.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{ApiKeyId, Decider, OrganisationId, ServiceAccountId, Timestamp, UserId};
use cairn_identity::{ApiKey, ApiKeyCommand, ApiKeyEvent, Holder, Role};

const AT: Timestamp = Timestamp::from_secs(1_000);

fn create(name: &str, secret_sha256: &str) -> ApiKeyCommand {
    ApiKeyCommand::Create {
        key_id: ApiKeyId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        role: Role::Owner,
        scopes: vec![],
        name: name.to_owned(),
        secret_sha256: secret_sha256.to_owned(),
        holder: None,
        expires_at: None,
        at: AT,
    }
}

fn expiring(after: i64) -> ApiKeyCommand {
    let ApiKeyCommand::Create {
        key_id,
        organisation_id,
        role,
        scopes,
        name,
        secret_sha256,
        at,
        ..
    } = create("ci", "aa")
    else {
        unreachable!()
    };
    let expires_at = Some(Timestamp::from_secs(1_000 + after));
    ApiKeyCommand::Create {
        key_id,
        organisation_id,
        role,
        scopes,
        name,
        secret_sha256,
        holder: None,
        expires_at,
        at,
    }
}

fn expire(after: i64) -> ApiKeyCommand {
    let expires_at = Timestamp::from_secs(1_000 + after);
    ApiKeyCommand::SetExpiry { expires_at, successor: Some(ApiKeyId::from_bits(9)), at: AT }
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

#[test]
fn a_key_may_be_made_with_an_expiry_to_come() {
    assert_eq!(check(&[], expiring(60)).events().len(), 2);
    assert_eq!(fold([expiring(60)]).expires_at, Some(Timestamp::from_secs(1_060)));
    check(&[expiring(60)], expiring(60)).then([]);
    check(&[], expiring(0)).then_refused("key_expiry_invalid");
    check(&[], expiring(-1)).then_refused("key_expiry_invalid");
}

#[test]
fn an_expiry_only_moves_nearer() {
    assert_eq!(check(&[create("ci", "aa")], expire(60)).events().len(), 1);
    assert_eq!(check(&[create("ci", "aa"), expire(60)], expire(0)).events().len(), 1);
    check(&[create("ci", "aa"), expire(60)], expire(60)).then([]);
    check(&[create("ci", "aa"), expire(60)], expire(61)).then_refused("key_expiry_invalid");
    check(&[expiring(60)], expire(61)).then_refused("key_expiry_invalid");
    check(&[create("ci", "aa")], expire(-1)).then_refused("key_expiry_invalid");
}

#[test]
fn what_is_revoked_or_unknown_cannot_expire() {
    check(&[create("ci", "aa"), revoke()], expire(60)).then_refused("api_key_revoked");
    check(&[], expire(60)).then_refused("unknown_api_key");
}

fn held(by: Holder) -> ApiKeyCommand {
    let ApiKeyCommand::Create {
        key_id,
        organisation_id,
        role,
        scopes,
        name,
        secret_sha256,
        at,
        ..
    } = create("ada@laptop", "aa")
    else {
        unreachable!()
    };
    ApiKeyCommand::Create {
        key_id,
        organisation_id,
        role,
        scopes,
        name,
        secret_sha256,
        holder: Some(by),
        expires_at: Some(Timestamp::from_secs(1_060)),
        at,
    }
}

#[test]
fn a_key_stands_for_somebody_as_it_is_made_or_never() {
    let (user_id, service_account_id) = (UserId::from_bits(3), ServiceAccountId::from_bits(4));
    for (holder, fact) in [
        (Holder::Person(user_id), ApiKeyEvent::Issued { user_id, at: AT }),
        (
            Holder::ServiceAccount(service_account_id),
            ApiKeyEvent::Assigned { service_account_id, at: AT },
        ),
    ] {
        let made = held(holder);
        let events = check(&[], made.clone()).events();
        assert_eq!((events.len(), &events[1]), (3, &fact));
        check(std::slice::from_ref(&made), made.clone()).then([]);
        assert_eq!(check(std::slice::from_ref(&made), revoke()).events().len(), 1);
    }
}
