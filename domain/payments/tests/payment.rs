//! The rules of a top-up.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, OrganisationId, PaymentId, PaymentMethodId, Timestamp};
use cairn_payments::{KeptMethod, Payment, PaymentCommand, PaymentEvent, PaymentStatus, WaitsFor};

const UNIT: i64 = 1_000_000_000;
const AT: Timestamp = Timestamp::from_secs(1_000);

fn request(amount_nanos: i64) -> PaymentCommand {
    PaymentCommand::Request {
        payment_id: PaymentId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        currency: Currency::EUR,
        amount_nanos,
        payment_method: None,
        at: AT,
    }
}

fn submit(provider_id: &str) -> PaymentCommand {
    PaymentCommand::Submit { provider_id: provider_id.to_owned(), at: AT }
}

fn succeed(provider_id: &str, charge_id: &str, amount_nanos: i64) -> PaymentCommand {
    let (provider_id, charge_id) = (provider_id.to_owned(), charge_id.to_owned());
    PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at: AT }
}

fn fail() -> PaymentCommand {
    PaymentCommand::Fail { code: "card_declined".to_owned(), message: "no".to_owned(), at: AT }
}

fn fee(balance_transaction_id: &str, fee_nanos: i64) -> PaymentCommand {
    let balance_transaction_id = balance_transaction_id.to_owned();
    PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at: AT }
}

fn paid() -> Vec<PaymentCommand> {
    vec![request(10 * UNIT), submit("pi_1"), succeed("pi_1", "ch_1", 10 * UNIT)]
}

fn fold(commands: impl IntoIterator<Item = PaymentCommand>) -> Payment {
    commands.into_iter().fold(Payment::default(), |payment, command| {
        let events = payment.decide(command).unwrap();
        events.into_iter().fold(payment, Payment::evolve)
    })
}

