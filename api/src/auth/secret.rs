//! Secrets that are shown once: a prefix that names what they are for, 40 characters of base 32 (200 random bits), 6 characters of checksum.
//!
//! The prefix lets secret scanners find one that leaked; the checksum tells a mistyped one from an unknown one without asking the database.
//! Only the SHA-256 of the whole is kept: the randomness makes a slow hash needless.
use std::fmt;
use std::marker::PhantomData;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM_CHARACTERS: usize = 40;
const CHECKSUM_CHARACTERS: usize = 6;

/// What a secret is for.
pub trait Purpose: Clone + Copy + fmt::Debug + PartialEq + Eq + Send + Sync + 'static {
    /// What it begins with.
    const PREFIX: &'static str;
    /// What it begins with where no money is real, if that makes a difference.
    const TEST_PREFIX: Option<&'static str>;
    /// What it is called.
    const NAME: &'static str;
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal $(or $test:literal)?, $called:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl Purpose for $name {
            const PREFIX: &'static str = $prefix;
            const TEST_PREFIX: Option<&'static str> = [$(Some($test),)? None][0];
            const NAME: &'static str = $called;
        }
    )+};
}

purposes! {
    /// Opens the API for a program.
    ApiKey = "cairn_live_" or "cairn_test_", "an API key";
    /// Keeps a person signed in.
    Session = "cairn_session_", "a session";
    /// Was sent to an address, which its holder so proves to have.
    Code = "cairn_code_", "a code that was sent";
    /// Opens one thing once, within seconds.
    Ticket = "cairn_ticket_", "a ticket";
    /// A program asks with it whether it was let in.
    DeviceCode = "cairn_device_", "a device code";
    /// Opens one account when the device with the one-time passwords is lost.
    Recovery = "cairn_recovery_", "a recovery code";
}

/// Whether the money of a Cairn is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Live,
    /// A simulator or the provider's test mode pretends it.
    Test,
}

/// A whole API key.
pub type ApiKeySecret = Secret<ApiKey>;

/// A whole secret. Shown once, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<P>(String, PhantomData<P>);

impl<P> fmt::Debug for Secret<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The text cannot be such a secret: it was mistyped or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not {called}: it begins with {prefix} and ends with a checksum, so a character is wrong or missing"
)]
pub struct Malformed {
    prefix: &'static str,
    called: &'static str,
}

fn letter(bits: u8) -> char {
    char::from(ALPHABET[usize::from(bits & 31)])
}

fn checksum(prefix: &str, body: &str) -> String {
    let digest = Sha256::digest([prefix.as_bytes(), body.as_bytes()].concat());
    digest.iter().take(CHECKSUM_CHARACTERS).map(|byte| letter(*byte)).collect()
}

impl<P: Purpose> Secret<P> {
    /// A secret of these random bytes.
    #[must_use]
    pub fn from_random(random: &[u8; RANDOM_CHARACTERS]) -> Self {
        Self::after(P::PREFIX, random)
    }

    fn after(prefix: &str, random: &[u8; RANDOM_CHARACTERS]) -> Self {
        let body: String = random.iter().map(|byte| letter(*byte)).collect();
        let checksum = checksum(prefix, &body);
        Self(format!("{prefix}{body}{checksum}"), PhantomData)
    }

    /// Reads a secret as somebody typed it.
    ///
    /// # Errors
    /// [`Malformed`] when prefix, length, alphabet or checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = Malformed { prefix: P::PREFIX, called: P::NAME };
        let mut prefixes = [Some(P::PREFIX), P::TEST_PREFIX].into_iter().flatten();
        let prefix = prefixes.find(|prefix| text.starts_with(prefix)).ok_or(malformed)?;
        let rest = &text[prefix.len()..];
        let (body, given) = rest.split_at_checked(RANDOM_CHARACTERS).ok_or(malformed)?;
        let known = body.bytes().all(|byte| ALPHABET.contains(&byte));
        if known && given == checksum(prefix, body) {
            Ok(Self(text.to_owned(), PhantomData))
        } else {
            Err(malformed)
        }
    }

    /// Lower-case hex SHA-256 of the whole secret: what is stored and looked up.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    /// The same as bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Another secret that only who has this one can have: what a page proves with that it is not a stranger's.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> String {
        hex::encode(Sha256::digest(format!("{purpose}\0{}", self.0)))
    }

    /// The secret itself, to show it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ApiKeySecret {
    /// A key of these random bytes, for a Cairn of this mode.
    #[must_use]
    pub fn in_mode(mode: Mode, random: &[u8; RANDOM_CHARACTERS]) -> Self {
        match (mode, ApiKey::TEST_PREFIX) {
            (Mode::Test, Some(prefix)) => Self::after(prefix, random),
            _ => Self::from_random(random),
        }
    }

    /// Whether it was made where money is not real.
    #[must_use]
    pub fn is_for_tests(&self) -> bool {
        ApiKey::TEST_PREFIX.is_some_and(|prefix| self.0.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiKeySecret, Code, Mode, Secret};

    #[test]
    fn a_key_says_whether_money_is_real_where_it_was_made() {
        let [live, test] =
            [Mode::Live, Mode::Test].map(|mode| ApiKeySecret::in_mode(mode, &[7; 40]));
        assert!(live.expose().starts_with("cairn_live_") && !live.is_for_tests());
        assert!(test.expose().starts_with("cairn_test_") && test.is_for_tests());
        assert_eq!(ApiKeySecret::parse(test.expose()), Ok(test.clone()));
        let relabelled = test.expose().replace("cairn_test_", "cairn_live_");
        assert!(ApiKeySecret::parse(&relabelled).is_err(), "the checksum covers the prefix");
    }

    #[test]
    fn a_key_survives_its_text() {
        let key = ApiKeySecret::from_random(&[7; 40]);
        assert_eq!(ApiKeySecret::parse(key.expose()), Ok(key.clone()));
        assert_eq!(key.sha256().len(), 64);
        assert!(!format!("{key:?}").contains("cairn_live"));
    }

    #[test]
    fn a_secret_for_one_purpose_is_none_for_another() {
        let code = Secret::<Code>::from_random(&[7; 40]);
        assert!(ApiKeySecret::parse(code.expose()).is_err());
        let forged = code.expose().replace("cairn_code_", "cairn_live_");
        assert!(ApiKeySecret::parse(&forged).is_err());
        assert_ne!(code.derived("csrf"), code.derived("else"));
    }

    #[test]
    fn any_single_wrong_character_is_noticed() {
        let key = ApiKeySecret::from_random(&std::array::from_fn(|i| i as u8 * 5));
        for at in 0..key.expose().len() {
            let mut text = key.expose().to_owned().into_bytes();
            text[at] = if text[at] == b'0' { b'1' } else { b'0' };
            let text = String::from_utf8(text).unwrap();
            assert!(ApiKeySecret::parse(&text).is_err(), "{text}");
        }
        for text in ["", "cairn_live_", "sk_live_x", "cairn_live_é"] {
            assert!(ApiKeySecret::parse(text).is_err(), "{text}");
        }
    }
}
