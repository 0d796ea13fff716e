//! What goes wrong on request. Each fault counts down and says how often it bit.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Faults of appends and reads, taken by the next ones that come.
#[derive(Debug, Default)]
pub struct Faults {
    reads: AtomicUsize,
    spared: AtomicUsize,
    before: AtomicUsize,
    after: AtomicUsize,
    every: AtomicU64,
    appends: AtomicU64,
    bitten: AtomicUsize,
}

/// What becomes of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Fair,
    /// The connection ends, and nothing was written.
    LostBefore,
    /// It is carried out, and the connection ends instead of an answer.
    LostAfter,
}

impl Faults {
    /// So many appends are spared before anything below begins.
    pub fn spare(&self, times: usize) {
        self.spared.store(times, Ordering::SeqCst);
    }

    /// The connections of the next appends end before anything is written.
    pub fn hang_up_before(&self, times: usize) {
        self.before.store(times, Ordering::SeqCst);
    }

    /// The connections of the next appends end when they are written, without an answer.
    pub fn hang_up_after(&self, times: usize) {
        self.after.store(times, Ordering::SeqCst);
    }

    /// The connections of the next reads end instead of an answer.
    pub fn hang_up_on_reads(&self, times: usize) {
        self.reads.store(times, Ordering::SeqCst);
    }

    /// Of each `every` appends one is lost, before and after by turns; 0 ends it.
    pub fn hang_up_now_and_then(&self, every: u64) {
        self.every.store(every, Ordering::SeqCst);
    }

    /// How often any of them bit.
    pub fn bitten(&self) -> usize {
        self.bitten.load(Ordering::SeqCst)
    }

    /// Whether a read is left without an answer.
    pub(crate) fn read_is_lost(&self) -> bool {
        let lost = take(&self.reads);
        self.bitten.fetch_add(usize::from(lost), Ordering::SeqCst);
        lost
    }

    pub(crate) fn fate(&self) -> Fate {
        if take(&self.spared) {
            return Fate::Fair;
        }
        let (number, every) =
            (self.appends.fetch_add(1, Ordering::SeqCst) + 1, self.every.load(Ordering::SeqCst));
        let turn = every > 0 && number % every == 0;
        let fate = if take(&self.before) || (turn && number / every % 2 == 0) {
            Fate::LostBefore
        } else if take(&self.after) || turn {
            Fate::LostAfter
        } else {
            return Fate::Fair;
        };
        self.bitten.fetch_add(1, Ordering::SeqCst);
        fate
    }
}

fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
