//! Stripe's test payment methods, and what becomes of them.
//! Source: <https://docs.stripe.com/testing>.

/// What a test payment method does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    Succeeds,
    /// Code, decline code, message.
    Declines(&'static str, &'static str, &'static str),
    NeedsAuthentication,
    /// A refund is pending, then succeeds.
    RefundPending,
    /// A refund succeeds, then fails.
    RefundFails,
}

impl Card {
    /// The card behind `pm_card_…`; none is behind any other name.
    pub fn of(payment_method: &str) -> Option<Self> {
        const DECLINED: &str = "card_declined";
        Some(match payment_method {
            "pm_card_visa" | "pm_card_visa_debit" | "pm_card_mastercard" | "pm_card_amex" => {
                Self::Succeeds
            }
            "pm_card_chargeDeclined" | "pm_card_visa_chargeDeclined" => {
                Self::Declines(DECLINED, "generic_decline", "Your card was declined.")
            }
            "pm_card_chargeDeclinedInsufficientFunds"
            | "pm_card_visa_chargeDeclinedInsufficientFunds" => {
                Self::Declines(DECLINED, "insufficient_funds", "Your card has insufficient funds.")
            }
            "pm_card_chargeCustomerFail" => {
                Self::Declines(DECLINED, "generic_decline", "Your card was declined.")
            }
            "pm_card_chargeDeclinedExpiredCard" | "pm_card_visa_chargeDeclinedExpiredCard" => {
                Self::Declines("expired_card", "expired_card", "Your card has expired.")
            }
            "pm_card_authenticationRequired" => Self::NeedsAuthentication,
            "pm_card_pendingRefund" => Self::RefundPending,
            "pm_card_refundFail" => Self::RefundFails,
            _ => return None,
        })
    }
}
