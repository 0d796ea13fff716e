//! Stripe's test payment methods, and what becomes of them.
//! Source: <https://docs.stripe.com/testing>.

/// What a test payment method does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    Succeeds,
    /// Code, decline code, message.
    Declines(&'static str, &'static str, &'static str),
    /// It can be kept, and is declined when it is charged.
    DeclinesCharges,
    /// An account whose bank takes days.
    SettlesLater,
    /// Always wants to see its owner.
    NeedsAuthentication,
    /// Wants to see its owner when it is kept, and never again.
    NeedsAuthenticationOnSetup,
    /// A refund is pending, then succeeds.
    RefundPending,
    /// A refund succeeds, then fails.
    RefundFails,
}

/// What becomes of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charging {
    Succeeds,
    /// Code, decline code, message.
    Declines(&'static str, &'static str, &'static str),
    NeedsAuthentication,
    /// It is known in days.
    Processes,
}

/// As Stripe words it.
const DECLINED: (&str, &str, &str) =
    ("card_declined", "generic_decline", "Your card was declined.");
const OWNER_WANTED: Charging = Charging::Declines(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
);

impl Card {
    /// The card behind `pm_card_…`; none is behind any other name.
    pub fn of(payment_method: &str) -> Option<Self> {
        Some(match payment_method {
            "pm_card_visa" | "pm_card_visa_debit" | "pm_card_mastercard" | "pm_card_amex" => {
                Self::Succeeds
            }
            "pm_card_chargeDeclined" | "pm_card_visa_chargeDeclined" => {
                let (code, decline_code, message) = DECLINED;
                Self::Declines(code, decline_code, message)
            }
            "pm_card_chargeDeclinedInsufficientFunds"
            | "pm_card_visa_chargeDeclinedInsufficientFunds" => Self::Declines(
                "card_declined",
                "insufficient_funds",
                "Your card has insufficient funds.",
            ),
            "pm_card_chargeCustomerFail" => Self::DeclinesCharges,
            "pm_card_chargeDeclinedExpiredCard" | "pm_card_visa_chargeDeclinedExpiredCard" => {
                Self::Declines("expired_card", "expired_card", "Your card has expired.")
            }
            "pm_card_authenticationRequired" | "pm_card_threeDSecure2Required" => {
                Self::NeedsAuthentication
            }
            "pm_card_authenticationRequiredOnSetup" => Self::NeedsAuthenticationOnSetup,
            "pm_usBankAccount" | "pm_usBankAccount_success" => Self::SettlesLater,
            "pm_card_pendingRefund" => Self::RefundPending,
            "pm_card_refundFail" => Self::RefundFails,
            _ => return None,
        })
    }

    /// What becomes of a charge: where its owner is not there to be asked, a card that asks for them declines.
    pub fn charged(self, kept: bool, off_session: bool) -> Charging {
        match self {
            Self::DeclinesCharges => {
                let (code, decline_code, message) = DECLINED;
                Charging::Declines(code, decline_code, message)
            }
            Self::Declines(code, decline_code, message) => {
                Charging::Declines(code, decline_code, message)
            }
            Self::SettlesLater => Charging::Processes,
            Self::NeedsAuthenticationOnSetup if kept => Charging::Succeeds,
            Self::NeedsAuthentication | Self::NeedsAuthenticationOnSetup if off_session => {
                OWNER_WANTED
            }
            Self::NeedsAuthentication | Self::NeedsAuthenticationOnSetup => {
                Charging::NeedsAuthentication
            }
            Self::Succeeds | Self::RefundPending | Self::RefundFails => Charging::Succeeds,
        }
    }

    /// Brand and last four digits of a test payment method.
    pub fn seen(payment_method: &str) -> (&'static str, &'static str) {
        match payment_method {
            "pm_card_mastercard" => ("mastercard", "4444"),
            "pm_card_amex" => ("amex", "8431"),
            "pm_card_visa_debit" => ("visa", "5556"),
            "pm_card_chargeCustomerFail" => ("visa", "0341"),
            "pm_card_authenticationRequired" => ("visa", "3184"),
            "pm_card_authenticationRequiredOnSetup" => ("visa", "3155"),
            "pm_card_threeDSecure2Required" => ("visa", "3220"),
            _ => ("visa", "4242"),
        }
    }
}
