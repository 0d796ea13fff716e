//! People, the codes that were sent to them and their sessions: asked when somebody proves who they are.
//!
//! What is personal is held as it is stored, sealed. A session whose person set a password after it began is over.
use async_trait::async_trait;
use cairn_core::SessionId;
use cairn_event_log::Recorded;
use cairn_identity::UserEvent;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, wire_name};

/// Name of this projection.
pub const NAME: &str = "identity/people";

/// The projection.
pub struct People;

#[async_trait]
impl Projection for People {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &[
            "identity_users",
            "identity_links",
            "identity_identities",
            "identity_passkeys",
            "identity_sessions",
        ]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[UserEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let (user_id, position) = (event.aggregate_id.clone(), event.position);
        match event.decode()? {
            UserEvent::Registered { user_id, email, email_index, name, password, at } => {
                changes.insert(UserRow {
                    user_id: user_id.to_string(),
                    position,
                    email,
                    email_index,
                    name,
                    password,
                    totp: "off".to_owned(),
                    totp_secret: None,
                    registered_at: At(at),
                    verified_at: None,
                    sessions_from: 0,
                    closed_at: None,
                });
            }
            UserEvent::LinkRequested { purpose, token_sha256, expires_at, .. } => {
                let (purpose, expires_at) = (wire_name(&purpose)?, At(expires_at));
                changes.insert(LinkRow { token_sha256, user_id, purpose, expires_at });
            }
            UserEvent::SignedIn { session_id, secret_sha256, factor, ends_at, at, .. } => {
                changes.insert(SessionRow {
                    session_id: session_id.to_string(),
                    position,
                    user_id,
                    secret_sha256,
                    factor: wire_name(&factor)?,
                    opened_at: At(at),
                    ends_at: At(ends_at),
                    ended_at: None,
                });
            }
            UserEvent::SessionRenewed { session_id, secret_sha256, .. } => {
                of_session(changes, session_id, move |session| {
                    (session.secret_sha256, session.position) = (secret_sha256, position);
                });
            }
            UserEvent::SessionEnded { session_id, at, .. } => {
                of_session(changes, session_id, move |session| session.ended_at = Some(At(at)));
            }
            way_in @ (UserEvent::IdentityLinked { .. }
            | UserEvent::IdentityUnlinked { .. }
            | UserEvent::PasskeyAdded { .. }
            | UserEvent::PasskeyUsed { .. }
            | UserEvent::PasskeyRenamed { .. }
            | UserEvent::PasskeyRemoved { .. }) => {
                ways_in(changes, (user_id, position), way_in)?;
            }
            UserEvent::Reminded { .. }
            | UserEvent::SignInFailed { .. }
            | UserEvent::Consented { .. }
            | UserEvent::ErasureRequested { .. }
            | UserEvent::ErasureCancelled { .. } => {}
            of_user => changes.change((user_id,), move |user: &mut UserRow| {
                change(user, position, of_user);
                Ok(())
            }),
        }
        Ok(())
    }
}

fn of_session(
    changes: &mut Changes,
    session_id: SessionId,
    change: impl FnOnce(&mut SessionRow) + Send + 'static,
) {
    changes.change((session_id.to_string(),), move |session: &mut SessionRow| {
        change(session);
        Ok(())
    });
}

/// What an event changes in its person's ways in beside the password.
fn ways_in(
    changes: &mut Changes,
    (user_id, position): (String, i64),
    event: UserEvent,
) -> Result<(), ProjectError> {
    match event {
        UserEvent::IdentityLinked { provider, issuer, subject, identity_index, at } => {
            let linked_at = At(at);
            changes.insert(IdentityRow {
                user_id,
                identity_index,
                position,
                provider,
                issuer,
                subject,
                linked_at,
            });
        }
        UserEvent::IdentityUnlinked { identity_index, .. } => {
            changes.remove::<IdentityRow>((user_id, identity_index));
        }
        UserEvent::PasskeyAdded {
            credential_sha256,
            credential_id,
            algorithm,
            public_key,
            sign_count,
            backup,
            name,
            at,
        } => changes.insert(PasskeyRow {
            user_id,
            credential_sha256,
            position,
            credential_id,
            algorithm: wire_name(&algorithm)?,
            public_key,
            sign_count: i64::from(sign_count),
            backup: wire_name(&backup)?,
            name,
            added_at: At(at),
            used_at: None,
        }),
        UserEvent::PasskeyUsed { credential_sha256, sign_count, backup, at } => {
            let backup = wire_name(&backup)?;
            changes.change((user_id, credential_sha256), move |row: &mut PasskeyRow| {
                (row.sign_count, row.backup) = (i64::from(sign_count), backup);
                row.used_at = Some(At(at));
                Ok(())
            });
        }
        UserEvent::PasskeyRenamed { credential_sha256, name, .. } => {
            changes.change((user_id, credential_sha256), move |row: &mut PasskeyRow| {
                row.name = name;
                Ok(())
            });
        }
        UserEvent::PasskeyRemoved { credential_sha256, .. } => {
            changes.remove::<PasskeyRow>((user_id, credential_sha256));
        }
        _ => {}
    }
    Ok(())
}

