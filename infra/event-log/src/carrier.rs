//! Another system that carries the log, from which PostgreSQL has its copy.
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::LogError;
use crate::contract::LogContract;
use crate::types::AppendRequest;

/// A log elsewhere that holds all that the copy needs: facts, what they do to the books, and outcomes.
///
/// Its positions are its own.
#[async_trait]
pub trait Carrier: LogContract {
    /// Which log it holds. One that holds none yet holds `new` from now on, if there is one.
    ///
    /// # Errors
    /// [`LogError`] when it does not answer.
    async fn identity(&self, new: Option<&str>) -> Result<Option<String>, LogError>;

    /// All that was carried out after a position, in its order, and what comes; it does not end. After an error that time may heal,
    /// the next item is the next request.
    fn carried(&self, after_position: i64) -> BoxStream<'static, Result<Carried, LogError>>;

    /// What was carried out on one stream after a sequence.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    async fn carried_of(
        &self,
        stream: (&str, &str),
        after_sequence: i64,
    ) -> Result<Vec<AppendRequest>, LogError>;
}

/// A request as it was carried out.
#[derive(Debug)]
pub struct Carried {
    /// Whoever knows everything up to this one goes on after it.
    pub position: i64,
    /// `None` where there is nothing to copy.
    pub request: Option<AppendRequest>,
}
