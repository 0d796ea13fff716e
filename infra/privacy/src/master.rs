//! What wraps the keys of subjects: a master key, somewhere that is not the database. It has versions while it is exchanged.
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use aws_lc_rs::hkdf::Prk;
use reqwest::Url;

/// A version that can be used.
#[derive(Debug, Clone)]
pub struct Version {
    /// Names it, and tells nothing of it.
    pub id: String,
    /// What keys for other purposes are derived from (HKDF, RFC 5869): no key tells anything about another one.
    pub derivation: Prk,
}

/// A master key, wherever it is.
#[async_trait]
pub trait MasterKey: std::fmt::Debug + Send + Sync {
    /// Where it is, for whoever must bring it back.
    fn place(&self) -> String;

    /// Every version that can be used, the newest first. None when there is no key yet.
    ///
    /// # Errors
    /// [`MasterError`], here and below.
    async fn versions(&self) -> Result<Vec<Version>, MasterError>;

    /// The same without asking anybody else, where that is possible.
    fn versions_at_hand(&self) -> Option<Vec<Version>> {
        None
    }

    /// Makes one more version, which is then the newest.
    async fn add(&self) -> Result<(), MasterError>;

    /// Takes every version away but the newest.
    async fn keep_newest(&self) -> Result<(), MasterError>;

    /// Wraps a secret with one version, for one purpose.
    async fn wrap(&self, id: &str, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, MasterError>;

    /// The secret that one version has wrapped for this purpose.
    async fn unwrap(&self, id: &str, purpose: &str, wrapped: &[u8])
    -> Result<Vec<u8>, MasterError>;
}

/// What is wrong with the setting that says where a master key is, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {why}")]
pub struct PlaceError {
    setting: &'static str,
    why: String,
}

impl PlaceError {
    pub(crate) fn new(setting: &'static str, why: impl Into<String>) -> Self {
        Self { setting, why: why.into() }
    }

    /// An address of whoever holds a key: one that nobody overhears, and that tells no secret.
    pub(crate) fn read(setting: &'static str, address: &str) -> Result<Url, Self> {
        let wrong = |why: String| Self::new(setting, why);
        let url =
            Url::parse(address).map_err(|error| wrong(format!("not an address ({error})")))?;
        let is_near = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_near) {
            return Err(wrong("keys go over https, on this machine also over http".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("the address holds no token and no credentials".to_owned()));
        }
        Ok(url)
    }
}

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
        "the database holds {subjects} keys of subjects that are wrapped by the master key {master_id}, which is not in {place}: \
         bring it back (privacy.key_path, privacy.vault_url and privacy.kms_url say where it is), or what they sealed can never be read again"
    )]
    Other {
        /// Where it was looked for.
        place: String,
        /// Names the key that is missing.
        master_id: String,
        /// How many keys it wraps.
        subjects: i64,
    },
    /// Somebody else exchanges it just now.
    #[error("another process rotates the master key just now: wait for it")]
    Rotating,
    /// Whoever has it did not answer, or not as it should.
    #[error("{service} at {place}: {message}")]
    Service {
        /// Who: `Vault` or `KMS`.
        service: &'static str,
        /// Where.
        place: String,
        /// What it said, or why it said nothing.
        message: String,
        /// Whether it is worth while to ask again.
        transient: bool,
    },
    /// Whoever has it cannot be asked as is configured.
    #[error(transparent)]
    Unusable(#[from] PlaceError),
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
