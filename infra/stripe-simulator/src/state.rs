//! What all calls share: the desk with the book, behind one lock that is never held across an await.
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::{Book, Change, Event, Later};
use crate::clock;
use crate::config::SimulatorConfig;
use crate::faults::{Fault, Mischief};
use crate::http::Answers;
use crate::journal;
use crate::journal::Journal;
use crate::random::Random;
use crate::webhooks::{Target, WebhookCounts};

/// The book and everything that changes with it.
pub(crate) struct Desk {
    pub book: Book,
    pub answers: Answers,
    pub mischief: Mischief,
    pub target: Target,
    pub webhook_counts: WebhookCounts,
    /// Refunds made by the current call that become final later.
    pub settle_later: Vec<(String, Later)>,
    random: Random,
    journal: Option<Journal>,
    events_announced: usize,
}

impl Desk {
    /// Opens the book for writing.
    pub fn change(&mut self) -> Change<'_> {
        Change { book: &mut self.book, random: &mut self.random, now: clock::now_secs() }
    }

    /// Whether the fault strikes now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        self.mischief.strikes(fault, &mut self.random)
    }

    /// How long this call is kept waiting.
    pub fn slowness(&mut self) -> Duration {
        if self.strikes(Fault::Slow) {
            return Duration::from_millis(self.mischief.faults.slow_millis);
        }
        Duration::ZERO
    }

    fn write_down(&mut self) {
        let lines = journal::lines(&mut self.book, &mut self.answers);
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.write(&lines)
        {
            tracing::error!(%error, "the simulator's book could not be written");
        }
    }

    fn announcements(&mut self) -> Vec<Event> {
        let events = self.book.events().get(self.events_announced..).unwrap_or_default().to_vec();
        self.events_announced = self.book.events().len();
        events
    }
}

/// How long whoever gets a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The desk, the way to the webhooks, and the tasks that outlive a call.
pub(crate) struct Shared {
    desk: Mutex<Desk>,
    events: mpsc::UnboundedSender<Event>,
    /// What webhooks are sent with: one for all, since each would have connections of its own.
    pub client: reqwest::Client,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl Shared {
    /// Opens the book, and takes up what was still to come.
    pub fn open(
        config: SimulatorConfig,
    ) -> io::Result<(Arc<Self>, mpsc::UnboundedReceiver<Event>)> {
        let (events, queue) = mpsc::unbounded_channel();
        let (mut book, mut answers) = (Book::default(), Answers::default());
        let journal = match config.journal {
            Some(path) => Some(Journal::open(&path, &mut book, &mut answers)?),
            None => None,
        };
        let settle_later = book.unsettled();
        let desk = Desk {
            events_announced: book.events().len(),
            book,
            answers,
            journal,
            mischief: Mischief::new(config.faults),
            target: Target { url: config.webhook_url, secret: config.webhook_secret },
            webhook_counts: WebhookCounts::default(),
            settle_later,
            random: Random::new(config.seed),
        };
        let shared = Self {
            desk: Mutex::new(desk),
            events,
            client: reqwest::Client::builder()
                .timeout(TIMEOUT)
                .build()
                .map_err(io::Error::other)?,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let shared = Arc::new(shared);
        shared.follow_up(&mut shared.desk());
        Ok((shared, queue))
    }

    /// The desk. A panic of another holder leaves a book that is still in order between two calls.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn webhook_counts(&self) -> WebhookCounts {
        self.desk().webhook_counts
    }

    pub fn set_webhook(&self, url: Option<String>, secret: String) {
        self.desk().target = Target { url, secret };
    }

    /// Waits, but not beyond the end.
    pub async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Announces what happened and plans what is still to come.
    pub fn follow_up(self: &Arc<Self>, desk: &mut Desk) {
        desk.write_down();
        for event in desk.announcements() {
            // The receiver lives as long as the server; afterwards nobody listens any more.
            let _ = self.events.send(event);
        }
        let wait = Duration::from_millis(desk.mischief.faults.refund_settles_after_millis);
        for (refund, outcome) in desk.settle_later.drain(..) {
            let shared = Arc::clone(self);
            self.tasks.spawn(async move {
                shared.pause(wait).await;
                if !shared.stop.is_cancelled() {
                    let mut desk = shared.desk();
                    desk.change().settle_refund(&refund, outcome);
                    shared.follow_up(&mut desk);
                }
            });
        }
    }
}
