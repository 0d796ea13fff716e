//! Which fault strikes now, and how often each did.
use serde::{Deserialize, Serialize};

use crate::config::{Chance, Faults};
use crate::random::Random;

/// How often each fault struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FaultCounts {
    pub webhook_duplicate: u64,
    pub webhook_reorder: u64,
    pub webhook_delay: u64,
    pub server_error: u64,
    pub server_error_after_success: u64,
    pub key_expired: u64,
    pub slow: u64,
    pub timeout_after_success: u64,
    pub refund_fails_later: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    WebhookDuplicate,
    WebhookReorder,
    WebhookDelay,
    ServerError,
    ServerErrorAfterSuccess,
    KeyExpired,
    Slow,
    TimeoutAfterSuccess,
    RefundFailsLater,
}

/// The dice, the odds and the tally.
#[derive(Debug)]
pub(crate) struct Mischief {
    pub faults: Faults,
    pub counts: FaultCounts,
}

impl Mischief {
    pub fn new(faults: Faults) -> Self {
        Self { faults, counts: FaultCounts::default() }
    }

    /// Whether the fault strikes now; counted if so.
    pub fn strikes(&mut self, fault: Fault, random: &mut Random) -> bool {
        let (chance, count) = self.of(fault);
        let strikes = if chance.next > 0 {
            chance.next -= 1;
            true
        } else {
            random.happens(chance.probability)
        };
        *count += u64::from(strikes);
        strikes
    }

    fn of(&mut self, fault: Fault) -> (&mut Chance, &mut u64) {
        let (faults, counts) = (&mut self.faults, &mut self.counts);
        match fault {
            Fault::WebhookDuplicate => {
                (&mut faults.webhook_duplicate, &mut counts.webhook_duplicate)
            }
            Fault::WebhookReorder => (&mut faults.webhook_reorder, &mut counts.webhook_reorder),
            Fault::WebhookDelay => (&mut faults.webhook_delay, &mut counts.webhook_delay),
            Fault::ServerError => (&mut faults.server_error, &mut counts.server_error),
            Fault::ServerErrorAfterSuccess => {
                (&mut faults.server_error_after_success, &mut counts.server_error_after_success)
            }
            Fault::KeyExpired => (&mut faults.key_expired, &mut counts.key_expired),
            Fault::Slow => (&mut faults.slow, &mut counts.slow),
            Fault::TimeoutAfterSuccess => {
                (&mut faults.timeout_after_success, &mut counts.timeout_after_success)
            }
            Fault::RefundFailsLater => {
                (&mut faults.refund_fails_later, &mut counts.refund_fails_later)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Mischief};
    use crate::config::{Chance, Faults};
    use crate::random::Random;

    #[test]
    fn the_next_two_strike_and_are_counted() {
        let faults = Faults { slow: Chance::next(2), ..Faults::default() };
        let (mut mischief, mut random) = (Mischief::new(faults), Random::new(1));
        let strikes: Vec<bool> =
            (0..4).map(|_| mischief.strikes(Fault::Slow, &mut random)).collect();
        assert_eq!(strikes, [true, true, false, false]);
        assert_eq!(mischief.counts.slow, 2);
    }
}
