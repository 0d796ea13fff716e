//! Why there is no cluster, in words that say what to do.
use std::io;
use std::path::{Path, PathBuf};

/// Why a cluster could not be found, made, started or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The machine has no PostgreSQL server of version 15 or newer.
    #[error(
        "no PostgreSQL server (15 or newer) found on PATH or in {searched}: install the package postgresql"
    )]
    NoBinaries {
        /// The directories that were looked into.
        searched: String,
    },
    /// The data belongs to another major version than any server found.
    #[error(
        "{data} was made by PostgreSQL {wanted}, this machine has {found}: install postgresql-{wanted} or move the data away"
    )]
    VersionMismatch {
        /// The data directory.
        data: PathBuf,
        /// Its major version.
        wanted: u32,
        /// The versions found.
        found: String,
    },
    /// Running as root, with nobody to become.
    #[error("PostgreSQL refuses to run as root, and /etc/passwd has neither postgres nor nobody")]
    NoAccount,
    /// Another process holds the directory and its server cannot be seen from here.
    #[error("{0} is held by another process whose server is not running here: stop that process")]
    InUse(PathBuf),
    /// A directory that must be ours belongs to somebody else.
    #[error("{path} belongs to user id {owner}, expected {expected}: remove it")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// A program of PostgreSQL's said no.
    #[error("{what} failed: {detail}")]
    Program {
        /// What was attempted.
        what: String,
        /// What it said.
        detail: String,
    },
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Its reason.
        source: io::Error,
    },
}

/// Names the path in an error of the operating system.
pub(crate) trait During<T> {
    fn during(self, what: &str, path: &Path) -> Result<T, ClusterError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: &str, path: &Path) -> Result<T, ClusterError> {
        self.map_err(|source| ClusterError::Io {
            what: format!("{what} {}", path.display()),
            source,
        })
    }
}
