//! A lease: the share of a window that this process may give out without asking anybody.
use std::time::{Duration, Instant};

/// What is left of a window, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Given to this process and not used yet.
    pub left: u32,
    /// Given to nobody when this process last asked.
    pub beyond: u32,
    /// When the window ends.
    pub ends: Instant,
}

/// How a subject stands after it has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Whether it may go on.
    pub is_granted: bool,
    /// Requests left in the window, of which other processes may use some.
    pub remaining: u32,
    /// Until the window ends.
    pub resets_in: Duration,
}

impl Lease {
    /// One request less. `None`: only the database knows.
    pub fn take(&mut self, now: Instant) -> Option<Stand> {
        let resets_in = self.ends.checked_duration_since(now).filter(|left| !left.is_zero())?;
        if self.left > 0 {
            self.left -= 1;
            let remaining = self.left + self.beyond;
            return Some(Stand { is_granted: true, remaining, resets_in });
        }
        (self.beyond == 0).then_some(Stand { is_granted: false, remaining: 0, resets_in })
    }

    /// Whether it is certain that nothing is left.
    #[must_use]
    pub fn is_spent(&self, now: Instant) -> Option<Stand> {
        let mut lease = Self { ..*self };
        lease.take(now).filter(|stand| !stand.is_granted)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Lease;

    #[test]
    fn a_lease_gives_what_it_has_and_then_asks_or_refuses_until_the_window_ends() {
        let now = Instant::now();
        let ends = now + Duration::from_secs(60);
        let mut lease = Lease { left: 2, beyond: 5, ends };
        assert_eq!(lease.take(now).map(|s| (s.is_granted, s.remaining)), Some((true, 6)));
        assert_eq!(lease.take(now).map(|s| (s.is_granted, s.remaining)), Some((true, 5)));
        assert_eq!(lease.take(now), None, "there is more, elsewhere");
        let mut spent = Lease { left: 0, beyond: 0, ends };
        let refused = spent.take(now).unwrap();
        assert_eq!((refused.is_granted, refused.resets_in), (false, Duration::from_secs(60)));
        assert!(spent.is_spent(now).is_some() && lease.is_spent(now).is_none());
        assert_eq!(spent.take(ends), None, "a new window");
        let mut late = Lease { left: 9, beyond: 9, ends };
        assert_eq!(late.take(ends), None, "what was not used is not kept");
    }
}
