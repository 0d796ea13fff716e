//! The rules of a person.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::decide_both_ways;
use cairn_core::{Decider, SessionId, Timestamp, UserId};
use cairn_identity::user::{FAILURES_MAX, LOCKED_SECS, PASSKEYS_MAX, SESSIONS_MAX, Totp};
use cairn_identity::{
    Algorithm, Backup, EndReason, Factor, Identity, LinkPurpose, Passkey, PasskeyCommand,
    PasskeyShown, Proof, SignIn, User, UserCommand, UserError, UserEvent,
};

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn register() -> UserCommand {
    UserCommand::Register {
        user_id: UserId::from_bits(1),
        email: "ada@example.org".to_owned(),
        email_index: "e1".to_owned(),
        name: "Ada".to_owned(),
        password: "old".to_owned(),
        at: at(0),
    }
}

fn link(purpose: LinkPurpose, hash: &str) -> UserCommand {
    let (token, token_sha256) = ("t".to_owned(), hash.to_owned());
    UserCommand::RequestLink { purpose, token, token_sha256, expires_at: at(100), at: at(0) }
}

fn verify(hash: &str, when: i64) -> UserCommand {
    UserCommand::VerifyEmail { token_sha256: hash.to_owned(), at: at(when) }
}

fn signing_in(number: u128, when: i64) -> SignIn {
    SignIn {
        session_id: SessionId::from_bits(number),
        secret_sha256: format!("s{number}"),
        password: "old".to_owned(),
        factor: Factor::Password,
        identity: None,
        passkey: None,
        recovery_sha256: None,
        step: None,
        ends_at: at(when + 1_000),
        at: at(when),
    }
}

fn set(password: &str, proof: Proof) -> UserCommand {
    UserCommand::SetPassword { password: password.to_owned(), proof, renewed: None, at: at(50) }
}

/// Decides, and goes on from there.
fn after(mut user: User, commands: impl IntoIterator<Item = UserCommand>) -> User {
    for command in commands {
        let events = decide_both_ways(user.clone(), command).events();
        user = user.evolve_all(events);
    }
    user
}

fn verified() -> User {
    let link = link(LinkPurpose::VerifyEmail, "h1");
    after(User::default(), [register(), link, verify("h1", 1)])
}

fn refusal(user: &User, command: UserCommand) -> UserError {
    user.decide(command).unwrap_err()
}

#[test]
fn only_a_verified_address_signs_in() {
    let unverified = after(User::default(), [register()]);
    let refused = refusal(&unverified, UserCommand::SignIn(signing_in(1, 2)));
    assert_eq!(refused, UserError::EmailUnverified);
    let signed_in = after(verified(), [UserCommand::SignIn(signing_in(1, 2))]);
    assert_eq!(signed_in.sessions.len(), 1);
    assert_eq!(refusal(&User::default(), verify("h1", 1)), UserError::Unknown);
}

#[test]
fn a_code_works_once_until_it_is_over_and_for_one_purpose() {
    let sent = after(User::default(), [register(), link(LinkPurpose::VerifyEmail, "h1")]);
    assert_eq!(refusal(&sent, verify("h1", 100)), UserError::LinkInvalid, "it is over");
    assert_eq!(refusal(&sent, verify("h2", 1)), UserError::LinkInvalid);
    let reset = set("new", Proof::Link("h1".to_owned()));
    assert_eq!(refusal(&sent, reset), UserError::LinkInvalid, "another purpose");
    let used = after(sent.clone(), [verify("h1", 1)]);
    assert_eq!(refusal(&used, verify("h1", 2)), UserError::LinkInvalid);
    let newer = after(sent, [link(LinkPurpose::VerifyEmail, "h3")]);
    assert_eq!(refusal(&newer, verify("h1", 1)), UserError::LinkInvalid, "a newer one was sent");
}

