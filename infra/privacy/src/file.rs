//! A master key in a file for its owner only, one version per line in hex, the newest first. Older ones open what they wrapped.
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::cipher::{Cipher, KEY_LEN, random};
use crate::master::{MasterError, MasterKey, Version};

/// Where the master key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterFile(PathBuf);

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

    /// The keys, the newest first.
    fn read(&self) -> Result<Vec<Cipher>, MasterError> {
        let lines = self.lines()?;
        let malformed = |line| MasterError::Malformed { path: self.0.clone(), line };
        let keys = lines.iter().enumerate().map(|(at, line)| {
            let secret = hex::decode(line).ok().filter(|secret| secret.len() == KEY_LEN);
            Ok(Cipher::new(&secret.ok_or_else(|| malformed(at + 1))?)?)
        });
        let keys = keys.collect::<Result<Vec<_>, MasterError>>()?;
        if keys.is_empty() { Err(malformed(1)) } else { Ok(keys) }
    }

    /// Makes the file with its first key.
    fn begin(&self) -> Result<(), MasterError> {
        let written = self.written(&[hex::encode(random()?)])?;
        // Another process may have been faster: what it wrote stays.
        let linked = match fs::hard_link(&written, &self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        let removed = fs::remove_file(&written);
        linked.and(removed).map_err(|source| self.failed(source))
    }

    fn cipher(&self, id: &str) -> Result<Cipher, MasterError> {
        let missing =
            || MasterError::Other { place: self.place(), master_id: id.to_owned(), subjects: 1 };
        self.read()?.into_iter().find(|key| key.id() == id).ok_or_else(missing)
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

#[async_trait]
impl MasterKey for MasterFile {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    async fn versions(&self) -> Result<Vec<Version>, MasterError> {
        if !self.0.exists() {
            return Ok(vec![]);
        }
        Ok(self.read()?.iter().map(Cipher::version).collect())
    }

    fn versions_at_hand(&self) -> Option<Vec<Version>> {
        Some(self.read().ok()?.iter().map(Cipher::version).collect())
    }

    async fn add(&self) -> Result<(), MasterError> {
        if !self.0.exists() {
            return self.begin();
        }
        let mut lines = self.lines()?;
        lines.insert(0, hex::encode(random()?));
        self.replace(&lines)
    }

    async fn keep_newest(&self) -> Result<(), MasterError> {
        let mut lines = self.lines()?;
        lines.truncate(1);
        self.replace(&lines)
    }

    async fn wrap(&self, id: &str, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, MasterError> {
        Ok(self.cipher(id)?.seal(purpose, secret)?)
    }

    async fn unwrap(
        &self,
        id: &str,
        purpose: &str,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, MasterError> {
        Ok(self.cipher(id)?.open(purpose, wrapped)?)
    }
}
