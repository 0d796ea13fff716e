//! What may be asked of a wallet, and why it may refuse.
use cairn_core::{
    CreditId, Currency, DisputeId, HoldId, Nanos, OrganisationId, PaymentId, ProjectId, RefundId,
    Refusal, TaxRate, Timestamp,
};

use crate::alerts::{ALERTS_MAX, Alert};
use crate::corrected::Invoiced;
use crate::spending::SpendingLimits;

/// Credits a wallet with a payment that succeeded.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct TopUp {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    /// The provider's charge: names the journal transaction.
    pub charge_id: String,
    pub at: Timestamp,
}

/// Sets money aside.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PlaceHold {
    pub hold_id: HoldId,
    /// What it is for: an allocation id.
    pub purpose: String,
    /// What of its organisation's it counts in.
    pub project_id: Option<ProjectId>,
    pub amount_nanos: Nanos,
    pub expires_at: Timestamp,
    pub at: Timestamp,
}

/// Charges usage out of a hold up to a cumulative total, and keeps the hold ahead of it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct CaptureHold {
    pub hold_id: HoldId,
    /// All that this hold's purpose has cost so far.
    pub total_nanos: Nanos,
    /// The seconds that the total is for.
    pub seconds: i64,
    /// Income account of the charge, for example `compute`.
    pub product: String,
    /// What of the charge is tax that we owe.
    pub tax: Option<TaxRate>,
    /// How much the hold shall cover after the capture; 0 leaves it as it is.
    pub keep_nanos: Nanos,
    /// New expiry when it is extended.
    pub expires_at: Timestamp,
    pub at: Timestamp,
}

/// Gives back what was charged beyond a cumulative total: what was metered turned out to be less. It goes back no further than the last change
/// of a tax.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct CorrectCharge {
    pub hold_id: HoldId,
    /// All that this hold's purpose has cost so far, as it is known now.
    pub total_nanos: Nanos,
    /// The seconds that the total is for.
    pub seconds: i64,
    /// Income account that the charge went to.
    pub product: String,
    /// When what it takes back was charged; the last charge when absent.
    pub charged_at: Option<Timestamp>,
    /// What of an invoice it takes back, if it is on one: that is dated as of now.
    pub invoiced: Option<Invoiced>,
    pub at: Timestamp,
}

/// Takes money out towards a refund of one payment.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ReserveRefund {
    pub refund_id: RefundId,
    pub payment_id: PaymentId,
    pub amount_nanos: Nanos,
    pub reason: String,
    pub at: Timestamp,
}

/// Gives credit that nobody pays for.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct GrantCredit {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub credit_id: CreditId,
    pub amount_nanos: Nanos,
    /// From then on it is not available; what a hold has set aside of it, when the hold gives it back.
    pub expires_at: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
    pub at: Timestamp,
}

/// Takes what a lost dispute cost.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct DisputeLoss {
    pub dispute_id: DisputeId,
    pub payment_id: PaymentId,
    /// What the provider took.
    pub amount_nanos: Nanos,
    pub at: Timestamp,
}

/// What may be asked of a wallet.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum WalletCommand {
    TopUp(TopUp),
    PlaceHold(PlaceHold),
    CaptureHold(CaptureHold),
    /// The same of time that was proven late: the entry is of when it was used, and the hold may have been given back.
    CaptureLate {
        capture: CaptureHold,
        used_at: Timestamp,
    },
    /// A total that is not below what was charged changes nothing. The hold may be over.
    CorrectCharge(CorrectCharge),
    /// Gives back what is left of a hold. Promotional credit that it had kept beyond its time expires then.
    ReleaseHold {
        hold_id: HoldId,
        at: Timestamp,
    },
    /// Gives back every hold and ends every promotional credit whose time is over.
    SweepExpired {
        at: Timestamp,
    },
    GrantCredit(GrantCredit),
    /// Sets aside what is left of a disputed payment and free, up to what the provider took.
    HoldDisputed {
        dispute_id: DisputeId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        at: Timestamp,
    },
    /// Makes it available again.
    ReleaseDisputed {
        dispute_id: DisputeId,
    },
    LoseDisputed(DisputeLoss),
    /// Takes in what a credit note gives back of usage and taxes: from which accounts, and how much of each.
    CreditUsage {
        note: String,
        debits: Vec<(String, Nanos)>,
        at: Timestamp,
    },
    /// Says how much may be used in a month.
    SetSpendingLimits {
        organisation_id: OrganisationId,
        currency: Currency,
        limits: SpendingLimits,
        at: Timestamp,
    },
    /// Says how much the rentals of a project may use in a month.
    SetProjectLimits {
        organisation_id: OrganisationId,
        currency: Currency,
        project_id: ProjectId,
        limits: SpendingLimits,
        at: Timestamp,
    },
    /// Says of what to be told, in place of what was said before.
    SetAlerts {
        organisation_id: OrganisationId,
        currency: Currency,
        alerts: Vec<Alert>,
        at: Timestamp,
    },
    /// Says of what in a project to be told, in place of what was said before.
    SetProjectAlerts {
        organisation_id: OrganisationId,
        currency: Currency,
        project_id: ProjectId,
        alerts: Vec<Alert>,
        at: Timestamp,
    },
    ReserveRefund(ReserveRefund),
    /// Takes a failed refund back in.
    ReturnRefund {
        refund_id: RefundId,
        at: Timestamp,
    },
}

