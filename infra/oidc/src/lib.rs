//! Sign-in through other providers (OpenID Connect Core 1.0, authorization code with PKCE).
//!
//! What the provider guarantees: an ID token that it signed, for us, just now. What we add: only asymmetric signatures count, keys are
//! fetched anew when a token names one that is not known, nothing is redirected, an answer has a size and a time, and nothing but TLS is
//! spoken with anybody but this machine. Vendor types stay in here.
mod http;
mod provider;
mod said;

pub use provider::Provider;
pub use said::{Attempt, Identity, OidcError, ProviderConfig};
