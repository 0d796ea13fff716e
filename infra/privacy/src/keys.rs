//! The keys in use: fetched when they are needed, held a short while, made with the first text of a subject.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use cairn_commands::ports::{Opened, PersonalPort, PortError, SubjectKey};
use cairn_core::Subject;
use cairn_core::personal::{SEALED, sealed};
use serde::Serialize;
use sqlx::{Connection as _, PgPool};

use crate::cipher::{Cipher, fingerprint, random};
use crate::master::{MasterError, MasterKey, Version};
use crate::table::{self, Row};

/// A key is used for so long without looking whether it was destroyed.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);
/// How often something is tried again that another process has changed in between.
const TRIES: usize = 4;
/// Keys held at once; beyond it the ones whose time is over go first.
const HELD_MAX: usize = 10_000;

/// How the keys stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeysStatus {
    /// Names the version of the master key in use.
    pub master_id: String,
    /// Subjects whose data can be read.
    pub keys: i64,
    /// The subjects whose key was destroyed, the last first.
    pub erased: Vec<SubjectKey>,
}

/// A key as it was found.
#[derive(Debug, Clone)]
struct Held {
    key: SubjectKey,
    /// None when it was destroyed.
    cipher: Option<Arc<Cipher>>,
    /// As the table has it: what is still wrapped alike need not be unwrapped again.
    wrapped: Option<Vec<u8>>,
    found: Instant,
}

/// A version, and whose it is.
#[derive(Debug, Clone)]
struct Known {
    version: Version,
    master: Arc<dyn MasterKey>,
}

/// The keys of subjects, over the table and the master key.
#[derive(Debug)]
pub struct SubjectKeys {
    pool: PgPool,
    /// The first wraps what is new; the others only open what they have wrapped.
    masters: Vec<Arc<dyn MasterKey>>,
    /// Of all of them, the newest first.
    known: Mutex<Vec<Known>>,
    /// By subject and by the key's own id.
    held: Mutex<HashMap<String, Held>>,
    forgotten_after: Duration,
}

impl SubjectKeys {
    /// Opens the keys. The first master key wraps what is new; the others are known as long as something is wrapped by them. Where no key
    /// exists in the database a master key is made.
    ///
    /// # Errors
    /// When keys exist that no master key opens, or a master key or the database cannot be read.
    pub async fn open(pool: PgPool, masters: Vec<Arc<dyn MasterKey>>) -> Result<Self, MasterError> {
        let (known, held) = (Mutex::default(), Mutex::default());
        let keys = Self { pool, masters, known, held, forgotten_after: FORGOTTEN_AFTER };
        keys.look().await?;
        let wrapped_by = table::masters(&keys.pool).await?;
        if let Some((id, subjects)) = wrapped_by.iter().find(|(id, _)| keys.known(id).is_none()) {
            return Err(keys.missing(id, *subjects));
        }
        let first = keys.first()?;
        if first.versions().await?.is_empty() {
            first.add().await?;
            keys.look().await?;
        }
        let newest = keys.newest().await?;
        table::begin(&keys.pool, &newest).await?;
        let in_use = keys.master_id().await?;
        if keys.known(&in_use).is_none() {
            // It has wrapped nothing, or it would have been missed.
            table::use_master(&keys.pool, &newest).await?;
        }
        Ok(keys)
    }

    /// The same, but a key is used for so long without looking whether it was destroyed.
    #[must_use]
    pub fn forgetting_after(self, forgotten_after: Duration) -> Self {
        Self { forgotten_after, ..self }
    }

    /// Names the version of the master key that wraps what is new: the database says which.
    ///
    /// # Errors
    /// The database's.
    pub async fn master_id(&self) -> Result<String, MasterError> {
        Ok(table::in_use(&self.pool).await?)
    }

    /// How many subjects can be read, which are erased, and by which master key the others are wrapped.
    ///
    /// # Errors
    /// The database's.
    pub async fn status(&self) -> Result<KeysStatus, MasterError> {
        let keys = table::masters(&self.pool).await?.iter().map(|(_, keys)| keys).sum();
        let master_id = self.master_id().await?;
        let erased = table::destroyed(&self.pool).await?;
        Ok(KeysStatus { master_id, keys, erased: erased.iter().filter_map(Row::key).collect() })
    }

