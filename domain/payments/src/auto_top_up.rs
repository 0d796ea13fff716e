//! Automatic top-up: a wallet that is filled again by itself when it runs low.
//!
//! Lifecycle: off → `on` → `suspended` (declined) or `stopped` (a burst), and from both back to `on` when a person says so. While it is on, an
//! attempt is begun when somebody who looked at the wallet says that it is low; it ends as the payment ends.
//! Invariants: never two attempts in flight; never more begun in a month than the cap; none before the pause after a success and the wait after
//! a decline are over; none while it is off, suspended or stopped.
mod decisions;
mod events;
mod wishes;

pub use self::decisions::{BACK_OFF_SECS, is_for_good};
pub use self::events::{AutoTopUpEvent, Terms};
pub use self::wishes::{AutoTopUpCommand, AutoTopUpError, AutoTopUpLook, Pace, SetAutoTopUp};

use std::collections::BTreeMap;

use cairn_core::{
    Currency, Decider, Month, Nanos, OrganisationId, PaymentId, Subject, Timestamp, cqrs_aggregate,
};
use serde::{Deserialize, Serialize};

/// Whether anything is taken, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody has asked for it, or somebody has switched it off.
    #[default]
    Off,
    /// What runs low is filled again.
    On,
    /// The card was declined too often, or for good.
    Suspended,
    /// More was taken within an hour than anybody needs.
    Stopped,
}

/// A payment that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Attempt {
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    /// The month whose cap it counts in: the one in which it was begun.
    pub month: Month,
    pub begun_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The provider's word for why it was declined.
    pub declined: Option<String>,
}

/// What is remembered of a wallet's automatic top-up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct AutoTopUp {
    pub owner: Option<(OrganisationId, Currency)>,
    pub standing: Standing,
    pub terms: Option<Terms>,
    /// What is charged, as it is stored.
    pub payment_method: Option<String>,
    /// Why it is suspended: what the provider said last.
    pub reason: Option<String>,
    /// How many were begun in all.
    pub attempts: u32,
    pub in_flight: Option<Attempt>,
    /// The one that ended last.
    pub last: Option<Attempt>,
    /// The latest month in which one was begun, and what was taken of that in all.
    pub taken: Option<(Month, Nanos)>,
    /// When the latest ones succeeded, as far as they are within an hour of the last.
    pub successes: Vec<Timestamp>,
    /// Until when it pauses after a success.
    pub paused_until: Option<Timestamp>,
    /// Declined in a row.
    pub declines: u32,
    /// Until when it waits after a decline.
    pub declined_until: Option<Timestamp>,
    /// The month and the cap that were told as reached.
    pub cap_told: Option<(Month, Nanos)>,
    /// Declined attempts that the provider may still take: the month and the amount.
    pub declined: BTreeMap<PaymentId, (Month, Nanos)>,
}

impl Decider for AutoTopUp {
    const TYPE: &'static str = "auto_top_up";
    type Command = AutoTopUpCommand;
    type Event = AutoTopUpEvent;
    type Error = AutoTopUpError;

    fn decide(&self, command: AutoTopUpCommand) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        self.answer(command)
    }

    fn evolve(self, event: AutoTopUpEvent) -> Self {
        self.remember(event)
    }

    fn subject(&self) -> Option<Subject> {
        self.owner.map(|(organisation_id, _)| Subject::organisation(organisation_id))
    }

    fn personal(&mut self) -> Vec<&mut String> {
        self.payment_method.iter_mut().collect()
    }
}

cqrs_aggregate!(AutoTopUp);
