//! The tail of the log and the readers that follow it.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cairn_event_log::{EventLog, LogError};
use metrics::{counter, gauge};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::reader::Reader;
use super::source::Source;
use super::stream::{Sight, Stream, Sub};
use crate::auth::{Caller, Standing};
use crate::problem::Problem;

/// Longest time before the tail looks without being woken.
const POLL: Duration = Duration::from_millis(500);
/// Streams that one reader may follow.
const SUBS_MAX: usize = 20;

/// How readers are kept.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Something is said at least so often.
    pub heartbeat: Duration,
    /// So often it is asked whether a caller may still read.
    pub recheck: Duration,
    /// What may wait for a reader.
    pub queue: usize,
    /// How far behind in the log a reader may come back.
    pub behind_max: i64,
    /// Readers of one caller in this process.
    pub readers_max: usize,
}

impl Default for Pace {
    fn default() -> Self {
        let (heartbeat, recheck) = (Duration::from_secs(25), Duration::from_secs(2));
        Self { heartbeat, recheck, queue: 1_000, behind_max: 100_000, readers_max: 20 }
    }
}

/// Why and when a reader ends.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) token: CancellationToken,
    reason: OnceLock<&'static str>,
}

impl End {
    fn because(&self, code: &'static str) {
        let _ = self.reason.set(code);
        self.token.cancel();
    }

    /// The code, once it has ended.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }
}

/// A reader as the tail knows it.
#[derive(Debug)]
struct Seat {
    standing: String,
    /// As it was when it was first looked at.
    role: Option<String>,
    sight: Sight,
    streams: Vec<Stream>,
    queue: mpsc::Sender<Arc<Frame>>,
    end: Arc<End>,
}

#[derive(Debug, Default)]
struct Room {
    seats: HashMap<u64, Seat>,
    next: u64,
    overflowed: u64,
    /// Up to where the tail has told everything.
    position: i64,
}

/// A place in the room, from a position on.
pub(super) struct Ticketed {
    pub(super) id: u64,
    pub(super) queue: mpsc::Receiver<Arc<Frame>>,
    pub(super) end: Arc<End>,
    pub(super) position: i64,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    pace: Pace,
    room: Mutex<Room>,
    /// Whether the tail knows where it is.
    begun: watch::Sender<bool>,
}

/// Everybody who holds a stream open in this process. Clones share it.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

impl Hub {
    /// Over a log; nothing is read until it [runs](Self::run). `name` names this Cairn in its events.
    #[must_use]
    pub fn new(log: EventLog, name: String, pace: Pace) -> Self {
        let source = Source::new(log, name);
        Self(Arc::new(Inner {
            source,
            pace,
            room: Mutex::default(),
            begun: watch::Sender::new(false),
        }))
    }

