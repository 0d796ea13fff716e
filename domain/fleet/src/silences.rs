//! Silences of a node: when nothing proved that it was alive. Who rents on it does not pay for them.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{Link, Node};

/// Silences that are remembered; a meter that is further behind than this bills the older ones.
const REMEMBERED: usize = 64;

/// From the last proof of life to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The last proof before it.
    pub since: Timestamp,
    /// The first proof after it; none while it lasts.
    pub until: Option<Timestamp>,
    /// Long enough to count as offline, or not to be trusted. A shorter one is no silence once it is over.
    pub outage: bool,
}

/// How far a time is proven, and what within it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Nothing is known to be proven after it.
    pub through: Timestamp,
    /// Whole seconds before it that are not, each silence rounded up.
    pub unproven_seconds: i64,
}

impl Node {
    /// What it observes of its link.
    pub(crate) fn set_link(&mut self, link: Link, at: Timestamp) {
        self.link = link;
        self.doubted_since = None;
        match link {
            Link::NeverSeen => {}
            Link::Suspect | Link::Offline => self.fell_silent(at, link == Link::Offline),
            Link::Online | Link::Resyncing => self.answered(at),
        }
    }

    pub(crate) fn fell_silent(&mut self, at: Timestamp, outage: bool) {
        if let Some(open) = self.silences.last_mut().filter(|silence| silence.until.is_none()) {
            open.since = open.since.min(at);
            open.outage |= outage;
            return;
        }
        self.silences.push(Silence { since: at, until: None, outage });
        let surplus = self.silences.len().saturating_sub(REMEMBERED);
        self.silences.drain(..surplus);
    }

    fn answered(&mut self, at: Timestamp) {
        match self.silences.last_mut() {
            Some(silence) if silence.until.is_none() && silence.outage => silence.until = Some(at),
            Some(silence) if silence.until.is_none() => drop(self.silences.pop()),
            Some(_) | None => {}
        }
    }

    /// What is proven from `since` to `until`. A silence that reaches beyond `until` moves the end back to its beginning.
    #[must_use]
    pub fn proven(&self, since: Timestamp, until: Timestamp) -> Proven {
        let mut proven = Proven { through: until, unproven_seconds: 0 };
        for silence in &self.silences {
            let begins = silence.since.max(since);
            match silence.until {
                Some(ends) if ends <= since => {}
                Some(ends) if ends <= until => proven.unproven_seconds += whole(begins, ends),
                Some(_) | None => proven.through = proven.through.min(begins),
            }
        }
        proven
    }

    /// What is unproven from `since` to `until`, when that time is over and will not be looked at again. A silence that is no outage by
    /// then is none.
    #[must_use]
    pub fn unproven_seconds(&self, since: Timestamp, until: Timestamp) -> i64 {
        let outages = self.silences.iter().filter(|silence| silence.outage);
        let part = |silence: &Silence| {
            let ends = silence.until.map_or(until, |ends| ends.min(until));
            whole(silence.since.max(since), ends)
        };
        outages.map(part).sum()
    }
}

/// Seconds between two instants, rounded up.
const fn whole(from: Timestamp, to: Timestamp) -> i64 {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    if micros <= 0 { 0 } else { (micros + 999_999) / 1_000_000 }
}
