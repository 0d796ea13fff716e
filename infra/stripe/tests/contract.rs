//! The contract of the payment port: the same tests against our simulator and, wherever it implements the call, against localstripe.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use cairn_commands::ports::{FailureKind, NewPayment, PaymentPort, ProviderOutcome, SetupOutcome};
use cairn_core::OrganisationId;
use cairn_stripe_simulator::ChallengeEnd;
use common::{Provider, dollars, now, payment, refund, setup};

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

/// Declares each rule once per provider.
macro_rules! contract {
    ($($provider:ident: $($rule:ident)+;)+) => {$(
        mod $provider {
            $(
                #[tokio::test]
                async fn $rule() {
                    if let Some(provider) = super::common::$provider().await {
                        super::$rule(&provider).await;
                    }
                }
            )+
        }
    )+};
}

contract! {
    simulator:
        a_good_card_pays_at_once
        a_declined_card_is_refused_and_the_payment_stays_unpaid
        a_payment_without_a_method_waits_for_the_customer
        a_refund_goes_back_to_the_charge_it_names
        what_does_not_exist_is_permanent
        the_book_is_read_oldest_first_from_an_instant_on
        a_refund_beyond_the_charge_is_not_made
        the_same_key_answers_the_same
        a_key_with_other_parameters_is_permanent
        the_book_goes_on_after_a_line
        what_was_made_is_found_by_our_id_however_much_came_after_it
        the_balance_is_the_sum_of_the_book
        a_dispute_says_whose_payment_it_is_and_what_became_of_its_money
        a_payout_says_what_it_is_made_of_and_what_came_back
        a_method_is_kept_charged_without_its_owner_and_kept_no_more
        a_method_that_its_bank_asks_about_waits_and_is_ended_once
        what_is_kept_for_one_customer_pays_for_no_other;
    localstripe:
        a_good_card_pays_at_once
        a_declined_card_is_refused_and_the_payment_stays_unpaid
        a_payment_without_a_method_waits_for_the_customer
        a_refund_goes_back_to_the_charge_it_names
        what_does_not_exist_is_permanent
        the_book_is_read_oldest_first_from_an_instant_on;
}

async fn what_was_made_is_found_by_our_id_however_much_came_after_it(provider: &Provider) {
    let since = now();
    let new = payment(Some("pm_card_visa"));
    assert_eq!(provider.payments.find_payment(new.payment_id, since).await.unwrap(), None);
    let made = provider.payments.create_payment(&new).await.unwrap();
    for _ in 0..101 {
        provider.payments.create_payment(&payment(None)).await.unwrap();
    }
    let found = provider.payments.find_payment(new.payment_id, since).await.unwrap();
    assert_eq!(found, Some(made.clone()), "with its charge and fee, on the second page");
    let charge_id = made.charge_id.unwrap();
    let back = refund(&charge_id, 500);
    let none = provider.payments.find_refund(&charge_id, back.refund_id).await.unwrap();
    assert_eq!(none, None);
    let made = provider.payments.create_refund(&back).await.unwrap();
    provider.payments.create_refund(&refund(&charge_id, 100)).await.unwrap();
    let found = provider.payments.find_refund(&charge_id, back.refund_id).await.unwrap();
    assert_eq!(found, Some(made));
    let unknown = provider.payments.find_refund("ch_nobody", back.refund_id).await.unwrap_err();
    assert_eq!(unknown.code, "resource_missing", "that is no answer to whether it was made");
}

async fn charged(provider: &Provider) -> String {
    let new = payment(Some("pm_card_visa"));
    provider.payments.create_payment(&new).await.unwrap().charge_id.unwrap()
}