    /// How readers are kept.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.0.pace
    }

    pub(super) fn source(&self) -> &Source {
        &self.0.source
    }

    /// Readers that are there now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.room().seats.len()
    }

    /// How often a reader was too slow since it began.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.room().overflowed
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens streams for a caller.
    ///
    /// # Errors
    /// What is not there or not the caller's, `too_many_streams`, `database_unavailable`.
    pub async fn open(&self, caller: &Caller, subs: Vec<Sub>) -> Result<Reader, Problem> {
        if subs.is_empty() || subs.len() > SUBS_MAX {
            let detail = format!("from 1 to {SUBS_MAX} streams at once, not {}", subs.len());
            return Err(Problem::new("query_invalid", detail));
        }
        let sight = Sight::of(caller);
        for sub in &subs {
            sub.stream.admit(&sight, self.source()).await?;
        }
        // The tail begins when the database answers; so does everything else.
        let _ = self.0.begun.subscribe().wait_for(|begun| *begun).await;
        Reader::open(self.clone(), (Standing::of(caller).to_string(), sight), subs).await
    }

    /// A seat for a reader; what comes after its position comes through its queue.
    pub(super) fn seat(
        &self,
        (standing, sight): (&str, &Sight),
        streams: Vec<Stream>,
    ) -> Result<Ticketed, Problem> {
        let mut room = self.room();
        let most = self.0.pace.readers_max;
        if room.seats.values().filter(|seat| seat.standing == standing).count() >= most {
            let detail = format!("{most} streams of this caller are open here: close one first");
            return Err(Problem::new("too_many_streams", detail));
        }
        let (sender, queue) = mpsc::channel(self.0.pace.queue);
        let end = Arc::<End>::default();
        room.next += 1;
        let (id, position) = (room.next, room.position);
        let seat = Seat {
            standing: standing.to_owned(),
            role: None,
            sight: sight.clone(),
            streams,
            queue: sender,
            end: Arc::clone(&end),
        };
        room.seats.insert(id, seat);
        count(&room);
        Ok(Ticketed { id, queue, end, position })
    }

    /// Gives a seat up.
    pub(super) fn leave(&self, id: u64) {
        let mut room = self.room();
        room.seats.remove(&id);
        count(&room);
    }

    /// Tells readers of what happens, and ends those who may not read any more, until it is stopped; then it ends all.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.tail(&stop), self.recheck(&stop));
        self.end_where("shutting_down", |_| true);
    }

    async fn tail(&self, stop: &CancellationToken) {
        let mut grown = self.source().log.wake();
        while !stop.is_cancelled() {
            grown.borrow_and_update();
            if let Err(error) = self.advance(stop).await {
                tracing::warn!(%error, "the streams of events stand still");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = grown.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Tells everything up to the end of the log.
    async fn advance(&self, stop: &CancellationToken) -> Result<(), LogError> {
        if !*self.0.begun.borrow() {
            self.room().position = self.source().log.head().await?;
            self.0.begun.send_replace(true);
        }
        while !stop.is_cancelled() {
            let position = self.room().position;
            let stretch = self.source().after(position).await?;
            let Some(last) = stretch.last else { break };
            self.tell(&stretch.frames, last);
        }
        Ok(())
    }

    /// Puts frames into the queues of those they are for. Whoever's is full loses the seat, and finds out when it has taken the rest.
    fn tell(&self, frames: &[Arc<Frame>], last: i64) {
        let mut room = self.room();
        let mut full = HashSet::new();
        for frame in frames {
            for (id, seat) in &room.seats {
                let is_for = seat.streams.iter().any(|stream| stream.has(frame));
                if is_for && seat.sight.shows(frame) && !full.contains(id) {
                    let sent = seat.queue.try_send(Arc::clone(frame));
                    if sent.is_err() {
                        full.insert(*id);
                    }
                }
            }
        }
        for id in &full {
            room.seats.remove(id);
            room.overflowed += 1;
            counter!("cairn_streams_overflowed_total").increment(1);
        }
        room.position = last;
        count(&room);
    }

    /// Who reads here now.
    pub(super) fn standings(&self) -> Vec<String> {
        let room = self.room();
        let standings: HashSet<_> = room.seats.values().map(|seat| seat.standing.clone()).collect();
        standings.into_iter().collect()
    }

    /// Ends the readers whose caller is not among the living, or is there with another role than before.
    pub(super) fn keep_only(&self, living: &HashMap<String, String>, asked: &[String]) {
        for seat in self.room().seats.values_mut().filter(|seat| asked.contains(&seat.standing)) {
            match living.get(&seat.standing) {
                None => seat.end.because("unauthenticated"),
                Some(role) if seat.role.get_or_insert_with(|| role.clone()) != role => {
                    seat.end.because("forbidden");
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn end_where(&self, code: &'static str, is_meant: impl Fn(&str) -> bool) {
        for seat in self.room().seats.values().filter(|seat| is_meant(&seat.standing)) {
            seat.end.because(code);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a gauge")]
fn count(room: &Room) {
    gauge!("cairn_streams_open").set(room.seats.len() as f64);
}
