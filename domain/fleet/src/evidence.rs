//! Evidence that a node is alive. Each look that it answers brings a beat: which boot it runs, for how long, and what its clock says.
//!
//! Few beats are facts: the first of a boot, the first after a silence or a rejection, and one an hour. What comes is held against the last
//! that was kept. One that cannot be true is rejected: it proves nothing, so who rents there does not pay for it.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{Link, Node, NodeEvent, NodeLifecycle};

/// How far a node's clock may be ahead of ours.
pub const AHEAD_MICROS_MAX: i64 = 5_000_000;
/// While nothing else happens, a beat is kept this often.
pub const KEEP_MILLIS: u64 = 3_600_000;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Which boot: the kernel makes a new one each time.
    pub boot_id: String,
    /// Milliseconds that it is up: within a boot it only grows.
    pub sequence: u64,
    /// What the node's own clock says.
    pub clock_at: Timestamp,
}

impl Beat {
    /// Whether the node's clock is further ahead of ours than may be.
    #[must_use]
    pub const fn is_ahead(&self, now: Timestamp) -> bool {
        self.clock_at.as_micros().saturating_sub(now.as_micros()) > AHEAD_MICROS_MAX
    }
}

/// Why a sign of life cannot be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The same boot and sequence were told with another clock.
    Contradicts,
    /// Within a boot, its sequence is below one that was kept.
    GoesBackward,
    /// The node's clock is ahead of ours.
    InTheFuture,
}

impl Node {
    /// What is wrong with a sign of life, if anything is.
    #[must_use]
    pub fn fault_of(&self, beat: &Beat, at: Timestamp) -> Option<Fault> {
        if beat.is_ahead(at) {
            return Some(Fault::InTheFuture);
        }
        let same_boot = |kept: &&Beat| kept.boot_id == beat.boot_id;
        let kept = self.beat.as_ref().filter(same_boot)?;
        if beat.sequence < kept.sequence {
            return Some(Fault::GoesBackward);
        }
        let contradicts = beat.sequence == kept.sequence && beat.clock_at != kept.clock_at;
        contradicts.then_some(Fault::Contradicts)
    }

    pub(crate) fn observe_beat(&self, beat: Beat, at: Timestamp) -> Vec<NodeEvent> {
        if self.lifecycle != NodeLifecycle::Ready {
            return vec![];
        }
        match self.fault_of(&beat, at) {
            Some(fault) if self.is_told(fault, &beat) => vec![],
            Some(fault) => vec![NodeEvent::EvidenceRejected { fault, beat, at }],
            None if self.is_worth_keeping(&beat) => vec![NodeEvent::BeatKept { beat, at }],
            None => vec![],
        }
    }

    /// Whether a sign of life is one to note: worth keeping, or to be rejected.
    #[must_use]
    pub fn is_news(&self, beat: &Beat, at: Timestamp) -> bool {
        !self.observe_beat(beat.clone(), at).is_empty()
    }

    fn is_told(&self, fault: Fault, beat: &Beat) -> bool {
        let told = |(known, boot_id): &(Fault, String)| *known == fault && *boot_id == beat.boot_id;
        self.rejected.as_ref().is_some_and(told)
    }

    fn is_worth_keeping(&self, beat: &Beat) -> bool {
        let Some(kept) = &self.beat else { return true };
        let silent = matches!(self.link, Link::Suspect | Link::Offline);
        let old = beat.sequence.saturating_sub(kept.sequence) >= KEEP_MILLIS;
        let news = beat.boot_id != kept.boot_id || silent || old || self.rejected.is_some();
        news && beat != kept
    }
}
