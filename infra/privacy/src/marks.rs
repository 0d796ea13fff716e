//! Marks: what this Cairn gave out and gets back, it knows by a mark that only the master key makes. Every process that has the master
//! key knows the marks of all. Each purpose has a key of its own, derived from the master key, so that no mark is good for anything else.
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, hmac};

use crate::cipher::Cipher;
use crate::keys::SubjectKeys;
use crate::master::MasterError;

/// Bytes of a mark: whoever guesses one needs 2¹²⁷ tries.
pub const MARK_LEN: usize = 16;

/// A mark over some bytes.
pub type Mark = [u8; MARK_LEN];

impl Cipher {
    fn mark(&self, purpose: &str, bytes: &[u8]) -> Result<Mark, Unspecified> {
        let mut secret = [0; 32];
        let label = [purpose.as_bytes()];
        self.derivation().expand(&label, hkdf::HKDF_SHA256)?.fill(&mut secret)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), bytes);
        let mut mark = Mark::default();
        mark.copy_from_slice(tag.as_ref().get(..MARK_LEN).ok_or(Unspecified)?);
        Ok(mark)
    }
}

impl SubjectKeys {
    /// The mark of some bytes, for one purpose.
    ///
    /// # Errors
    /// None that is known: a file without a key is not opened.
    pub fn mark(&self, purpose: &str, bytes: &[u8]) -> Result<Mark, MasterError> {
        Ok(self.current()?.mark(purpose, bytes)?)
    }

    /// Whether some bytes were marked for this purpose, by a master key that is in the file. Another process may have put a new one there.
    #[must_use]
    pub fn is_marked(&self, purpose: &str, bytes: &[u8], mark: &[u8]) -> bool {
        let known = || {
            let made = self.all().into_iter().filter_map(|key| key.mark(purpose, bytes).ok());
            made.into_iter().any(|made| verify_slices_are_equal(&made, mark).is_ok())
        };
        known() || (self.reread().is_ok() && known())
    }
}

#[cfg(test)]
mod tests {
    use crate::cipher::{Cipher, random};

    #[test]
    fn a_mark_is_for_one_purpose_of_one_key_over_these_bytes() {
        let secret = random().unwrap();
        let (key, same) = (Cipher::new(&secret).unwrap(), Cipher::new(&secret).unwrap());
        let other = Cipher::new(&random().unwrap()).unwrap();
        let mark = key.mark("a", b"bytes").unwrap();
        assert_eq!(mark, same.mark("a", b"bytes").unwrap());
        assert_ne!(mark, other.mark("a", b"bytes").unwrap());
        assert_ne!(mark, key.mark("b", b"bytes").unwrap());
        assert_ne!(mark, key.mark("a", b"byte").unwrap());
    }
}
