//! Keys: one that signs, in a file for its owner only, and the public ones in the order of their use.
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::Hash;

const PRIVATE: &str = "seal.pem";
const PUBLIC: &str = "seal.pub.pem";
const END: &str = "-----END PUBLIC KEY-----";

/// Signs blocks.
pub struct SealKey(SigningKey);

/// Public keys, oldest first.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys(Vec<VerifyingKey>);

/// Where the key of a log lies: `seal.pem` (PKCS#8) and `seal.pub.pem`, every public key that ever signed.
#[derive(Debug, Clone)]
pub struct KeyDirectory(PathBuf);

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read it.
    #[error("{} can be read by others: `chmod 600` it, or rotate the key if they may have", .0.display())]
    Exposed(PathBuf),
    /// Not a key.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

fn id_of(key: &VerifyingKey) -> Hash {
    Hash::of(&[], &[key.as_bytes()])
}

impl SealKey {
    /// Of 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// A new key.
    fn random() -> io::Result<Self> {
        let mut secret = [0; 32];
        #[allow(clippy::disallowed_methods, reason = "the one home of this crate's randomness")]
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self::from_bytes(&secret))
    }

    /// Names it: SHA-256 of the public key.
    #[must_use]
    pub fn id(&self) -> Hash {
        id_of(&self.0.verifying_key())
    }

    /// Its public half alone.
    #[must_use]
    pub fn public(&self) -> PublicKeys {
        PublicKeys(vec![self.0.verifying_key()])
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl PublicKeys {
    /// Reads a file of public keys in PEM, oldest first.
    ///
    /// # Errors
    /// [`KeyError`] names the file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path)
            .map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        Self::from_pem(&text).map_err(|why| KeyError::Malformed { path: path.to_owned(), why })
    }

    /// Public keys in PEM, one after the other.
    ///
    /// # Errors
    /// Says which of them is none.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let mut keys = vec![];
        for part in text.split_inclusive(END).map(str::trim).filter(|part| !part.is_empty()) {
            let key = VerifyingKey::from_public_key_pem(part);
            let number = keys.len() + 1;
            keys.push(
                key.map_err(|_| format!("key {number} is not an Ed25519 public key in PEM"))?,
            );
        }
        if keys.is_empty() {
            Err("there is no public key in it".to_owned())
        } else {
            Ok(Self(keys))
        }
    }

    /// As [`PublicKeys::from_pem`] reads them.
    ///
    /// # Errors
    /// None that is known: every key encodes.
    pub fn to_pem(&self) -> Result<String, String> {
        let pem = |key: &VerifyingKey| key.to_public_key_pem(LineEnding::LF);
        self.0.iter().map(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// The names of the keys, oldest first.
    #[must_use]
    pub fn ids(&self) -> Vec<Hash> {
        self.0.iter().map(id_of).collect()
    }

    /// Which of them this is, from 0.
    #[must_use]
    pub fn index_of(&self, id: Hash) -> Option<usize> {
        self.0.iter().position(|key| id_of(key) == id)
    }

    pub(crate) fn verifies(&self, index: usize, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.get(index).is_some_and(|key| key.verify_strict(bytes, &signature).is_ok())
    }
}

impl KeyDirectory {
    /// A directory of keys.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Where the public keys are.
    #[must_use]
    pub fn public_path(&self) -> PathBuf {
        self.0.join(PUBLIC)
    }

    /// The key that signs, made on first use, and every public key. Blocks on files.
    ///
    /// # Errors
    /// When a file cannot be read or made, or is readable by others, or the key that signs is not in the list.
    pub fn open(&self) -> Result<(SealKey, PublicKeys), KeyError> {
        let private = self.0.join(PRIVATE);
        if !private.exists() {
            let _held = self.lock()?;
            // Another process may have been faster.
            if !private.exists() {
                self.add()?;
            }
        }
        let io = |source| KeyError::Io { path: private.clone(), source };
        if fs::metadata(&private).map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(private));
        }
        let malformed = |why: String| KeyError::Malformed { path: private.clone(), why };
        let text = fs::read_to_string(&private).map_err(io)?;
        let key =
            SigningKey::from_pkcs8_pem(&text).map_err(|error| malformed(error.to_string()))?;
        let (key, public) = (SealKey(key), PublicKeys::read(&self.public_path())?);
        if public.index_of(key.id()).is_some() {
            return Ok((key, public));
        }
        Err(malformed(format!("its public half is not in {PUBLIC}")))
    }

    /// Makes a new key that signs from now on. The old one is gone; what it signed stays valid.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn rotate(&self) -> Result<Hash, KeyError> {
        self.open()?;
        let _held = self.lock()?;
        self.add()
    }

    /// One process at a time changes the files, until the answer is dropped.
    fn lock(&self) -> Result<fs::File, KeyError> {
        let lock = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let directory = fs::File::open(&self.0)?;
            directory.lock()?;
            Ok(directory)
        };
        lock().map_err(|source| KeyError::Io { path: self.0.clone(), source })
    }

    /// Public half first: after a crash in between, the key before it still signs.
    fn add(&self) -> Result<Hash, KeyError> {
        let io = |source| KeyError::Io { path: self.0.join(PRIVATE), source };
        let key = SealKey::random().map_err(io)?;
        let malformed = |why: String| KeyError::Malformed { path: self.public_path(), why };
        let mut public = match PublicKeys::read(&self.public_path()) {
            Ok(public) => public,
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                PublicKeys::default()
            }
            Err(error) => return Err(error),
        };
        public.0.push(key.0.verifying_key());
        let secret =
            key.0.to_pkcs8_pem(LineEnding::LF).map_err(|error| malformed(error.to_string()))?;
        let listed = public.to_pem().map_err(malformed)?;
        self.replace(PUBLIC, listed.as_bytes(), 0o644)?;
        self.replace(PRIVATE, secret.as_bytes(), 0o600)?;
        Ok(key.id())
    }

    /// Written whole, or not at all.
    fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
        let (path, draft) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        let write = || {
            let _ = fs::remove_file(&draft);
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| KeyError::Io { path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{KeyDirectory, KeyError, PRIVATE, PublicKeys};

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::at(directory.path().join("keys"));
        let (first, public) = keys.open().unwrap();
        assert_eq!(public.ids(), [first.id()]);
        assert_eq!(keys.open().unwrap().0.id(), first.id());
        let mode = fs::metadata(directory.path().join("keys").join(PRIVATE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_rotated_key_signs_next_and_the_old_ones_stay_listed_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::at(directory.path().to_owned());
        let first = keys.open().unwrap().0.id();
        let second = keys.rotate().unwrap();
        let (key, public) = keys.open().unwrap();
        assert_eq!((key.id(), public.ids()), (second, vec![first, second]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::at(directory.path().to_owned());
        keys.open().unwrap();
        let path = directory.path().join(PRIVATE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(keys.open(), Err(KeyError::Exposed(exposed)) if exposed == path));
    }

    #[test]
    fn a_file_without_a_public_key_is_said_so() {
        assert!(PublicKeys::from_pem("").unwrap_err().contains("no public key"));
        assert!(PublicKeys::from_pem("ssh-ed25519 AAAA").unwrap_err().contains("key 1"));
    }
}