#[test]
fn a_new_password_ends_every_session_but_the_one_that_goes_on() {
    let sessions = [1, 2].map(|number| UserCommand::SignIn(signing_in(number, 2)));
    let user = after(verified(), sessions);
    assert_eq!(after(user.clone(), [set("new", Proof::OldPassword)]).sessions, []);
    let kept = UserCommand::SetPassword {
        password: "new".to_owned(),
        proof: Proof::OldPassword,
        renewed: Some((SessionId::from_bits(2), "s3".to_owned())),
        at: at(50),
    };
    let kept = after(user.clone(), [kept]);
    let ids: Vec<_> = kept.sessions.iter().map(|session| session.session_id).collect();
    assert_eq!(ids, [SessionId::from_bits(2)]);
    // Whoever had checked the old one meanwhile does not get in with it.
    let late = refusal(&kept, UserCommand::SignIn(signing_in(9, 60)));
    assert_eq!(late, UserError::PasswordChanged);
    let sent = after(user, [link(LinkPurpose::ResetPassword, "h2")]);
    let reset = after(sent, [set("new", Proof::Link("h2".to_owned()))]);
    assert_eq!((reset.sessions.len(), reset.password.as_str()), (0, "new"));
}

#[test]
fn who_resets_a_password_has_the_address() {
    let commands = [register(), link(LinkPurpose::ResetPassword, "h2")];
    let reset = set("new", Proof::Link("h2".to_owned()));
    assert!(after(after(User::default(), commands), [reset]).verified);
}

#[test]
fn failures_in_a_row_lock_for_a_while() {
    let failures = |count: u32| {
        (0..count).map(|number| UserCommand::FailSignIn { at: at(10 + i64::from(number)) })
    };
    let right = |when| UserCommand::SignIn(signing_in(1, when));
    assert!(after(verified(), failures(FAILURES_MAX - 1)).decide(right(30)).is_ok());
    let locked = after(verified(), failures(FAILURES_MAX));
    assert_eq!(refusal(&locked, right(30)), UserError::Locked, "also with the right password");
    let change = UserCommand::SetPassword {
        password: "new".to_owned(),
        proof: Proof::OldPassword,
        renewed: None,
        at: at(30),
    };
    assert_eq!(refusal(&locked, change), UserError::Locked, "nor is it guessed from inside");
    let begun =
        after(locked.clone(), [UserCommand::BeginTotp { secret: "s".to_owned(), at: at(30) }]);
    let remove = UserCommand::RemoveTotp { at: at(31) };
    assert_eq!(refusal(&begun, remove), UserError::Locked);
    let last = 10 + i64::from(FAILURES_MAX) - 1;
    assert_eq!(refusal(&locked, right(last + LOCKED_SECS)), UserError::Locked);
    assert!(locked.decide(right(last + LOCKED_SECS + 1)).is_ok());
    let spread = (0..i64::from(FAILURES_MAX))
        .map(|number| UserCommand::FailSignIn { at: at(number * (LOCKED_SECS + 1)) });
    assert_eq!(after(verified(), spread).failures, 1, "they were not in a row");
}

#[test]
fn one_time_passwords_work_once_and_forwards() {
    let codes = vec!["r1".to_owned(), "r2".to_owned()];
    let begin = UserCommand::BeginTotp { secret: "s".to_owned(), at: at(2) };
    let confirm =
        |step| UserCommand::ConfirmTotp { step, recovery_sha256: codes.clone(), at: at(3) };
    assert_eq!(refusal(&verified(), confirm(7)), UserError::TotpNotBegun);
    let begun = after(verified(), [begin.clone()]);
    assert!(begun.decide(UserCommand::SignIn(signing_in(1, 4))).is_ok(), "not demanded yet");
    let user = after(begun, [confirm(7)]);
    assert_eq!(refusal(&user, begin), UserError::TotpInUse);
    let with = |number, step, code: Option<&str>| {
        let recovery_sha256 = code.map(str::to_owned);
        UserCommand::SignIn(SignIn { step, recovery_sha256, ..signing_in(number, 5) })
    };
    assert_eq!(refusal(&user, with(1, None, None)), UserError::CodeNeeded);
    assert_eq!(refusal(&user, with(1, Some(7), None)), UserError::CodeUsed, "it confirmed");
    let user = after(user, [with(1, Some(9), None)]);
    assert_eq!(refusal(&user, with(2, Some(9), None)), UserError::CodeUsed);
    assert_eq!(refusal(&user, with(2, Some(8), None)), UserError::CodeUsed);
    let user = after(user, [with(2, None, Some("r1"))]);
    assert_eq!(refusal(&user, with(3, None, Some("r1"))), UserError::CodeUsed);
    let user = after(user, [UserCommand::RemoveTotp { at: at(6) }]);
    assert!(user.decide(with(3, None, None)).is_ok());
}

