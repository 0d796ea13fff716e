//! One reader: first what it missed, from the log, then what the tail has for it.
use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::Frame;
use super::hub::{End, Hub, Ticketed};
use super::stream::{Sight, Stream, Sub};
use crate::problem::Problem;

/// What a reader is told.
#[derive(Debug, Clone)]
pub enum Item {
    /// Something happened.
    Event(Arc<Frame>),
    /// What came before this position will not be told: read the state anew, and go on from here.
    Reset(Stream, i64),
    /// Nothing more comes, because of this code.
    End(&'static str),
}

/// A reader; dropped, it gives its seat up.
#[derive(Debug)]
pub struct Reader {
    hub: Hub,
    standing: String,
    sight: Sight,
    /// Each with the position after which it wants to hear.
    subs: Vec<(Stream, i64)>,
    seat: Seat,
    /// Up to where the log has been read, until it is read up to where the queue begins.
    replayed: Option<i64>,
    waiting: VecDeque<Item>,
}

#[derive(Debug)]
struct Seat {
    id: u64,
    queue: tokio::sync::mpsc::Receiver<Arc<Frame>>,
    end: Arc<End>,
    position: i64,
}

impl From<Ticketed> for Seat {
    fn from(Ticketed { id, queue, end, position }: Ticketed) -> Self {
        Self { id, queue, end, position }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hub.leave(self.seat.id);
    }
}

impl Reader {
    pub(super) async fn open(
        hub: Hub,
        (standing, sight): (String, Sight),
        subs: Vec<Sub>,
    ) -> Result<Self, Problem> {
        let streams = subs.iter().map(|sub| sub.stream.clone()).collect();
        let seat: Seat = hub.seat((&standing, &sight), streams)?.into();
        let mut reader = Self {
            hub,
            standing,
            sight,
            subs: subs.iter().map(|sub| (sub.stream.clone(), seat.position)).collect(),
            seat,
            replayed: None,
            waiting: VecDeque::new(),
        };
        for (at, after) in subs.iter().enumerate().filter_map(|(at, sub)| Some((at, sub.after?))) {
            // Another process may have told it more than this one has read.
            let known = match after > reader.seat.position {
                true => after <= reader.hub.source().log.head().await?,
                // No difference of two positions overflows; what is no position is none of ours.
                false => after >= 0 && reader.seat.position - after <= reader.hub.pace().behind_max,
            };
            match known {
                true => reader.subs[at].1 = after,
                false => reader.reset(at),
            }
        }
        reader.replay_from_lowest();
        Ok(reader)
    }

    fn reset(&mut self, at: usize) {
        self.subs[at].1 = self.seat.position;
        self.waiting.push_back(Item::Reset(self.subs[at].0.clone(), self.seat.position));
    }

    fn replay_from_lowest(&mut self) {
        let lowest = self.subs.iter().map(|(_, after)| *after).min();
        self.replayed = lowest.filter(|after| *after < self.seat.position);
    }

    /// Its streams, each with the position after which it is told.
    #[must_use]
    pub fn subs(&self) -> &[(Stream, i64)] {
        &self.subs
    }

    /// Whether something that happened before is told first.
    #[must_use]
    pub const fn replays(&self) -> bool {
        self.replayed.is_some()
    }

    /// Where it begins: what happens from now on is after this.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.seat.position
    }

    /// The streams that a frame is told in.
    pub fn streams_of(&self, frame: &Frame) -> impl Iterator<Item = &Stream> {
        let position = frame.position;
        let all = self.subs.iter().filter(move |(_, after)| position > *after);
        all.map(|(stream, _)| stream).filter(|stream| stream.has(frame))
    }

    fn wants(&self, frame: &Frame) -> bool {
        self.sight.shows(frame) && self.streams_of(frame).next().is_some()
    }

    /// What is next. It waits for as long as nothing happens; dropped meanwhile, it has lost nothing.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(code) = self.seat.end.reason() {
                return Item::End(code);
            }
            if let Some(item) = self.waiting.pop_front() {
                return item;
            }
            if let Some(after) = self.replayed {
                if let Err(problem) = self.replay(after).await {
                    return Item::End(problem.code.name);
                }
                continue;
            }
            let told = tokio::select! {
                biased;
                () = self.seat.end.token.cancelled() => continue,
                told = self.seat.queue.recv() => told,
            };
            match told {
                Some(frame) if self.wants(&frame) => return Item::Event(frame),
                Some(_) => {}
                None => {
                    if let Err(problem) = self.begin_anew() {
                        return Item::End(problem.code.name);
                    }
                }
            }
        }
    }

    /// Reads a page of what it missed.
    async fn replay(&mut self, after: i64) -> Result<(), Problem> {
        let stretch = tokio::select! {
            biased;
            () = self.seat.end.token.cancelled() => return Ok(()),
            stretch = self.hub.source().page(after) => stretch?,
        };
        let until = self.seat.position;
        for frame in stretch.frames {
            if frame.position <= until && self.wants(&frame) {
                self.waiting.push_back(Item::Event(frame));
            }
        }
        self.replayed = stretch.last.filter(|last| *last < until);
        // Whoever is read old pages is not slow because new ones have filled its queue meanwhile: it reads on.
        if self.replayed.is_none() && self.seat.queue.is_closed() {
            self.sit_down()?;
            let is_far = self.seat.position - until > self.hub.pace().behind_max;
            if is_far {
                (0..self.subs.len()).for_each(|at| self.reset(at));
            } else {
                self.replayed = Some(until).filter(|until| *until < self.seat.position);
            }
        }
        Ok(())
    }

    /// It was too slow: it has taken what was waiting, and what came since is lost to it.
    fn begin_anew(&mut self) -> Result<(), Problem> {
        self.sit_down()?;
        (0..self.subs.len()).for_each(|at| self.reset(at));
        Ok(())
    }

    fn sit_down(&mut self) -> Result<(), Problem> {
        self.hub.leave(self.seat.id);
        let streams = self.subs.iter().map(|(stream, _)| stream.clone()).collect();
        self.seat = self.hub.seat((&self.standing, &self.sight), streams)?.into();
        Ok(())
    }
}
