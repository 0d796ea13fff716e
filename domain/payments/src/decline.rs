//! Why a payment failed, in words for whoever wanted to pay. Codes are the provider's; the words are ours, so that nothing of a bank, a card or an
//! operator is in them.

/// What customers and their programs are told of a code.
#[must_use]
pub fn wording(code: &str) -> &'static str {
    match code {
        "authentication_required" => {
            "The bank wants to see the customer: pay once in the browser, or keep the card anew."
        }
        "account_closed" | "bank_account_unusable" | "debit_not_authorized" | "no_account" => {
            "The bank does not let this account be debited."
        }
        "canceled" => "Nobody confirmed it in time, so it was cancelled.",
        "card_declined" => "The bank declined the card, and does not say why.",
        "card_unusable" => "The bank does not take this card any more.",
        "expired_card" => "The card has expired.",
        "incorrect_cvc"
        | "invalid_cvc"
        | "incorrect_number"
        | "invalid_number"
        | "invalid_expiry_month"
        | "invalid_expiry_year"
        | "incorrect_zip" => "What was typed in of the card is not right.",
        "insufficient_funds" => "There is not enough money in the account.",
        "payment_intent_authentication_failure" => {
            "The bank could not make sure that it was the customer."
        }
        "payment_method_in_wrong_state" | "resource_missing" | "unknown_payment_method" => {
            "What it was to be paid with is not kept any more."
        }
        "processing_error" | "try_again_later" => {
            "The bank could not do it; another attempt may work."
        }
        _ => "The bank or the payment provider said no.",
    }
}

/// Whether why it failed is a matter of this house: an operator gave it up, or its owner was erased.
#[must_use]
pub fn is_ours(code: &str) -> bool {
    matches!(code, "given_up" | "subject_erased")
}

#[cfg(test)]
mod tests {
    use super::{is_ours, wording};

    #[test]
    fn every_code_has_words_that_fit_a_line_and_end_as_a_sentence() {
        for code in ["insufficient_funds", "canceled", "authentication_required", "", "anything"] {
            let words = wording(code);
            assert!(words.ends_with('.') && words.len() <= 90, "{code}: {words}");
        }
        assert_ne!(wording("insufficient_funds"), wording("of tomorrow"));
    }

    #[test]
    fn what_a_bank_says_is_not_ours() {
        assert!(is_ours("given_up") && is_ours("subject_erased"));
        assert!(!is_ours("card_declined") && !is_ours(""));
    }
}
