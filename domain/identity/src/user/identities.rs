//! Who else vouches for a person: identities at other providers, by which they sign in without a password.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent};

/// Somebody as another provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's name here.
    pub provider: String,
    /// Its issuer identifier.
    pub issuer: String,
    /// Whom it means, for ever.
    pub subject: String,
    /// What issuer and subject are found by.
    pub identity_index: String,
}

/// What is remembered of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Linked {
    pub issuer: String,
    pub identity_index: String,
}

impl User {
    /// One identity of each issuer. Who registers by one has their address from there as well, if it is `vouched` for.
    pub(super) fn link_identity(
        &self,
        identity: Identity,
        vouched: bool,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        let Identity { provider, issuer, subject, identity_index } = identity;
        if self.is_linked(&identity_index) {
            return Ok(vec![]);
        }
        if self.identities.iter().any(|known| known.issuer == issuer) {
            return Err(UserError::IdentityInUse);
        }
        let verified = (vouched && !self.verified).then_some(UserEvent::EmailVerified { at });
        let linked = UserEvent::IdentityLinked { provider, issuer, subject, identity_index, at };
        Ok(verified.into_iter().chain([linked]).collect())
    }

    pub(super) fn unlink_identity(
        &self,
        identity_index: String,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        if !self.is_linked(&identity_index) {
            return Err(UserError::UnknownIdentity);
        }
        Ok(vec![UserEvent::IdentityUnlinked { identity_index, at }])
    }

    pub(super) fn is_linked(&self, identity_index: &str) -> bool {
        self.identities.iter().any(|known| known.identity_index == identity_index)
    }
}
