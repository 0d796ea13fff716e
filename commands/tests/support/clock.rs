//! Time and ids, set by hand.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use cairn_commands::ports::{Clock, IdSource};
use cairn_core::Timestamp;
use cairn_core::id::time_ordered;

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Moves on to an instant; never back.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.fetch_max(at.as_micros(), Ordering::SeqCst);
    }

    pub fn advance_secs(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Counts.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self) -> u128 {
        time_ordered(1_800_000_000_000, u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}
