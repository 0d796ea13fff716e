//! The master key: a file for its owner only, one key per line in hex, the one in use first. Older ones open what they wrapped.
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::cipher::{Cipher, KEY_LEN, random};

/// Where the master key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterFile(PathBuf);

/// A master key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read it.
    #[error("{} can be read by others: `chmod 600` it, or rotate the key if they may have", .0.display())]
    Exposed(PathBuf),
    /// Not keys.
    #[error("{}: line {line} is not a key of 64 hex digits", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// The keys in the database are wrapped by another one.
    #[error(
        "the database holds {subjects} keys of subjects that are wrapped by the master key {master_id}, which is not in {}: \
         bring the file back (CAIRN_PRIVACY_KEY names it), or what they sealed can never be read again",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Fingerprint of the key that is missing.
        master_id: String,
        /// How many keys it wraps.
        subjects: i64,
    },
    /// The machine has no randomness, or a cipher failed.
    #[error("the cipher failed")]
    Cipher,
    /// The database.
    #[error("the keys of subjects: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<aws_lc_rs::error::Unspecified> for MasterError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Cipher
    }
}

impl MasterFile {
    /// At a path.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes one with a new key, unless it is there.
    pub(crate) fn ensure(&self) -> Result<(), MasterError> {
        if self.0.exists() {
            return Ok(());
        }
        let written = self.written(&[hex::encode(random()?)])?;
        // Another process may have been faster: what it wrote stays.
        let linked = match fs::hard_link(&written, &self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        let removed = fs::remove_file(&written);
        linked.and(removed).map_err(|source| self.failed(source))
    }

    /// The keys, the one in use first.
    pub(crate) fn read(&self) -> Result<Vec<Cipher>, MasterError> {
        let lines = self.lines()?;
        let malformed = |line| MasterError::Malformed { path: self.0.clone(), line };
        let keys = lines.iter().enumerate().map(|(at, line)| {
            let secret = hex::decode(line).ok().filter(|secret| secret.len() == KEY_LEN);
            Ok(Cipher::new(&secret.ok_or_else(|| malformed(at + 1))?)?)
        });
        let keys = keys.collect::<Result<Vec<_>, MasterError>>()?;
        if keys.is_empty() { Err(malformed(1)) } else { Ok(keys) }
    }

    /// Puts a new key first. The others stay, since they have wrapped what is there.
    pub(crate) fn add(&self) -> Result<(), MasterError> {
        let mut lines = self.lines()?;
        lines.insert(0, hex::encode(random()?));
        self.replace(&lines)
    }

    /// Forgets every key but the one in use.
    pub(crate) fn keep_first(&self) -> Result<(), MasterError> {
        let mut lines = self.lines()?;
        lines.truncate(1);
        self.replace(&lines)
    }

    fn lines(&self) -> Result<Vec<String>, MasterError> {
        let mode = fs::metadata(&self.0).map_err(|source| self.failed(source))?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(MasterError::Exposed(self.0.clone()));
        }
        let text = fs::read_to_string(&self.0).map_err(|source| self.failed(source))?;
        Ok(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    fn replace(&self, lines: &[String]) -> Result<(), MasterError> {
        let written = self.written(lines)?;
        fs::rename(written, &self.0).map_err(|source| self.failed(source))
    }

    /// A file beside it that is whole and on the disk.
    fn written(&self, lines: &[String]) -> Result<PathBuf, MasterError> {
        let failed = |source| self.failed(source);
        if let Some(directory) = self.0.parent().filter(|directory| !directory.exists()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        let beside = self.0.with_extension(format!("new.{}", std::process::id()));
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed)?;
        file.write_all((lines.join("\n") + "\n").as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(beside)
    }

    fn failed(&self, source: io::Error) -> MasterError {
        MasterError::Io { path: self.0.clone(), source }
    }
}