async fn a_good_card_pays_at_once(provider: &Provider) {
    let new = payment(Some("pm_card_visa"));
    let made = provider.payments.create_payment(&new).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Succeeded);
    assert_eq!((made.payment_id, made.amount), (Some(new.payment_id), new.amount));
    assert!(made.charge_id.as_ref().unwrap().starts_with("ch_"));
    assert_eq!(made.fee.as_ref().unwrap().fee_nanos, provider.fee_of_12_50);
    assert_eq!(provider.payments.payment(&made.provider_id).await.unwrap(), made);
}

async fn a_declined_card_is_refused_and_the_payment_stays_unpaid(provider: &Provider) {
    let new = payment(Some(provider.declining_card));
    let refused = provider.payments.create_payment(&new).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (FailureKind::Refused, "card_declined"));
    assert!(
        provider.payments.transactions(now().plus_secs(-60), None, 10).await.unwrap().is_empty()
    );
    let Some(simulator) = &provider.simulator else { return };
    let id = simulator.book().payment_intents()[0].id.clone();
    let found = provider.payments.payment(&id).await.unwrap();
    let failed =
        matches!(&found.outcome, ProviderOutcome::Failed { code, .. } if code == "card_declined");
    assert!(failed && found.payment_id == Some(new.payment_id), "{found:?}");
}

async fn a_payment_without_a_method_waits_for_the_customer(provider: &Provider) {
    let made = provider.payments.create_payment(&payment(None)).await.unwrap();
    assert_eq!((&made.outcome, &made.charge_id), (&ProviderOutcome::Pending, &None));
    let secret = provider.payments.client_secret(&made.provider_id).await.unwrap();
    assert!(secret.starts_with(&made.provider_id), "{secret}");
}

async fn a_refund_goes_back_to_the_charge_it_names(provider: &Provider) {
    let charge = charged(provider).await;
    let new = refund(&charge, 500);
    let made = provider.payments.create_refund(&new).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Succeeded);
    assert_eq!((made.refund_id, made.amount), (Some(new.refund_id), new.amount));
    assert_eq!(provider.payments.refund(&made.provider_id).await.unwrap(), made);
}

async fn what_does_not_exist_is_permanent(provider: &Provider) {
    let missing = [
        provider.payments.payment("pi_none").await.unwrap_err(),
        provider.payments.refund("re_none").await.unwrap_err(),
        provider.payments.create_refund(&refund("ch_none", 1)).await.unwrap_err(),
        provider.payments.create_payment(&payment(Some("pm_none"))).await.unwrap_err(),
    ];
    for error in missing {
        assert_eq!(
            (error.kind, error.code.as_str()),
            (FailureKind::Permanent, "resource_missing"),
            "{error}"
        );
    }
}

async fn the_book_is_read_oldest_first_from_an_instant_on(provider: &Provider) {
    let from = now();
    let charge = charged(provider).await;
    // localstripe sorts by whole seconds only.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let refunded = provider.payments.create_refund(&refund(&charge, 500)).await.unwrap();

    let lines = provider.payments.transactions(from, None, 100).await.unwrap();
    let seen: Vec<_> =
        lines.iter().map(|line| (line.category.as_str(), line.source_id.as_deref())).collect();
    let refund_id = refunded.provider_id.as_str();
    assert_eq!(seen, [("charge", Some(charge.as_str())), ("refund", Some(refund_id))]);
    assert_eq!(lines[0].amount_nanos, dollars(1_250).nanos);
    assert_eq!(lines[1].amount_nanos, dollars(-500).nanos);
    for line in &lines {
        assert_eq!(line.net_nanos, line.amount_nanos - line.fee_nanos);
        assert!(line.available_at >= line.created_at && line.created_at >= from.plus_secs(-1));
    }
    assert!(
        provider.payments.transactions(now().plus_secs(60), None, 100).await.unwrap().is_empty()
    );
}

