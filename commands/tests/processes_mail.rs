//! Mail to people: which event asks for which letter, as data.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::processes::send_mail::SendMail;
use cairn_commands::processes::{Effect, Fact, Intent, Letter, ProcessManager as _};
use cairn_core::{InvitationId, OrganisationId, UserId};
use cairn_identity::{LinkPurpose, OrganisationEvent, Role, UserEvent};
use support::react::{NOW, at, given};

#[test]
fn a_code_is_sent_as_long_as_it_works() {
    let (user_id, purpose) = (UserId::from_bits(1), LinkPurpose::VerifyEmail);
    let (token, expires_at) = ("personal:1:k:AA".to_owned(), NOW.plus_secs(60));
    let requested = UserEvent::LinkRequested {
        purpose,
        token: token.clone(),
        token_sha256: "h".to_owned(),
        expires_at,
        at: NOW,
    };
    let letter = Letter::Code { user_id, purpose, token };
    let send = Intent::effect(Effect::SendMail { letter, until: expires_at }, Some(expires_at));
    let requested = at(user_id, Fact::User(requested));
    assert_eq!(given::<SendMail>(&[]).when(requested), [send]);
}

#[test]
fn an_invitation_goes_to_the_address_that_was_invited() {
    let (organisation_id, until) = (OrganisationId::from_bits(1), NOW.plus_secs(60));
    let (email, token) = ("personal:1:k:AA".to_owned(), "personal:1:k:BB".to_owned());
    let invited = OrganisationEvent::MemberInvited {
        invitation_id: InvitationId::from_bits(1),
        email: email.clone(),
        email_index: "i".to_owned(),
        role: Role::Viewer,
        token: token.clone(),
        token_sha256: "h".to_owned(),
        expires_at: until,
        at: NOW,
    };
    let letter = Letter::Invitation { organisation_id, email, role: Role::Viewer, token };
    let send = Intent::effect(Effect::SendMail { letter, until }, Some(until));
    let invited = at(organisation_id, Fact::Organisation(invited));
    assert_eq!(given::<SendMail>(&[]).when(invited), [send]);
}

#[test]
fn nothing_else_asks_for_a_letter() {
    let user_id = UserId::from_bits(1);
    for event in [UserEvent::EmailVerified { at: NOW }, UserEvent::SignInFailed { at: NOW }] {
        assert_eq!(SendMail::correlate(&at(user_id, Fact::User(event))), None);
    }
}
