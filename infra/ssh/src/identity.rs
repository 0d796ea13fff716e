//! Keys that live for minutes: made for one login, never written down.
use std::fmt;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{Certificate, PrivateKey};

use crate::error::AuthorityError;

/// A private key and the certificate that makes it worth something for a short while.
#[derive(Clone)]
pub struct Credential {
    pub(crate) key: PrivateKey,
    pub(crate) certificate: Certificate,
}

impl Credential {
    /// The private key in OpenSSH's format, to hand to a client that is not ours.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn private_key(&self) -> Result<String, AuthorityError> {
        let text = self.key.to_openssh(LineEnding::LF).map_err(key_error)?;
        Ok(text.to_string())
    }

    /// The certificate in OpenSSH's format.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn certificate(&self) -> Result<String, AuthorityError> {
        self.certificate.to_openssh().map_err(key_error)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("key_id", &self.certificate.key_id())
            .finish_non_exhaustive()
    }
}

/// A new Ed25519 key.
pub fn new_key(comment: &str) -> Result<PrivateKey, AuthorityError> {
    let pair = Ed25519Keypair::from_seed(&random::<32>()?);
    PrivateKey::new(pair.into(), comment).map_err(key_error)
}

/// Random bytes from the operating system.
#[allow(clippy::disallowed_methods, reason = "keys and serials are made here, and only here")]
pub fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AuthorityError::Randomness(error.to_string()))?;
    Ok(bytes)
}

/// A random serial that any reader of JSON can hold: 53 bits.
pub fn serial() -> Result<u64, AuthorityError> {
    Ok(u64::from_be_bytes(random()?) >> 11)
}

pub fn key_error(error: impl fmt::Display) -> AuthorityError {
    AuthorityError::Key(error.to_string())
}