fn check(history: &[PaymentCommand], command: PaymentCommand) -> When<Payment> {
    decide_both_ways(fold(history.to_vec()), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[PaymentCommand], command: PaymentCommand) -> Payment {
    assert_ne!(check(history, command.clone()).events(), [], "it must do something at first");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    fold(history)
}

#[test]
fn a_payment_is_requested_submitted_and_succeeds_once() {
    assert_eq!(twice(&[], request(10 * UNIT)).status, PaymentStatus::Requested);
    assert_eq!(twice(&paid()[..1], submit("pi_1")).status, PaymentStatus::Pending);
    let payment = twice(&paid()[..2], succeed("pi_1", "ch_1", 10 * UNIT));
    assert_eq!(payment.status, PaymentStatus::Succeeded);
    assert_eq!(payment.charge_id.as_deref(), Some("ch_1"));
}

#[test]
fn success_may_be_heard_of_before_the_submission() {
    let history = [request(10 * UNIT), succeed("pi_1", "ch_1", 10 * UNIT)];
    check(&history, submit("pi_1")).then([]);
    assert_eq!(fold(history).status, PaymentStatus::Succeeded);
}

#[test]
fn an_amount_is_within_range_and_in_whole_cents() {
    check(&[], request(UNIT)).events();
    check(&[], request(1_000_000 * UNIT)).events();
    for amount in [i64::MIN, -UNIT, 0, UNIT - 10_000_000, 1_000_000 * UNIT + 10_000_000, i64::MAX] {
        check(&[], request(amount)).then_refused("amount_out_of_range");
    }
    check(&[], request(UNIT + 1)).then_refused("not_whole_minor_units");
}

#[test]
fn an_id_is_one_payment() {
    check(&paid(), request(11 * UNIT)).then_refused("id_reused");
    check(&paid(), request(10 * UNIT)).then([]);
}

#[test]
fn nothing_happens_to_a_payment_that_nobody_asked_for() {
    for command in [submit("pi_1"), succeed("pi_1", "ch_1", UNIT), fail(), fee("txn_1", 1)] {
        check(&[], command).then_refused("unknown_payment");
    }
}

#[test]
fn the_provider_names_and_amounts_must_be_the_ones_we_know() {
    let pending = &paid()[..2];
    check(pending, submit("pi_2")).then_refused("provider_id_mismatch");
    check(pending, succeed("pi_2", "ch_1", 10 * UNIT)).then_refused("provider_id_mismatch");
    check(pending, succeed("pi_1", "ch_1", 9 * UNIT)).then_refused("provider_amount_mismatch");
    check(&paid(), succeed("pi_1", "ch_2", 10 * UNIT)).then_refused("provider_id_mismatch");
}

#[test]
fn a_failed_attempt_may_still_succeed_but_is_not_reopened() {
    let failed = [&paid()[..1], &[fail()]].concat();
    assert_eq!(twice(&paid()[..2], fail()).status, PaymentStatus::Failed);
    check(&failed, submit("pi_1")).then([]);
    let payment = twice(&failed, succeed("pi_1", "ch_1", 10 * UNIT));
    assert_eq!(payment.status, PaymentStatus::Succeeded);
}

#[test]
fn a_success_does_not_fail_afterwards() {
    check(&paid(), fail()).then_refused("payment_in_wrong_state");
}

#[test]
fn the_fee_of_a_success_is_booked_once() {
    let payment = twice(&paid(), fee("txn_1", 59 * UNIT / 100));
    assert_eq!(payment.fee_of.as_deref(), Some("txn_1"));
    let booked = [&paid()[..], &[fee("txn_1", 1)]].concat();
    check(&booked, fee("txn_2", 1)).then_refused("provider_id_mismatch");
    check(&paid()[..2], fee("txn_1", 1)).then_refused("payment_in_wrong_state");
}

#[test]
fn a_fee_of_nothing_is_known_and_moves_nothing() {
    for nothing in [0, -1] {
        let events = check(&paid(), fee("txn_1", nothing)).events();
        let [event @ PaymentEvent::FeeRecorded { journal: None, .. }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(fold(paid()).book_entry(event), None);
        twice(&paid(), fee("txn_1", nothing));
    }
}

#[test]
fn the_fee_moves_money_from_stripe_to_its_fees() {
    let events = check(&paid(), fee("txn_1", 7)).events();
    let [event @ PaymentEvent::FeeRecorded { .. }] = &events[..] else { panic!("{events:?}") };
    let journal = fold(paid()).book_entry(event).unwrap().journal.unwrap();
    assert!(journal.is_balanced());
    assert_eq!((journal.source.as_str(), journal.source_id.as_str()), ("stripe_fee", "txn_1"));
    assert_eq!(journal.postings[0].account, "stripe_fees:EUR");
    assert_eq!(journal.postings[1].account, "stripe:pending:EUR");
}

#[test]
fn a_kept_method_is_named_with_the_request_and_only_then() {
    let kept = KeptMethod {
        method_id: PaymentMethodId::from_bits(5),
        customer_id: "cus_1".to_owned(),
        provider_id: "pm_1".to_owned(),
    };
    let PaymentCommand::Request { payment_id, organisation_id, currency, amount_nanos, at, .. } =
        request(10 * UNIT)
    else {
        panic!("a request")
    };
    let with = PaymentCommand::RequestWith {
        payment_id,
        organisation_id,
        currency,
        amount_nanos,
        kept,
        at,
    };
    let events = Payment::default().decide(with.clone()).unwrap();
    assert_eq!(events.len(), 2);
    let payment = events.into_iter().fold(Payment::default(), Decider::evolve);
    assert_eq!(payment.customer_id.as_deref(), Some("cus_1"));
    assert_eq!(payment.status, PaymentStatus::Requested);
    assert_eq!(payment.decide(with), Ok(vec![]), "the same wish again");
}

#[test]
fn it_waits_for_the_customer_then_for_the_bank_and_never_goes_back() {
    let wait = |waits_for| PaymentCommand::Wait { waits_for, at: AT };
    let asked = [request(10 * UNIT), submit("pi_1")].to_vec();
    let customer = [&asked[..], &[wait(WaitsFor::Customer)]].concat();
    assert_eq!(twice(&asked, wait(WaitsFor::Customer)).status, PaymentStatus::RequiresAction);
    assert_eq!(twice(&customer, wait(WaitsFor::Bank)).status, PaymentStatus::Processing);
    let bank = [&customer[..], &[wait(WaitsFor::Bank)]].concat();
    for (history, stays) in
        [(bank.clone(), PaymentStatus::Processing), (paid(), PaymentStatus::Succeeded)]
    {
        for waits_for in [WaitsFor::Customer, WaitsFor::Bank] {
            let state = fold(history.clone());
            assert_eq!(state.decide(wait(waits_for)), Ok(vec![]));
            assert_eq!(state.status, stays);
        }
    }
    for history in [customer, bank] {
        assert_eq!(twice(&history, fail()).status, PaymentStatus::Failed);
        let succeeded = twice(&history, succeed("pi_1", "ch_1", 10 * UNIT));
        assert_eq!(succeeded.status, PaymentStatus::Succeeded);
    }
}
