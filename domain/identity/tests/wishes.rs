//! What a person agrees to, and the wish to be forgotten.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, Timestamp, UserId};
use cairn_identity::user::FAILURES_MAX;
use cairn_identity::{Consent, Document, Said, User, UserCommand};

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn registered() -> User {
    let register = UserCommand::Register {
        user_id: UserId::from_bits(1),
        email: "ada@example.org".to_owned(),
        email_index: "e1".to_owned(),
        name: "Ada".to_owned(),
        password: "old".to_owned(),
        at: at(0),
    };
    after(User::default(), [register])
}

fn after(mut user: User, commands: impl IntoIterator<Item = UserCommand>) -> User {
    for command in commands {
        let events = decide_both_ways(user.clone(), command).events();
        user = user.evolve_all(events);
    }
    user
}

fn check(history: &[UserCommand], command: UserCommand) -> When<User> {
    decide_both_ways(after(registered(), history.iter().cloned()), command)
}

fn consent(version: &str, given: bool) -> UserCommand {
    let consent = Consent { version: version.to_owned(), given };
    UserCommand::Consent { document: Document::Terms, consent, said: Said::SignedIn, at: at(1) }
}

const REQUEST: UserCommand = UserCommand::RequestErasure { due_at: at(100), at: at(1) };
const CANCEL: UserCommand = UserCommand::CancelErasure { at: at(2) };

fn close(when: i64) -> UserCommand {
    UserCommand::CloseDue { reason: "asked for".to_owned(), at: at(when) }
}

#[test]
fn what_is_said_of_a_document_counts_until_something_else_is_said() {
    assert_eq!(check(&[], consent("2026-11", true)).events().len(), 1);
    check(&[consent("2026-11", true)], consent("2026-11", true)).then([]);
    assert_eq!(check(&[consent("2026-11", true)], consent("2026-11", false)).events().len(), 1);
    assert_eq!(check(&[consent("2026-11", true)], consent("2026-12", true)).events().len(), 1);
    let user = after(registered(), [consent("2026-11", true), consent("2026-11", false)]);
    assert!(!user.consents[&Document::Terms].given);
    for wrong in ["", "a b", "é", &"1".repeat(41)] {
        check(&[], consent(wrong, true)).then_refused("consent_version_invalid");
    }
}

#[test]
fn whoever_asks_to_be_forgotten_is_when_it_is_due_and_not_before() {
    check(&[], close(200)).then_refused("erasure_not_due");
    check(&[REQUEST], close(99)).then_refused("erasure_not_due");
    assert_eq!(check(&[REQUEST], close(100)).events().len(), 1);
    assert!(after(registered(), [REQUEST, close(100)]).closed);
    check(&[REQUEST, close(100)], close(101)).then([]);
    check(&[REQUEST, close(100)], CANCEL).then_refused("user_closed");
}

#[test]
fn whoever_thinks_better_of_it_stays_and_may_ask_anew() {
    check(&[], CANCEL).then([]);
    check(&[REQUEST, CANCEL], close(200)).then_refused("erasure_not_due");
    assert_eq!(check(&[REQUEST, CANCEL], REQUEST).events().len(), 1);
    let later = UserCommand::RequestErasure { due_at: at(900), at: at(3) };
    check(&[REQUEST], later).then([]);
}

#[test]
fn whoever_tries_one_password_after_the_other_erases_nobody() {
    let failures = (0..FAILURES_MAX).map(|_| UserCommand::FailSignIn { at: at(0) });
    let failures: Vec<_> = failures.collect();
    check(&failures, REQUEST).then_refused("sign_in_locked");
}
