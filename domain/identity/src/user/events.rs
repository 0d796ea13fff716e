//! What happens to a person.
use cairn_core::{SessionId, Text, Texts, Timestamp, UserId, domain_event};
use serde::{Deserialize, Serialize};

use super::passkeys::{Algorithm, Backup};
use super::wishes::{Document, Said};

/// What a code that is sent to somebody's address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// That the address is theirs.
    VerifyEmail,
    /// A new password.
    ResetPassword,
}

/// What somebody signed in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The password alone.
    Password,
    /// Password and one-time password.
    OneTimePassword,
    /// Password and one of the codes for when the device is lost.
    RecoveryCode,
    /// Another provider vouched for them; no more than one factor is assumed.
    IdentityProvider,
    /// Another provider vouched for them, and that they showed it more than one factor.
    IdentityProviderMultiFactor,
    /// A passkey that verified its person: two factors in one.
    Passkey,
}

impl Factor {
    /// Whether two factors were shown. A recovery code counts: it stands in for the device that was lost.
    #[must_use]
    pub const fn is_two(self) -> bool {
        match self {
            Self::Password | Self::IdentityProvider => false,
            Self::OneTimePassword
            | Self::RecoveryCode
            | Self::IdentityProviderMultiFactor
            | Self::Passkey => true,
        }
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The person left.
    SignedOut,
    /// The person ended it from elsewhere.
    Revoked,
    /// Too many were open.
    Displaced,
}

/// What has happened to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum UserEvent {
    #[serde(rename = "user.registered")]
    Registered {
        user_id: UserId,
        email: String,
        /// What the address is found by.
        email_index: String,
        name: String,
        /// The hash of the password, as a PHC string.
        password: String,
        at: Timestamp,
    },
    /// A code is to be sent to the person's address.
    #[serde(rename = "user.link_requested")]
    LinkRequested {
        purpose: LinkPurpose,
        token: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    },
    /// Somebody tried to register the address again; its owner is told.
    #[serde(rename = "user.reminded")]
    Reminded { at: Timestamp },
    #[serde(rename = "user.email_verified")]
    EmailVerified { at: Timestamp },
    /// Every session is over.
    #[serde(rename = "user.password_set")]
    PasswordSet { password: String, at: Timestamp },
    #[serde(rename = "user.totp_begun")]
    TotpBegun { secret: String, at: Timestamp },
    #[serde(rename = "user.totp_confirmed")]
    TotpConfirmed {
        /// The step of the one-time password that proved it.
        step: u64,
        /// Of the codes for when the device is lost.
        recovery_sha256: Vec<String>,
        at: Timestamp,
    },
    #[serde(rename = "user.totp_removed")]
    TotpRemoved { at: Timestamp },
    /// Another provider vouches for them from now on.
    #[serde(rename = "user.identity_linked")]
    IdentityLinked {
        /// The provider's name here.
        provider: String,
        issuer: String,
        subject: String,
        /// What issuer and subject are found by.
        identity_index: String,
        at: Timestamp,
    },
    #[serde(rename = "user.identity_unlinked")]
    IdentityUnlinked { identity_index: String, at: Timestamp },
    /// They may sign in with a passkey. See [`Passkey`](super::Passkey) for the form of what is here.
    #[serde(rename = "user.passkey_added")]
    PasskeyAdded {
        credential_sha256: String,
        credential_id: String,
        algorithm: Algorithm,
        public_key: String,
        sign_count: u32,
        backup: Backup,
        name: String,
        at: Timestamp,
    },
    /// It was shown; a session follows.
    #[serde(rename = "user.passkey_used")]
    PasskeyUsed { credential_sha256: String, sign_count: u32, backup: Backup, at: Timestamp },
    #[serde(rename = "user.passkey_renamed")]
    PasskeyRenamed { credential_sha256: String, name: String, at: Timestamp },
    #[serde(rename = "user.passkey_removed")]
    PasskeyRemoved { credential_sha256: String, at: Timestamp },
    #[serde(rename = "user.signed_in")]
    SignedIn {
        session_id: SessionId,
        secret_sha256: String,
        factor: Factor,
        /// The step of the one-time password, which none before it works after.
        step: Option<u64>,
        /// Of the recovery code that was used up.
        recovery_sha256: Option<String>,
        ends_at: Timestamp,
        at: Timestamp,
    },
    #[serde(rename = "user.sign_in_failed")]
    SignInFailed { at: Timestamp },
    /// It goes on under another secret.
    #[serde(rename = "user.session_renewed")]
    SessionRenewed {
        session_id: SessionId,
        secret_sha256: String,
        ends_at: Timestamp,
        at: Timestamp,
    },
    #[serde(rename = "user.session_ended")]
    SessionEnded { session_id: SessionId, why: EndReason, at: Timestamp },
    /// Whoever runs this ended every session.
    #[serde(rename = "user.sessions_ended")]
    SessionsEnded { reason: String, at: Timestamp },
    /// Whoever runs this let them begin anew: what went before took the second factors away, this the password, and every session is over. Who
    /// has the address sets another password.
    #[serde(rename = "user.factors_reset")]
    FactorsReset { reason: String, at: Timestamp },
    #[serde(rename = "user.closed")]
    Closed { reason: String, at: Timestamp },
    /// They agreed to a version of a document, or took it back.
    #[serde(rename = "user.consented")]
    Consented { document: Document, version: String, given: bool, said: Said, at: Timestamp },
    /// They are to be forgotten, unless they think better of it.
    #[serde(rename = "user.erasure_requested")]
    ErasureRequested { due_at: Timestamp, at: Timestamp },
    #[serde(rename = "user.erasure_cancelled")]
    ErasureCancelled { at: Timestamp },
}

