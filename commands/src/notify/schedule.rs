//! When a delivery that failed is tried again.
use std::time::Duration;

use cairn_core::Timestamp;
use sha2::{Digest, Sha256};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// After each attempt but the last, which is more than three days after the first: the schedule of Standard Webhooks 1.0.0.
pub const SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];

/// When the next attempt is due, spread by a fifth so that many do not come back at once; `None` when there is none. `tries` counts
/// from 1, and an endpoint may ask for more time.
pub(super) fn next(
    schedule: &[Duration],
    (name, tries): (&str, u32),
    now: Timestamp,
    asked: Option<Duration>,
) -> Option<Timestamp> {
    let wait = schedule.get(usize::try_from(tries.saturating_sub(1)).ok()?)?;
    let spread = Sha256::digest(format!("{name}:{tries}"))[0];
    let wait = wait.mul_f64(0.8 + f64::from(spread) / 255.0 * 0.4);
    let wait = wait.max(asked.unwrap_or_default());
    let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Some(Timestamp::from_micros(now.as_micros().saturating_add(micros)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cairn_core::Timestamp;

    use super::{SCHEDULE, next};

    #[test]
    fn attempts_go_on_for_days_and_then_end() {
        let begun = Timestamp::from_secs(1_790_000_000);
        let (mut now, mut tries) = (begun, 0);
        loop {
            tries += 1;
            let Some(due) = next(&SCHEDULE, ("whe_1/7", tries), now, None) else { break };
            assert!(due > now);
            now = due;
        }
        assert_eq!(tries, 10);
        let hours = (now.as_micros() - begun.as_micros()) / 3_600_000_000;
        assert!((48..=96).contains(&hours), "{hours}");
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_but_not_for_less() {
        let now = Timestamp::from_secs(1_790_000_000);
        let after = |asked| next(&SCHEDULE, ("a", 1), now, asked).unwrap().as_micros();
        let asked = after(Some(Duration::from_secs(3_600))) - now.as_micros();
        assert_eq!(asked, 3_600_000_000);
        assert_eq!(after(Some(Duration::from_secs(1))), after(None));
        assert_ne!(next(&SCHEDULE, ("a", 1), now, None), next(&SCHEDULE, ("b", 1), now, None));
    }
}
