//! Finds the key that a caller presents, and remembers it for a few seconds.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_core::{ApiKeyId, OrganisationId, Timestamp};
use cairn_identity::Role;
use cairn_projections::identity::api_keys::ApiKey;
use cairn_projections::identity::{api_keys, uses};
use sqlx::PgPool;

use super::ApiKeySecret;
use crate::problem::Problem;

/// How long a revoked key may still work, and how old what is known of an expiry may be.
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
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
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

    /// The living key of a secret.
    ///
    /// # Errors
    /// `unauthenticated` when it is unknown or revoked, `api_key_expired`, `database_unavailable`.
    pub async fn find(&self, secret: &ApiKeySecret, now: Timestamp) -> Result<KnownKey, Problem> {
        let hash = secret.sha256();
        let known = match self.recall(&hash) {
            Some(known) => known,
            None => self.look_up(hash).await?,
        };
        unexpired(known, now)
    }

    /// The living key of this id: of one who has shown it before.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn named(&self, key_id: &str, now: Timestamp) -> Result<KnownKey, Problem> {
        let row = api_keys::get(&self.pool, None, key_id).await?;
        let row = row.filter(|row| row.revoked_at.is_none());
        let row = row.ok_or_else(|| Problem::new("unauthenticated", "this API key was revoked"))?;
        unexpired(known(&row)?, now)
    }

    async fn look_up(&self, hash: String) -> Result<KnownKey, Problem> {
        let row = api_keys::find_by_sha256(&self.pool, &hash).await?.ok_or_else(|| {
            Problem::new("unauthenticated", "this API key is unknown or was revoked")
        })?;
        let known = known(&row)?;
        self.remember(hash, known);
        // It only informs: nobody is locked out because it could not be written.
        if let Err(error) = uses::note(&self.pool, &row.key_id).await {
            tracing::warn!(%error, key_id = row.key_id, "the use of a key was not noted");
        }
        Ok(known)
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

fn known(row: &ApiKey) -> Result<KnownKey, Problem> {
    let unreadable = |what: &str| Problem::internal(&format!("{} has no {what}", row.key_id));
    Ok(KnownKey {
        key_id: row.key_id.parse().map_err(|_| unreadable("id"))?,
        organisation_id: row.organisation_id.parse().map_err(|_| unreadable("organisation"))?,
        role: role_of(&row.role).ok_or_else(|| unreadable("role"))?,
        expires_at: row.expires_at.map(Timestamp::from),
    })
}

fn unexpired(known: KnownKey, now: Timestamp) -> Result<KnownKey, Problem> {
    match known.expires_at.filter(|expires_at| *expires_at <= now) {
        None => Ok(known),
        Some(expired_at) => {
            let detail = format!("{} expired at {expired_at}", known.key_id);
            Err(Problem::new("api_key_expired", detail))
        }
    }
}

/// The role of a name on the wire.
#[must_use]
pub fn role_of(name: &str) -> Option<Role> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
