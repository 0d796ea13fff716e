//! Finds the key that a caller presents, and remembers it for a few seconds.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_core::{ApiKeyId, OrganisationId};
use cairn_identity::Role;
use sqlx::PgPool;

use super::ApiKeySecret;
use crate::problem::Problem;

/// How long a revoked key may still work.
const MEMORY: Duration = Duration::from_secs(5);
const REMEMBERED_MAX: usize = 10_000;

/// A valid key.
#[derive(Debug, Clone, Copy)]
pub struct KnownKey {
    /// The key.
    pub key_id: ApiKeyId,
    /// The organisation it is bound to.
    pub organisation_id: OrganisationId,
    /// Its role.
    pub role: Role,
}

/// Keys by the hash of their secret. Only found keys are remembered, so a new key works at once.
#[derive(Debug, Clone)]
pub struct KeyDirectory {
    pool: PgPool,
    remembered: Arc<Mutex<HashMap<String, (Instant, KnownKey)>>>,
}

impl KeyDirectory {
    /// Over the identity context's view.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, remembered: Arc::default() }
    }

    /// The key of a secret, unless it is unknown or revoked.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn find(&self, secret: &ApiKeySecret) -> Result<Option<KnownKey>, Problem> {
        let hash = secret.sha256();
        if let Some(known) = self.recall(&hash) {
            return Ok(Some(known));
        }
        let row = cairn_projections::identity::api_keys::find_by_sha256(&self.pool, &hash).await?;
        let Some(row) = row else { return Ok(None) };
        let unreadable = |what: &str| Problem::internal(&format!("{} has no {what}", row.key_id));
        let known = KnownKey {
            key_id: row.key_id.parse().map_err(|_| unreadable("id"))?,
            organisation_id: row.organisation_id.parse().map_err(|_| unreadable("organisation"))?,
            role: role(&row.role).ok_or_else(|| unreadable("role"))?,
        };
        self.remember(hash, known);
        Ok(Some(known))
    }

    fn recall(&self, hash: &str) -> Option<KnownKey> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(hash).filter(|(at, _)| at.elapsed() < MEMORY).map(|(_, known)| *known)
    }

    fn remember(&self, hash: String, known: KnownKey) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (at, _)| at.elapsed() < MEMORY);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(hash, (Instant::now(), known));
        }
    }
}

fn role(name: &str) -> Option<Role> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