/// Why a wallet refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum WalletError {
    #[error("amount must be more than zero")]
    AmountNotPositive,
    #[error("wallet has {available} available and {wanted} is needed")]
    InsufficientFunds { available: String, wanted: String },
    #[error("the wallet has no hold {0}")]
    UnknownHold(HoldId),
    #[error("hold {0} is closed")]
    HoldClosed(HoldId),
    #[error("the wallet has no credit of payment {0}")]
    UnknownPayment(PaymentId),
    #[error("payment {payment_id} has {refundable} left to refund and {wanted} was asked for")]
    ExceedsRefundable { payment_id: PaymentId, refundable: String, wanted: String },
    #[error("a refund is in whole cents; {0} is not")]
    NotWholeMinor(String),
    #[error("payment {0} is disputed: it cannot be refunded until that is decided")]
    PaymentDisputed(PaymentId),
    #[error("the wallet has no open refund {0}")]
    UnknownRefund(RefundId),
    #[error("credit expires in the future; {expires_at} is not after {at}")]
    CreditExpiryInvalid { expires_at: Timestamp, at: Timestamp },
    #[error("the id was used before for something else")]
    IdReused,
    #[error("more would be given back than usage has taken")]
    ExceedsUsage,
    #[error("{room} of the spending limit of this month is left and {wanted} is needed")]
    SpendingLimitReached { room: String, wanted: String },
    #[error(
        "{room} of the spending limit of project {project_id} is left this month and {wanted} is needed"
    )]
    ProjectLimitReached { project_id: ProjectId, room: String, wanted: String },
    #[error("a warning at {warn} never comes when spending stops at {stop}")]
    WarnAboveStop { warn: String, stop: String },
    #[error("a currency has at most {ALERTS_MAX} alerts")]
    TooManyAlerts,
    #[error("two alerts are the same, at {0}")]
    AlertTwice(String),
    #[error("a project has no balance: its alerts are of what is spent, not of less than {0}")]
    ProjectHasNoBalance(String),
    #[error("the wallet would hold more than the ledger can count")]
    TooLarge,
}

impl Refusal for WalletError {
    fn code(&self) -> &'static str {
        match self {
            Self::AmountNotPositive => "amount_not_positive",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::UnknownHold(_) => "unknown_hold",
            Self::HoldClosed(_) => "hold_closed",
            Self::UnknownPayment(_) => "unknown_payment",
            Self::ExceedsRefundable { .. } => "exceeds_refundable",
            Self::NotWholeMinor(_) => "not_whole_minor_units",
            Self::PaymentDisputed(_) => "payment_disputed",
            Self::UnknownRefund(_) => "unknown_refund",
            Self::CreditExpiryInvalid { .. } => "credit_expiry_invalid",
            Self::IdReused => "id_reused",
            Self::ExceedsUsage => "credit_exceeds_usage",
            Self::SpendingLimitReached { .. } | Self::ProjectLimitReached { .. } => {
                "spending_limit_reached"
            }
            Self::WarnAboveStop { .. } => "spending_limits_invalid",
            Self::TooManyAlerts | Self::AlertTwice(_) | Self::ProjectHasNoBalance(_) => {
                "alerts_invalid"
            }
            Self::TooLarge => "amount_too_large",
        }
    }
}
