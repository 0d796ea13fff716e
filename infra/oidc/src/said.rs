//! What goes in and comes out: configuration, attempts, identities, and why there is none.
use std::fmt;

/// A provider as it is configured.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Its name in our addresses, for example `google`.
    pub name: String,
    /// Its issuer identifier, for example `https://accounts.google.com`.
    pub issuer: String,
    /// What it knows us as.
    pub client_id: String,
    /// By what it knows us.
    pub client_secret: String,
    /// The class of authentication (`acr`) that is asked for and demanded, and means more than one factor there.
    pub multi_factor_acr: Option<String>,
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, issuer, client_id, .. } = self;
        write!(f, "ProviderConfig({name}, {issuer}, {client_id})")
    }
}

/// One attempt to sign in: what only the browser that began it can have.
#[derive(Clone)]
pub struct Attempt {
    /// Comes back with the code.
    pub state: String,
    /// Stands in the ID token.
    pub nonce: String,
    /// Whoever redeems the code shows it: 43 to 128 characters.
    pub verifier: String,
}

/// Whom a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// Whom they mean, for ever.
    pub subject: String,
    /// Their address, if the provider tells it.
    pub email: Option<String>,
    /// Whether the provider has seen to it that it is theirs.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<String>,
    /// Whether the provider says that it asked for more than one factor: by the class of authentication that was demanded of it, or by `mfa`
    /// among its methods (RFC 8176). Where it says nothing, one is assumed.
    pub multi_factor: bool,
}

/// Why nobody is vouched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer; try again.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
    /// The provider says no to the code or to us.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// It asked them for less than is demanded of it.
    #[error(
        "the provider did not ask for what is demanded of it: its class of authentication is not {0}"
    )]
    Weak(String),
    /// What it said does not hold.
    #[error("what the provider said does not hold: {0}")]
    Untrusted(String),
    /// The configuration is none.
    #[error("{0}")]
    Misconfigured(String),
}
