//! Which stretch of time is reconciled, and what is too young to judge.
use cairn_core::Timestamp;

use super::FinanceError;

/// How young a line or posting may be to wait for its counterpart without being a break.
pub const GRACE_SECS: i64 = 3_600;
/// How long after the provider's line a posting is late. The provider repeats its webhooks for three days.
pub const LATE_SECS: i64 = 3 * 86_400;
/// How far before the period open items are looked for.
const LOOK_BACK_SECS: i64 = 35 * 86_400;
/// What is reconciled: `[from, until)` as it looks at `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Period {
    pub from: Timestamp,
    pub until: Timestamp,
    /// Decides what is too young to be a break.
    pub now: Timestamp,
}

impl Period {
    /// One day of the books' calendar (UTC), for example `2026-01-31`.
    ///
    /// # Errors
    /// [`FinanceError::BadPeriod`] when the text is no date.
    pub fn day(date: &str, now: Timestamp) -> Result<Self, FinanceError> {
        let midnight = format!("{date}T00:00:00Z").parse();
        let from: Timestamp = midnight.map_err(|_| FinanceError::BadPeriod(date.to_owned()))?;
        Self::range(from, from.plus_secs(86_400), now)
    }

    /// From an instant up to and without another.
    ///
    /// # Errors
    /// [`FinanceError::BadPeriod`] when it would be empty.
    pub fn range(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<Self, FinanceError> {
        if from >= until {
            return Err(FinanceError::BadPeriod(format!("{from}/{until}")));
        }
        Ok(Self { from, until, now })
    }

    /// The day that `now` is in.
    #[must_use]
    pub const fn today(now: Timestamp) -> Self {
        let day = 86_400_000_000;
        let from = Timestamp::from_micros(now.as_micros().div_euclid(day) * day);
        Self { from, until: from.plus_secs(86_400), now }
    }

    /// Everything there ever was.
    #[must_use]
    pub const fn all(now: Timestamp) -> Self {
        Self { from: Timestamp::from_secs(0), until: now.plus_secs(86_400), now }
    }

    /// What lies before it and may still be open: as long as the provider is asked about anything.
    pub(super) fn look_back(&self) -> Self {
        let epoch = Timestamp::from_secs(0);
        Self { from: self.from.plus_secs(-LOOK_BACK_SECS).max(epoch), until: self.from, ..*self }
    }

    pub(super) const fn contains(&self, at: Timestamp) -> bool {
        self.from.as_micros() <= at.as_micros() && at.as_micros() < self.until.as_micros()
    }

    pub(super) const fn is_young(&self, at: Timestamp) -> bool {
        self.now.secs_since(at) < GRACE_SECS
    }
}
