//! A clock that stands still until it is set: all of a rehearsal is at one instant, or at one that it looks ahead to.
use std::sync::atomic::{AtomicI64, Ordering};

use cairn_core::Timestamp;

use crate::ports::Clock;

#[derive(Debug)]
pub(super) struct Still(AtomicI64);

impl Still {
    pub(super) const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    pub(super) fn set(&self, at: Timestamp) {
        self.0.store(at.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}
