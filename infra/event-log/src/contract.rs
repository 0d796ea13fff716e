//! What a log promises, whoever carries it. `tests/contract/suite.rs` says it again as tests that every implementation must pass.
use std::fmt;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;

use crate::types::{AppendRequest, Appended, Recorded, StoredOutcome};
use crate::{EventLog, LogError};

/// The log, as whoever writes and whoever follows it sees it.
///
/// Positions grow in the order in which events were committed, and nothing ever appears below one that was read. They are of the
/// log that was asked, and dense only where it says so.
#[async_trait]
pub trait LogContract: fmt::Debug + Send + Sync {
    /// Appends one command's facts to its stream and stores its outcome, all or nothing, if the stream has exactly the events that
    /// are expected and the command id is new. Of two who expect the same, one is [`Appended::Stale`]. Without facts nothing is
    /// expected, and the outcome is stored if the command id is new.
    ///
    /// # Errors
    /// [`LogError::InDoubt`] when it may have been committed: ask again with the same command id. Otherwise nothing was written.
    async fn append(&self, request: AppendRequest) -> Result<Appended, LogError>;

    /// The stored outcome of a command and the hash of what was asked.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    async fn outcome(
        &self,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError>;

    /// At most `limit` events of one stream after a sequence, oldest first.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    async fn load_some(
        &self,
        stream: (&str, &str),
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError>;

    /// At most `limit` events of all streams after a position, in the log's order; fewer only when there are no more.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    async fn read(&self, after_position: i64, limit: i64) -> Result<Vec<Recorded>, LogError>;

    /// All events after a position, those that are written later as well; it does not end. After an error that time may heal, the
    /// next item is the next event.
    fn subscribe(&self, after_position: i64) -> BoxStream<'static, Result<Recorded, LogError>>;
}

/// Events of one read of a subscription.
const CHUNK: i64 = 256;
/// A subscription looks at the latest after so long, whether it heard of anything or not.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

#[async_trait]
impl LogContract for EventLog {
    async fn append(&self, request: AppendRequest) -> Result<Appended, LogError> {
        Self::append(self, request).await
    }

    async fn outcome(
        &self,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
        Self::outcome(self, command_id).await
    }

    async fn load_some(
        &self,
        stream: (&str, &str),
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError> {
        Self::load_some(self, stream, after_sequence, limit).await
    }

    async fn read(&self, after_position: i64, limit: i64) -> Result<Vec<Recorded>, LogError> {
        Self::read(self, after_position, limit).await
    }

    fn subscribe(&self, after_position: i64) -> BoxStream<'static, Result<Recorded, LogError>> {
        let follower = Follower { log: self.clone(), wake: self.wake(), after: after_position };
        let chunks = stream::unfold(follower, |mut follower| async move {
            let chunk = follower.next().await;
            Some((chunk, follower))
        });
        chunks.map_ok(|chunk| stream::iter(chunk.into_iter().map(Ok))).try_flatten().boxed()
    }
}

/// One reader on its way.
struct Follower {
    log: EventLog,
    wake: watch::Receiver<i64>,
    after: i64,
}

impl Follower {
    async fn next(&mut self) -> Result<Vec<Recorded>, LogError> {
        loop {
            self.wake.mark_unchanged();
            let chunk = self.log.read(self.after, CHUNK).await?;
            if let Some(last) = chunk.last() {
                self.after = last.position;
                return Ok(chunk);
            }
            // Only a hint: it looks again anyway.
            let _ = tokio::time::timeout(LOOK, self.wake.changed()).await;
        }
    }
}
