//! The projector: runs all followers, and answers for them.
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::EventLog;
use cairn_spans::Spans;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::actions::{self, Action, NewAction};
use super::compare::{self, Against, ViewDiff};
use super::follow::Follower;
use super::parked::{self, Parked, Skip};
use super::past::{self, PastError, RowChange, ViewAt};
use super::rebuild::{self, Rebuild, Rebuilt};
use super::rollback::{self, RolledBack};
use super::status::{self, ProjectionStatus};
use super::wait::{self, Wait, WaitError};
use super::watchdog;
use super::{Digest, EngineError, Projection, Verified, checkpoint, digest, keep, verify};

/// How soon growth of the log is noticed when no notification arrives.
const POLL: Duration = Duration::from_millis(500);
const PUBLISH: Duration = Duration::from_secs(5);
const BATCH: i64 = 500;
/// Projections that hold a connection at once, so that they never starve commands and requests of them.
const TURNS: usize = 4;

/// All projections over one log. Clones share everything; any number of processes may run one.
#[derive(Clone)]
pub struct Projector {
    log: EventLog,
    projections: Arc<[Arc<dyn Projection>]>,
    batch: i64,
    rebuilds: bool,
    stall_limit: Duration,
    head: watch::Sender<i64>,
    moved: watch::Sender<u64>,
}

impl Projector {
    /// A projector of these projections; nothing runs yet.
    #[must_use]
    pub fn new(log: EventLog, projections: Vec<Box<dyn Projection>>) -> Self {
        let projections = projections.into_iter().map(Arc::from).collect();
        let (head, moved) = (watch::Sender::new(0), watch::Sender::new(0));
        let stall_limit = watchdog::STALL_LIMIT;
        Self { log, projections, batch: BATCH, rebuilds: true, stall_limit, head, moved }
    }

    /// The same, but a projection that has stood still for so long is begun again.
    #[must_use]
    pub fn with_stall_limit(self, stall_limit: Duration) -> Self {
        Self { stall_limit, ..self }
    }

    /// The same with batches of another size.
    #[must_use]
    pub fn with_batch(self, batch: i64) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// The same, but rows of an older version are left as they are: for who does not stay long enough to fold them anew.
    #[must_use]
    pub fn without_rebuilds(self) -> Self {
        Self { rebuilds: false, ..self }
    }

