//! Evidence that a node is alive. Each look that it answers brings a beat: which boot it runs, for how long, and what its clock says.
//!
//! Few beats are facts: the first of a boot, the first after a silence or a rejection, and one an hour. What comes is held against the last
//! that was kept. One that cannot be true is rejected: it proves nothing, so who rents there does not pay for it. A boot that answers before an
//! outage and after it was up all the time: that is proven late.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::NodeEvent;
use crate::node::{Link, Node, NodeLifecycle};
use crate::silences::{LateProof, whole};

/// How far a node's clock may be ahead of ours.
pub const AHEAD_MICROS_MAX: i64 = 5_000_000;
/// While nothing else happens, a beat is kept this often.
pub const KEEP_MILLIS: u64 = 3_600_000;

/// How much of a boot may be missing before the machine counts as having stood still: looks take time.
pub const PAUSE_MILLIS: i64 = 5_000;
/// And one part in so many of the time: clocks drift.
pub const DRIFT_PARTS: i64 = 10_000;

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
            None if self.is_worth_keeping(&beat) => {
                let proven = self.outage_proven(&beat, at);
                [NodeEvent::BeatKept { beat, at }].into_iter().chain(proven).collect()
            }
            None => vec![],
        }
    }

    /// That the boot of the last beat before an outage is that of the first one after it. The kept one may be older than the outage: a boot
    /// id never comes back.
    fn outage_proven(&self, beat: &Beat, at: Timestamp) -> Option<NodeEvent> {
        let outage = self.silences.last().filter(|silence| silence.is_unheard_outage())?;
        let (kept, kept_at) = self.beat.as_ref().zip(self.beat_at)?;
        if kept.boot_id != beat.boot_id || self.rejected.is_some() {
            return None;
        }
        let since = outage.since;
        let up_millis = beat.sequence.saturating_sub(kept.sequence);
        let length_seconds = whole(since, at);
        let paused_seconds = paused_seconds(up_millis, whole(kept_at, at)).min(length_seconds);
        Some(NodeEvent::OutageProven { since, until: at, paused_seconds, at })
    }

    /// Whether a sign of life is one to note: worth keeping, or to be rejected.
    #[must_use]
    pub fn is_news(&self, beat: &Beat, at: Timestamp) -> bool {
        !self.observe_beat(beat.clone(), at).is_empty()
    }

    pub(crate) fn keep_beat(&mut self, beat: Beat, at: Timestamp) {
        (self.beat, self.beat_at, self.rejected) = (Some(beat), Some(at), None);
        self.is_heard(LateProof::None);
    }

    pub(crate) fn reject_beat(&mut self, fault: Fault, beat: Beat) {
        self.rejected = Some((fault, beat.boot_id));
        self.is_doubted();
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

/// Whole seconds that a boot did not count, rounded up; none within what clocks and looks may differ.
fn paused_seconds(up_millis: u64, passed_seconds: i64) -> i64 {
    let up_millis = i64::try_from(up_millis).unwrap_or(i64::MAX);
    let passed_millis = passed_seconds.saturating_mul(1_000);
    let missing_millis = passed_millis.saturating_sub(up_millis);
    let is_noise = missing_millis <= PAUSE_MILLIS + passed_millis / DRIFT_PARTS;
    if is_noise { 0 } else { missing_millis.saturating_add(999) / 1_000 }
}
