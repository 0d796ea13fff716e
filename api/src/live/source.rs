//! The log as frames.
use std::sync::Arc;

use cairn_commands::public::{is_shared, owner, translate};
use cairn_core::OrganisationId;
use cairn_event_log::{EventLog, LogError, Recorded};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::frame::Frame;

/// Streams whose owner a process remembers; it looks the others up.
const REMEMBERED: usize = 50_000;
/// Pages that are read at once for readers who come back; the others wait their turn.
const PAGES: usize = 2;
/// Facts of a page.
pub const PAGE: i64 = 500;

/// Reads public events.
#[derive(Debug)]
pub struct Source {
    pub log: EventLog,
    /// Names this Cairn in its events.
    name: String,
    owners: Cache<String, Option<OrganisationId>>,
    pages: Semaphore,
}

/// A stretch of the log.
#[derive(Debug, Default)]
pub struct Stretch {
    /// What it says in public.
    pub frames: Vec<Arc<Frame>>,
    /// Where it ends; `None` when there was nothing.
    pub last: Option<i64>,
}

impl Source {
    /// Over a log.
    pub fn new(log: EventLog, name: String) -> Self {
        Self { log, name, owners: Cache::new(REMEMBERED), pages: Semaphore::new(PAGES) }
    }

    /// What comes after a position, at most a page of it.
    pub async fn after(&self, position: i64) -> Result<Stretch, LogError> {
        let facts = self.log.read(position, PAGE).await?;
        let mut stretch = Stretch::default();
        for fact in &facts {
            if let Some(event) = translate(fact, &self.name)? {
                let owner = self.owner(fact).await?;
                stretch.frames.push(Arc::new(Frame::new(event, owner)));
            }
            stretch.last = Some(fact.position);
        }
        Ok(stretch)
    }

    /// The same, for one of many that come back at once.
    pub async fn page(&self, position: i64) -> Result<Stretch, LogError> {
        // It is never closed; if it were, nobody would have to wait.
        let _turn = self.pages.acquire().await.ok();
        self.after(position).await
    }

    async fn owner(&self, fact: &Recorded) -> Result<Option<OrganisationId>, LogError> {
        let (kind, id) = (fact.aggregate_type.as_str(), fact.aggregate_id.as_str());
        if is_shared(kind) {
            return owner(fact);
        }
        if fact.sequence == 1 {
            let found = owner(fact)?;
            self.owners.insert(format!("{kind}/{id}"), found);
            return Ok(found);
        }
        Ok(self.owner_of(kind, id).await?.flatten())
    }

    /// Whose a stream is; the outer `None` when there is no such stream.
    pub async fn owner_of(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<Option<Option<OrganisationId>>, LogError> {
        let key = format!("{kind}/{id}");
        if let Some(known) = self.owners.get(&key) {
            return Ok(Some(known));
        }
        let first = self.log.load_some((kind, id), 0, 1).await?;
        let Some(first) = first.first() else { return Ok(None) };
        let found = owner(first)?;
        self.owners.insert(key, found);
        Ok(Some(found))
    }
}