    /// Makes a new version of the master key, wraps every key with it, and forgets the older ones. Answers its name and how many keys it
    /// wraps. What stops in between is finished by the next try. Servers that run wrap with the new one from the moment the database
    /// says so, and know both until the end.
    ///
    /// # Errors
    /// [`MasterError`].
    pub async fn rotate(&self) -> Result<(String, u64), MasterError> {
        // A connection of its own, which ends with this: so whoever is stopped lets go of it.
        let mut turn = self.pool.acquire().await?.detach();
        if !table::take_turn(&mut turn).await? {
            return Err(MasterError::Rotating);
        }
        let first = self.first()?;
        let in_use = self.master_id().await?;
        if matches!(&*first.versions().await?, [only] if only.id == in_use) {
            first.add().await?;
        }
        self.look().await?;
        let newest = self.newest().await?;
        // Waits for whoever is wrapping with the old one; from here on nobody does.
        table::use_master(&self.pool, &newest).await?;
        let mut wrapped = 0;
        loop {
            let rows = table::not_under(&self.pool, &newest).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let key = row.key().ok_or(MasterError::Cipher)?;
                let Some(secret) = self.unwrapped(&row).await? else { continue };
                let again = first.wrap(&newest, &wrapping(&key.subject), &secret).await?;
                table::rewrap(&self.pool, &row.key_id, (&again, &newest)).await?;
                wrapped += 1;
            }
        }
        first.keep_newest().await?;
        turn.close().await?;
        self.look().await?;
        Ok((newest, wrapped))
    }

    fn first(&self) -> Result<Arc<dyn MasterKey>, MasterError> {
        self.masters.first().cloned().ok_or(MasterError::Cipher)
    }

    /// The newest version of the first master key.
    async fn newest(&self) -> Result<String, MasterError> {
        let versions = self.first()?.versions().await?;
        versions.into_iter().next().map(|version| version.id).ok_or(MasterError::Cipher)
    }

    fn known(&self, id: &str) -> Option<Arc<dyn MasterKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.version.id == id).map(|known| Arc::clone(&known.master))
    }

    /// Every version that is known, the newest first.
    pub(crate) fn all(&self) -> Vec<Version> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|known| known.version.clone()).collect()
    }

    /// Asks every master key which versions it has.
    async fn look(&self) -> Result<(), MasterError> {
        let mut all = vec![];
        for master in &self.masters {
            let known = |version| Known { version, master: Arc::clone(master) };
            all.extend(master.versions().await?.into_iter().map(known));
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    /// The same where nobody else need be asked; whether it could be done.
    pub(crate) fn look_at_hand(&self) -> bool {
        let mut all = vec![];
        for master in &self.masters {
            let Some(versions) = master.versions_at_hand() else { return false };
            all.extend(
                versions.into_iter().map(|version| Known { version, master: Arc::clone(master) }),
            );
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = all;
        true
    }

    fn missing(&self, id: &str, subjects: i64) -> MasterError {
        let places: Vec<_> = self.masters.iter().map(|master| master.place()).collect();
        MasterError::Other { place: places.join(" or "), master_id: id.to_owned(), subjects }
    }

    /// The master key that has this version. Another process may have made it just now.
    async fn master(&self, id: &str) -> Result<Arc<dyn MasterKey>, MasterError> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        self.look().await?;
        self.known(id).ok_or_else(|| self.missing(id, 1))
    }

    /// The secret of a row, unless it was destroyed.
    async fn unwrapped(&self, row: &Row) -> Result<Option<Vec<u8>>, MasterError> {
        let (Some(key), Some(wrapped)) = (row.key(), &row.wrapped) else { return Ok(None) };
        let master = self.master(&row.master_id).await?;
        let secret = master.unwrap(&row.master_id, &wrapping(&key.subject), wrapped).await?;
        if fingerprint(&secret) == row.key_id { Ok(Some(secret)) } else { Err(MasterError::Cipher) }
    }

    /// The same, also when it is wrapped anew while it is looked at.
    async fn cipher(&self, mut row: Row) -> Result<(Row, Option<Arc<Cipher>>), MasterError> {
        for _ in 0..TRIES {
            match self.unwrapped(&row).await {
                Ok(secret) => {
                    let cipher = secret.map(|secret| Cipher::new(&secret)).transpose()?;
                    return Ok((row, cipher.map(Arc::new)));
                }
                Err(error) => {
                    let now = table::of_ids(&self.pool, std::slice::from_ref(&row.key_id)).await?;
                    match now.into_iter().next().filter(|now| now.master_id != row.master_id) {
                        Some(now) => row = now,
                        None => return Err(error),
                    }
                }
            }
        }
        Err(MasterError::Rotating)
    }

    async fn hold(&self, row: Row) -> Result<Option<Held>, MasterError> {
        let Some(key) = row.key() else { return Ok(None) };
        let before = {
            let all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&row.key_id).filter(|held| held.wrapped == row.wrapped).cloned()
        };
        let (row, cipher) = match before {
            Some(held) => (row, held.cipher),
            None => self.cipher(row).await?,
        };
        let found = Instant::now();
        let held = Held { cipher, key, wrapped: row.wrapped, found };
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= HELD_MAX {
            all.retain(|_, held| found.duration_since(held.found) < self.forgotten_after);
        }
        if all.len() < HELD_MAX {
            all.insert(held.key.subject.to_string(), held.clone());
            all.insert(held.key.key_id.clone(), held.clone());
        }
        Ok(Some(held))
    }

    fn forget(&self, key: &SubjectKey) {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key.subject.as_str());
        all.remove(&key.key_id);
    }

    /// What is known of a key, if it was looked at just now.
    fn fresh(&self, name: &str) -> Option<Held> {
        let all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).filter(|held| held.found.elapsed() < self.forgotten_after).cloned()
    }

    /// The key of a subject, made when it has none.
    async fn of(&self, subject: &Subject) -> Result<Held, MasterError> {
        if let Some(held) = self.fresh(subject.as_str()) {
            return Ok(held);
        }
        for _ in 0..TRIES {
            if let Some(row) = table::of_subject(&self.pool, subject).await? {
                let held = self.hold(row).await?;
                return held.ok_or(MasterError::Database(sqlx::Error::RowNotFound));
            }
            let (secret, in_use) = (random()?, self.master_id().await?);
            let wrapped = match self.wrapped(&in_use, subject, &secret).await {
                Ok(wrapped) => wrapped,
                // It may have been taken away in between.
                Err(error) if self.master_id().await? == in_use => return Err(error),
                Err(_) => continue,
            };
            // Refused when another version is in use by now.
            table::insert(&self.pool, subject, (&fingerprint(&secret), &wrapped, &in_use)).await?;
        }
        Err(MasterError::Rotating)
    }

    async fn wrapped(
        &self,
        id: &str,
        subject: &Subject,
        secret: &[u8],
    ) -> Result<Vec<u8>, MasterError> {
        self.master(id).await?.wrap(id, &wrapping(subject), secret).await
    }

    /// The keys of these ids, as far as there are such.
    async fn named(&self, mut key_ids: Vec<String>) -> Result<HashMap<String, Held>, MasterError> {
        let mut found = HashMap::new();
        key_ids.sort_unstable();
        key_ids.dedup();
        key_ids.retain(|id| match self.fresh(id) {
            Some(held) => found.insert(id.clone(), held).is_some(),
            None => true,
        });
        if !key_ids.is_empty() {
            for row in table::of_ids(&self.pool, &key_ids).await? {
                if let Some(held) = self.hold(row).await? {
                    found.insert(held.key.key_id.clone(), held);
                }
            }
        }
        Ok(found)
    }
}

