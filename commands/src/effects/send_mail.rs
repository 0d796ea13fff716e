//! One letter to one person. It is written here, where its address and its code can be read; what was erased meanwhile is not sent.
use cairn_core::Timestamp;
use cairn_identity::{LinkPurpose, Organisation, User};

use crate::ports::{Mail, PortError};
use crate::processes::Letter;

use super::Act;

/// What the server says of a letter that it will never take, and what is said where none can be sent.
const HOPELESS: [&str; 3] = ["mail_refused", "mail_malformed", "mail_unconfigured"];

pub(super) async fn send_mail(
    act: &Act<'_>,
    letter: &Letter,
    until: Timestamp,
) -> Result<(), PortError> {
    if act.now() >= until {
        return Ok(());
    }
    let Some(mail) = write(act, letter).await? else { return Ok(()) };
    match act.call(act.effects.mail.send(mail)).await {
        // Whoever waits for it asks again; no operator can do it for them.
        Err(error) if HOPELESS.contains(&&*error.code) => {
            tracing::warn!(%error, intent_id = act.intent_id, "a letter was not sent");
            Ok(())
        }
        other => other,
    }
}

/// The letter in words; none when whom it is for, or what it is about, was erased.
async fn write(act: &Act<'_>, letter: &Letter) -> Result<Option<Mail>, PortError> {
    let personal = act.executor.personal();
    let (to, subject, text) = match letter {
        Letter::Code { user_id, purpose, token } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let (to, token) = (personal.open(&user.email).await?, personal.open(token).await?);
            let (Some(to), Some(token)) = (to, token) else { return Ok(None) };
            let (subject, text) = code(*purpose, &token);
            (to, subject, text)
        }
        Letter::Reminder { user_id } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let Some(to) = personal.open(&user.email).await? else { return Ok(None) };
            let text = "Somebody, perhaps you, tried to register this address.\n\
                It has an account already.\n\n\
                If it was you: sign in, or ask for a new password.\n\
                If not: nothing has changed, and there is nothing to do.\n";
            (to, "You have an account already", text.to_owned())
        }
        Letter::Erasure { user_id, due_at } => {
            let user = act.load::<User>(&user_id.to_string()).await?;
            let Some(to) = personal.open(&user.email).await? else { return Ok(None) };
            let text = format!(
                "Somebody who knows your password asked that your account be closed and\n\
                 everything personal be erased. It is done after {due_at}, for good.\n\n\
                 If it was not you, or you think better of it: sign in, cancel it\n\
                 (POST /v1/me/erasure/cancel), and change your password.\n"
            );
            (to, "Your account is to be erased", text)
        }
        Letter::Invitation { organisation_id, email, role, token } => {
            let organisation = act.load::<Organisation>(&organisation_id.to_string()).await?;
            let (to, token) = (personal.open(email).await?, personal.open(token).await?);
            let name = personal.open(&organisation.name).await?;
            let (Some(to), Some(token), Some(name)) = (to, token, name) else { return Ok(None) };
            let role = role.name();
            let text = format!(
                "You are invited into the organisation \"{name}\", as {role}.\n\n\
                 Register with this address if you have no account yet, sign in,\n\
                 and accept with this code (POST /v1/invitations/accept).\n\
                 It works once, for seven days:\n\n    {token}\n"
            );
            (to, "An invitation", text)
        }
    };
    let message_id = act.intent_id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    Ok(Some(Mail { message_id, to, subject: subject.to_owned(), text }))
}

fn code(purpose: LinkPurpose, token: &str) -> (&'static str, String) {
    let ignore = "If you did not ask for it, there is nothing to do.\n";
    match purpose {
        LinkPurpose::VerifyEmail => (
            "Your address",
            format!(
                "This code proves that the address is yours\n\
                 (POST /v1/email-verifications). It works once, for a day:\n\n    {token}\n\n{ignore}"
            ),
        ),
        LinkPurpose::ResetPassword => (
            "A new password",
            format!(
                "With this code you set a new password\n\
                 (POST /v1/password-resets/confirm). It works once, for an hour:\n\n    {token}\n\n{ignore}"
            ),
        ),
    }
}
