//! What can have happened to an automatic top-up.
use cairn_core::{
    Currency, Month, Nanos, OrganisationId, PaymentId, Text, Texts, Timestamp, domain_event,
};
use serde::{Deserialize, Serialize};

/// When how much is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// When less than that is available.
    pub threshold_nanos: Nanos,
    /// So much at once.
    pub amount_nanos: Nanos,
    /// No more than that in a calendar month (UTC).
    pub monthly_cap_nanos: Nanos,
}

/// What has happened to an automatic top-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum AutoTopUpEvent {
    /// A person said how it shall be. What was suspended or stopped goes on when it is enabled.
    #[serde(rename = "auto_top_up.set")]
    Set {
        organisation_id: OrganisationId,
        currency: Currency,
        enabled: bool,
        terms: Option<Terms>,
        /// The provider's payment method, or the saved one.
        payment_method: Option<String>,
        at: Timestamp,
    },
    /// The wallet was low: a payment is asked for.
    #[serde(rename = "auto_top_up.begun")]
    Begun {
        attempt: u32,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        available_nanos: Nanos,
        /// The month whose cap it counts in.
        month: Month,
        at: Timestamp,
    },
    /// The money is in the wallet.
    #[serde(rename = "auto_top_up.succeeded")]
    Succeeded {
        payment_id: PaymentId,
        amount_nanos: Nanos,
        /// Taken in the month in which it was begun, this included.
        taken_nanos: Nanos,
        month: Month,
        /// No other before.
        paused_until: Timestamp,
        at: Timestamp,
    },
    /// The payment failed. Without `again_at` nobody tries again by itself.
    #[serde(rename = "auto_top_up.declined")]
    Declined {
        payment_id: PaymentId,
        amount_nanos: Nanos,
        code: String,
        /// In a row, this included.
        declines: u32,
        again_at: Option<Timestamp>,
        at: Timestamp,
    },
    /// It was declined too often, or for good: nothing is taken until a person acts.
    #[serde(rename = "auto_top_up.suspended")]
    Suspended { code: String, declines: u32, at: Timestamp },
    /// Another one would have been too many within an hour: it was not taken, and nothing is until a person acts.
    #[serde(rename = "auto_top_up.stopped")]
    Stopped { successes: u32, since: Timestamp, available_nanos: Nanos, at: Timestamp },
    /// Another one would have been beyond the cap: it was not taken, and none is before the next month.
    #[serde(rename = "auto_top_up.cap_reached")]
    CapReached {
        month: Month,
        monthly_cap_nanos: Nanos,
        taken_nanos: Nanos,
        amount_nanos: Nanos,
        again_at: Timestamp,
        at: Timestamp,
    },
}

domain_event!(AutoTopUpEvent {
    Set => "auto_top_up.set", 1;
    Begun => "auto_top_up.begun", 1;
    Succeeded => "auto_top_up.succeeded", 1;
    Declined => "auto_top_up.declined", 1;
    Suspended => "auto_top_up.suspended", 1;
    Stopped => "auto_top_up.stopped", 1;
    CapReached => "auto_top_up.cap_reached", 1;
});

impl Texts for AutoTopUpEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("payment_method", Text::Instrument),
        ("payment_id", Text::Kept),
        ("month", Text::Kept),
        ("code", Text::Kept),
        ("paused_until", Text::Kept),
        ("again_at", Text::Kept),
        ("since", Text::Kept),
        ("at", Text::Kept),
    ];
}
