//! Commands of the identity context: API keys, people and organisations.
//!
//! Secrets are made by whoever can show them once; only hashes come here, and of passwords only slow ones. What is sent by mail comes as it
//! is and is sealed with the rest of what is its subject's.
pub mod identities;
pub mod keys;
pub mod organisations;
pub mod passkeys;
pub mod people;
pub mod wishes;

use cairn_core::Timestamp;

pub use keys::{AccountKey, Rotated, create_account_key, rotate_key};
pub use keys::{CreateKey, ExpireKey, RevokeKey, RotateKey, create_key, expire_key, revoke_key};

/// A code that is to be sent to somebody's address.
#[derive(Clone)]
pub struct Code {
    /// As it is sent.
    pub token: String,
    /// Lower-case hex SHA-256 of it.
    pub token_sha256: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// An address as it is compared: without spaces around it, in small letters.
#[must_use]
pub fn normalised(email: &str) -> String {
    email.trim().to_lowercase()
}