    /// Follows the log until the token is cancelled. Batches that have begun are finished.
    pub async fn run(&self, token: CancellationToken) {
        let mut tasks = JoinSet::new();
        let (turns, spans) = (Arc::new(Semaphore::new(TURNS)), Spans::current());
        for projection in self.projections.iter() {
            let (this, projection) = (self.clone(), Arc::clone(projection));
            let (turns, token, spans) = (Arc::clone(&turns), token.clone(), spans.clone());
            let begin = move || this.follower(&projection, (&turns, &spans), &token);
            tasks.spawn(watchdog::guard(self.stall_limit, begin));
        }
        tokio::select! {
            () = self.watch_head() => {}
            () = keep::run(&self.log, &self.projections, self.batch) => {}
            () = self.publish() => {}
            () = token.cancelled() => {}
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a projection ended badly");
            }
        }
    }

    fn follower(
        &self,
        projection: &Arc<dyn Projection>,
        (turns, spans): (&Arc<Semaphore>, &Spans),
        token: &CancellationToken,
    ) -> Follower {
        Follower {
            log: self.log.clone(),
            projection: Arc::clone(projection),
            batch: self.batch,
            head: self.head.subscribe(),
            moved: self.moved.clone(),
            turns: Arc::clone(turns),
            token: token.clone(),
            rebuilds: self.rebuilds,
            spans: spans.clone(),
        }
    }

    /// Tells the followers when the log has grown: at once when notified, and by looking in any case.
    async fn watch_head(&self) {
        let mut wake = self.log.wake();
        loop {
            match self.log.head().await {
                Ok(head) => {
                    self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
                }
                Err(error) => tracing::warn!(%error, "head of the log not read"),
            }
            if let Ok(Err(_)) = tokio::time::timeout(POLL, wake.changed()).await {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn publish(&self) {
        loop {
            match self.status().await {
                Ok(all) => all.iter().for_each(status::publish),
                Err(error) => tracing::debug!(%error, "status of projections not read"),
            }
            tokio::time::sleep(PUBLISH).await;
        }
    }

    fn find(&self, name: &str) -> Result<&Arc<dyn Projection>, EngineError> {
        let found = self.projections.iter().find(|projection| projection.name() == name);
        found.ok_or_else(|| EngineError::Unknown(name.to_owned()))
    }

    /// The projection that a table belongs to.
    #[must_use]
    pub fn of_table(&self, table: &str) -> Option<&'static str> {
        let found = self.projections.iter().find(|known| known.tables().contains(&table));
        found.map(|projection| projection.name())
    }

    /// Names of all projections.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.projections.iter().map(|projection| projection.name()).collect()
    }

    /// Waits until every view has folded the log up to a position; answers where the slowest is.
    ///
    /// # Errors
    /// [`WaitError`], after `within` at the latest.
    pub async fn wait_for(&self, position: i64, within: Duration) -> Result<i64, WaitError> {
        let names = self.names().into_iter().map(str::to_owned).collect();
        let moved = self.moved.subscribe();
        wait::wait_for(Wait { names, position, within, moved, pool: self.log.pool() }).await
    }

    /// Waits until one view has folded the log up to a position; answers where it is.
    ///
    /// # Errors
    /// [`WaitError`], after `within` at the latest.
    pub async fn wait_for_view(
        &self,
        name: &str,
        position: i64,
        within: Duration,
    ) -> Result<i64, WaitError> {
        let names = vec![self.find(name)?.name().to_owned()];
        let moved = self.moved.subscribe();
        wait::wait_for(Wait { names, position, within, moved, pool: self.log.pool() }).await
    }

    /// Whether the rows of a view are of this program's version, if there are any.
    ///
    /// # Errors
    /// [`EngineError::Older`] or [`EngineError::Newer`] when they are not.
    pub async fn check_version(&self, name: &str) -> Result<(), EngineError> {
        let (projection, name) = (self.find(name)?, name.to_owned());
        let known = projection.version();
        let stored = checkpoint::read(self.log.pool(), &name).await?.map(|stored| stored.version);
        match stored.unwrap_or(known) {
            stored if stored < known => Err(EngineError::Older { name, stored, known }),
            stored if stored > known => Err(EngineError::Newer { name, stored, known }),
            _ => Ok(()),
        }
    }

    /// Where a view stands. Read it before the rows: they are then at least as new.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn position(&self, name: &str) -> Result<i64, EngineError> {
        wait::slowest(self.log.pool(), &[self.find(name)?.name().to_owned()]).await
    }

    /// How every projection stands.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, EngineError> {
        let mut all = vec![];
        for projection in self.projections.iter() {
            all.push(status::status(&self.log, &**projection).await?);
        }
        Ok(all)
    }

    /// Folds a view anew from the whole log and swaps it in; readers never notice.
    ///
    /// # Errors
    /// [`EngineError`]; the live view is then as it was.
    pub async fn rebuild(&self, name: &str, options: &Rebuild) -> Result<Rebuilt, EngineError> {
        let mut done = self.rebuild_all(vec![(name.to_owned(), options.clone())]).await;
        done.pop().unwrap_or_else(|| Err(EngineError::Unknown(name.to_owned())))
    }

    /// The same for some views beside each other: the log is read and decoded once for all of them. What becomes of each is answered
    /// in the order in which they were named.
    pub async fn rebuild_all(
        &self,
        views: Vec<(String, Rebuild)>,
    ) -> Vec<Result<Rebuilt, EngineError>> {
        let (mut found, mut unknown) = (vec![], vec![]);
        for (index, (name, options)) in views.into_iter().enumerate() {
            match self.find(&name) {
                Ok(projection) => found.push((Arc::clone(projection), options)),
                Err(error) => unknown.push((index, error)),
            }
        }
        let mut done = rebuild::rebuild(&self.log, found).await;
        unknown.into_iter().for_each(|(index, error)| done.insert(index, Err(error)));
        self.moved.send_modify(|batches| *batches = batches.wrapping_add(1));
        done
    }

    /// Goes back to the rows that the last rebuild replaced; those that were read until now are kept instead.
    ///
    /// # Errors
    /// [`EngineError::NothingKept`], [`EngineError::KeptByOthers`], [`EngineError::OtherShape`].
    pub async fn rollback(&self, name: &str) -> Result<RolledBack, EngineError> {
        let rolled_back = rollback::rollback(&self.log, &**self.find(name)?).await?;
        self.moved.send_modify(|batches| *batches = batches.wrapping_add(1));
        Ok(rolled_back)
    }

    /// Folds a view anew beside the live one and compares the rows at the same position.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn verify(&self, name: &str) -> Result<Verified, EngineError> {
        verify::verify(&self.log, self.find(name)?, None).await
    }

    /// The same for one key in so many, chosen anew each time, where the view splits by key.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn verify_sample(
        &self,
        name: &str,
        one_in: NonZeroU32,
    ) -> Result<Verified, EngineError> {
        verify::verify(&self.log, self.find(name)?, Some(one_in)).await
    }

    /// Keeps what somebody did to a view, and why.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn record(&self, action: &NewAction) -> Result<(), EngineError> {
        actions::record(self.log.pool(), action).await
    }

    /// What people did to one view or to all, newest first.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn actions(&self, name: Option<&str>) -> Result<Vec<Action>, EngineError> {
        if let Some(name) = name {
            self.find(name)?;
        }
        actions::list(self.log.pool(), name).await
    }

    /// One number for all rows of a view.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn digest(&self, name: &str) -> Result<Digest, EngineError> {
        digest::digest(&self.log, &**self.find(name)?).await
    }

    /// The rows of a view as they were at a position; of one key, or all.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn view_at(
        &self,
        name: &str,
        key: Option<&str>,
        position: i64,
    ) -> Result<ViewAt, PastError> {
        past::view_at(&self.log, &**self.find(name)?, key, position).await
    }

    /// What each event after one position and up to another changed in the rows of a view, oldest first; of one key, or all.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn changes(
        &self,
        name: &str,
        key: Option<&str>,
        range: (i64, i64),
    ) -> Result<Vec<RowChange>, PastError> {
        past::changes(&self.log, &**self.find(name)?, key, range).await
    }

    /// Holds the rows of a view against another generation of it, or against what this program folds up to a position: describes at most
    /// `limit` rows that differ, each with the first event that makes it differ.
    ///
    /// # Errors
    /// [`EngineError::NoGeneration`], [`EngineError::OtherShape`].
    pub async fn compare(
        &self,
        name: &str,
        against: Against,
        limit: i64,
    ) -> Result<ViewDiff, EngineError> {
        compare::compare(&self.log, &**self.find(name)?, against, limit).await
    }

    /// Parked and skipped events, of one projection or of all.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn parked(&self, name: Option<&str>) -> Result<Vec<Parked>, EngineError> {
        if let Some(name) = name {
            self.find(name)?;
        }
        parked::list(self.log.pool(), name).await
    }

    /// Folds the parked events of a key in order, or none of them; answers how many.
    ///
    /// # Errors
    /// [`EngineError::StillPoisonous`], [`EngineError::NotParked`].
    pub async fn retry_parked(&self, name: &str, key: &str) -> Result<u64, EngineError> {
        parked::retry(&self.log, &**self.find(name)?, key).await
    }

    /// Goes on without one parked event, for good. Who and why stay with it.
    ///
    /// # Errors
    /// [`EngineError::ReasonNeeded`], [`EngineError::NotParked`].
    pub async fn skip_parked(&self, name: &str, skip: &Skip) -> Result<(), EngineError> {
        parked::skip(self.log.pool(), self.find(name)?.name(), skip).await
    }
}
