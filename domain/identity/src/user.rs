//! A person: how they prove who they are, and where they are signed in.
//!
//! Lifecycle: `registered → verified → closed`. Only whose address is verified signs in. A password that is set ends every session; a
//! session ends when it is left, revoked, or over. Whoever fails too often in a row waits.
mod events;
mod factors;
mod identities;
mod passkeys;
mod wishes;

use std::collections::BTreeMap;

use cairn_core::{Decider, Refusal, SessionId, Subject, Timestamp, UserId, cqrs_aggregate};
use serde::{Deserialize, Serialize};

pub use events::{EndReason, Factor, LinkPurpose, UserEvent};
pub use identities::{Identity, Linked};
pub use passkeys::{
    Algorithm, Backup, PASSKEYS_MAX, Passkey, PasskeyCommand, PasskeyHeld, PasskeyShown,
};
pub use wishes::{Consent, Document, Said};

/// Failures in a row from which on a person waits.
pub const FAILURES_MAX: u32 = 10;
/// How long, from the last failure on.
pub const LOCKED_SECS: i64 = 900;
/// Sessions at once; the oldest ends for a new one beyond it.
pub const SESSIONS_MAX: usize = 50;

/// By what a password may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The token that was sent to the person's address, by its hash.
    Link(String),
    /// The old password, which whoever asks has checked.
    OldPassword,
}

/// A sign-in whose proofs were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SignIn {
    pub session_id: SessionId,
    /// Lower-case hex SHA-256 of the session's secret.
    pub secret_sha256: String,
    /// The password as it was when it was checked, sealed as it is remembered.
    pub password: String,
    pub factor: Factor,
    /// What the linked identity is found by that a provider vouched for; neither password nor one-time password is asked then.
    pub identity: Option<String>,
    /// The passkey that was shown; neither password nor one-time password is asked then.
    pub passkey: Option<PasskeyShown>,
    /// The hash of the recovery code that was used up.
    pub recovery_sha256: Option<String>,
    /// The step of the one-time password.
    pub step: Option<u64>,
    pub ends_at: Timestamp,
    pub at: Timestamp,
}

/// What may be asked of a person.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum UserCommand {
    Register {
        user_id: UserId,
        email: String,
        email_index: String,
        name: String,
        password: String,
        at: Timestamp,
    },
    RequestLink {
        purpose: LinkPurpose,
        token: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// Somebody signed up with an address that has an account.
    Remind {
        at: Timestamp,
    },
    VerifyEmail {
        token_sha256: String,
        at: Timestamp,
    },
    SetPassword {
        password: String,
        proof: Proof,
        /// The session that goes on, and the hash of its new secret.
        renewed: Option<(SessionId, String)>,
        at: Timestamp,
    },
    RenewSession {
        session_id: SessionId,
        secret_sha256: String,
        at: Timestamp,
    },
    BeginTotp {
        secret: String,
        at: Timestamp,
    },
    ConfirmTotp {
        step: u64,
        recovery_sha256: Vec<String>,
        at: Timestamp,
    },
    RemoveTotp {
        at: Timestamp,
    },
    LinkIdentity {
        identity: Identity,
        /// Whether the address is to count as verified, because the provider says so.
        vouched: bool,
        at: Timestamp,
    },
    UnlinkIdentity {
        identity_index: String,
        at: Timestamp,
    },
    Passkey(PasskeyCommand),
    SignIn(SignIn),
    FailSignIn {
        at: Timestamp,
    },
    EndSession {
        session_id: SessionId,
        why: EndReason,
        at: Timestamp,
    },
    /// Whoever runs this ends all of them.
    EndSessions {
        reason: String,
        at: Timestamp,
    },
    /// Whoever runs this lets somebody begin anew who has lost what they prove themselves with.
    ResetFactors {
        reason: String,
        at: Timestamp,
    },
    Close {
        reason: String,
        at: Timestamp,
    },
    Consent {
        document: Document,
        consent: Consent,
        said: Said,
        at: Timestamp,
    },
    RequestErasure {
        due_at: Timestamp,
        at: Timestamp,
    },
    CancelErasure {
        at: Timestamp,
    },
    /// Close, if the erasure that the person asked for is due.
    CloseDue {
        reason: String,
        at: Timestamp,
    },
}

