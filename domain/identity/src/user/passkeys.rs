//! Passkeys (WebAuthn): keys of a person's own, of which only the public half is here. One is a possession that asks for a finger, a face or
//! a PIN before it signs, so it stands for password and one-time password.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent};

/// Passkeys of one person at once.
pub const PASSKEYS_MAX: usize = 20;

/// How a passkey signs, by its name in the registry of JOSE and COSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

/// Whether a passkey lives on one device or is kept elsewhere as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backup {
    /// It never leaves its device.
    NotEligible,
    /// It may be copied, and is not.
    Eligible,
    /// It is copied.
    Exists,
}

/// A passkey whose registration was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Lower-case hex SHA-256 of the credential's id, by which it is found.
    pub credential_sha256: String,
    /// The credential's id in base64url, which its authenticator knows it by.
    pub credential_id: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Base64url of: the point in SEC 1's compressed form (ES256, ES384), 32 bytes (EdDSA), or the exponent in 4 bytes and the modulus, most
    /// significant byte first (RS256).
    pub public_key: String,
    /// What its authenticator has counted; 0 of one that does not.
    pub sign_count: u32,
    /// Whether it is copied.
    pub backup: Backup,
    /// What the person calls it.
    pub name: String,
}

/// A passkey that was shown: its signature was checked, and it verified its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyShown {
    /// Which.
    pub credential_sha256: String,
    /// What its authenticator has counted now.
    pub sign_count: u32,
    /// Whether it is copied now.
    pub backup: Backup,
}

/// What is remembered of a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PasskeyHeld {
    pub credential_sha256: String,
    pub sign_count: u32,
}

/// What may be asked of a person's passkeys.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum PasskeyCommand {
    /// Asks whether one may be added now. Nothing comes of it.
    Begin {
        at: Timestamp,
    },
    Add {
        passkey: Passkey,
        at: Timestamp,
    },
    Rename {
        credential_sha256: String,
        name: String,
        at: Timestamp,
    },
    Remove {
        credential_sha256: String,
        at: Timestamp,
    },
}

impl PasskeyCommand {
    const fn at(&self) -> Timestamp {
        match self {
            Self::Begin { at }
            | Self::Add { at, .. }
            | Self::Rename { at, .. }
            | Self::Remove { at, .. } => *at,
        }
    }
}

impl User {
    /// Whoever has taken a session over does not try one password after the other.
    pub(super) fn passkey(&self, command: PasskeyCommand) -> Result<Vec<UserEvent>, UserError> {
        if self.locked(command.at()) {
            return Err(UserError::Locked);
        }
        match command {
            PasskeyCommand::Begin { .. } => self.room_for_passkey().map(|()| vec![]),
            PasskeyCommand::Add { passkey, at } => self.add_passkey(passkey, at),
            PasskeyCommand::Rename { credential_sha256, name, at } => {
                self.held(&credential_sha256)?;
                named(&name)?;
                Ok(vec![UserEvent::PasskeyRenamed { credential_sha256, name, at }])
            }
            PasskeyCommand::Remove { credential_sha256, at } => {
                self.held(&credential_sha256)?;
                Ok(vec![UserEvent::PasskeyRemoved { credential_sha256, at }])
            }
        }
    }

    fn add_passkey(&self, passkey: Passkey, at: Timestamp) -> Result<Vec<UserEvent>, UserError> {
        let Passkey {
            credential_sha256,
            credential_id,
            algorithm,
            public_key,
            sign_count,
            backup,
            name,
        } = passkey;
        if self.held(&credential_sha256).is_ok() {
            return Err(UserError::PasskeyInUse);
        }
        self.room_for_passkey()?;
        named(&name)?;
        Ok(vec![UserEvent::PasskeyAdded {
            credential_sha256,
            credential_id,
            algorithm,
            public_key,
            sign_count,
            backup,
            name,
            at,
        }])
    }

    fn room_for_passkey(&self) -> Result<(), UserError> {
        (self.passkeys.len() < PASSKEYS_MAX).then_some(()).ok_or(UserError::PasskeysFull)
    }

    fn held(&self, credential_sha256: &str) -> Result<&PasskeyHeld, UserError> {
        let fits = |held: &&PasskeyHeld| held.credential_sha256 == credential_sha256;
        self.passkeys.iter().find(fits).ok_or(UserError::UnknownPasskey)
    }

    /// An authenticator that counts never counts backwards: if it does, there are two of it (WebAuthn Level 3, 7.2, step 22).
    pub(super) fn passkey_used(
        &self,
        shown: PasskeyShown,
        at: Timestamp,
    ) -> Result<UserEvent, UserError> {
        let PasskeyShown { credential_sha256, sign_count, backup } = shown;
        let known = self.held(&credential_sha256)?.sign_count;
        if (known, sign_count) != (0, 0) && sign_count <= known {
            return Err(UserError::PasskeyCloned);
        }
        Ok(UserEvent::PasskeyUsed { credential_sha256, sign_count, backup, at })
    }

    pub(super) fn passkey_counted(&mut self, credential_sha256: &str, sign_count: u32) {
        let mut passkeys = self.passkeys.iter_mut();
        if let Some(held) = passkeys.find(|held| held.credential_sha256 == credential_sha256) {
            held.sign_count = sign_count;
        }
    }
}

fn named(name: &str) -> Result<(), UserError> {
    match name.chars().count() {
        1..=100 => Ok(()),
        _ => Err(UserError::BadPasskeyName),
    }
}
