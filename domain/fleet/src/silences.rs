//! Silences of a node: when nothing proved that it was alive. Who rents on it does not pay for them.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{Link, Node, NodeLifecycle};

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
    /// What came to light of it when the node answered again.
    #[serde(default, skip_serializing_if = "LateProof::is_unheard")]
    pub late: LateProof,
}

/// What came to light of a silence late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum LateProof {
    /// The node has said nothing of its boot since.
    #[default]
    Unheard,
    /// What it said proves nothing of it.
    None,
    /// One boot spans it, up to this instant.
    Spanned {
        /// When it was heard.
        until: Timestamp,
        /// Seconds in which the machine stood still, wherever in it.
        paused_seconds: i64,
    },
}

impl LateProof {
    const fn is_unheard(&self) -> bool {
        matches!(self, Self::Unheard)
    }
}

/// What becomes of time that is proven late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateUsage {
    /// Nobody pays for it.
    #[default]
    Forgive,
    /// Who rented pays for it, unless it began longer ago than that when it was proven.
    Charge {
        /// In seconds.
        cutoff_seconds: i64,
    },
}

impl LateUsage {
    /// Whether an outage that was proven when it ended is paid for.
    #[must_use]
    pub fn charges(self, since: Timestamp, until: Timestamp) -> bool {
        match self {
            Self::Forgive => false,
            Self::Charge { cutoff_seconds } => since.plus_secs(cutoff_seconds) >= until,
        }
    }

    /// Whether it would be paid for, had it not begun so long ago: somebody looks at it.
    #[must_use]
    pub fn reviews(self, since: Timestamp, until: Timestamp) -> bool {
        match self {
            Self::Forgive => false,
            Self::Charge { .. } => !self.charges(since, until),
        }
    }
}

impl Silence {
    /// It was an outage, it lasts, and nothing is known of it yet.
    pub(crate) const fn is_unheard_outage(&self) -> bool {
        self.outage && self.until.is_none() && self.late.is_unheard()
    }

    /// Seconds between two instants in it that nobody pays for.
    fn unproven_seconds(&self, (from, to): (Timestamp, Timestamp), usage: LateUsage) -> i64 {
        let all = whole(from, to);
        match self.late {
            LateProof::Spanned { until, paused_seconds } if usage.charges(self.since, until) => {
                all.min(paused_seconds + whole(until.max(from), to))
            }
            LateProof::Spanned { .. } | LateProof::Unheard | LateProof::None => all,
        }
    }
}

/// How far a time is proven, and what within it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// Nothing is known to be proven after it.
    pub through: Timestamp,
    /// Whole seconds before it that are not, each silence rounded up.
    pub unproven_seconds: i64,
    /// Whole seconds before it that were proven late, and are charged.
    pub late_seconds: i64,
}

impl Proven {
    /// Nothing of the time until then is not proven.
    const fn through(through: Timestamp) -> Self {
        Self { through, unproven_seconds: 0, late_seconds: 0 }
    }

    fn add(&mut self, silence: &Silence, (from, to): (Timestamp, Timestamp), usage: LateUsage) {
        let unproven_seconds = silence.unproven_seconds((from, to), usage);
        self.unproven_seconds += unproven_seconds;
        self.late_seconds += whole(from, to) - unproven_seconds;
    }
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
        self.silences.push(Silence { since: at, until: None, outage, late: LateProof::Unheard });
        let surplus = self.silences.len().saturating_sub(REMEMBERED);
        self.silences.drain(..surplus);
    }

    /// What is known of the silence that lasts. What is proven of it stays proven, unless the node is doubted.
    pub(crate) fn is_heard(&mut self, late: LateProof) {
        if let Some(open) = self.silences.last_mut().filter(|silence| silence.until.is_none()) {
            open.late = match (open.late, late) {
                (LateProof::Spanned { .. }, LateProof::None) => open.late,
                _ => late,
            };
        }
    }

    pub(crate) fn is_doubted(&mut self) {
        if let Some(open) = self.silences.last_mut().filter(|silence| silence.until.is_none()) {
            open.late = LateProof::None;
        }
    }

    /// It is not trusted from here on.
    pub(crate) fn shut_out(&mut self, at: Timestamp) {
        self.lifecycle = NodeLifecycle::Quarantined;
        self.fell_silent(at, true);
        self.is_doubted();
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
    pub fn proven(&self, since: Timestamp, until: Timestamp, usage: LateUsage) -> Proven {
        let mut proven = Proven::through(until);
        for silence in &self.silences {
            let begins = silence.since.max(since);
            match silence.until {
                Some(ends) if ends <= since => {}
                Some(ends) if ends <= until => proven.add(silence, (begins, ends), usage),
                Some(_) | None => proven.through = proven.through.min(begins),
            }
        }
        proven
    }

    /// What is proven from `since` to `until`, when that time is over and will not be looked at again. A silence that is no outage by then is
    /// none.
    #[must_use]
    pub fn proven_by_end(&self, since: Timestamp, until: Timestamp, usage: LateUsage) -> Proven {
        let mut proven = Proven::through(until);
        for silence in self.silences.iter().filter(|silence| silence.outage) {
            let ends = silence.until.map_or(until, |ends| ends.min(until));
            proven.add(silence, (silence.since.max(since), ends), usage);
        }
        proven
    }
}

/// Seconds between two instants, rounded up.
pub(crate) const fn whole(from: Timestamp, to: Timestamp) -> i64 {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    if micros <= 0 { 0 } else { (micros + 999_999) / 1_000_000 }
}
