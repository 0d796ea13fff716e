//! How the simulator behaves, and how it misbehaves.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where webhooks go, how they are signed, and what goes wrong.
#[derive(Clone, Default)]
pub struct SimulatorConfig {
    /// Webhooks are posted here; without it events are only kept. It may be set later, see [`crate::Simulator::set_webhook`].
    pub webhook_url: Option<String>,
    /// `whsec_…`: signs the webhooks.
    pub webhook_secret: String,
    /// What goes wrong; by default nothing.
    pub faults: Faults,
    /// The same seed makes the same choices.
    pub seed: u64,
    /// The book outlives the process in this file, one line per change; without it, it is forgotten.
    pub journal: Option<PathBuf>,
}

/// How often a fault strikes: the next so many times for certain, afterwards by chance.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chance {
    /// Strikes this many times in a row, then counts down to 0.
    pub next: u32,
    /// From 0 (never) to 1 (always).
    pub probability: f64,
}

impl Chance {
    /// Strikes the next `times` times, and then never.
    #[must_use]
    pub const fn next(times: u32) -> Self {
        Self { next: times, probability: 0.0 }
    }

    /// Strikes with this probability.
    #[must_use]
    pub const fn probability(probability: f64) -> Self {
        Self { next: 0, probability }
    }
}

/// What goes wrong, and how long things take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// A webhook is delivered twice.
    pub webhook_duplicate: Chance,
    /// A webhook is held back until the next one has gone.
    pub webhook_reorder: Chance,
    /// A webhook goes [`Self::webhook_delay_millis`] later.
    pub webhook_delay: Chance,
    /// How late a delayed webhook is.
    pub webhook_delay_millis: u64,
    /// A call answers 500 and nothing was done.
    pub server_error: Chance,
    /// A POST is carried out and answers 500; its key answers the same from then on.
    pub server_error_after_success: Chance,
    /// The answer of a key was forgotten when the key comes again, as after a day.
    pub key_expired: Chance,
    /// A call takes [`Self::slow_millis`] longer.
    pub slow: Chance,
    /// How slow a slow call is.
    pub slow_millis: u64,
    /// A POST is carried out, and its answer comes only after [`Self::timeout_millis`].
    pub timeout_after_success: Chance,
    /// How long such an answer takes.
    pub timeout_millis: u64,
    /// A refund succeeds at first and fails later, whatever the card.
    pub refund_fails_later: Chance,
    /// When a refund that is not final at once becomes so.
    pub refund_settles_after_millis: u64,
}

impl Default for Faults {
    fn default() -> Self {
        let never = Chance::default();
        Self {
            webhook_duplicate: never,
            webhook_reorder: never,
            webhook_delay: never,
            webhook_delay_millis: 2_000,
            server_error: never,
            server_error_after_success: never,
            key_expired: never,
            slow: never,
            slow_millis: 1_000,
            timeout_after_success: never,
            timeout_millis: 60_000,
            refund_fails_later: never,
            refund_settles_after_millis: 1_000,
        }
    }
}