/// Why a person is refused something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum UserError {
    #[error("there is no such person")]
    Unknown,
    #[error("a name is 1 to 100 characters")]
    BadName,
    #[error("the id was used before for something else")]
    IdReused,
    #[error("this code is unknown, was used, or is over: ask for another one")]
    LinkInvalid,
    #[error("the address is not verified yet: use the code that was sent to it")]
    EmailUnverified,
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    #[error("too many attempts in a row failed: wait a quarter of an hour")]
    Locked,
    #[error("this one-time password was used before: wait for the next")]
    CodeUsed,
    #[error("a one-time password is needed")]
    CodeNeeded,
    #[error("there is nothing to confirm: begin anew")]
    TotpNotBegun,
    #[error("one-time passwords are in use: remove them first")]
    TotpInUse,
    #[error("no such identity is linked")]
    UnknownIdentity,
    #[error("another identity of this provider is linked: unlink it first")]
    IdentityInUse,
    #[error("no such passkey is here: it was removed, or never added")]
    UnknownPasskey,
    #[error("this passkey is added already")]
    PasskeyInUse,
    #[error("a passkey's name is 1 to 100 characters")]
    BadPasskeyName,
    #[error("a person has at most 20 passkeys: remove one first")]
    PasskeysFull,
    #[error("this passkey has counted backwards: there may be a copy of it, so remove it")]
    PasskeyCloned,
    #[error("there is no such session")]
    UnknownSession,
    #[error("the account was closed")]
    Closed,
    #[error("a version is 1 to 40 of letters, digits, '.', '-' and '_'")]
    BadVersion,
    #[error("no erasure is due")]
    ErasureNotDue,
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
}

impl Refusal for UserError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_user",
            Self::BadName => "user_name_invalid",
            Self::IdReused => "id_reused",
            Self::LinkInvalid => "link_invalid",
            Self::EmailUnverified => "email_unverified",
            Self::PasswordChanged => "password_changed",
            Self::Locked => "sign_in_locked",
            Self::CodeUsed => "one_time_password_used",
            Self::CodeNeeded => "one_time_password_needed",
            Self::TotpNotBegun => "totp_not_begun",
            Self::TotpInUse => "totp_in_use",
            Self::UnknownIdentity => "unknown_identity",
            Self::IdentityInUse => "identity_in_use",
            Self::UnknownPasskey => "unknown_passkey",
            Self::PasskeyInUse => "passkey_in_use",
            Self::BadPasskeyName => "passkey_name_invalid",
            Self::PasskeysFull => "passkeys_full",
            Self::PasskeyCloned => "passkey_cloned",
            Self::UnknownSession => "unknown_session",
            Self::Closed => "user_closed",
            Self::BadVersion => "consent_version_invalid",
            Self::ErasureNotDue => "erasure_not_due",
            Self::ReasonNeeded => "reason_needed",
        }
    }
}

/// A code that was sent and waits to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Link {
    pub purpose: LinkPurpose,
    pub token_sha256: String,
    pub expires_at: Timestamp,
}

/// Somewhere a person is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Session {
    pub session_id: SessionId,
    pub ends_at: Timestamp,
}

/// The second factor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "totp", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Totp {
    #[default]
    Off,
    /// The secret was shown; nothing has proven that it arrived.
    Begun {
        secret: String,
    },
    On {
        secret: String,
        last_step: u64,
        recovery_sha256: Vec<String>,
    },
}

/// What is remembered of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct User {
    pub user_id: Option<UserId>,
    pub email: String,
    pub email_index: String,
    pub name: String,
    pub password: String,
    pub verified: bool,
    pub closed: bool,
    pub links: Vec<Link>,
    pub totp: Totp,
    #[serde(default)]
    pub identities: Vec<Linked>,
    #[serde(default)]
    pub passkeys: Vec<PasskeyHeld>,
    pub sessions: Vec<Session>,
    pub failures: u32,
    pub failed_at: Option<Timestamp>,
    #[serde(default)]
    pub consents: BTreeMap<Document, Consent>,
    /// When they are to be forgotten, if they asked for it.
    #[serde(default)]
    pub erasure_due_at: Option<Timestamp>,
}

