//! Corrections: what was metered and should not have been is taken back. The charge follows the seconds.
use cairn_core::Timestamp;

use crate::allocation::{Allocation, AllocationError as Error};
use crate::decisions::Decision;
use crate::events::AllocationEvent as Event;

/// Characters of a reason.
const REASON_MAX: usize = 500;

impl Allocation {
    /// Whole seconds that are metered at the price of now: as many may be taken back. What was before it is charged at another price and tax.
    #[must_use]
    pub fn correctable_seconds(&self) -> i64 {
        self.metered_seconds() - self.segments.last().map_or(0, |last| last.seconds)
    }

    /// Also after its end: who was charged for what did not run does not lose it by a release.
    pub(crate) fn correct_usage(&self, seconds: i64, reason: String, at: Timestamp) -> Decision {
        if seconds < 1 {
            return Err(Error::CorrectionNotPositive(seconds));
        }
        if reason.trim().is_empty() || reason.chars().count() > REASON_MAX {
            return Err(Error::ReasonNeeded);
        }
        let left = self.correctable_seconds();
        if seconds > left {
            return Err(Error::CorrectionExceedsUsage { left, wanted: seconds });
        }
        Ok(vec![Event::UsageCorrected { seconds, why: reason, at }])
    }
}
