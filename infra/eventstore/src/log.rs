//! The log in a cluster.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_event_log::{
    AppendRequest, Appended, Carried, Carrier, LogContract, LogError, Recorded, StoredOutcome,
};
use cairn_neighbours::Neighbour;
use eventstore::{
    AppendToStreamOptions, ClientSettings, EventData, ExpectedRevision, ReadStreamOptions,
};
use futures::stream::BoxStream;

use crate::client::{Connection, writing};
use crate::wire::{Assembly, Found};
use crate::{append, read, wire};

/// The log in a cluster of EventStoreDB.
#[derive(Debug, Clone)]
pub struct EventStoreLog {
    connection: Arc<Connection>,
}

impl EventStoreLog {
    /// Reaches the cluster of a connection string such as `esdb://user:password@one,two,three:2113?tls=true`.
    ///
    /// # Errors
    /// [`LogError::Database`] when it is no connection string, [`LogError::Unavailable`] when nobody answers.
    pub async fn connect(url: &str) -> Result<Self, LogError> {
        let settings = settings(url)?;
        let log = Self { connection: Arc::new(Connection::try_new(settings)?) };
        log.is_there().await?;
        Ok(log)
    }

    /// The same, left alone for a while when nobody answers.
    #[must_use]
    pub fn behind(self, neighbour: Arc<Neighbour>) -> Self {
        self.connection.behind(neighbour);
        self
    }

    /// Whether the cluster answers.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when it does not.
    pub async fn is_there(&self) -> Result<(), LogError> {
        let first = ReadStreamOptions::default().max_count(1);
        read::events(&self.connection, wire::IDENTITY, &first).await.map(drop)
    }
}

/// Reads a connection string.
///
/// # Errors
/// [`LogError::Database`]; it does not repeat the string, which may hold a password.
pub fn check_url(url: &str) -> Result<(), LogError> {
    settings(url).map(drop)
}

fn settings(url: &str) -> Result<ClientSettings, LogError> {
    let settings = url.parse::<ClientSettings>();
    settings.map_err(|error| LogError::Database(format!("the address of EventStoreDB: {error}")))
}

#[async_trait]
impl LogContract for EventStoreLog {
    async fn append(&self, request: AppendRequest) -> Result<Appended, LogError> {
        append::append(&self.connection, &request).await
    }

    async fn outcome(
        &self,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
        append::outcome(&self.connection, command_id).await
    }

    async fn load_some(
        &self,
        stream: (&str, &str),
        after_sequence: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError> {
        let events = read::after(&self.connection, stream, (after_sequence, limit)).await?;
        events
            .iter()
            .filter_map(|event| match wire::read(event) {
                Ok(Found::Fact(fact)) => Some(fact.recorded()),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    async fn read(&self, after_position: i64, limit: i64) -> Result<Vec<Recorded>, LogError> {
        read::all(&self.connection, after_position, limit).await
    }

    fn subscribe(&self, after_position: i64) -> BoxStream<'static, Result<Recorded, LogError>> {
        read::facts(Arc::clone(&self.connection), after_position)
    }
}

#[async_trait]
impl Carrier for EventStoreLog {
    async fn identity(&self, new: Option<&str>) -> Result<Option<String>, LogError> {
        let first = ReadStreamOptions::default().max_count(1);
        let mut named = read::events(&self.connection, wire::IDENTITY, &first).await?;
        if let (true, Some(new)) = (named.is_empty(), new) {
            // Of two who name it one wins, and both read his.
            let none =
                AppendToStreamOptions::default().expected_revision(ExpectedRevision::NoStream);
            let name = EventData::json("cairn.log", &new).map_err(wire::corrupt)?;
            let append = async |client: eventstore::Client| {
                client.append_to_stream(wire::IDENTITY, &none, name).await
            };
            match self.connection.call(append).await {
                Ok(_) | Err(eventstore::Error::WrongExpectedVersion { .. }) => {}
                Err(error) => return Err(writing(&error)),
            }
            named = read::events(&self.connection, wire::IDENTITY, &first).await?;
        }
        named.first().map(|name| name.as_json().map_err(wire::corrupt)).transpose()
    }

    fn carried(&self, after_position: i64) -> BoxStream<'static, Result<Carried, LogError>> {
        read::requests(Arc::clone(&self.connection), after_position)
    }

    async fn carried_of(
        &self,
        stream: (&str, &str),
        after_sequence: i64,
    ) -> Result<Vec<AppendRequest>, LogError> {
        let events = read::after(&self.connection, stream, (after_sequence, i64::MAX)).await?;
        let mut assembly = Assembly::default();
        let mut requests = vec![];
        for event in &events {
            if let Found::Fact(fact) = wire::read(event)? {
                requests.extend(assembly.add(*fact)?);
            }
        }
        Ok(requests)
    }
}