/// What an event changes in its person's own row.
fn change(user: &mut UserRow, position: i64, event: UserEvent) {
    let totp = |user: &mut UserRow, is: &str, secret: Option<String>| {
        (user.totp, user.totp_secret) = (is.to_owned(), secret);
    };
    match event {
        UserEvent::EmailVerified { at } => user.verified_at = Some(At(at)),
        UserEvent::PasswordSet { password, .. } => {
            (user.password, user.sessions_from) = (password, position);
        }
        UserEvent::TotpBegun { secret, .. } => totp(user, "begun", Some(secret)),
        UserEvent::TotpConfirmed { .. } => user.totp = "on".to_owned(),
        UserEvent::TotpRemoved { .. } => totp(user, "off", None),
        UserEvent::SessionsEnded { .. } => user.sessions_from = position,
        UserEvent::FactorsReset { .. } => {
            user.password.clear();
            user.sessions_from = position;
        }
        UserEvent::Closed { at, .. } => {
            (user.closed_at, user.sessions_from) = (Some(At(at)), position);
        }
        UserEvent::Registered { .. }
        | UserEvent::LinkRequested { .. }
        | UserEvent::Reminded { .. }
        | UserEvent::IdentityLinked { .. }
        | UserEvent::IdentityUnlinked { .. }
        | UserEvent::PasskeyAdded { .. }
        | UserEvent::PasskeyUsed { .. }
        | UserEvent::PasskeyRenamed { .. }
        | UserEvent::PasskeyRemoved { .. }
        | UserEvent::SignedIn { .. }
        | UserEvent::SignInFailed { .. }
        | UserEvent::SessionRenewed { .. }
        | UserEvent::SessionEnded { .. }
        | UserEvent::Consented { .. }
        | UserEvent::ErasureRequested { .. }
        | UserEvent::ErasureCancelled { .. } => {}
    }
}

row! {
    /// A person.
    pub(crate) struct UserRow in "identity_users" by (user_id: String) {
        user_id: String,
        position: i64,
        email: String,
        email_index: String,
        name: String,
        password: String,
        totp: String,
        totp_secret: Option<String>,
        registered_at: At,
        verified_at: Option<At>,
        sessions_from: i64,
        closed_at: Option<At>,
    }
}

row! {
    /// A code that was sent.
    pub(crate) struct LinkRow in "identity_links" by (token_sha256: String) {
        token_sha256: String,
        user_id: String,
        purpose: String,
        expires_at: At,
    }
}

row! {
    /// An identity at another provider.
    pub(crate) struct IdentityRow in "identity_identities" by (user_id: String, identity_index: String) {
        user_id: String,
        identity_index: String,
        position: i64,
        provider: String,
        issuer: String,
        subject: String,
        linked_at: At,
    }
}

row! {
    /// A passkey.
    pub(crate) struct PasskeyRow in "identity_passkeys" by (user_id: String, credential_sha256: String) {
        user_id: String,
        credential_sha256: String,
        position: i64,
        credential_id: String,
        algorithm: String,
        public_key: String,
        sign_count: i64,
        backup: String,
        name: String,
        added_at: At,
        used_at: Option<At>,
    }
}

row! {
    /// A session.
    pub(crate) struct SessionRow in "identity_sessions" by (session_id: String) {
        session_id: String,
        position: i64,
        user_id: String,
        secret_sha256: String,
        factor: String,
        opened_at: At,
        ends_at: At,
        ended_at: Option<At>,
    }
}
