//! The form of an API key: `cairn_live_`, 40 characters of base 32 (200 random bits), 6 characters of checksum.
//!
//! The prefix lets secret scanners find a leaked key; the checksum tells a mistyped key from an unknown one without asking the database.
//! Only the SHA-256 of the whole key is kept: the randomness makes a slow hash needless.
use std::fmt;

use sha2::{Digest, Sha256};

const PREFIX: &str = "cairn_live_";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
pub(super) const RANDOM_CHARACTERS: usize = 40;
const CHECKSUM_CHARACTERS: usize = 6;

/// A whole key. Shown once, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(…)")
    }
}

/// The text cannot be a key: it was mistyped or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an API key: it begins with {PREFIX} and ends with a checksum, so a character is wrong or missing"
)]
pub struct MalformedKey;

fn letter(bits: u8) -> char {
    char::from(ALPHABET[usize::from(bits & 31)])
}

fn checksum(prefix: &str, body: &str) -> String {
    let digest = Sha256::digest([prefix.as_bytes(), body.as_bytes()].concat());
    digest.iter().take(CHECKSUM_CHARACTERS).map(|byte| letter(*byte)).collect()
}

/// A secret of these random bytes, with its prefix and its checksum.
pub(super) fn spelt(prefix: &str, random: &[u8; RANDOM_CHARACTERS]) -> String {
    let body: String = random.iter().map(|byte| letter(*byte)).collect();
    let checksum = checksum(prefix, &body);
    format!("{prefix}{body}{checksum}")
}

/// Whether a text is a secret of this prefix, without a character wrong or missing.
pub(super) fn is_whole(prefix: &str, text: &str) -> bool {
    let rest = text.strip_prefix(prefix).and_then(|rest| rest.split_at_checked(RANDOM_CHARACTERS));
    let known = |body: &str| body.bytes().all(|byte| ALPHABET.contains(&byte));
    rest.is_some_and(|(body, given)| known(body) && given == checksum(prefix, body))
}

impl ApiKeySecret {
    /// A key of these random bytes.
    #[must_use]
    pub fn from_random(random: &[u8; RANDOM_CHARACTERS]) -> Self {
        Self(spelt(PREFIX, random))
    }

    /// Reads a key as somebody typed it.
    ///
    /// # Errors
    /// [`MalformedKey`] when prefix, length, alphabet or checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        if is_whole(PREFIX, text) { Ok(Self(text.to_owned())) } else { Err(MalformedKey) }
    }

    /// Lower-case hex SHA-256 of the whole key: what is stored and looked up.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    /// The key itself, to show it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiKeySecret, MalformedKey};

    #[test]
    fn a_key_survives_its_text() {
        let key = ApiKeySecret::from_random(&[7; 40]);
        assert_eq!(ApiKeySecret::parse(key.expose()), Ok(key.clone()));
        assert_eq!(key.sha256().len(), 64);
        assert!(!format!("{key:?}").contains("cairn_live"));
    }

    #[test]
    fn any_single_wrong_character_is_noticed() {
        let key = ApiKeySecret::from_random(&std::array::from_fn(|i| i as u8 * 5));
        for at in 0..key.expose().len() {
            let mut text = key.expose().to_owned().into_bytes();
            text[at] = if text[at] == b'0' { b'1' } else { b'0' };
            let text = String::from_utf8(text).unwrap();
            assert_eq!(ApiKeySecret::parse(&text), Err(MalformedKey), "{text}");
        }
        for text in ["", "cairn_live_", "sk_live_x", "cairn_live_é"] {
            assert_eq!(ApiKeySecret::parse(text), Err(MalformedKey), "{text}");
        }
    }
}
