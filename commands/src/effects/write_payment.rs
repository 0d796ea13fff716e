//! What people are written of a payment that waits for them, or that failed when nobody looked any more.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Nanos, OrganisationId, PaymentId};
use cairn_ledger::wallet_id;
use cairn_payments::{AutoTopUp, Payment, PaymentStatus, decline};

use crate::ports::PortError;
use crate::processes::PaymentNews;

use super::Act;

/// To which organisation, the subject, and the text. None when it is not so any more, or when the letter about its automatic top-up says it.
pub(super) async fn words(
    act: &Act<'_>,
    payment_id: PaymentId,
    news: &PaymentNews,
) -> Result<Option<(OrganisationId, (&'static str, String))>, PortError> {
    let payment = act.load::<Payment>(&payment_id.to_string()).await?;
    let Some(((organisation_id, currency), true)) =
        payment.organisation_id.zip(payment.currency).map(|owner| (owner, is_so(&payment, news)))
    else {
        return Ok(None);
    };
    let wallet_id = wallet_id(organisation_id, currency);
    let top_up = act.load::<AutoTopUp>(&wallet_id).await?;
    if is_automatic(&top_up, payment_id) {
        return Ok(None);
    }
    let text = text(payment_id, (payment.amount_nanos, currency), news);
    Ok(Some((organisation_id, text)))
}

/// Whether it still stands as the letter says.
fn is_so(payment: &Payment, news: &PaymentNews) -> bool {
    match news {
        PaymentNews::ActionRequired { .. } => payment.status == PaymentStatus::RequiresAction,
        PaymentNews::FailedLate { .. } => payment.status == PaymentStatus::Failed,
    }
}

/// Whether it was begun by itself.
fn is_automatic(top_up: &AutoTopUp, payment_id: PaymentId) -> bool {
    let attempts = top_up.in_flight.iter().chain(&top_up.last);
    attempts.into_iter().any(|attempt| attempt.payment_id == payment_id)
        || top_up.declined.contains_key(&payment_id)
}

fn text(
    payment_id: PaymentId,
    (amount_nanos, currency): (Nanos, Currency),
    news: &PaymentNews,
) -> (&'static str, String) {
    let amount = format_nanos(amount_nanos);
    match news {
        PaymentNews::ActionRequired { until } => (
            "Your bank wants you to confirm a payment",
            format!(
                "A top-up of {amount} {currency} waits for you: your bank wants to see that it is you.\n\
                 Go back to where you paid and confirm it there. What a browser needs for it\n\
                 is answered to somebody of you who is signed in:\n\n    \
                 GET /v1/top-ups/{payment_id}/client-secret\n\n\
                 Nothing is charged before, and after {until} it is cancelled.\n\
                 If it was none of you, there is nothing to do.\n"
            ),
        ),
        PaymentNews::FailedLate { code } => (
            "A payment failed after all",
            format!(
                "Your bank took its time with a top-up of {amount} {currency}, and said no ({code}):\n\
                 {}\n\n\
                 Nothing was credited, so nothing is taken back. Which one it was:\n\n    \
                 GET /v1/top-ups/{payment_id}\n\n\
                 Pay in another way (POST /v1/top-ups) before your balance runs out.\n",
                decline::wording(code)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cairn_core::{Month, Timestamp};
    use cairn_payments::auto_top_up::Attempt;
    use serde_json::Value;

    use super::*;

    const PAYMENT: PaymentId = PaymentId::from_bits(7);
    const AT: Timestamp = Timestamp::from_secs(1_790_000_000);

    #[test]
    fn each_letter_says_how_much_and_where_to_go_on_and_no_secret() {
        let failed = PaymentNews::FailedLate { code: "insufficient_funds".to_owned() };
        for (news, says) in [
            (PaymentNews::ActionRequired { until: AT }, "/client-secret\n"),
            (failed, "There is not enough money in the account."),
        ] {
            let largest = (1_000_000_000_000_000, Currency::USD);
            let (subject, text) = text(PAYMENT, largest, &news);
            assert!(text.contains(says) && text.contains("1000000.00 USD"), "{subject}: {text}");
            assert!(text.contains(&format!("GET /v1/top-ups/{PAYMENT}")), "{text}");
            assert!(!text.contains("_secret"), "{text}");
            assert!(text.ends_with('\n') && text.lines().all(|line| line.len() <= 90), "{text}");
        }
    }

    #[test]
    fn what_was_begun_by_itself_is_told_by_its_own_letter() {
        let attempt = Attempt {
            payment_id: PAYMENT,
            amount_nanos: 1,
            month: Month::of(AT).unwrap(),
            begun_at: AT,
            ended_at: None,
            declined: None,
        };
        let declined = BTreeMap::from([(PAYMENT, (attempt.month, 1))]);
        for top_up in [
            AutoTopUp { in_flight: Some(attempt.clone()), ..AutoTopUp::default() },
            AutoTopUp { last: Some(attempt), ..AutoTopUp::default() },
            AutoTopUp { declined, ..AutoTopUp::default() },
        ] {
            assert!(is_automatic(&top_up, PAYMENT), "{top_up:?}");
            assert!(!is_automatic(&top_up, PaymentId::from_bits(8)));
        }
    }

    #[test]
    fn a_letter_that_has_become_wrong_is_not_written() {
        let waits = PaymentNews::ActionRequired { until: AT };
        let failed = PaymentNews::FailedLate { code: "x".to_owned() };
        for (status, is_said) in [
            (PaymentStatus::RequiresAction, [true, false]),
            (PaymentStatus::Failed, [false, true]),
            (PaymentStatus::Succeeded, [false, false]),
            (PaymentStatus::Processing, [false, false]),
        ] {
            let payment = Payment { status, ..Payment::default() };
            assert_eq!([&waits, &failed].map(|news| is_so(&payment, news)), is_said, "{status:?}");
        }
    }

    /// Whatever a letter asks people to call is an operation that there is.
    #[test]
    fn every_path_in_a_letter_is_in_the_document() {
        let document: Value =
            serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let written = [
            include_str!("send_mail.rs"),
            include_str!("write_payment.rs"),
            include_str!("write_top_up.rs"),
        ];
        let nameless = |path: &str| -> String {
            let names = |part: &str| if part.starts_with('{') { "{}" } else { part }.to_owned();
            path.split('/').map(names).collect::<Vec<_>>().join("/")
        };
        let known: Vec<(String, &Value)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, item)| (nameless(path), item))
            .collect();
        let mut seen = 0;
        for text in written.map(|text| text.split("#[cfg(test)]").next().unwrap()) {
            for method in ["GET", "POST", "PUT"] {
                for after in text.split(&format!("{method} /")).skip(1) {
                    let end =
                        after.find(|c: char| !(c.is_ascii_alphanumeric() || "/-_{}".contains(c)));
                    let path = nameless(&format!("/{}", &after[..end.unwrap()]));
                    let item = known.iter().find(|(known, _)| *known == path);
                    let is_there =
                        item.is_some_and(|(_, item)| item.get(method.to_lowercase()).is_some());
                    assert!(is_there, "there is no {method} {path}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 14, "only {seen} were found");
    }
}
