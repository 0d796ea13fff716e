//! Passwords: how hard they must be to guess, and how they are kept.
//!
//! They are kept as argon2id hashes with the parameters that OWASP gives (19 MiB, 2 passes). Whether one is weak is estimated offline, with
//! the lists of leaked passwords that zxcvbn carries, and with what is known of the person.
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;
use zxcvbn::{Score, zxcvbn};

use crate::problem::{FieldError, Problem};

/// Characters of a password, at least.
pub const LENGTH_MIN: usize = 10;
/// Bytes, at most.
pub const LENGTH_MAX: usize = 256;
/// Hashes at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

/// Hashes and compares, a few at a time and off the runtime's threads.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// The hash of a password that nobody has: compared when there is no other, so that it takes as long.
    nobody: Arc<str>,
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn hash(password: &[u8]) -> Result<String, Problem> {
    let salt =
        crate::system::random::<16>().map_err(|error| Problem::internal(&error.to_string()))?;
    let hash = argon2().hash_password_with_salt(password, &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| Problem::internal(&error.to_string()))
}

impl Passwords {
    /// Ready to hash.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, Problem> {
        let nobody = crate::system::random::<32>();
        let nobody = nobody.map_err(|error| Problem::internal(&error.to_string()))?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobody: hash(&nobody)?.into() })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let closed = |error: &dyn std::fmt::Display| Problem::internal(&error.to_string());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| closed(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| closed(&error))
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// When there is no randomness.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run(move || hash(password.as_bytes())).await?
    }

    /// Whether the password is the one of this hash; without a hash it never is, and takes as long.
    ///
    /// # Errors
    /// When the program ends.
    pub async fn is(&self, password: String, known: Option<String>) -> Result<bool, Problem> {
        let nobody = Arc::clone(&self.nobody);
        self.run(move || {
            let text = known.as_deref().unwrap_or(&nobody);
            let fits = PasswordHash::new(text)
                .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok());
            fits && known.is_some()
        })
        .await
    }
}

/// Refuses a password that is short, among the leaked ones, or made of what everybody knows of its owner.
///
/// # Errors
/// `password_weak`, with what to do about it.
pub fn check(password: &str, known: &[&str]) -> Result<(), Problem> {
    let weak = |why: String| {
        let error = FieldError::new("/password", "password_weak", why);
        Problem::new("password_weak", error.detail.clone()).with_errors(vec![error])
    };
    if password.chars().count() < LENGTH_MIN {
        return Err(weak(format!("a password has at least {LENGTH_MIN} characters")));
    }
    if password.len() > LENGTH_MAX {
        return Err(weak(format!("a password has at most {LENGTH_MAX} bytes")));
    }
    let mut inputs = vec!["cairn"];
    inputs.extend(known.iter().flat_map(|text| text.split(['@', '.', ' '])));
    inputs.extend(known);
    let judged = zxcvbn(password, &inputs);
    if judged.score() >= Score::Three {
        return Ok(());
    }
    let feedback = judged.feedback();
    let warning = feedback.and_then(|said| said.warning()).map(|warning| warning.to_string());
    let advice = feedback.and_then(|said| said.suggestions().first().map(ToString::to_string));
    let said: Vec<_> = [warning, advice].into_iter().flatten().collect();
    Err(weak(if said.is_empty() { "it is easily guessed".to_owned() } else { said.join(" ") }))
}

#[cfg(test)]
mod tests {
    use super::{Passwords, check};

    #[test]
    fn what_is_leaked_short_or_known_of_the_person_is_weak() {
        let known = ["ada@example.org", "Ada Lovelace"];
        for weak in
            ["short", "password1234", "1234567890", "qwertyuiop", "adalovelace", "cairncairn"]
        {
            assert_eq!(check(weak, &known).unwrap_err().code.name, "password_weak", "{weak}");
        }
        assert!(check(&"mU7-ghost-teapot".repeat(20), &known).is_err(), "too long to hash");
        for strong in ["correct horse battery staple", "mU7-ghost-teapot"] {
            assert!(check(strong, &known).is_ok(), "{strong}");
        }
    }

    #[tokio::test]
    async fn a_password_is_kept_as_a_slow_salted_hash() {
        let passwords = Passwords::new().unwrap();
        let (first, second) = tokio::join!(
            passwords.hash("correct horse".to_owned()),
            passwords.hash("correct horse".to_owned()),
        );
        let first = first.unwrap();
        assert_ne!(first, second.unwrap(), "each has its own salt");
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        let is = async |password: &str, known: Option<&String>| {
            passwords.is(password.to_owned(), known.cloned()).await.unwrap()
        };
        assert!(is("correct horse", Some(&first)).await);
        assert!(!is("correct horsf", Some(&first)).await);
        assert!(!is("correct horse", None).await);
        assert!(!is("correct horse", Some(&"erased".to_owned())).await);
    }
}
