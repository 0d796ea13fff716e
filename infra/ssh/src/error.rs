//! What can go wrong with keys and enrolments.

/// The certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file or directory.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others than the owner could read the keys.
    #[error(
        "{0} is open to others: only its owner may read it (chmod 0700 directories, 0600 keys)"
    )]
    Exposed(String),
    /// A key or certificate could not be made or read.
    #[error("key: {0}")]
    Key(String),
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
}

/// An enrolment that is not even looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// The token names no node.
    #[error("the token is not one of Cairn's")]
    BadToken,
    /// No host key, or something that is none.
    #[error("host keys are OpenSSH public keys, one to eight of them: {0}")]
    BadHostKey(String),
    /// Not a host name or IP address.
    #[error("'{0}' is not an address")]
    BadAddress(String),
    /// The node cannot run allocations yet.
    #[error("the node lacks: {0}")]
    NotReady(String),
}

impl EnrolmentError {
    /// Stable code in `snake_case`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadToken => "enrolment_token_refused",
            Self::BadHostKey(_) => "host_key_invalid",
            Self::BadAddress(_) => "node_address_invalid",
            Self::NotReady(_) => "node_not_ready",
        }
    }
}
