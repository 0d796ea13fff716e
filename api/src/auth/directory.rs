//! Finds the key or the session that a caller presents, and remembers it for a few seconds.
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_core::{
    ApiKeyId, GrantId, OrganisationId, ServiceAccountId, SessionId, Timestamp, UserId,
};
use cairn_identity::{Factor, Role};
use cairn_projections::At;
use cairn_projections::identity::{api_keys, organisations_query, people_query, uses};
use sqlx::PgPool;

use super::secret::Session;
use super::{ApiKeySecret, Person, SecondFactor, Secret};
use crate::problem::Problem;

/// How long what is over may still work, and how old what is known of an expiry may be.
const MEMORY: Duration = Duration::from_secs(5);
const REMEMBERED_MAX: usize = 10_000;
/// A session that nobody used for so long is over.
const IDLE_SECS: i64 = 24 * 3_600;

/// A valid key.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// The key.
    pub key_id: ApiKeyId,
    /// The organisation it is bound to.
    pub organisation_id: OrganisationId,
    /// Its role.
    pub role: Role,
    /// What of its role it may do; all of it when there is none.
    pub scopes: Arc<[String]>,
    /// Whether its organisation is suspended.
    pub suspended: bool,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// The service account that it is.
    pub service_account_id: Option<ServiceAccountId>,
}

/// A session that is open.
#[derive(Debug, Clone)]
pub struct KnownSession {
    /// Who, and where.
    pub person: Person,
    /// What they belong to, the oldest first.
    pub memberships: Arc<[Membership]>,
    /// When they proved who they are.
    pub opened_at: Timestamp,
    /// Whether they showed two factors then.
    pub two_factors: bool,
    /// From when on it opens nothing, unless it is used before.
    pub ends_at: Timestamp,
}

/// An organisation that a person belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub organisation_id: OrganisationId,
    /// As what.
    pub role: Role,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether only who has shown two factors acts for it.
    pub second_factor_demanded: bool,
}

/// What was found a moment ago.
#[derive(Debug)]
struct Memory<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn recall(&self, key: &K) -> Option<V> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(key).filter(|(at, _)| at.elapsed() < MEMORY).map(|(_, known)| known.clone())
    }

    fn remember(&self, key: K, known: V) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (at, _)| at.elapsed() < MEMORY);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(key, (Instant::now(), known));
        }
    }

    fn forget(&self, is: impl Fn(&V) -> bool) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, (_, known)| !is(known));
    }
}

/// Keys and sessions by the hash of their secrets. Only what is found is remembered, so what is new works at once.
#[derive(Debug, Clone)]
pub struct Directory {
    pool: PgPool,
    second_factor: SecondFactor,
    keys: Arc<Memory<String, KnownKey>>,
    sessions: Arc<Memory<String, KnownSession>>,
}

impl Directory {
    /// Over the identity context's views.
    #[must_use]
    pub fn new(pool: PgPool, second_factor: SecondFactor) -> Self {
        let (keys, sessions) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        Self { pool, second_factor, keys, sessions }
    }

    /// The living key of a secret.
    ///
    /// # Errors
    /// `unauthenticated` when it is unknown or revoked, `api_key_expired`, `service_account_disabled`, `database_unavailable`.
    pub async fn key(&self, secret: &ApiKeySecret, now: Timestamp) -> Result<KnownKey, Problem> {
        let hash = secret.sha256();
        let known = match self.keys.recall(&hash) {
            Some(known) => known,
            None => self.look_up_key(hash).await?,
        };
        unexpired(known, now)
    }

