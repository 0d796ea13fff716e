//! What people are written.
use cairn_core::{Currency, Month, Nanos, OrganisationId, PaymentId, ProjectId, Timestamp, UserId};
use cairn_identity::{LinkPurpose, Role};
use cairn_ledger::{Alert, Assessment, SpendingLimit, Stage};
use serde::{Deserialize, Serialize};

/// What somebody is written. Addresses and codes are as they are stored, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Letter {
    /// A code to the address of an account.
    Code { user_id: UserId, purpose: LinkPurpose, token: String },
    /// Somebody registered the address again.
    Reminder { user_id: UserId },
    /// Somebody wants to be forgotten.
    Erasure { user_id: UserId, due_at: Timestamp },
    /// A code to an address that is invited.
    Invitation { organisation_id: OrganisationId, email: String, role: Role, token: String },
    /// To everybody who sees to the money of an organisation.
    Funds { seen: Assessment, about: FundsNews },
    /// To the same.
    Spending { organisation_id: OrganisationId, reached: Reached },
    /// To the same.
    Alert {
        organisation_id: OrganisationId,
        /// Whose it is; none when it is of the whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project_id: Option<ProjectId>,
        currency: Currency,
        alert: Alert,
        month: Month,
        seen_nanos: Nanos,
    },
    /// To the same, of an automatic top-up.
    TopUp { organisation_id: OrganisationId, currency: Currency, news: TopUpNews },
    /// To the same, of a payment: whose it is stands in its stream.
    Payment { payment_id: PaymentId, news: PaymentNews },
    /// A paper that was issued, to whom its organisation has papers sent. The file is made when it is sent.
    Paper { organisation_id: OrganisationId, paper: PaperKind, number: String },
}

/// What is issued under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PaperKind {
    Invoice,
    CreditNote,
}

/// What is to be said of an automatic top-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TopUpNews {
    Taken {
        amount_nanos: Nanos,
        taken_nanos: Nanos,
        month: Month,
    },
    /// It is tried again.
    Declined {
        amount_nanos: Nanos,
        code: String,
        again_at: Timestamp,
    },
    /// It is not.
    Suspended {
        code: String,
        declines: u32,
    },
    Stopped {
        successes: u32,
        since: Timestamp,
        available_nanos: Nanos,
    },
    CapReached {
        month: Month,
        monthly_cap_nanos: Nanos,
        taken_nanos: Nanos,
        again_at: Timestamp,
    },
}

/// What is to be said of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum PaymentNews {
    /// The bank wants to see the customer.
    ActionRequired {
        /// When it is cancelled if nobody confirms it.
        until: Timestamp,
    },
    /// The bank took its time, and said no after all.
    FailedLate {
        /// The provider's word for why.
        code: String,
    },
}

/// A spending limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reached {
    pub limit: SpendingLimit,
    /// Whose limit it is; none when it is of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    pub currency: Currency,
    pub month: Month,
    pub limit_nanos: Nanos,
    pub spent_nanos: Nanos,
}

/// What is to be said of the money of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FundsNews {
    /// It lasts for so many hours at most.
    RunsOut { hours: u32, runs_out_at: Timestamp },
    /// The stage is another one, until an instant if it moves on by itself.
    Stage { stage: Stage, until: Option<Timestamp> },
}

impl Letter {
    /// Whoever it is about.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Code { user_id, .. }
            | Self::Reminder { user_id }
            | Self::Erasure { user_id, .. } => user_id.to_string(),
            Self::Invitation { organisation_id, .. }
            | Self::Spending { organisation_id, .. }
            | Self::Alert { organisation_id, .. }
            | Self::TopUp { organisation_id, .. }
            | Self::Paper { organisation_id, .. } => organisation_id.to_string(),
            Self::Funds { seen, .. } => seen.organisation_id.to_string(),
            // Beside the payment itself: nobody waits with what it needs until a letter has left.
            Self::Payment { payment_id, .. } => format!("{payment_id}/letter"),
        }
    }
}
