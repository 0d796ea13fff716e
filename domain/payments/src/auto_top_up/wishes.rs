//! What may be asked of an automatic top-up, and why it may be refused.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Nanos, OrganisationId, PaymentId, Refusal, Timestamp};

use super::Terms;
use crate::payment::PaymentError;

/// How a person wants it. What is absent stays as it was set last.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct SetAutoTopUp {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    pub enabled: bool,
    pub terms: Option<Terms>,
    pub payment_method: Option<String>,
    pub at: Timestamp,
}

/// How fast one may follow another. Who runs Cairn says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From a success to the next attempt.
    pub pause_secs: i64,
    /// After so many successes within an hour another one is not begun, and everything is stopped.
    pub burst: u32,
}

/// What somebody who looked at the wallet has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AutoTopUpLook {
    pub available_nanos: Nanos,
    /// The number of the attempt that would be begun, and its payment.
    pub next: (u32, PaymentId),
    pub pace: Pace,
    pub at: Timestamp,
}

/// What may be asked of an automatic top-up.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum AutoTopUpCommand {
    Set(SetAutoTopUp),
    /// Begins an attempt when there is reason to, and nothing against it.
    Look(AutoTopUpLook),
    /// The payment is in the wallet.
    Succeed {
        payment_id: PaymentId,
        pace: Pace,
        at: Timestamp,
    },
    /// The payment failed.
    Decline {
        payment_id: PaymentId,
        code: String,
        at: Timestamp,
    },
}

/// Why it refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AutoTopUpError {
    #[error("{0}")]
    Amount(PaymentError),
    #[error("the threshold must be more than zero")]
    ThresholdNotPositive,
    #[error("the monthly cap of {cap} is less than the amount of {amount}")]
    CapBelowAmount { cap: String, amount: String },
    #[error("to be enabled it needs {0}")]
    Incomplete(&'static str),
    #[error("there is no such automatic top-up")]
    Unknown,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for AutoTopUpError {
    fn code(&self) -> &'static str {
        match self {
            Self::Amount(error) => error.code(),
            Self::ThresholdNotPositive | Self::CapBelowAmount { .. } | Self::Incomplete(_) => {
                "auto_top_up_invalid"
            }
            Self::Unknown => "unknown_payment",
            Self::IdReused => "id_reused",
        }
    }
}

impl Terms {
    pub(super) fn check(&self, currency: Currency) -> Result<(), AutoTopUpError> {
        let Self { threshold_nanos, amount_nanos, monthly_cap_nanos } = *self;
        crate::payment::check_amount(amount_nanos, currency).map_err(AutoTopUpError::Amount)?;
        if threshold_nanos <= 0 {
            return Err(AutoTopUpError::ThresholdNotPositive);
        }
        if monthly_cap_nanos < amount_nanos {
            let (cap, amount) = (format_nanos(monthly_cap_nanos), format_nanos(amount_nanos));
            return Err(AutoTopUpError::CapBelowAmount { cap, amount });
        }
        Ok(())
    }
}