    /// The living key of this id: of one who has shown it before.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub async fn key_named(&self, id: ApiKeyId, now: Timestamp) -> Result<KnownKey, Problem> {
        let row = api_keys::get(&self.pool, None, &id.to_string()).await?;
        let row = row.filter(|row| row.revoked_at.is_none() && row.stands);
        let row = row.ok_or_else(|| Problem::new("unauthenticated", "this API key was revoked"))?;
        unexpired(known(row)?, now)
    }

    /// The open session of this id: of one who has shown it before.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn session_named(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<KnownSession, Problem> {
        let row = people_query::session_by_id(&self.pool, &id.to_string()).await?;
        open(self.known_session(row).await?, now)
    }

    async fn look_up_key(&self, hash: String) -> Result<KnownKey, Problem> {
        let row = api_keys::find_by_sha256(&self.pool, &hash).await?.ok_or_else(|| {
            Problem::new("unauthenticated", "this API key is unknown or was revoked")
        })?;
        let known = known(row)?;
        self.keys.remember(hash, known.clone());
        // It only informs: nobody is locked out because it could not be written.
        if let Err(error) = uses::note(&self.pool, &known.key_id.to_string()).await {
            tracing::warn!(%error, key_id = %known.key_id, "the use of a key was not noted");
        }
        Ok(known)
    }

    /// The open session of a secret.
    ///
    /// # Errors
    /// `session_over` when it is unknown or over, `database_unavailable`.
    pub async fn session(
        &self,
        secret: &Secret<Session>,
        now: Timestamp,
    ) -> Result<KnownSession, Problem> {
        let hash = secret.sha256();
        let known = match self.sessions.recall(&hash) {
            Some(known) => Some(known),
            None => self.look_up_session(hash, now).await?,
        };
        open(known, now)
    }

    async fn look_up_session(
        &self,
        hash: String,
        now: Timestamp,
    ) -> Result<Option<KnownSession>, Problem> {
        let row = people_query::session(&self.pool, &hash).await?;
        let Some(known) = self.known_session(row).await? else { return Ok(None) };
        self.sessions.remember(hash, known.clone());
        // One that was left alone for too long is not made young again by the attempt to use it.
        let session_id = known.person.session_id;
        if now < known.ends_at
            && let Err(error) = uses::note_session(&self.pool, &session_id.to_string()).await
        {
            tracing::warn!(%error, %session_id, "the use of a session was not noted");
        }
        Ok(Some(known))
    }

    async fn known_session(
        &self,
        row: Option<people_query::Session>,
    ) -> Result<Option<KnownSession>, Problem> {
        let Some(row) = row else { return Ok(None) };
        let rows = organisations_query::memberships(&self.pool, &row.user_id).await?;
        let everywhere = self.second_factor == SecondFactor::Demanded;
        let memberships = rows.into_iter().map(|row| {
            Ok::<_, Problem>(Membership {
                organisation_id: read(&row.organisation_id, "organisation")?,
                role: role_of(&row.role)?,
                suspended: row.suspended,
                second_factor_demanded: row.second_factor_demanded || everywhere,
            })
        });
        let factor: Result<Factor, _> = serde_json::from_value(row.factor.as_str().into());
        let factor = factor.map_err(|error| Problem::internal(&error.to_string()))?;
        let used = Timestamp::from(row.last_used_at.unwrap_or(row.opened_at));
        Ok(Some(KnownSession {
            person: Person {
                user_id: read(&row.user_id, "user")?,
                session_id: read(&row.session_id, "session")?,
            },
            memberships: memberships.collect::<Result<_, _>>()?,
            opened_at: Timestamp::from(row.opened_at),
            two_factors: factor.is_two(),
            ends_at: Timestamp::from(row.ends_at).min(used.plus_secs(IDLE_SECS)),
        }))
    }

    /// Looks anew at the sessions of a person: they are over, or belong elsewhere now.
    pub fn forget(&self, user_id: UserId) {
        self.sessions.forget(|known| known.person.user_id == user_id);
    }

    /// Looks anew at the sessions of everybody who belongs to an organisation.
    pub fn forget_members(&self, id: OrganisationId) {
        let belongs =
            |known: &KnownSession| known.memberships.iter().any(|m| m.organisation_id == id);
        self.sessions.forget(belongs);
    }

    /// Looks anew at the keys of a service account: it may be another than it was.
    pub fn forget_service_account(&self, id: ServiceAccountId) {
        self.keys.forget(|known| known.service_account_id == Some(id));
    }

    /// Looks anew at a key.
    pub fn forget_key(&self, key_id: ApiKeyId) {
        self.keys.forget(|known| known.key_id == key_id);
    }

    /// The grant under which support may look into an organisation now.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn grant(
        &self,
        organisation_id: OrganisationId,
        now: Timestamp,
    ) -> Result<Option<GrantId>, Problem> {
        let found = organisations_query::granted(&self.pool, organisation_id, At(now)).await?;
        found.map(|id| read(&id, "grant")).transpose()
    }
}

/// What is known of a key, if it is of nobody who may not act at this time.
fn known(row: api_keys::ApiKey) -> Result<KnownKey, Problem> {
    let account = row.service_account_id.as_deref();
    let account = account.map(|id| read(id, "service account")).transpose()?;
    if let Some(id) = account.filter(|_: &ServiceAccountId| row.disabled) {
        let detail = format!("{id} is disabled: its keys open nothing until it is enabled");
        return Err(Problem::new("service_account_disabled", detail));
    }
    Ok(KnownKey {
        key_id: read(&row.key_id, "key")?,
        organisation_id: read(&row.organisation_id, "organisation")?,
        role: role_of(&row.role)?,
        scopes: row.scopes.into(),
        suspended: row.suspended,
        expires_at: row.expires_at.map(Timestamp::from),
        service_account_id: account,
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

fn open(known: Option<KnownSession>, now: Timestamp) -> Result<KnownSession, Problem> {
    let open = known.filter(|known| now < known.ends_at);
    open.ok_or_else(|| Problem::new("session_over", "this session is unknown or over: sign in"))
}

fn read<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::internal(&format!("'{text}' is no {what}")))
}

fn role_of(name: &str) -> Result<Role, Problem> {
    Role::named(name).ok_or_else(|| Problem::internal(&format!("'{name}' is no role")))
}
