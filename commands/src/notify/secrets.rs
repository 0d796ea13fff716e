//! Secrets of endpoints: sealed under the key of their organisation, and shown by nothing that opens personal texts in answers.
use cairn_core::{OrganisationId, Subject};

use crate::ExecuteError;
use crate::answers::refused;
use crate::ports::{FailureKind, PortError};
use crate::privacy::{Personal, SUBJECT_ERASED};

/// What a sealed secret begins with, so that it does not look like a personal text.
const SEALED: &str = "secret:1:";

/// Seals a secret. Without keys it stays as it is, like everything personal.
pub(super) async fn seal(
    personal: &Personal,
    organisation_id: OrganisationId,
    secret: String,
) -> Result<String, ExecuteError> {
    let Ok(port) = personal.port() else { return Ok(secret) };
    let sealed = port.seal(&Subject::organisation(organisation_id), vec![secret]).await;
    let sealed = sealed.map_err(|error| match error.kind {
        FailureKind::Transient => ExecuteError::Unavailable(error.to_string()),
        FailureKind::Permanent | FailureKind::Refused | FailureKind::Untrusted => {
            ExecuteError::Internal(error.to_string())
        }
    })?;
    match sealed.and_then(|mut sealed| sealed.pop()) {
        Some(sealed) => Ok(format!("{SEALED}{sealed}")),
        None => Err(refused(SUBJECT_ERASED, "the organisation is erased")),
    }
}

/// A secret as it was made; `None` when its key was destroyed.
pub(super) async fn open(personal: &Personal, secret: &str) -> Result<Option<String>, PortError> {
    personal.open(secret.strip_prefix(SEALED).unwrap_or(secret)).await
}