domain_event!(UserEvent {
    Registered => "user.registered", 1;
    LinkRequested => "user.link_requested", 1;
    Reminded => "user.reminded", 1;
    EmailVerified => "user.email_verified", 1;
    PasswordSet => "user.password_set", 1;
    TotpBegun => "user.totp_begun", 1;
    TotpConfirmed => "user.totp_confirmed", 1;
    TotpRemoved => "user.totp_removed", 1;
    IdentityLinked => "user.identity_linked", 1;
    IdentityUnlinked => "user.identity_unlinked", 1;
    PasskeyAdded => "user.passkey_added", 1;
    PasskeyUsed => "user.passkey_used", 1;
    PasskeyRenamed => "user.passkey_renamed", 1;
    PasskeyRemoved => "user.passkey_removed", 1;
    SignedIn => "user.signed_in", 1;
    SignInFailed => "user.sign_in_failed", 1;
    SessionRenewed => "user.session_renewed", 1;
    SessionEnded => "user.session_ended", 1;
    SessionsEnded => "user.sessions_ended", 1;
    FactorsReset => "user.factors_reset", 1;
    Closed => "user.closed", 1;
    Consented => "user.consented", 1;
    ErasureRequested => "user.erasure_requested", 1;
    ErasureCancelled => "user.erasure_cancelled", 1;
});

impl Texts for UserEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("user_id", Text::Kept),
        ("email", Text::Name),
        ("email_index", Text::Hash),
        ("name", Text::Name),
        ("password", Text::Credential),
        ("purpose", Text::Kept),
        ("token", Text::Credential),
        ("token_sha256", Text::Hash),
        ("secret", Text::Credential),
        ("recovery_sha256", Text::Hash),
        ("recovery_sha256[]", Text::Hash),
        ("provider", Text::Kept),
        ("issuer", Text::Kept),
        ("subject", Text::Name),
        ("identity_index", Text::Hash),
        ("credential_sha256", Text::Hash),
        ("credential_id", Text::Credential),
        ("algorithm", Text::Kept),
        ("public_key", Text::PublicKey),
        ("backup", Text::Kept),
        ("session_id", Text::Kept),
        ("secret_sha256", Text::Hash),
        ("factor", Text::Kept),
        ("why", Text::Kept),
        ("reason", Text::Said),
        ("document", Text::Kept),
        ("version", Text::Kept),
        ("said", Text::Kept),
        ("due_at", Text::Kept),
        ("expires_at", Text::Kept),
        ("ends_at", Text::Kept),
        ("at", Text::Kept),
    ];
}
