//! The vendor's client, and a new one when it has lost its server for good.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cairn_event_log::LogError;
use cairn_neighbours::Neighbour;
use eventstore::{Client, ClientSettings, Error};
use tokio::time::Instant;

/// For how long a read that loses its connection is asked again. All calls share one connection, so somebody else's fault may end it
/// many times.
const READ_PATIENCE: Duration = Duration::from_secs(3);
/// Before a read is asked again: the vendor's client needs a moment to notice that a connection is gone and to make another, and until
/// then it fails whoever asks, at once. Grows, up to the longest.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// In what the client says when nobody listens.
const CONNECT: &str = "(Connect)";
/// What a call may take before the server counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that is replaced when it fails. The vendor's own ends for ever when it once finds nobody, and keeps to a node of the
/// cluster that is gone.
pub(crate) struct Connection {
    settings: ClientSettings,
    current: Mutex<(Client, u64)>,
    neighbour: OnceLock<Arc<Neighbour>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("hosts", self.settings.hosts()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn try_new(settings: ClientSettings) -> Result<Self, LogError> {
        let client = Client::new(settings.clone()).map_err(|error| reading(&error))?;
        let (current, neighbour) = (Mutex::new((client, 0)), OnceLock::new());
        Ok(Self { settings, current, neighbour })
    }

    /// From now on the cluster is left alone for a while when it does not answer.
    pub(crate) fn behind(&self, neighbour: Arc<Neighbour>) {
        let _ = self.neighbour.set(neighbour);
    }

    /// The client of now, and its number.
    pub(crate) fn current(&self) -> (Client, u64) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the client of that number, if the error says that it is of no use any more.
    pub(crate) fn give_up(&self, number: u64, error: &Error) {
        // One node is found again by the client itself; of several, another one may lead by now.
        let several = self.settings.hosts().len() > 1 || self.settings.is_dns_discovery_enabled();
        let lost = match error {
            Error::ConnectionClosed | Error::GrpcConnectionError(_) => true,
            Error::ServerError(_) | Error::DeadlineExceeded => several,
            _ => false,
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if lost && current.1 == number {
            match Client::new(self.settings.clone()) {
                Ok(client) => *current = (client, number + 1),
                Err(error) => tracing::warn!(%error, "no new client of EventStoreDB"),
            }
        }
    }

    /// A call that only reads. `None` when what is asked for does not exist. All calls share one connection: who loses it by
    /// somebody else's fault asks again.
    pub(crate) async fn ask<T, F: Future<Output = eventstore::Result<T>>>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<Option<T>, LogError> {
        let (began, mut pause) = (Instant::now(), PAUSE);
        loop {
            match self.call(&call).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(Error::ResourceNotFound) => return Ok(None),
                Err(error) if is_broken(&error) && began.elapsed() < READ_PATIENCE => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 4).min(PAUSE_MAX);
                }
                Err(error) => return Err(reading(&error)),
            }
        }
    }

    /// Any call; none takes for ever.
    pub(crate) async fn call<T, F: Future<Output = eventstore::Result<T>>>(
        &self,
        call: impl FnOnce(Client) -> F,
    ) -> eventstore::Result<T> {
        let Some(neighbour) = self.neighbour.get() else { return self.call_now(call).await };
        match neighbour.call("ask", self.call_now(call), is_silence).await {
            Ok(answer) => answer,
            Err(unasked) => Err(Error::ServerError(format!("{CONNECT} {unasked}"))),
        }
    }

    async fn call_now<T, F: Future<Output = eventstore::Result<T>>>(
        &self,
        call: impl FnOnce(Client) -> F,
    ) -> eventstore::Result<T> {
        let (client, number) = self.current();
        let answer = tokio::time::timeout(PATIENCE, call(client)).await;
        let answer = answer.unwrap_or(Err(Error::DeadlineExceeded));
        if let Err(error) = &answer {
            self.give_up(number, error);
        }
        answer
    }
}

/// Whether a connection ended under the call, rather than that nobody listens. It ends under all calls that are on their way, so it says
/// nothing of the cluster: whether that is away, the next connection shows.
fn is_broken(error: &Error) -> bool {
    matches!(error, Error::ServerError(cause) if !cause.contains(CONNECT))
}

/// Whether nobody answered.
fn is_silence(error: &Error) -> bool {
    match error {
        Error::ConnectionClosed | Error::GrpcConnectionError(_) | Error::DeadlineExceeded => true,
        Error::ServerError(_) => !is_broken(error),
        _ => false,
    }
}

/// Of a call that wrote nothing.
pub(crate) fn reading(error: &Error) -> LogError {
    match writing(error) {
        LogError::InDoubt(cause) => LogError::Unavailable(cause),
        other => other,
    }
}

/// Of an append.
pub(crate) fn writing(error: &Error) -> LogError {
    let said = format!("EventStoreDB: {error}");
    match error {
        // It never arrived.
        Error::ServerError(cause) if cause.contains(CONNECT) => LogError::Unavailable(said),
        Error::ConnectionClosed | Error::GrpcConnectionError(_) | Error::NotLeaderException(_) => {
            LogError::Unavailable(said)
        }
        Error::ServerError(_) | Error::DeadlineExceeded => LogError::InDoubt(said),
        Error::ResourceDeleted | Error::InternalParsingError(_) => LogError::Corrupt(said),
        // Refused before anything was done, such as for its size or for want of rights; but who knows of codes to come.
        Error::AccessDenied | Error::UnsupportedFeature => LogError::Database(said),
        Error::Grpc { code, .. } if *code as i32 == INVALID_ARGUMENT => LogError::Database(said),
        _ => LogError::InDoubt(said),
    }
}

/// The code of a request that is wrong in itself.
const INVALID_ARGUMENT: i32 = 3;
