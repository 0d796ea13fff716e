//! What people are written of automatic top-ups.
use cairn_core::Currency;
use cairn_core::money::format_nanos;

use crate::processes::TopUpNews;

/// How it goes on after it ended.
const AGAIN: &str = "Nothing more is taken by itself until somebody of you switches it on again\n\
    (PUT /v1/auto-top-up). Until then pay in yourself (POST /v1/top-ups).\n";

/// The subject and the text.
pub(super) fn words(news: &TopUpNews, currency: Currency) -> (&'static str, String) {
    let money = |nanos| format!("{} {currency}", format_nanos(nanos));
    match news {
        TopUpNews::Taken { amount_nanos, taken_nanos, month } => (
            "Your balance was topped up",
            format!(
                "The balance was low, and {} were charged as you have asked for.\n\
                 In {month} that makes {} taken automatically.\n",
                money(*amount_nanos),
                money(*taken_nanos)
            ),
        ),
        TopUpNews::Declined { amount_nanos, code, again_at } => (
            "A top-up was declined",
            format!(
                "The balance is low, and {} could not be charged ({code}).\n\
                 It is tried again after {again_at}. You can pay in yourself meanwhile\n\
                 (POST /v1/top-ups), or name another card (PUT /v1/auto-top-up).\n",
                money(*amount_nanos)
            ),
        ),
        TopUpNews::Suspended { code, declines } => (
            "Automatic top-ups are suspended",
            format!(
                "The balance is low, and the card was declined ({code}), {declines} time(s) in a row.\n\
                 {AGAIN}"
            ),
        ),
        TopUpNews::Stopped { successes, since, available_nanos } => (
            "Automatic top-ups were stopped",
            format!(
                "Within an hour, since {since}, {successes} top-ups were taken,\n\
                 and the balance of {} is low again. That is more than seems right, so\n\
                 another one was not taken. Look at what is running.\n\n{AGAIN}",
                money(*available_nanos)
            ),
        ),
        TopUpNews::CapReached { month, monthly_cap_nanos, taken_nanos, again_at } => (
            "The cap of automatic top-ups is reached",
            format!(
                "The balance is low. In {month}, {} were taken automatically; another top-up would\n\
                 pass your cap of {}, so none is taken before {again_at}.\n\
                 Pay in yourself (POST /v1/top-ups), or raise the cap (PUT /v1/auto-top-up).\n",
                money(*taken_nanos),
                money(*monthly_cap_nanos)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use cairn_core::{Month, Timestamp};

    use super::*;

    const AT: Timestamp = Timestamp::from_secs(1_790_000_000);

    #[test]
    fn each_letter_says_how_much_and_what_can_be_done() {
        let month = Month::of(AT).unwrap();
        let code = || "card_declined".to_owned();
        let amount_nanos = 20_000_000_000;
        let again_at = AT;
        for (news, says) in [
            (TopUpNews::Taken { amount_nanos, taken_nanos: amount_nanos * 2, month }, "40.00 USD"),
            (TopUpNews::Declined { amount_nanos, code: code(), again_at }, "20.00 USD"),
            (TopUpNews::Suspended { code: code(), declines: 4 }, "PUT /v1/auto-top-up"),
            (
                TopUpNews::Stopped { successes: 3, since: AT, available_nanos: 0 },
                "PUT /v1/auto-top-up",
            ),
            (
                TopUpNews::CapReached {
                    month,
                    monthly_cap_nanos: 50_000_000_000,
                    taken_nanos: amount_nanos,
                    again_at,
                },
                "your cap of 50.00 USD",
            ),
        ] {
            let (subject, text) = words(&news, Currency::USD);
            assert!(text.contains(says), "{subject}: {text}");
            assert!(text.ends_with('\n') && text.lines().all(|line| line.len() <= 90), "{text}");
        }
    }
}
