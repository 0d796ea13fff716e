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
use sqlx::PgPool;

use crate::cipher::{Cipher, fingerprint, random};
use crate::master::{MasterError, MasterFile};
use crate::table::{self, Row};

/// A key is used for so long without looking whether it was destroyed.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);
/// Keys held at once; beyond it the ones whose time is over go first.
const HELD_MAX: usize = 10_000;

/// How the keys stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeysStatus {
    /// Fingerprint of the master key in use.
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
    found: Instant,
}

/// The keys of subjects, over the table and the master key.
#[derive(Debug)]
pub struct SubjectKeys {
    pool: PgPool,
    file: MasterFile,
    masters: Mutex<Vec<Arc<Cipher>>>,
    /// By subject and by the key's own id.
    held: Mutex<HashMap<String, Held>>,
    forgotten_after: Duration,
}

impl SubjectKeys {
    /// Opens the keys. Without a file and without keys in the database a master key is made.
    ///
    /// # Errors
    /// When keys exist that no master key in the file opens, or the file or the database cannot be read.
    pub async fn open(pool: PgPool, file: MasterFile) -> Result<Self, MasterError> {
        let wrapped_by = table::masters(&pool).await?;
        let other = |(master_id, subjects): (String, i64)| {
            let path = file.path().to_owned();
            MasterError::Other { path, master_id, subjects }
        };
        if !file.path().exists() {
            if let Some(missing) = wrapped_by.into_iter().next() {
                return Err(other(missing));
            }
            file.ensure()?;
            return Self::with(pool, file);
        }
        let opened = Self::with(pool, file.clone())?;
        match wrapped_by.into_iter().find(|(id, _)| opened.master(id).is_none()) {
            Some(missing) => Err(other(missing)),
            None => Ok(opened),
        }
    }

    fn with(pool: PgPool, file: MasterFile) -> Result<Self, MasterError> {
        let masters = file.read()?.into_iter().map(Arc::new).collect();
        Ok(Self {
            pool,
            file,
            masters: Mutex::new(masters),
            held: Mutex::default(),
            forgotten_after: FORGOTTEN_AFTER,
        })
    }

    /// The same, but a key is used for so long without looking whether it was destroyed.
    #[must_use]
    pub fn forgetting_after(self, forgotten_after: Duration) -> Self {
        Self { forgotten_after, ..self }
    }

    /// Fingerprint of the master key in use.
    ///
    /// # Errors
    /// None that is known: a file without a key is not opened.
    pub fn master_id(&self) -> Result<String, MasterError> {
        Ok(self.current()?.id().to_owned())
    }

    /// How many subjects can be read, which are erased, and by which master key the others are wrapped.
    ///
    /// # Errors
    /// The database's.
    pub async fn status(&self) -> Result<KeysStatus, MasterError> {
        let keys = table::masters(&self.pool).await?.iter().map(|(_, keys)| keys).sum();
        let master_id = self.master_id()?;
        let erased = table::destroyed(&self.pool).await?;
        Ok(KeysStatus { master_id, keys, erased: erased.iter().filter_map(Row::key).collect() })
    }

    /// Makes a new master key, wraps every key with it, and forgets the old one. Answers its fingerprint and how many keys it wraps.
    /// What stops in between is finished by the next try; servers that run read the file again when they meet a key they cannot open.
    ///
    /// # Errors
    /// [`MasterError`].
    pub async fn rotate(&self) -> Result<(String, u64), MasterError> {
        if self.file.read()?.len() == 1 {
            self.file.add()?;
        }
        self.reread()?;
        let master = self.current()?;
        let mut wrapped = 0;
        loop {
            let rows = table::not_under(&self.pool, master.id()).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let (Some(key), Some(secret)) = (row.key(), self.unwrapped(&row)?) else {
                    continue;
                };
                let again = master.seal(&wrapping(&key.subject), &secret)?;
                table::rewrap(&self.pool, &row.key_id, (&again, master.id())).await?;
                wrapped += 1;
            }
        }
        self.file.keep_first()?;
        self.reread()?;
        Ok((master.id().to_owned(), wrapped))
    }

    pub(crate) fn current(&self) -> Result<Arc<Cipher>, MasterError> {
        let masters = self.masters.lock().unwrap_or_else(PoisonError::into_inner);
        masters.first().cloned().ok_or(MasterError::Cipher)
    }

    fn master(&self, id: &str) -> Option<Arc<Cipher>> {
        let masters = self.masters.lock().unwrap_or_else(PoisonError::into_inner);
        masters.iter().find(|master| master.id() == id).cloned()
    }

    /// Every master key in use, the first one first.
    pub(crate) fn all(&self) -> Vec<Arc<Cipher>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reread(&self) -> Result<(), MasterError> {
        let read = self.file.read()?.into_iter().map(Arc::new).collect();
        *self.masters.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The secret of a row, unless it was destroyed.
    fn unwrapped(&self, row: &Row) -> Result<Option<Vec<u8>>, MasterError> {
        let (Some(key), Some(wrapped)) = (row.key(), &row.wrapped) else { return Ok(None) };
        if self.master(&row.master_id).is_none() {
            // Another process has rotated it.
            self.reread()?;
        }
        let missing = || MasterError::Other {
            path: self.file.path().to_owned(),
            master_id: row.master_id.clone(),
            subjects: 1,
        };
        let master = self.master(&row.master_id).ok_or_else(missing)?;
        let secret = master.open(&wrapping(&key.subject), wrapped)?;
        if fingerprint(&secret) == row.key_id { Ok(Some(secret)) } else { Err(MasterError::Cipher) }
    }

    fn hold(&self, row: &Row) -> Result<Option<Held>, MasterError> {
        let Some(key) = row.key() else { return Ok(None) };
        let cipher = self.unwrapped(row)?.map(|secret| Cipher::new(&secret)).transpose()?;
        let found = Instant::now();
        let held = Held { cipher: cipher.map(Arc::new), key, found };
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
    fn known(&self, name: &str) -> Option<Held> {
        let all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).filter(|held| held.found.elapsed() < self.forgotten_after).cloned()
    }

    /// The key of a subject, made when it has none.
    async fn of(&self, subject: &Subject) -> Result<Held, MasterError> {
        if let Some(held) = self.known(subject.as_str()) {
            return Ok(held);
        }
        if table::of_subject(&self.pool, subject).await?.is_none() {
            let (secret, master) = (random()?, self.current()?);
            let wrapped = master.seal(&wrapping(subject), &secret)?;
            let stored = (&*fingerprint(&secret), &*wrapped, master.id());
            table::insert(&self.pool, subject, stored).await?;
        }
        let row = table::of_subject(&self.pool, subject).await?;
        let held = row.map(|row| self.hold(&row)).transpose()?.flatten();
        held.ok_or(MasterError::Database(sqlx::Error::RowNotFound))
    }

    /// The keys of these ids, as far as there are such.
    async fn named(&self, mut key_ids: Vec<String>) -> Result<HashMap<String, Held>, MasterError> {
        let mut found = HashMap::new();
        key_ids.sort_unstable();
        key_ids.dedup();
        key_ids.retain(|id| match self.known(id) {
            Some(held) => found.insert(id.clone(), held).is_some(),
            None => true,
        });
        if !key_ids.is_empty() {
            for row in table::of_ids(&self.pool, &key_ids).await? {
                if let Some(held) = self.hold(&row)? {
                    found.insert(row.key_id, held);
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
