//! The one place that reads the wall clock: Stripe stamps what it makes with its own time.
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
#[allow(clippy::disallowed_methods, reason = "a stand-in for an outside system has its own clock")]
pub(crate) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whole seconds since the epoch.
pub(crate) fn now_secs() -> i64 {
    i64::try_from(now_millis() / 1_000).unwrap_or(i64::MAX)
}
