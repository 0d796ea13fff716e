//! What a process manager wants: a command, an effect or a timer. Values only; they live as JSON in `process_intents`.
use cairn_compute::{Placement, ReleaseReason, Step, SuspensionReason};
use cairn_core::{
    AllocationId, Currency, DisputeId, HoldId, Nanos, NodeId, OrganisationId, PaymentId, RefundId,
    Timestamp,
};
use serde::{Deserialize, Serialize};

pub use super::effect::{Effect, Ending, Funding, Outage, Tick};
pub use super::timer::Timer;

/// One wish of a process manager. Its id, derived from where it was born, is the idempotency key all the way down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is wanted.
    pub action: Action,
    /// Not before this instant; at once when absent.
    pub due_at: Option<Timestamp>,
    /// From this instant on a failure calls an operator; without it, after a number of attempts.
    pub give_up_at: Option<Timestamp>,
}

impl Intent {
    /// A command, at once.
    #[must_use]
    pub const fn command(command: Command) -> Self {
        Self { action: Action::Command(command), due_at: None, give_up_at: None }
    }

    /// An effect, at once, tried until `give_up_at`.
    #[must_use]
    pub const fn effect(effect: Effect, give_up_at: Option<Timestamp>) -> Self {
        Self { action: Action::Effect(effect), due_at: None, give_up_at }
    }

    /// A timer.
    #[must_use]
    pub const fn timer(timer: Timer, due_at: Timestamp) -> Self {
        Self { action: Action::Timer(timer), due_at: Some(due_at), give_up_at: None }
    }

    /// This intent, not before an instant.
    #[must_use]
    pub const fn not_before(mut self, due_at: Timestamp) -> Self {
        self.due_at = Some(due_at);
        self
    }
}

/// The three kinds of intents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Asks an aggregate.
    Command(Command),
    /// Touches the outside through a port; its outcome is a command.
    Effect(Effect),
    /// Wakes the process manager up.
    Timer(Timer),
}

impl Action {
    /// `command`, `effect` or `timer`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Effect(_) => "effect",
            Self::Timer(_) => "timer",
        }
    }

    /// Its name in `snake_case`; the name of a step of provisioning is part of it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Command(command) => command.name().to_owned(),
            Self::Effect(Effect::EnsureStep { step, .. }) => format!("ensure_{}", step.name()),
            Self::Effect(effect) => effect.name().to_owned(),
            Self::Timer(timer) => timer.name().to_owned(),
        }
    }

    /// What must be done in the end: undoing, settling, and what comes back by itself. It is tried until it is done, also after an operator was
    /// called because it is overdue. Anything else ends with the first failure that will not go away.
    #[must_use]
    pub const fn persists(&self) -> bool {
        match self {
            Self::Command(command) => command.persists(),
            Self::Effect(effect) => effect.persists(),
            Self::Timer(_) => true,
        }
    }

    /// Intents with the same key never run at the same time: acts on one allocation, one payment, one node.
    #[must_use]
    pub fn order_key(&self) -> Option<String> {
        match self {
            Self::Command(_) | Self::Timer(_) => None,
            Self::Effect(effect) => Some(effect.subject()),
        }
    }
}

/// The names of the variants of an enum.
macro_rules! names {
    ($kind:ident { $($variant:ident => $name:literal,)+ }) => {
        impl $kind {
            /// Every name of its kind.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// Its name in `snake_case`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)+ }
            }
        }
    };
}
pub(super) use names;

/// What process managers ask of aggregates. The time is added when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Command {
    RejectAllocation {
        allocation_id: AllocationId,
        code: String,
        message: String,
    },
    ConfirmReserved {
        allocation_id: AllocationId,
        placement: Placement,
    },
    StartProvisioning {
        allocation_id: AllocationId,
        login: String,
    },
    Activate {
        allocation_id: AllocationId,
        proof: String,
    },
    FailProvisioning {
        allocation_id: AllocationId,
        step: Step,
        code: String,
        message: String,
    },
    ConfirmFailed {
        allocation_id: AllocationId,
    },
    RequestRelease {
        allocation_id: AllocationId,
        reason: ReleaseReason,
    },
    RequestSuspension {
        allocation_id: AllocationId,
        reason: SuspensionReason,
    },
    CallOperator {
        allocation_id: AllocationId,
        doing: String,
        message: String,
    },
    ReleaseCapacity {
        node_id: NodeId,
        allocation_id: AllocationId,
    },
    QuarantineCapacity {
        node_id: NodeId,
        allocation_id: AllocationId,
        reason: String,
    },
    ExpireInvitation {
        node_id: NodeId,
        expires_at: Timestamp,
    },
    ReleaseHold {
        wallet_id: String,
        hold_id: HoldId,
    },
    /// Ends holds and promotional credit whose time is over.
    SweepHolds {
        wallet_id: String,
    },
    TopUpWallet(Credit),
    /// The payment of an automatic top-up is in the wallet.
    SucceedTopUp {
        wallet_id: String,
        payment_id: PaymentId,
    },
    /// The payment of an automatic top-up failed.
    DeclineTopUp {
        wallet_id: String,
        payment_id: PaymentId,
        code: String,
    },
    ReturnRefund {
        wallet_id: String,
        refund_id: RefundId,
    },
    HoldDisputed {
        wallet_id: String,
        dispute_id: DisputeId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
    },
    ReleaseDisputed {
        wallet_id: String,
        dispute_id: DisputeId,
    },
    LoseDisputed {
        wallet_id: String,
        dispute_id: DisputeId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
    },
    /// Takes in what a credit note gives back.
    CreditUsage {
        wallet_id: String,
        note: String,
        debits: Vec<(String, Nanos)>,
    },
    /// Wanted by the runtime itself: an event that could not be read, or that comes after one in its instance, is taken in.
    ReadEvent {
        position: i64,
    },
}

