//! What a person agreed to, and whether they want to be forgotten.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{User, UserError, UserEvent};

/// What somebody agrees to, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Document {
    /// The terms of service.
    Terms,
    /// What is done with personal data.
    Privacy,
    /// Being written to about what is new.
    Marketing,
}

/// Where somebody said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// When they registered.
    Registering,
    /// Later, signed in.
    SignedIn,
}

/// What was said of a document last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Consent {
    pub version: String,
    /// Or taken back.
    pub given: bool,
}

impl User {
    pub(super) fn consent(
        &self,
        (document, consent): (Document, Consent),
        said: Said,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        let Consent { version, given } = consent;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !(1..=40).contains(&version.len()) || !version.bytes().all(fits) {
            return Err(UserError::BadVersion);
        }
        let known = self.consents.get(&document);
        if known.is_some_and(|known| known.version == version && known.given == given) {
            return Ok(vec![]);
        }
        Ok(vec![UserEvent::Consented { document, version, given, said, at }])
    }

    /// Whoever has taken a session over does not try one password after the other.
    pub(super) fn request_erasure(
        &self,
        due_at: Timestamp,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        match self.erasure_due_at {
            _ if self.locked(at) => Err(UserError::Locked),
            Some(_) => Ok(vec![]),
            None => Ok(vec![UserEvent::ErasureRequested { due_at, at }]),
        }
    }

    pub(super) fn cancel_erasure(&self, at: Timestamp) -> Vec<UserEvent> {
        let due = self.erasure_due_at.is_some();
        due.then_some(UserEvent::ErasureCancelled { at }).into_iter().collect()
    }

    /// Closes the account of whoever wanted to be forgotten and has not thought better of it in time.
    pub(super) fn close_due(
        &self,
        reason: String,
        at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserError> {
        match self.erasure_due_at {
            Some(due_at) if due_at <= at => Ok(vec![UserEvent::Closed { reason, at }]),
            Some(_) | None => Err(UserError::ErasureNotDue),
        }
    }
}