async fn a_refund_beyond_the_charge_is_not_made(provider: &Provider) {
    let charge = charged(provider).await;
    let error = provider.payments.create_refund(&refund(&charge, 1_251)).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Permanent);
    provider.payments.create_refund(&refund(&charge, 1_250)).await.unwrap();
    let error = provider.payments.create_refund(&refund(&charge, 1)).await.unwrap_err();
    let expected = (FailureKind::Refused, "charge_already_refunded");
    assert_eq!((error.kind, error.code.as_str()), expected);
}

async fn the_same_key_answers_the_same(provider: &Provider) {
    let new = payment(Some("pm_card_visa"));
    let first = provider.payments.create_payment(&new).await.unwrap();
    let again = provider.payments.create_payment(&new).await.unwrap();
    assert_eq!(first, again);

    let declined = payment(Some(provider.declining_card));
    let first = provider.payments.create_payment(&declined).await.unwrap_err();
    assert_eq!(provider.payments.create_payment(&declined).await.unwrap_err(), first);

    let back = refund(&again.charge_id.unwrap(), 500);
    let first = provider.payments.create_refund(&back).await.unwrap();
    assert_eq!(provider.payments.create_refund(&back).await.unwrap(), first);

    let book = provider.simulator.as_ref().unwrap().book();
    assert_eq!((book.payment_intents().len(), book.refunds().len()), (2, 1));
}

async fn a_key_with_other_parameters_is_permanent(provider: &Provider) {
    let new = payment(Some("pm_card_visa"));
    provider.payments.create_payment(&new).await.unwrap();
    let mut other = new;
    other.amount = dollars(999);
    let error = provider.payments.create_payment(&other).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (FailureKind::Permanent, "provider_key_reused"));
}

async fn the_book_goes_on_after_a_line(provider: &Provider) {
    let from = now();
    for _ in 0..7 {
        charged(provider).await;
    }
    let port = &provider.payments;
    let all = port.transactions(from, None, 100).await.unwrap();
    assert_eq!(all.len(), 7);
    let mut paged = port.transactions(from, None, 3).await.unwrap();
    while let Some(last) = paged.last().map(|line| line.id.clone()) {
        let more = port.transactions(from, Some(&last), 3).await.unwrap();
        if more.is_empty() {
            break;
        }
        paged.extend(more);
    }
    assert_eq!(paged, all);
}

async fn the_balance_is_the_sum_of_the_book(provider: &Provider) {
    let from = now();
    let charge = charged(provider).await;
    provider.payments.create_refund(&refund(&charge, 500)).await.unwrap();
    let lines = provider.payments.transactions(from, None, 100).await.unwrap();
    let balances = provider.payments.balances().await.unwrap();
    assert_eq!(balances.len(), 1);
    assert_eq!(balances[0].total_nanos, lines.iter().map(|line| line.net_nanos).sum::<i64>());
    assert_eq!(balances[0].total_nanos, dollars(1_250 - 66 - 500).nanos);
}

async fn a_dispute_says_whose_payment_it_is_and_what_became_of_its_money(provider: &Provider) {
    use cairn_commands::ports::ProviderDisputeStanding::{Lost, Open, Won};
    use cairn_stripe_simulator::DisputeStep;
    let simulator = provider.simulator.as_ref().unwrap();
    let new = payment(Some("pm_card_visa"));
    let made = provider.payments.create_payment(&new).await.unwrap();
    let charge_id = made.charge_id.unwrap();
    let id = simulator.open_dispute(&charge_id).unwrap();
    let told = provider.payments.dispute(&id).await.unwrap();
    assert_eq!((told.payment_id, &told.charge_id), (Some(new.payment_id), &charge_id));
    assert_eq!((told.amount, told.standing, told.lines.len()), (new.amount, Open, 0));
    let refund = provider.payments.create_refund(&refund(&charge_id, 500)).await.unwrap_err();
    assert_eq!((refund.kind, refund.code.as_str()), (FailureKind::Refused, "charge_disputed"));
    for step in [DisputeStep::Withdraw, DisputeStep::Win, DisputeStep::Reinstate] {
        simulator.step_dispute(&id, step).unwrap();
    }
    assert!(simulator.step_dispute(&id, DisputeStep::Lose).is_err(), "it is decided");
    let told = provider.payments.dispute(&id).await.unwrap();
    let moved: Vec<_> = told.lines.iter().map(|line| (line.amount, line.fee_nanos)).collect();
    let (taken, fee) =
        (cairn_core::Money { nanos: -new.amount.nanos, ..new.amount }, 15_000_000_000);
    assert_eq!((told.standing, moved), (Won, vec![(taken, fee), (new.amount, 0)]));
    let other = provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let lost = simulator.open_dispute(&other.charge_id.unwrap()).unwrap();
    simulator.step_dispute(&lost, DisputeStep::Lose).unwrap();
    let told = provider.payments.dispute(&lost).await.unwrap();
    assert_eq!((told.standing, told.lines.len()), (Lost, 0), "closed before it was withdrawn");
    let none = provider.payments.dispute("du_none").await.unwrap_err();
    assert_eq!(none.code, "resource_missing");
}