#[test]
fn sessions_are_bounded_and_the_oldest_makes_room() {
    let many = (0..SESSIONS_MAX).map(|n| UserCommand::SignIn(signing_in(n as u128, n as i64)));
    let full = after(verified(), many);
    let one_more = full.decide(UserCommand::SignIn(signing_in(900, 200))).unwrap();
    let [UserEvent::SessionEnded { session_id, why, .. }, UserEvent::SignedIn { .. }] = &*one_more
    else {
        panic!("{one_more:?}")
    };
    assert_eq!((*session_id, *why), (SessionId::from_bits(0), EndReason::Displaced));
}

#[test]
fn whoever_runs_it_ends_every_session_with_a_reason() {
    let end = |reason: &str| UserCommand::EndSessions { reason: reason.to_owned(), at: at(60) };
    let user = after(verified(), [UserCommand::SignIn(signing_in(1, 10))]);
    assert_eq!(refusal(&user, end("")), UserError::ReasonNeeded);
    assert_eq!(refusal(&user, end(&"x".repeat(501))), UserError::ReasonNeeded);
    let user = after(user, [end("stolen")]);
    assert_eq!(user.sessions, []);
    assert_eq!(decide_both_ways(user.clone(), end("again")).events(), [], "nothing is left to end");
    assert_eq!(after(user, [UserCommand::SignIn(signing_in(2, 70))]).sessions.len(), 1);
}

#[test]
fn who_lost_all_factors_begins_anew_with_the_address_alone() {
    let reset = |reason: &str| UserCommand::ResetFactors { reason: reason.to_owned(), at: at(60) };
    let totp = [
        UserCommand::BeginTotp { secret: "s".to_owned(), at: at(10) },
        UserCommand::ConfirmTotp { step: 1, recovery_sha256: vec!["r1".to_owned()], at: at(10) },
    ];
    let user = after(verified(), totp);
    let user = after(user, [add_passkey("k1", 0), shown(1, "k1", 0)]);
    assert_eq!(refusal(&user, reset("")), UserError::ReasonNeeded);
    let user = after(user, [reset("called back")]);
    assert_eq!((&user.totp, user.passkeys.len(), user.sessions.len()), (&Totp::Off, 0, 0));
    for password in ["old", ""] {
        let sign_in = SignIn { password: password.to_owned(), ..signing_in(2, 70) };
        assert_eq!(refusal(&user, UserCommand::SignIn(sign_in)), UserError::PasswordChanged);
    }
    assert_eq!(decide_both_ways(user.clone(), reset("again")).events(), []);
    let user = after(user, [link(LinkPurpose::ResetPassword, "c1")]);
    let user = after(user, [set("new", Proof::Link("c1".to_owned()))]);
    let sign_in = SignIn { password: "new".to_owned(), ..signing_in(3, 70) };
    assert_eq!(after(user, [UserCommand::SignIn(sign_in)]).sessions.len(), 1);
}

