//! Marks: what this Cairn gave out and gets back, it knows by a mark that only the master key makes. Every process that has the master
//! key knows the marks of all. Each purpose has a key of its own, derived from the master key, so that no mark is good for anything else.
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, hmac};

use crate::keys::SubjectKeys;
use crate::master::{MasterError, Version};

/// Bytes of a mark: whoever guesses one needs 2¹²⁷ tries.
pub const MARK_LEN: usize = 16;

/// A mark over some bytes.
pub type Mark = [u8; MARK_LEN];

impl Version {
    fn mark(&self, purpose: &str, bytes: &[u8]) -> Result<Mark, Unspecified> {
        let mut secret = [0; 32];
        let label = [purpose.as_bytes()];
        self.derivation.expand(&label, hkdf::HKDF_SHA256)?.fill(&mut secret)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), bytes);
        let mut mark = Mark::default();
        mark.copy_from_slice(tag.as_ref().get(..MARK_LEN).ok_or(Unspecified)?);
        Ok(mark)
    }
}

impl SubjectKeys {
    /// The mark of some bytes, for one purpose: of the oldest version, which whoever knows a newer one knows as well.
    ///
    /// # Errors
    /// None that is known: a master key without a version is not opened.
    pub fn mark(&self, purpose: &str, bytes: &[u8]) -> Result<Mark, MasterError> {
        let oldest = self.all().pop().ok_or(MasterError::Cipher)?;
        Ok(oldest.mark(purpose, bytes)?)
    }

    /// Whether some bytes were marked for this purpose, by a version of the master key. Another process may have made one that is newer.
    #[must_use]
    pub fn is_marked(&self, purpose: &str, bytes: &[u8], mark: &[u8]) -> bool {
        let known = || {
            let made =
                self.all().into_iter().filter_map(|version| version.mark(purpose, bytes).ok());
            made.into_iter().any(|made| verify_slices_are_equal(&made, mark).is_ok())
        };
        known() || (self.look_at_hand() && known())
    }
}

#[cfg(test)]
mod tests {
    use crate::cipher::{Cipher, random};

    #[test]
    fn a_mark_is_for_one_purpose_of_one_key_over_these_bytes() {
        let secret = random().unwrap();
        let version = |secret: &[u8]| Cipher::new(secret).unwrap().version();
        let (key, same) = (version(&secret), version(&secret));
        let other = version(&random().unwrap());
        let mark = key.mark("a", b"bytes").unwrap();
        assert_eq!(mark, same.mark("a", b"bytes").unwrap());
        assert_ne!(mark, other.mark("a", b"bytes").unwrap());
        assert_ne!(mark, key.mark("b", b"bytes").unwrap());
        assert_ne!(mark, key.mark("a", b"byte").unwrap());
    }
}