async fn a_payout_says_what_it_is_made_of_and_what_came_back(provider: &Provider) {
    use cairn_commands::ports::ProviderItems;
    use cairn_stripe_simulator::PayoutStep;
    let simulator = provider.simulator.as_ref().unwrap();
    // More than a page of them.
    for _ in 0..101 {
        charged(provider).await;
    }
    let id = simulator.pay_out("usd").unwrap();
    let told = provider.payments.payout(&id).await.unwrap();
    assert_eq!((told.items, &told.trace), (ProviderItems::Complete, &None));
    assert!(told.arrives_at > now());
    let items = provider.payments.payout_items(&id).await.unwrap();
    assert_eq!(items.len(), 101, "without its own line");
    let sum: i64 = items.iter().map(|line| line.net_nanos).sum();
    let book = provider.payments.transactions(now().plus_secs(-60), None, 100).await.unwrap();
    let last = provider.payments.transactions(now(), Some(&book[99].id), 100).await.unwrap();
    let own = last.iter().find(|line| line.source_id.as_ref() == Some(&id)).unwrap();
    assert_eq!((own.category.as_str(), own.amount_nanos), ("payout", -sum));
    simulator.step_payout(&id, PayoutStep::Pay).unwrap();
    assert!(provider.payments.payout(&id).await.unwrap().trace.is_some(), "the bank has it");
    simulator.step_payout(&id, PayoutStep::Fail).unwrap();
    let back = provider.payments.transactions(now(), Some(&own.id), 100).await.unwrap();
    let categories: Vec<_> = back.iter().map(|line| line.category.as_str()).collect();
    assert_eq!(categories, ["payout_reversal"]);
    assert_eq!(back[0].amount_nanos, sum);
    let missing = provider.payments.payout("po_none").await.unwrap_err();
    assert_eq!((missing.kind, missing.code.as_str()), (FailureKind::Permanent, "resource_missing"));
    assert!(provider.payments.payout_items("po_none").await.is_err());
}

async fn a_method_is_kept_charged_without_its_owner_and_kept_no_more(provider: &Provider) {
    let port = &provider.payments;
    let new = setup(&port.create_customer(ORGANISATION, "c").await.unwrap(), Some("pm_card_visa"));
    assert_eq!(port.create_customer(ORGANISATION, "c").await.unwrap(), new.customer_id);
    assert_eq!(port.find_setup(&new.customer_id, new.method_id).await.unwrap(), None);
    let made = port.create_setup(&new).await.unwrap();
    assert_eq!(made.ours, Some((ORGANISATION, new.method_id)));
    let found = port.find_setup(&new.customer_id, new.method_id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made));
    assert_eq!(port.cancel_setup(&made.provider_id).await.unwrap(), made, "it is final");
    let SetupOutcome::Saved { provider_id, details } = made.outcome else { panic!("{made:?}") };
    assert_eq!((details.kind.as_str(), details.last4.as_str()), ("card", "4242"));
    assert!(port.setup_secret(&made.provider_id).await.unwrap().starts_with(&made.provider_id));
    let paying =
        NewPayment { customer_id: Some(new.customer_id.clone()), ..payment(Some(&provider_id)) };
    let paid = port.create_payment(&paying).await.unwrap();
    assert_eq!(paid.outcome, ProviderOutcome::Succeeded);
    for _ in 0..2 {
        port.detach_method(&new.customer_id, &provider_id).await.unwrap();
    }
    let late =
        NewPayment { customer_id: Some(new.customer_id.clone()), ..payment(Some(&provider_id)) };
    assert!(port.create_payment(&late).await.is_err(), "it is for nothing any more");
    for _ in 0..2 {
        port.delete_customer(&new.customer_id).await.unwrap();
    }
}