#[test]
fn a_closed_account_opens_nothing() {
    let open = after(verified(), [UserCommand::SignIn(signing_in(1, 2))]);
    let close = UserCommand::Close { reason: "gone".to_owned(), at: at(9) };
    let closed = after(open, [close.clone()]);
    assert_eq!(closed.sessions, []);
    assert_eq!(closed.decide(close), Ok(vec![]));
    assert_eq!(refusal(&closed, UserCommand::SignIn(signing_in(2, 10))), UserError::Closed);
}

fn link_identity(issuer: &str, vouched: bool) -> UserCommand {
    let identity = Identity {
        provider: "example".to_owned(),
        issuer: issuer.to_owned(),
        subject: "s".to_owned(),
        identity_index: format!("{issuer}-s"),
    };
    UserCommand::LinkIdentity { identity, vouched, at: at(20) }
}

fn vouched(number: u128, index: &str) -> UserCommand {
    let (identity, factor) = (Some(index.to_owned()), Factor::IdentityProvider);
    let password = String::new();
    UserCommand::SignIn(SignIn { identity, factor, password, ..signing_in(number, 30) })
}

#[test]
fn a_linked_identity_signs_in_in_place_of_password_and_second_factor() {
    let begin = UserCommand::BeginTotp { secret: "s".to_owned(), at: at(2) };
    let confirm = UserCommand::ConfirmTotp { step: 7, recovery_sha256: vec![], at: at(3) };
    let user = after(verified(), [begin, confirm]);
    assert_eq!(refusal(&user, vouched(1, "one-s")), UserError::UnknownIdentity);
    let user = after(user, [link_identity("one", false)]);
    assert!(user.decide(vouched(1, "one-s")).is_ok());
    assert_eq!(refusal(&user, vouched(1, "two-s")), UserError::UnknownIdentity);
    let fails = (0..FAILURES_MAX).map(|_| UserCommand::FailSignIn { at: at(29) });
    assert_eq!(refusal(&after(user.clone(), fails), vouched(1, "one-s")), UserError::Locked);
    let unlink = UserCommand::UnlinkIdentity { identity_index: "one-s".to_owned(), at: at(21) };
    let user = after(user, [unlink.clone()]);
    assert_eq!(refusal(&user, unlink), UserError::UnknownIdentity);
    assert_eq!(refusal(&user, vouched(1, "one-s")), UserError::UnknownIdentity);
}

#[test]
fn one_identity_of_each_issuer_is_linked_and_a_vouched_one_verifies_the_address() {
    let user = after(User::default(), [register()]);
    assert_eq!(
        refusal(&after(user.clone(), [link_identity("one", false)]), vouched(1, "one-s")),
        UserError::EmailUnverified
    );
    let user = after(user, [link_identity("one", true)]);
    assert!(user.verified);
    assert_eq!(user.decide(link_identity("one", true)), Ok(vec![]));
    let UserCommand::LinkIdentity { mut identity, vouched, at } = link_identity("one", false)
    else {
        unreachable!()
    };
    identity.identity_index = "one-t".to_owned();
    let other = UserCommand::LinkIdentity { identity, vouched, at };
    assert_eq!(refusal(&user, other), UserError::IdentityInUse);
    assert_eq!(after(user, [link_identity("two", false)]).identities.len(), 2);
}

fn passkey(command: PasskeyCommand) -> UserCommand {
    UserCommand::Passkey(command)
}

fn add_passkey(hash: &str, sign_count: u32) -> UserCommand {
    let added = Passkey {
        credential_sha256: hash.to_owned(),
        credential_id: "id".to_owned(),
        algorithm: Algorithm::Es256,
        public_key: "key".to_owned(),
        sign_count,
        backup: Backup::NotEligible,
        name: "laptop".to_owned(),
    };
    passkey(PasskeyCommand::Add { passkey: added, at: at(20) })
}

fn shown(number: u128, hash: &str, sign_count: u32) -> UserCommand {
    let backup = Backup::NotEligible;
    let passkey = PasskeyShown { credential_sha256: hash.to_owned(), sign_count, backup };
    let (factor, password, passkey) = (Factor::Passkey, String::new(), Some(passkey));
    UserCommand::SignIn(SignIn { passkey, factor, password, ..signing_in(number, 30) })
}

