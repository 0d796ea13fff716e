//! Late proof: what a rental had not paid for when it ended, and what was proven after that.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::allocation::Allocation;
use crate::decisions::Decision;
use crate::events::AllocationEvent as Event;

/// Gaps that are remembered; what is older stays unpaid.
const REMEMBERED: usize = 16;

/// Between two places of the meter, so many seconds were not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Gap {
    pub from: Timestamp,
    pub through: Timestamp,
    pub seconds: i64,
}

impl Gap {
    /// Whole seconds of it that may lie in an outage.
    fn seconds_in(&self, (since, until): (Timestamp, Timestamp)) -> i64 {
        self.seconds.min(self.through.min(until).secs_since(self.from.max(since)))
    }
}

impl Allocation {
    /// Whole seconds that an outage adds to what is billed of a rental that was settled before it was proven, wherever in it the machine stood
    /// still. None while its meter may pass the outage, or when that was counted before.
    #[must_use]
    pub fn late_seconds_of(&self, outage: (Timestamp, Timestamp), paused_seconds: i64) -> i64 {
        let is_over = self.released_at.is_some() && self.metered_at >= self.released_at;
        let seconds: i64 = self.gaps.iter().map(|gap| gap.seconds_in(outage)).sum();
        let proven = (seconds - paused_seconds).clamp(0, self.unproven_seconds);
        if is_over { proven } else { 0 }
    }

    /// What nobody pays for of an outage in which the rental was there, whether its meter has passed it or will: whole seconds, but for those in
    /// which the machine stood still, and when they end. None when there are none.
    #[must_use]
    pub fn unpaid_in(
        &self,
        (since, until): (Timestamp, Timestamp),
        paused_seconds: i64,
    ) -> Option<(i64, Timestamp)> {
        let begins = self.metered_at.or(self.activated_at)?.max(since);
        let ends = self.meter_ends_at().map_or(until, |ends_at| ends_at.min(until));
        let passed = self.gaps.iter().map(|gap| (gap.seconds_in((since, until)), gap.through));
        let parts = passed.chain([(ends.secs_since(begins), ends)]);
        let parts = parts.filter(|(seconds, _)| *seconds > 0);
        let (seconds, used_until) = parts.fold((0, since), |(sum, last), (seconds, through)| {
            (sum + seconds, last.max(through.min(until)))
        });
        let unpaid = seconds - paused_seconds;
        (unpaid > 0).then_some((unpaid, used_until))
    }

    pub(crate) fn prove_late(
        &self,
        (since, until): (Timestamp, Timestamp),
        paused_seconds: i64,
        at: Timestamp,
    ) -> Decision {
        let seconds = self.late_seconds_of((since, until), paused_seconds);
        let proven = Event::LateUsageProven { seconds, since, until, at };
        Ok(if seconds > 0 { vec![proven] } else { vec![] })
    }

    /// What the meter did not count since it was read last is remembered.
    pub(crate) fn meter_to(
        &mut self,
        through: Timestamp,
        (unproven_seconds, late_seconds): (i64, i64),
    ) {
        let seconds = unproven_seconds - self.unproven_seconds;
        if let Some(from) = self.metered_at.or(self.activated_at).filter(|_| seconds > 0) {
            self.gaps.push(Gap { from, through, seconds });
            let surplus = self.gaps.len().saturating_sub(REMEMBERED);
            self.gaps.drain(..surplus);
        }
        self.metered_at = Some(through);
        (self.unproven_seconds, self.late_seconds) = (unproven_seconds, late_seconds);
    }

    pub(crate) fn take_late(&mut self, outage: (Timestamp, Timestamp), seconds: i64) {
        self.unproven_seconds -= seconds;
        self.late_seconds += seconds;
        self.gaps.retain(|gap| gap.seconds_in(outage) == 0);
    }
}