async fn a_method_that_its_bank_asks_about_waits_and_is_ended_once(provider: &Provider) {
    let (port, simulator) = (&provider.payments, provider.simulator.as_ref().unwrap());
    let customer = port.create_customer(ORGANISATION, "c").await.unwrap();
    let strict = "pm_card_authenticationRequired";
    let waiting = port.create_setup(&setup(&customer, Some(strict))).await.unwrap();
    assert_eq!(waiting.outcome, SetupOutcome::Pending);
    simulator.end_setup_challenge(&waiting.provider_id, ChallengeEnd::Complete).unwrap();
    let kept = port.setup(&waiting.provider_id).await.unwrap();
    let SetupOutcome::Saved { provider_id, .. } = kept.outcome else { panic!("{kept:?}") };
    let paying = NewPayment { customer_id: Some(customer.clone()), ..payment(Some(&provider_id)) };
    let no = port.create_payment(&paying).await.unwrap_err();
    assert_eq!((no.kind, no.code.as_str()), (FailureKind::Refused, "authentication_required"));

    let failing = port.create_setup(&setup(&customer, Some(strict))).await.unwrap();
    simulator.end_setup_challenge(&failing.provider_id, ChallengeEnd::Fail).unwrap();
    let failed = port.setup(&failing.provider_id).await.unwrap().outcome;
    assert!(
        matches!(&failed, SetupOutcome::Failed { code, .. }
        if code == "setup_intent_authentication_failure"),
        "{failed:?}"
    );
    assert!(simulator.end_setup_challenge(&failing.provider_id, ChallengeEnd::Complete).is_err());

    let declined = port.create_setup(&setup(&customer, Some(provider.declining_card))).await;
    assert_eq!(declined.unwrap_err().code, "card_declined");
    let alone = port.create_setup(&setup(&customer, None)).await.unwrap();
    let ended = port.cancel_setup(&alone.provider_id).await.unwrap().outcome;
    assert!(matches!(ended, SetupOutcome::Failed { code, .. } if code == "canceled"));
}

async fn what_is_kept_for_one_customer_pays_for_no_other(provider: &Provider) {
    let port = &provider.payments;
    let [mine, theirs] = ["a", "b"].map(|key| port.create_customer(ORGANISATION, key));
    let (mine, theirs) = (mine.await.unwrap(), theirs.await.unwrap());
    assert_ne!(mine, theirs);
    let made = port.create_setup(&setup(&mine, Some("pm_card_visa"))).await.unwrap();
    let SetupOutcome::Saved { provider_id, .. } = made.outcome else { panic!("{made:?}") };
    for customer_id in [Some(theirs.clone()), None] {
        let paying = NewPayment { customer_id, ..payment(Some(&provider_id)) };
        assert_eq!(port.create_payment(&paying).await.unwrap_err().kind, FailureKind::Permanent);
    }
    assert!(port.create_setup(&setup(&theirs, Some(&provider_id))).await.is_err());
    assert!(provider.simulator.as_ref().unwrap().book().charges().is_empty());
}