names!(Command {
    RejectAllocation => "reject_allocation",
    ConfirmReserved => "confirm_reserved",
    StartProvisioning => "start_provisioning",
    Activate => "activate",
    FailProvisioning => "fail_provisioning",
    ConfirmFailed => "confirm_failed",
    RequestRelease => "request_release",
    RequestSuspension => "request_suspension",
    CallOperator => "call_operator",
    ReleaseCapacity => "release_capacity",
    QuarantineCapacity => "quarantine_capacity",
    ExpireInvitation => "expire_invitation",
    ReleaseHold => "release_hold",
    SweepHolds => "sweep_holds",
    TopUpWallet => "top_up_wallet",
    SucceedTopUp => "succeed_top_up",
    DeclineTopUp => "decline_top_up",
    ReturnRefund => "return_refund",
    HoldDisputed => "hold_disputed",
    ReleaseDisputed => "release_disputed",
    LoseDisputed => "lose_disputed",
    CreditUsage => "credit_usage",
    ReadEvent => "read_event",
});

impl Command {
    pub(super) const fn persists(&self) -> bool {
        match self {
            Self::ConfirmFailed { .. }
            | Self::RequestRelease { .. }
            | Self::RequestSuspension { .. }
            | Self::CallOperator { .. }
            | Self::ReleaseCapacity { .. }
            | Self::QuarantineCapacity { .. }
            | Self::ReleaseHold { .. }
            | Self::SweepHolds { .. }
            | Self::SucceedTopUp { .. }
            | Self::DeclineTopUp { .. }
            | Self::ReturnRefund { .. }
            | Self::HoldDisputed { .. }
            | Self::ReleaseDisputed { .. }
            | Self::LoseDisputed { .. }
            | Self::CreditUsage { .. }
            | Self::ReadEvent { .. } => true,
            Self::RejectAllocation { .. }
            | Self::ConfirmReserved { .. }
            | Self::StartProvisioning { .. }
            | Self::Activate { .. }
            | Self::FailProvisioning { .. }
            | Self::ExpireInvitation { .. }
            | Self::TopUpWallet(_) => false,
        }
    }

    /// Refusals that only say that the world has moved on: another fact has settled the matter.
    #[must_use]
    pub const fn tolerates(&self) -> &'static [&'static str] {
        match self {
            Self::RejectAllocation { .. }
            | Self::ConfirmReserved { .. }
            | Self::StartProvisioning { .. }
            | Self::Activate { .. }
            | Self::FailProvisioning { .. }
            | Self::RequestRelease { .. }
            | Self::RequestSuspension { .. }
            | Self::CallOperator { .. } => &["allocation_in_wrong_state"],
            Self::QuarantineCapacity { .. } => &["unknown_reservation"],
            Self::ConfirmFailed { .. }
            | Self::ReleaseCapacity { .. }
            | Self::ExpireInvitation { .. }
            | Self::ReleaseHold { .. }
            | Self::SweepHolds { .. }
            | Self::TopUpWallet(_)
            | Self::SucceedTopUp { .. }
            | Self::DeclineTopUp { .. }
            | Self::ReturnRefund { .. }
            | Self::HoldDisputed { .. }
            | Self::ReleaseDisputed { .. }
            | Self::LoseDisputed { .. }
            | Self::CreditUsage { .. }
            | Self::ReadEvent { .. } => &[],
        }
    }
}

/// A payment that becomes credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Credit {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    pub charge_id: String,
    /// When it was charged.
    #[serde(default)]
    pub at: Option<Timestamp>,
}
