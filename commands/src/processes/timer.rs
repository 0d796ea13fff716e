//! What process managers wake up for. Values only; they live as JSON in `process_intents`.
use serde::{Deserialize, Serialize};

use super::intent::names;

/// What a process manager wakes up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "timer", rename_all = "snake_case")]
pub enum Timer {
    /// Capacity and funds must be set aside by now.
    ReserveDeadline,
    /// Provisioning must be proven by now.
    ProvisionDeadline,
    /// The node must be clean by now.
    UndoDeadline,
    /// The meter ticks. An older meter than the one that runs since this position stops.
    MeterTick {
        /// Position of the event that began it; 0 of those that began before it was noted.
        #[serde(default)]
        since: i64,
    },
    /// A suspension or resumption must be confirmed by now. An older turn than the one begun at this position is over.
    TurnDeadline {
        /// Position of the event that began it.
        since: i64,
    },
    /// The money of a wallet is looked at. Older looks than those begun at this position stop.
    Assessment {
        /// Position of the event that began it.
        since: i64,
    },
    /// The provider is asked how it stands.
    Poll,
    /// Another automatic top-up may be begun.
    TopUpAgain,
    /// The node is looked at. An older watch than the one begun at this position stops.
    Watch {
        /// Position of the event that began it.
        since: i64,
    },
    /// The invited node must have enrolled by now. An older invitation than the one at this position is over.
    InvitationDeadline {
        /// Position of the event that began it.
        since: i64,
    },
    /// The node must be empty by now. An older wish to drain it than the one at this position is over.
    DrainDeadline {
        /// Position of the event that began it.
        since: i64,
    },
    /// A hold ends. An older time than the one set at this position is over.
    HoldExpiry {
        /// Position of the event that began it.
        since: i64,
    },
    /// Promotional credit ends.
    CreditExpiry {
        /// Position of the grant.
        since: i64,
    },
}

names!(Timer {
    ReserveDeadline => "reserve_deadline",
    ProvisionDeadline => "provision_deadline",
    UndoDeadline => "undo_deadline",
    MeterTick => "meter_tick",
    TurnDeadline => "turn_deadline",
    Assessment => "assessment",
    Poll => "poll",
    TopUpAgain => "top_up_again",
    Watch => "watch",
    InvitationDeadline => "invitation_deadline",
    DrainDeadline => "drain_deadline",
    HoldExpiry => "hold_expiry",
    CreditExpiry => "credit_expiry",
});
