//! One secret key and what it does.
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use crate::master::Version;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// A key that seals and opens. Never shown.
pub struct Cipher {
    key: LessSafeKey,
    id: String,
    /// What keys for other purposes are derived from.
    derivation: Prk,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cipher").field(&self.id).finish()
    }
}

/// New secret bytes.
pub fn random() -> Result<[u8; KEY_LEN], Unspecified> {
    let mut secret = [0; KEY_LEN];
    aws_lc_rs::rand::fill(&mut secret)?;
    Ok(secret)
}

/// What keys for other purposes are derived from.
pub fn derivation(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, b"cairn derived keys").extract(secret)
}

/// Names a key: half of the SHA-256 of its 256 random bits, which tells nothing about them.
pub fn fingerprint(secret: &[u8]) -> String {
    let named = [b"cairn key id\0", secret].concat();
    hex::encode(&digest(&SHA256, &named).as_ref()[..16])
}

impl Cipher {
    /// Of secret bytes.
    pub fn new(secret: &[u8]) -> Result<Self, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, secret)?);
        let derivation = derivation(secret);
        Ok(Self { key, id: fingerprint(secret), derivation })
    }

    /// As a version of the master key.
    pub fn version(&self) -> Version {
        Version { id: self.id.clone(), derivation: self.derivation.clone() }
    }

    /// Its fingerprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals bytes for one purpose; the same bytes alike.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut sealed = bytes.to_vec();
        self.key.seal_in_place_append_tag(nonce(), Aad::from(purpose), &mut sealed)?;
        Ok(sealed)
    }

    /// What was sealed for this purpose; an error when it was not.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut bytes = sealed.to_vec();
        let length = self.key.open_in_place(nonce(), Aad::from(purpose), &mut bytes)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// GCM-SIV derives what makes a sealing unique from the text itself; with one nonce for all, equal texts are sealed alike and nothing
/// else is told.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::{Cipher, random};

    #[test]
    fn a_text_is_sealed_alike_and_opens_only_for_its_purpose_and_key() {
        let key = Cipher::new(&random().unwrap()).unwrap();
        let other = Cipher::new(&random().unwrap()).unwrap();
        let sealed = key.seal("a", b"Ada Lovelace").unwrap();
        assert_eq!(sealed, key.seal("a", b"Ada Lovelace").unwrap());
        assert_ne!(sealed, key.seal("a", b"Ada Lovelacf").unwrap());
        assert_ne!(sealed, other.seal("a", b"Ada Lovelace").unwrap());
        assert_eq!(key.open("a", &sealed).unwrap(), b"Ada Lovelace");
        assert!(key.open("b", &sealed).is_err());
        assert!(other.open("a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("a", &changed).is_err(), "byte {at}");
        }
    }
}
