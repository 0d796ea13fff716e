//! The one task of a process that writes events. Requests queue while a batch is under way and become the next one.
use std::time::{Duration, Instant};

use cairn_tasks::{caught, named};
use metrics::counter;
use sqlx::{PgPool, pool};
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::task::TaskTracker;

use crate::lane::Lane;
use crate::pool::PATIENCE;
use crate::queue::{Answer, Forming, Queued, answer_all};
use crate::session::Session;
use crate::{AppendRequest, LogError};

/// Requests that may wait; beyond it callers wait to queue.
const QUEUE: usize = 4_096;
/// Batches under way. The database takes them one after the other; the second only spares the time between.
const LANES: usize = 2;
/// A second batch is worth its own commit from so many requests on.
const SECOND_BATCH: usize = 64;

/// A handle on the task. It ends when the last handle is gone and the queue is empty, or the pool closes.
#[derive(Debug, Clone)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Queued>,
    tasks: TaskTracker,
}

impl Appender {
    pub(crate) fn start(pool: PgPool, limit: Duration, grown: watch::Sender<i64>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        let tasks = TaskTracker::new();
        let closed = pool.close_event();
        let new_lane = move || Lane::new(Session::new(pool.clone(), limit), grown.clone());
        let lanes = std::iter::repeat_with(&new_lane).take(LANES).collect();
        let worker = Worker {
            requests,
            forming: Forming::default(),
            new_lane,
            lanes,
            under_way: JoinSet::new(),
        };
        tasks.spawn(named("log", async move {
            let (mut worker, mut closed) = (worker, closed);
            // Whoever's requests it held learned that they are in doubt.
            while caught(worker.run(&mut closed)).await.is_err() {
                worker.forming = Forming::default();
            }
        }));
        Self { queue, tasks }
    }

    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) async fn append(&self, request: AppendRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let queued = Queued { request, queued_at: Instant::now(), answer };
        match self.queue.try_send(queued) {
            Ok(()) => {}
            Err(TrySendError::Full(queued)) => self.queue_late(queued).await?,
            Err(TrySendError::Closed(_)) => return Err(closed_log()),
        }
        // Lost only if the task died under the request.
        answered.await.unwrap_or_else(|_| Err(LogError::InDoubt("the appender stopped".to_owned())))
    }
}

impl Appender {
    /// Waits for room, but not for ever: beyond that the load is shed.
    async fn queue_late(&self, queued: Queued) -> Result<(), LogError> {
        counter!("cairn_log_queue_full_total").increment(1);
        self.queue.send_timeout(queued, PATIENCE).await.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => LogError::Unavailable("too much is queued".to_owned()),
            SendTimeoutError::Closed(_) => closed_log(),
        })
    }
}

fn closed_log() -> LogError {
    LogError::Unavailable("the log is closed".to_owned())
}

struct Worker<N> {
    requests: mpsc::Receiver<Queued>,
    forming: Forming,
    new_lane: N,
    /// Those with nothing to do.
    lanes: Vec<Lane>,
    under_way: JoinSet<Lane>,
}

impl<N: Fn() -> Lane> Worker<N> {
    async fn run(&mut self, closed: &mut pool::CloseEvent) {
        loop {
            tokio::select! {
                biased;
                () = &mut *closed => return self.refuse_rest().await,
                Some(lane) = self.under_way.join_next() => self.free(lane),
                queued = self.requests.recv(), if self.forming.has_room() => match queued {
                    Some(queued) => self.forming.admit(queued),
                    None => return self.finish().await,
                },
            }
            self.gather().await;
            self.dispatch();
        }
    }

    /// Takes along what is queued. With no batch under way, it also lets those queue who are about to.
    async fn gather(&mut self) {
        loop {
            let before = self.forming.len();
            while self.forming.has_room() {
                match self.requests.try_recv() {
                    Ok(queued) => self.forming.admit(queued),
                    Err(_) => break,
                }
            }
            let settled = self.forming.len() == before && before != 1;
            if settled || !self.forming.has_room() || !self.under_way.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
            if self.requests.is_empty() {
                return;
            }
        }
    }

    /// A lane whose task died is replaced; its requests learned that they are in doubt.
    fn free(&mut self, lane: Result<Lane, JoinError>) {
        self.lanes.push(lane.unwrap_or_else(|_| (self.new_lane)()));
    }

    fn dispatch(&mut self) {
        let enough = if self.under_way.is_empty() { 1 } else { SECOND_BATCH };
        if self.forming.len() < enough {
            return;
        }
        if let Some(lane) = self.lanes.pop() {
            let batch = self.forming.take();
            self.under_way.spawn(named("log", lane.settle(batch)));
        }
    }

    /// Appends what is left when all handles are gone.
    async fn finish(&mut self) {
        self.dispatch();
        while let Some(lane) = self.under_way.join_next().await {
            self.free(lane);
            self.dispatch();
        }
    }

    /// Lets the batches under way end and refuses the rest.
    async fn refuse_rest(&mut self) {
        self.requests.close();
        while let Ok(queued) = self.requests.try_recv() {
            self.forming.admit(queued);
        }
        answer_all(self.forming.all(), &closed_log());
        while self.under_way.join_next().await.is_some() {}
    }
}
