//! The one task of a process that writes events. Requests queue while a batch is under way and become the next one.
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres, pool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::batch::{self, Verdict};
use crate::listener::hint;
use crate::pool::PATIENCE;
use crate::{AppendRequest, Appended, LogError};

/// Requests that may wait; beyond it callers wait to queue.
const QUEUE: usize = 4_096;
/// Events of one batch.
const BATCH_EVENTS: usize = 1_024;
/// How often a batch that was rolled back is sent again, and after which pause.
const RETRIES: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);
/// A connection used this recently is not asked whether it is alive.
const FRESH: Duration = Duration::from_millis(500);

/// None: the command id is known and its outcome has to be looked up.
type Answer = Result<Option<Appended>, LogError>;

struct Queued {
    request: AppendRequest,
    queued_at: Instant,
    answer: oneshot::Sender<Answer>,
}

/// A handle on the task. It ends when the last handle is gone and the queue is empty, or the pool closes.
#[derive(Debug, Clone)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Queued>,
    tasks: TaskTracker,
}

impl Appender {
    pub(crate) fn start(pool: PgPool, grown: watch::Sender<i64>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let tasks = TaskTracker::new();
        let closed = pool.close_event();
        let worker = Worker { pool, grown, requests, connection: None, deferred: VecDeque::new() };
        tasks.spawn(worker.run(closed));
        Self { queue, tasks }
    }

    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) async fn append(&self, request: AppendRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let queued = Queued { request, queued_at: Instant::now(), answer };
        self.queue.send(queued).await.map_err(|_| closed_log())?;
        // Lost only if the task died under the request.
        answered.await.unwrap_or_else(|_| Err(LogError::InDoubt("the appender stopped".to_owned())))
    }
}

struct Worker {
    pool: PgPool,
    grown: watch::Sender<i64>,
    requests: mpsc::Receiver<Queued>,
    connection: Option<(PoolConnection<Postgres>, Instant)>,
    /// Held back from a batch that had a request of the same stream or command.
    deferred: VecDeque<Queued>,
}

impl Worker {
    async fn run(mut self, mut closed: pool::CloseEvent) {
        loop {
            let batch = tokio::select! {
                batch = self.next_batch() => batch,
                () = &mut closed => break,
            };
            if batch.is_empty() {
                break;
            }
            self.settle(batch).await;
        }
        self.requests.close();
        let mut unsent: Vec<_> = self.deferred.drain(..).collect();
        while let Ok(queued) = self.requests.try_recv() {
            unsent.push(queued);
        }
        answer_all(unsent, &closed_log());
    }

    /// Waits for a request and takes along whatever else is queued. Empty when all handles are gone.
    async fn next_batch(&mut self) -> Vec<Queued> {
        let mut admitted = Admitted::default();
        let mut waiting = std::mem::take(&mut self.deferred);
        while let Some(queued) = waiting.pop_front() {
            self.deferred.extend(admitted.admit(queued));
        }
        if admitted.batch.is_empty() {
            match self.requests.recv().await {
                Some(queued) => self.deferred.extend(admitted.admit(queued)),
                None => return vec![],
            }
        }
        while admitted.events < BATCH_EVENTS && self.deferred.len() < BATCH_EVENTS {
            match self.requests.try_recv() {
                Ok(queued) => self.deferred.extend(admitted.admit(queued)),
                Err(_) => break,
            }
        }
        admitted.batch
    }

    /// Appends a batch and answers each request. A batch that a constraint refused is halved until the culprit is alone.
    async fn settle(&mut self, batch: Vec<Queued>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let started = Instant::now();
            for queued in &part {
                histogram!("cairn_log_queue_seconds").record(started - queued.queued_at);
            }
            let requests: Vec<_> = part.iter().map(|queued| &queued.request).collect();
            let appended = self.append(&requests).await;
            histogram!("cairn_log_append_seconds").record(started.elapsed());
            match appended {
                Ok((verdicts, head)) => {
                    #[allow(clippy::cast_precision_loss, reason = "a count below 2^52")]
                    histogram!("cairn_log_batch_requests").record(part.len() as f64);
                    hint(&self.grown, head);
                    answer_each(part, verdicts);
                }
                Err(error) if part.len() > 1 && is_one_requests_fault(&error) => {
                    counter!("cairn_log_batches_split_total").increment(1);
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(error) => {
                    counter!("cairn_log_batches_failed_total").increment(1);
                    tracing::warn!(%error, requests = part.len(), "a batch was not appended");
                    answer_all(part, &error);
                }
            }
        }
    }

    async fn append(
        &mut self,
        requests: &[&AppendRequest],
    ) -> Result<(Vec<Verdict>, i64), LogError> {
        for _ in 0..RETRIES {
            let mut connection = self.connect().await?;
            let appended = batch::append(&mut connection, requests).await;
            match &appended {
                Err(LogError::InDoubt(_)) => drop(connection.detach()),
                _ => self.connection = Some((connection, Instant::now())),
            }
            match appended {
                // Rolled back by a timeout, a deadlock or the like.
                Err(LogError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                settled => return settled,
            }
        }
        let mut connection = self.connect().await?;
        batch::append(&mut connection, requests).await
    }

    /// The connection of before, if it is still alive, else another.
    async fn connect(&mut self) -> Result<PoolConnection<Postgres>, LogError> {
        if let Some((mut connection, used_at)) = self.connection.take() {
            // A server that went away in the meantime would leave the first batch in doubt.
            if used_at.elapsed() < FRESH || connection.ping().await.is_ok() {
                return Ok(connection);
            }
            drop(connection.detach());
        }
        match tokio::time::timeout(PATIENCE, self.pool.acquire()).await {
            Ok(connection) => connection.map_err(|error| LogError::reading(&error)),
            Err(_) => Err(LogError::Unavailable("no connection in time".to_owned())),
        }
    }
}

fn closed_log() -> LogError {
    LogError::Unavailable("the log is closed".to_owned())
}

/// Whether the batch may succeed without one of its requests.
const fn is_one_requests_fault(error: &LogError) -> bool {
    matches!(error, LogError::Rejected { .. } | LogError::Corrupt(_) | LogError::Database(_))
}

fn answer_each(batch: Vec<Queued>, verdicts: Vec<Verdict>) {
    for (queued, verdict) in batch.into_iter().zip(verdicts) {
        let answer = match verdict {
            Verdict::Settled(appended) => Some(appended),
            Verdict::Known => None,
        };
        // Nobody may be waiting any more.
        let _ = queued.answer.send(Ok(answer));
    }
}

fn answer_all(batch: Vec<Queued>, error: &LogError) {
    for queued in batch {
        let _ = queued.answer.send(Err(error.clone()));
    }
}

/// A batch in the making: no stream and no command twice.
#[derive(Default)]
struct Admitted {
    batch: Vec<Queued>,
    events: usize,
    commands: HashSet<String>,
    streams: HashSet<(&'static str, String)>,
}

impl Admitted {
    /// Takes a request, or gives it back for a later batch.
    fn admit(&mut self, queued: Queued) -> Option<Queued> {
        let request = &queued.request;
        let stream = (request.aggregate_type, request.aggregate_id.clone());
        if self.events >= BATCH_EVENTS
            || self.commands.contains(&request.command_id)
            || !self.streams.insert(stream)
        {
            return Some(queued);
        }
        self.commands.insert(request.command_id.clone());
        self.events += request.events.len().max(1);
        self.batch.push(queued);
        None
    }
}
