//! An API key: shown once, kept as a hash, bound to an organisation and a role.
//!
//! Lifecycle: `created → revoked`.
use cairn_core::{
    ApiKeyId, Decider, OrganisationId, Refusal, Subject, Text, Texts, Timestamp, cqrs_aggregate,
    domain_event,
};
use serde::{Deserialize, Serialize};

/// What the holder of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A customer: everything of its own organisation.
    Owner,
    /// A customer: reads its own organisation.
    Viewer,
    /// Platform: nodes, SKUs, processes, every allocation.
    Operator,
    /// Platform: the books, reconciliation, exports; reads only.
    Finance,
}

/// What has happened to a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum ApiKeyEvent {
    #[serde(rename = "api_key.created")]
    Created {
        key_id: ApiKeyId,
        organisation_id: OrganisationId,
        role: Role,
        name: String,
        /// Lower-case hex SHA-256 of the whole key.
        secret_sha256: String,
        at: Timestamp,
    },
    #[serde(rename = "api_key.revoked")]
    Revoked { reason: String, at: Timestamp },
}

domain_event!(ApiKeyEvent {
    Created => "api_key.created", 1;
    Revoked => "api_key.revoked", 1;
});

impl Texts for ApiKeyEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("key_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("role", Text::Kept),
        ("name", Text::Name),
        ("secret_sha256", Text::Hash),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

/// What may be asked of a key.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ApiKeyCommand {
    Create {
        key_id: ApiKeyId,
        organisation_id: OrganisationId,
        role: Role,
        name: String,
        secret_sha256: String,
        at: Timestamp,
    },
    Revoke {
        reason: String,
        at: Timestamp,
    },
}

/// Why a key refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ApiKeyError {
    #[error("there is no such key")]
    Unknown,
    #[error("a key's name is 1 to 100 characters")]
    BadName,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for ApiKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_api_key",
            Self::BadName => "key_name_invalid",
            Self::IdReused => "id_reused",
        }
    }
}

/// What a key remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ApiKey {
    #[serde(default)]
    pub organisation_id: Option<OrganisationId>,
    pub secret_sha256: Option<String>,
    pub revoked: bool,
}

impl Decider for ApiKey {
    const TYPE: &'static str = "api_key";
    type Command = ApiKeyCommand;
    type Event = ApiKeyEvent;
    type Error = ApiKeyError;

    fn decide(&self, command: ApiKeyCommand) -> Result<Vec<ApiKeyEvent>, ApiKeyError> {
        match command {
            ApiKeyCommand::Create { key_id, organisation_id, role, name, secret_sha256, at } => {
                if name.is_empty() || name.chars().count() > 100 {
                    return Err(ApiKeyError::BadName);
                }
                match &self.secret_sha256 {
                    None => Ok(vec![ApiKeyEvent::Created {
                        key_id,
                        organisation_id,
                        role,
                        name,
                        secret_sha256,
                        at,
                    }]),
                    Some(known) if *known == secret_sha256 => Ok(vec![]),
                    Some(_) => Err(ApiKeyError::IdReused),
                }
            }
            ApiKeyCommand::Revoke { reason, at } => match (&self.secret_sha256, self.revoked) {
                (None, _) => Err(ApiKeyError::Unknown),
                (Some(_), true) => Ok(vec![]),
                (Some(_), false) => Ok(vec![ApiKeyEvent::Revoked { reason, at }]),
            },
        }
    }

    fn evolve(mut self, event: ApiKeyEvent) -> Self {
        match event {
            ApiKeyEvent::Created { organisation_id, secret_sha256, .. } => {
                self.organisation_id = Some(organisation_id);
                self.secret_sha256 = Some(secret_sha256);
            }
            ApiKeyEvent::Revoked { .. } => self.revoked = true,
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }
}

cqrs_aggregate!(ApiKey);
