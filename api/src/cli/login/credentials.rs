//! What `cairn login` was given, in a file that only its owner reads: `cairn/credentials.json` where the user's configuration is.
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::exit::{CliError, Exit};
use crate::config::Sources;

const FOLDER: &str = "cairn";
const NAME: &str = "credentials.json";

/// A key, and what was said of it when it was given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Credentials {
    pub server: String,
    pub key: String,
    pub key_id: String,
    pub user_id: String,
    pub organisation_id: String,
    pub role: String,
    pub scopes: Vec<String>,
    pub expires_at: String,
}

/// Where they are kept.
pub(super) struct Keep(PathBuf);

impl Keep {
    /// Of the user who runs this.
    pub(super) fn of(sources: &Sources) -> Result<Self, CliError> {
        let homeless =
            || CliError::usage("neither XDG_CONFIG_HOME nor HOME says where to keep the key");
        Ok(Self(sources.home().ok_or_else(homeless)?.join(FOLDER).join(NAME)))
    }

    /// As people see it.
    pub(super) fn path(&self) -> String {
        self.0.display().to_string()
    }

    /// What is kept, if anything is.
    pub(super) fn read(&self) -> Result<Option<Credentials>, CliError> {
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| self.broken(&error))?,
        };
        let found = serde_json::from_slice(&text);
        // What stands there is not repeated: it holds a key.
        found.map(Some).map_err(|_| self.broken(&"it is not what `cairn login` wrote; remove it"))
    }

    /// Keeps them, whole or not at all.
    pub(super) fn write(&self, credentials: &Credentials) -> Result<(), CliError> {
        let broken = |error: std::io::Error| self.broken(&error);
        let folder = self.0.parent().unwrap_or(&self.0);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(broken)?;
        // A new file of this kind is its owner's alone: 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(broken)?;
        file.write_all(&serde_json::to_vec_pretty(credentials)?).map_err(broken)?;
        file.as_file().sync_all().map_err(broken)?;
        file.persist(&self.0).map_err(|error| broken(error.error))?;
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<(), CliError> {
        fs::remove_file(&self.0).map_err(|error| self.broken(&error))
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> CliError {
        CliError::new(Exit::Failure, "credentials_unusable", format!("{}: {why}", self.path()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Credentials, Keep};

    fn credentials(key: &str) -> Credentials {
        Credentials {
            server: "https://cairn.example".to_owned(),
            key: key.to_owned(),
            key_id: "key_1".to_owned(),
            user_id: "user_1".to_owned(),
            organisation_id: "org_1".to_owned(),
            role: "owner".to_owned(),
            scopes: vec![],
            expires_at: "2026-12-27T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn only_its_owner_reads_what_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let keep = Keep(home.path().join("new/cairn/credentials.json"));
        assert!(keep.read().unwrap().is_none());
        keep.write(&credentials("first")).unwrap();
        keep.write(&credentials("second")).unwrap();
        assert_eq!(keep.read().unwrap().unwrap().key, "second");
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&keep.0), 0o600);
        assert_eq!(mode(keep.0.parent().unwrap()), 0o700);
        keep.remove().unwrap();
        assert!(keep.read().unwrap().is_none());
    }

    #[test]
    fn what_is_broken_is_said_without_what_it_holds() {
        let home = tempfile::tempdir().unwrap();
        let keep = Keep(home.path().join("credentials.json"));
        std::fs::write(&keep.0, "{\"key\": \"cairn_live_secret\"").unwrap();
        let said = keep.read().err().unwrap().to_string();
        assert!(said.contains("credentials.json") && !said.contains("cairn_live"), "{said}");
    }
}