/// What a wrapped key is bound to.
fn wrapping(subject: &Subject) -> String {
    format!("cairn subject key\0{subject}")
}

/// What a sealed text is bound to.
fn sealing(subject: &Subject) -> String {
    format!("cairn personal text\0{subject}")
}

fn open(held: &Held, body: &str) -> Opened {
    let Some(cipher) = &held.cipher else { return Opened::Erased };
    let subject = held.key.subject.clone();
    let sealed = BASE64.decode(body).ok();
    let bytes = sealed.and_then(|sealed| cipher.open(&sealing(&subject), &sealed).ok());
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Opened::Text { subject, text },
        None => Opened::Foreign,
    }
}

fn failed(error: MasterError) -> PortError {
    match error {
        MasterError::Database(error) => PortError::transient("keys_unavailable", error.to_string()),
        error @ (MasterError::Rotating | MasterError::Service { transient: true, .. }) => {
            PortError::transient("keys_unavailable", error.to_string())
        }
        other => PortError::permanent("keys_unusable", other.to_string()),
    }
}

#[async_trait]
impl PersonalPort for SubjectKeys {
    async fn seal(
        &self,
        subject: &Subject,
        texts: Vec<String>,
    ) -> Result<Option<Vec<String>>, PortError> {
        let held = self.of(subject).await.map_err(failed)?;
        let Some(cipher) = &held.cipher else { return Ok(None) };
        let seal = |text: String| match sealed(&text) {
            Some((id, body)) if id == cipher.id() && open(&held, body) != Opened::Foreign => {
                Ok(text)
            }
            _ => {
                let bytes = cipher.seal(&sealing(subject), text.as_bytes())?;
                Ok(format!("{SEALED}{}:{}", cipher.id(), BASE64.encode(bytes)))
            }
        };
        let texts = texts.into_iter().map(seal).collect::<Result<_, MasterError>>();
        texts.map(Some).map_err(failed)
    }

    async fn open(&self, texts: Vec<String>) -> Result<Vec<Opened>, PortError> {
        let parts: Vec<_> = texts.iter().map(|text| sealed(text)).collect();
        let key_ids = parts.iter().flatten().map(|(id, _)| (*id).to_owned()).collect();
        let keys = self.named(key_ids).await.map_err(failed)?;
        let opened = parts.into_iter().map(|part| {
            let held = part.and_then(|(id, body)| Some((keys.get(id)?, body)));
            held.map_or(Opened::Foreign, |(held, body)| open(held, body))
        });
        Ok(opened.collect())
    }

    async fn key(&self, subject: &Subject) -> Result<Option<SubjectKey>, PortError> {
        let row = table::of_subject(&self.pool, subject).await;
        Ok(row.map_err(|error| failed(error.into()))?.and_then(|row| row.key()))
    }

    async fn destroy(&self, subject: &Subject) -> Result<SubjectKey, PortError> {
        // One that has no key yet gets a tombstone, so that it never gets one that works.
        let before = self.of(subject).await.map_err(failed)?;
        table::destroy(&self.pool, subject).await.map_err(|error| failed(error.into()))?;
        self.forget(&before.key);
        let after = self.key(subject).await?;
        after.ok_or_else(|| failed(MasterError::Database(sqlx::Error::RowNotFound)))
    }

    fn forgotten_after(&self) -> Duration {
        self.forgotten_after
    }
}
