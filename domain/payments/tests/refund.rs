//! The rules of a refund.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_payments::{Refund, RefundCommand, RefundEvent, RefundStatus};

const AT: Timestamp = Timestamp::from_secs(1_000);

fn request(amount_nanos: i64) -> RefundCommand {
    RefundCommand::Request {
        refund_id: RefundId::from_bits(1),
        payment_id: PaymentId::from_bits(2),
        organisation_id: OrganisationId::from_bits(3),
        currency: Currency::EUR,
        amount_nanos,
        charge_id: "ch_1".to_owned(),
        at: AT,
    }
}

fn submit(provider_id: &str) -> RefundCommand {
    RefundCommand::Submit { provider_id: provider_id.to_owned(), at: AT }
}

fn succeed(provider_id: &str, amount_nanos: i64) -> RefundCommand {
    RefundCommand::Succeed { provider_id: provider_id.to_owned(), amount_nanos, at: AT }
}

fn fail() -> RefundCommand {
    RefundCommand::Fail { code: "expired_or_canceled_card".to_owned(), at: AT }
}

fn paid() -> Vec<RefundCommand> {
    vec![request(500), submit("re_1"), succeed("re_1", 500)]
}

fn fold(commands: impl IntoIterator<Item = RefundCommand>) -> Refund {
    commands.into_iter().fold(Refund::default(), |refund, command| {
        let events = refund.decide(command).unwrap();
        events.into_iter().fold(refund, Refund::evolve)
    })
}

fn check(history: &[RefundCommand], command: RefundCommand) -> When<Refund> {
    decide_both_ways(fold(history.to_vec()), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[RefundCommand], command: RefundCommand) -> Refund {
    assert_ne!(check(history, command.clone()).events(), [], "it must do something at first");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    fold(history)
}

#[test]
fn a_refund_is_requested_submitted_and_succeeds_once() {
    assert_eq!(twice(&[], request(500)).status, RefundStatus::Requested);
    assert_eq!(twice(&paid()[..1], submit("re_1")).status, RefundStatus::Pending);
    assert_eq!(twice(&paid()[..2], succeed("re_1", 500)).status, RefundStatus::Succeeded);
}

#[test]
fn success_may_be_heard_of_before_the_submission() {
    let history = [request(500), succeed("re_1", 500)];
    check(&history, submit("re_1")).then([]);
    assert_eq!(fold(history).status, RefundStatus::Succeeded);
}

#[test]
fn nothing_happens_to_a_refund_that_nobody_asked_for() {
    for command in [submit("re_1"), succeed("re_1", 1), fail()] {
        check(&[], command).then_refused("unknown_refund");
    }
}

#[test]
fn an_id_is_one_refund() {
    check(&paid(), request(501)).then_refused("id_reused");
}

#[test]
fn the_provider_names_and_amounts_must_be_the_ones_we_know() {
    check(&paid()[..2], submit("re_2")).then_refused("provider_id_mismatch");
    check(&paid()[..2], succeed("re_2", 500)).then_refused("provider_id_mismatch");
    check(&paid()[..2], succeed("re_1", 499)).then_refused("provider_amount_mismatch");
}

#[test]
fn a_refund_that_fails_moves_nothing_and_stays_failed() {
    let refund = twice(&paid()[..2], fail());
    assert_eq!(refund.status, RefundStatus::Failed);
    let failed = [&paid()[..2], &[fail()]].concat();
    check(&failed, succeed("re_1", 500)).then_refused("refund_in_wrong_state");
    let [RefundEvent::Failed { journal, .. }] = &check(&paid()[..2], fail()).events()[..] else {
        panic!("one fact");
    };
    assert_eq!(*journal, None);
}

#[test]
fn a_success_that_fails_later_is_reversed_in_the_books() {
    let events = check(&paid(), fail()).events();
    let journal = fold(paid()).book_entry(&events[0]).unwrap().journal.unwrap();
    assert!(journal.is_balanced());
    assert_eq!(journal.reverses.as_deref(), Some("stripe/re_1"));
    assert_eq!(twice(&paid(), fail()).status, RefundStatus::Failed);
}

#[test]
fn success_takes_the_money_from_what_is_payable_out_of_stripe() {
    let events = check(&paid()[..2], succeed("re_1", 500)).events();
    let journal = fold(paid()).book_entry(&events[0]).unwrap().journal.unwrap();
    assert_eq!((journal.source.as_str(), journal.source_id.as_str()), ("stripe", "re_1"));
    assert_eq!(journal.postings[0].account, "refund_payable:EUR");
    assert_eq!(journal.postings[1].account, "stripe:pending:EUR");
}