impl Decider for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserError;

    fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        match (&command, self.user_id) {
            (UserCommand::Register { .. }, _) => {}
            (_, None) => return Err(UserError::Unknown),
            (UserCommand::Close { .. } | UserCommand::CloseDue { .. }, _) if self.closed => {
                return Ok(vec![]);
            }
            (UserCommand::EndSession { .. }, _) => {}
            _ if self.closed => return Err(UserError::Closed),
            _ => {}
        }
        match command {
            UserCommand::Register { user_id, email, email_index, name, password, at } => self
                .register(UserEvent::Registered {
                    user_id,
                    email,
                    email_index,
                    name,
                    password,
                    at,
                }),
            UserCommand::RequestLink { purpose, token, token_sha256, expires_at, at } => {
                if purpose == LinkPurpose::VerifyEmail && self.verified {
                    return Ok(vec![]);
                }
                let link =
                    UserEvent::LinkRequested { purpose, token, token_sha256, expires_at, at };
                Ok(vec![link])
            }
            UserCommand::Remind { at } => Ok(vec![UserEvent::Reminded { at }]),
            UserCommand::VerifyEmail { token_sha256, at } => {
                self.link(LinkPurpose::VerifyEmail, &token_sha256, at)?;
                Ok(vec![UserEvent::EmailVerified { at }])
            }
            UserCommand::SetPassword { password, proof, renewed, at } => {
                self.set_password((password, renewed), &proof, at)
            }
            UserCommand::RenewSession { session_id, secret_sha256, at } => {
                self.renew((session_id, secret_sha256), at).map(|renewed| vec![renewed])
            }
            UserCommand::BeginTotp { secret, at } => self.begin_totp(secret, at),
            UserCommand::ConfirmTotp { step, recovery_sha256, at } => {
                self.confirm_totp(step, recovery_sha256, at)
            }
            UserCommand::RemoveTotp { at } => self.remove_totp(at),
            UserCommand::LinkIdentity { identity, vouched, at } => {
                self.link_identity(identity, vouched, at)
            }
            UserCommand::UnlinkIdentity { identity_index, at } => {
                self.unlink_identity(identity_index, at)
            }
            UserCommand::Passkey(command) => self.passkey(command),
            UserCommand::SignIn(sign_in) => self.sign_in(sign_in),
            UserCommand::FailSignIn { at } => Ok(vec![UserEvent::SignInFailed { at }]),
            UserCommand::EndSession { session_id, why, at } => {
                self.end_session(session_id, why, at).map(|ended| vec![ended])
            }
            UserCommand::EndSessions { reason, at } => self.end_sessions(reason, at),
            UserCommand::ResetFactors { reason, at } => self.reset_factors(reason, at),
            UserCommand::Close { reason, at } => Ok(vec![UserEvent::Closed { reason, at }]),
            UserCommand::Consent { document, consent, said, at } => {
                self.consent((document, consent), said, at)
            }
            UserCommand::RequestErasure { due_at, at } => self.request_erasure(due_at, at),
            UserCommand::CancelErasure { at } => Ok(self.cancel_erasure(at)),
            UserCommand::CloseDue { reason, at } => self.close_due(reason, at),
        }
    }

    fn evolve(mut self, event: UserEvent) -> Self {
        match event {
            UserEvent::Registered { user_id, email, email_index, name, password, .. } => {
                self.user_id = Some(user_id);
                (self.email, self.email_index) = (email, email_index);
                (self.name, self.password) = (name, password);
            }
            UserEvent::LinkRequested { purpose, token_sha256, expires_at, .. } => {
                self.links.retain(|link| link.purpose != purpose);
                self.links.push(Link { purpose, token_sha256, expires_at });
            }
            UserEvent::Reminded { .. } | UserEvent::PasskeyRenamed { .. } => {}
            UserEvent::EmailVerified { .. } => {
                self.verified = true;
                self.links.retain(|link| link.purpose != LinkPurpose::VerifyEmail);
            }
            UserEvent::PasswordSet { password, .. } => {
                self.password = password;
                self.links.retain(|link| link.purpose != LinkPurpose::ResetPassword);
                self.sessions.clear();
                (self.failures, self.failed_at) = (0, None);
            }
            UserEvent::TotpBegun { secret, .. } => self.totp = Totp::Begun { secret },
            UserEvent::TotpConfirmed { step, recovery_sha256, .. } => {
                if let Totp::Begun { secret } | Totp::On { secret, .. } = self.totp {
                    self.totp = Totp::On { secret, last_step: step, recovery_sha256 };
                }
            }
            UserEvent::TotpRemoved { .. } => self.totp = Totp::Off,
            UserEvent::IdentityLinked { issuer, identity_index, .. } => {
                self.identities.push(Linked { issuer, identity_index });
            }
            UserEvent::IdentityUnlinked { identity_index, .. } => {
                self.identities.retain(|known| known.identity_index != identity_index);
            }
            UserEvent::PasskeyAdded { credential_sha256, sign_count, .. } => {
                self.passkeys.push(PasskeyHeld { credential_sha256, sign_count });
            }
            UserEvent::PasskeyUsed { credential_sha256, sign_count, .. } => {
                self.passkey_counted(&credential_sha256, sign_count);
            }
            UserEvent::PasskeyRemoved { credential_sha256, .. } => {
                self.passkeys.retain(|held| held.credential_sha256 != credential_sha256);
            }
            UserEvent::SignInFailed { at } => self.fail(at),
            UserEvent::SignedIn { session_id, step, recovery_sha256, ends_at, at, .. } => {
                self.use_up(step, recovery_sha256.as_deref());
                self.opened(Session { session_id, ends_at }, at);
            }
            UserEvent::SessionRenewed { session_id, ends_at, .. } => {
                self.over(session_id);
                self.sessions.push(Session { session_id, ends_at });
            }
            UserEvent::SessionEnded { session_id, .. } => self.over(session_id),
            UserEvent::SessionsEnded { .. } => self.sessions.clear(),
            UserEvent::FactorsReset { .. } => self.begin_anew(),
            UserEvent::Closed { .. } => {
                self.closed = true;
                self.sessions.clear();
            }
            UserEvent::Consented { document, version, given, .. } => {
                self.consents.insert(document, Consent { version, given });
            }
            UserEvent::ErasureRequested { due_at, .. } => self.erasure_due_at = Some(due_at),
            UserEvent::ErasureCancelled { .. } => self.erasure_due_at = None,
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.user_id.map(Subject::user)
    }
}

cqrs_aggregate!(User);