#[test]
fn a_passkey_signs_in_in_place_of_password_and_second_factor() {
    let begin = UserCommand::BeginTotp { secret: "s".to_owned(), at: at(2) };
    let confirm = UserCommand::ConfirmTotp { step: 7, recovery_sha256: vec![], at: at(3) };
    let user = after(verified(), [begin, confirm]);
    assert_eq!(refusal(&user, shown(1, "k1", 1)), UserError::UnknownPasskey);
    let user = after(user, [add_passkey("k1", 0), shown(1, "k1", 1)]);
    assert_eq!(user.sessions.len(), 1);
    assert_eq!(refusal(&user, shown(2, "k2", 1)), UserError::UnknownPasskey);
    let unverified = after(User::default(), [register(), add_passkey("k1", 0)]);
    assert_eq!(refusal(&unverified, shown(1, "k1", 1)), UserError::EmailUnverified);
    let fails = (0..FAILURES_MAX).map(|_| UserCommand::FailSignIn { at: at(29) });
    let locked = after(user.clone(), fails);
    assert_eq!(refusal(&locked, shown(2, "k1", 2)), UserError::Locked);
    let begin = passkey(PasskeyCommand::Begin { at: at(30) });
    assert_eq!(refusal(&locked, begin.clone()), UserError::Locked);
    assert_eq!(user.decide(begin), Ok(vec![]));
    let hash = "k1".to_owned();
    let remove = passkey(PasskeyCommand::Remove { credential_sha256: hash, at: at(31) });
    assert_eq!(refusal(&locked, remove.clone()), UserError::Locked);
    let user = after(user, [remove.clone()]);
    assert_eq!(refusal(&user, remove), UserError::UnknownPasskey);
    assert_eq!(refusal(&user, shown(2, "k1", 2)), UserError::UnknownPasskey);
}

#[test]
fn a_passkey_that_counts_never_counts_backwards() {
    let user = after(verified(), [add_passkey("k1", 4), add_passkey("k2", 0)]);
    for count in [0, 3, 4] {
        assert_eq!(refusal(&user, shown(1, "k1", count)), UserError::PasskeyCloned, "{count}");
    }
    let user = after(user, [shown(1, "k1", 9)]);
    assert_eq!(refusal(&user, shown(2, "k1", 9)), UserError::PasskeyCloned);
    let user = after(user, [shown(2, "k2", 0), shown(3, "k2", 0)]);
    assert_eq!(user.sessions.len(), 3, "one that does not count stays at zero");
    let user = after(user, [shown(4, "k2", 1)]);
    assert_eq!(refusal(&user, shown(5, "k2", 0)), UserError::PasskeyCloned);
}

#[test]
fn passkeys_are_bounded_named_and_added_once() {
    let many = (0..PASSKEYS_MAX).map(|number| add_passkey(&format!("k{number}"), 0));
    let full = after(verified(), many);
    assert_eq!(refusal(&full, add_passkey("k0", 0)), UserError::PasskeyInUse);
    assert_eq!(refusal(&full, add_passkey("more", 0)), UserError::PasskeysFull);
    let begin = passkey(PasskeyCommand::Begin { at: at(30) });
    assert_eq!(refusal(&full, begin), UserError::PasskeysFull);
    let rename = |hash: &str, name: &str| {
        let (credential_sha256, name) = (hash.to_owned(), name.to_owned());
        passkey(PasskeyCommand::Rename { credential_sha256, name, at: at(31) })
    };
    assert!(full.decide(rename("k0", "old laptop")).is_ok());
    assert_eq!(refusal(&full, rename("more", "x")), UserError::UnknownPasskey);
    for wrong in ["", &"x".repeat(101)] {
        assert_eq!(refusal(&full, rename("k0", wrong)), UserError::BadPasskeyName);
    }
}
