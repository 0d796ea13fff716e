//! An API key: shown once, kept as a hash, bound to an organisation and a role.
//!
//! Lifecycle: `created → revoked`; what has an expiry opens nothing from then on. An expiry only moves nearer, so a key that was
//! replaced works on beside its successor for a while and no longer. A key that was issued to a person opens something only while they
//! belong to its organisation in its role. One that was assigned to a service account is that account: it has the role that the account has
//! when it is shown, and opens something only while the account is there and not disabled. The views see to both.
use cairn_core::upcast::Upcast;
use cairn_core::{
    ApiKeyId, Decider, OrganisationId, Refusal, ServiceAccountId, Subject, Text, Texts, Timestamp,
    UserId, cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Role;

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
        /// What of its role it may do, as `compute:read`; all of it when there is none.
        scopes: Vec<String>,
        name: String,
        /// Lower-case hex SHA-256 of the whole key.
        secret_sha256: String,
        at: Timestamp,
    },
    /// It stands for a person, who let a device in.
    #[serde(rename = "api_key.issued")]
    Issued { user_id: UserId, at: Timestamp },
    /// It stands for a service account of its organisation.
    #[serde(rename = "api_key.assigned")]
    Assigned { service_account_id: ServiceAccountId, at: Timestamp },
    #[serde(rename = "api_key.expiry_set")]
    ExpirySet {
        /// From then on it opens nothing.
        expires_at: Timestamp,
        /// The key that takes its place, if it was replaced.
        successor: Option<ApiKeyId>,
        at: Timestamp,
    },
    #[serde(rename = "api_key.revoked")]
    Revoked { reason: String, at: Timestamp },
}

domain_event!(ApiKeyEvent {
    Created => "api_key.created", 2;
    Issued => "api_key.issued", 1;
    Assigned => "api_key.assigned", 1;
    ExpirySet => "api_key.expiry_set", 1;
    Revoked => "api_key.revoked", 1;
} upcasts [Upcast { event_type: "api_key.created", from: 1, to_next: with_scopes }]);

/// A key of version 1 may do all of its role, and only the platform had people for operations and finance.
fn with_scopes(mut payload: Value) -> Value {
    if let Value::Object(members) = &mut payload {
        members.insert("scopes".to_owned(), Value::Array(vec![]));
        if let Some(Value::String(role)) = members.get_mut("role")
            && matches!(role.as_str(), "operator" | "finance")
        {
            role.insert_str(0, "platform_");
        }
    }
    payload
}

impl Texts for ApiKeyEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("key_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("role", Text::Kept),
        ("scopes[]", Text::Kept),
        ("name", Text::Name),
        ("secret_sha256", Text::Hash),
        ("user_id", Text::Kept),
        ("service_account_id", Text::Kept),
        ("expires_at", Text::Kept),
        ("successor", Text::Kept),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

/// Whom a key stands for, when it is not simply its organisation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Somebody who let a device in.
    Person(UserId),
    /// A service account of its organisation.
    ServiceAccount(ServiceAccountId),
}

/// What may be asked of a key.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ApiKeyCommand {
    Create {
        key_id: ApiKeyId,
        organisation_id: OrganisationId,
        role: Role,
        scopes: Vec<String>,
        name: String,
        secret_sha256: String,
        /// Whom it stands for; it is the organisation's when absent.
        holder: Option<Holder>,
        expires_at: Option<Timestamp>,
        at: Timestamp,
    },
    SetExpiry {
        expires_at: Timestamp,
        successor: Option<ApiKeyId>,
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
    #[error("a key is made with an expiry to come, and an expiry only moves nearer")]
    BadExpiry,
    #[error("the key was revoked")]
    Revoked,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for ApiKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_api_key",
            Self::BadName => "key_name_invalid",
            Self::BadExpiry => "key_expiry_invalid",
            Self::Revoked => "api_key_revoked",
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
}

impl Decider for ApiKey {
    const TYPE: &'static str = "api_key";
    type Command = ApiKeyCommand;
    type Event = ApiKeyEvent;
    type Error = ApiKeyError;

    fn decide(&self, command: ApiKeyCommand) -> Result<Vec<ApiKeyEvent>, ApiKeyError> {
        match command {
            ApiKeyCommand::Create {
                key_id,
                organisation_id,
                role,
                scopes,
                name,
                secret_sha256,
                holder,
                expires_at,
                at,
            } => {
                if name.is_empty() || name.chars().count() > 100 {
                    return Err(ApiKeyError::BadName);
                }
                if expires_at.is_some_and(|expires_at| expires_at <= at) {
                    return Err(ApiKeyError::BadExpiry);
                }
                match &self.secret_sha256 {
                    Some(known) if *known == secret_sha256 => return Ok(vec![]),
                    Some(_) => return Err(ApiKeyError::IdReused),
                    None => {}
                }
                let created = ApiKeyEvent::Created {
                    key_id,
                    organisation_id,
                    role,
                    scopes,
                    name,
                    secret_sha256,
                    at,
                };
                let held = holder.map(|holder| match holder {
                    Holder::Person(user_id) => ApiKeyEvent::Issued { user_id, at },
                    Holder::ServiceAccount(service_account_id) => {
                        ApiKeyEvent::Assigned { service_account_id, at }
                    }
                });
                let expiry = expires_at.map(|expires_at| ApiKeyEvent::ExpirySet {
                    expires_at,
                    successor: None,
                    at,
                });
                Ok([created].into_iter().chain(held).chain(expiry).collect())
            }
            ApiKeyCommand::SetExpiry { expires_at, successor, at } => {
                self.set_expiry(expires_at, successor, at)
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
            ApiKeyEvent::Issued { .. } | ApiKeyEvent::Assigned { .. } => {}
            ApiKeyEvent::ExpirySet { expires_at, .. } => self.expires_at = Some(expires_at),
            ApiKeyEvent::Revoked { .. } => self.revoked = true,
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }
}

impl ApiKey {
    fn set_expiry(
        &self,
        expires_at: Timestamp,
        successor: Option<ApiKeyId>,
        at: Timestamp,
    ) -> Result<Vec<ApiKeyEvent>, ApiKeyError> {
        match self {
            Self { secret_sha256: None, .. } => Err(ApiKeyError::Unknown),
            Self { revoked: true, .. } => Err(ApiKeyError::Revoked),
            Self { expires_at: Some(known), .. } if *known == expires_at => Ok(vec![]),
            Self { expires_at: Some(known), .. } if *known < expires_at => {
                Err(ApiKeyError::BadExpiry)
            }
            _ if expires_at < at => Err(ApiKeyError::BadExpiry),
            _ => Ok(vec![ApiKeyEvent::ExpirySet { expires_at, successor, at }]),
        }
    }
}

cqrs_aggregate!(ApiKey);
