//! What becomes of what customers pay with: kept by Stripe's own ways (the simulator), charged without anybody being there, kept no more.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#[path = "support/stripe.rs"]
mod stripe;
mod support;

use std::sync::Arc;

use cairn_commands::payments::{
    MethodWish, RequestKeptTopUp, RequestMethod, RequestTopUp, change_method, methods,
    request_kept_top_up, request_method, request_top_up,
};
use cairn_commands::processes::forget_customer::ForgetCustomer;
use cairn_commands::processes::{Effect, Fact, Intent, Occurrence, ProcessManager as _};
use cairn_commands::{ExecuteError, Executed};
use cairn_core::{OrganisationId, PaymentMethodId, Subject};
use cairn_identity::{Erasure, ErasureCommand, ErasureEvent};
use cairn_payments::{Method, MethodEvent, MethodStatus, Payment, PaymentStatus};
use cairn_stripe_simulator::{ChallengeEnd, Chance, Faults};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use stripe::Stripe;
use support::faults::Mode;
use support::harness::{Harness, usd};
use support::react::{NOW, ORGANISATION, at, given};
use support::stories::wallet;

type Options = PgConnectOptions;

async fn ask(harness: &Harness, owner: OrganisationId, card: Option<&str>) -> PaymentMethodId {
    let payment_method = card.map(str::to_owned);
    let wish = RequestMethod { organisation_id: owner, payment_method };
    let asked = request_method(&harness.commands, &harness.context(), wish).await.unwrap();
    asked.result["payment_method_id"].as_str().unwrap().parse().unwrap()
}

async fn ended(harness: &mut Harness, id: PaymentMethodId) {
    let key = id.to_string();
    harness.until("the method is kept or not", |s| s.ended("save_method", &key)).await;
}

async fn keep(harness: &mut Harness, owner: OrganisationId, card: &str) -> PaymentMethodId {
    let id = ask(harness, owner, Some(card)).await;
    ended(harness, id).await;
    id
}

async fn method(harness: &Harness, owner: OrganisationId, id: PaymentMethodId) -> Method {
    let methods = methods(&harness.commands.executor, owner).await.unwrap();
    methods.find(id).unwrap().clone()
}

async fn pay(
    harness: &Harness,
    owner: OrganisationId,
    id: Option<PaymentMethodId>,
) -> Result<Executed, ExecuteError> {
    let wish = RequestKeptTopUp { organisation_id: owner, amount: usd(20), method_id: id };
    request_kept_top_up(&harness.commands, &harness.context(), wish).await
}

fn code(refused: Result<Executed, ExecuteError>) -> String {
    match refused {
        Err(ExecuteError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_card_is_kept_charged_without_its_owner_and_kept_no_more(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    let id = keep(&mut harness, owner, "pm_card_visa").await;
    let kept = method(&harness, owner, id).await;
    let details = kept.details.unwrap();
    let seen = (details.kind.as_str(), details.brand.as_str(), details.last4.as_str());
    assert_eq!((kept.status, seen), (MethodStatus::Saved, ("card", "visa", "4242")));
    assert_eq!(details.expires.as_deref(), Some("2034-04"));

    let paid = pay(&harness, owner, None).await.unwrap().aggregate_id;
    harness.until("it is paid", |s| s.ended("top_up", &paid)).await;
    assert_eq!(wallet(&harness, owner).await.posted_nanos, usd(20).nanos);
    let book = stripe.simulator.book();
    let customer = methods(&harness.commands.executor, owner).await.unwrap().customer_id;
    assert_eq!(book.payment_intents()[0].customer, customer);
    assert_eq!(book.payment_intents()[0].payment_method, kept.provider_id, "the kept one");

    let stranger = harness.organisation();
    assert_eq!(code(pay(&harness, stranger, Some(id)).await), "unknown_payment_method");
    assert_eq!(code(pay(&harness, stranger, None).await), "unknown_payment_method");
    let remove = (stranger, id, MethodWish::Removed);
    let foreign = change_method(&harness.commands, &harness.context(), remove).await;
    assert_eq!(code(foreign), "unknown_payment_method");

    let remove = (owner, id, MethodWish::Removed);
    change_method(&harness.commands, &harness.context(), remove).await.unwrap();
    assert_eq!(code(pay(&harness, owner, Some(id)).await), "unknown_payment_method", "at once");
    ended(&mut harness, id).await;
    assert_eq!(stripe.simulator.book().payment_methods()[0].customer, None, "detached");
    let left = methods(&harness.commands.executor, owner).await.unwrap();
    assert_eq!((left.methods, left.default_id), (vec![], None));
    assert_eq!(stripe.made().0, 1);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_bank_says_to_a_kept_card_fails_the_payment(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    let declined = keep(&mut harness, owner, "pm_card_chargeDeclined").await;
    let refused = method(&harness, owner, declined).await;
    let said = refused.failure.map(|(code, _)| code);
    assert_eq!((refused.status, said.as_deref()), (MethodStatus::Failed, Some("card_declined")));
    assert_eq!(code(pay(&harness, owner, Some(declined)).await), "payment_method_in_wrong_state");

    let poor = keep(&mut harness, owner, "pm_card_chargeCustomerFail").await;
    let strict = ask(&harness, owner, Some("pm_card_authenticationRequired")).await;
    harness.run_for(10).await;
    let setup_id = method(&harness, owner, strict).await.setup_id.unwrap();
    stripe.simulator.end_setup_challenge(&setup_id, ChallengeEnd::Complete).unwrap();
    ended(&mut harness, strict).await;
    for (id, expected) in [(poor, "card_declined"), (strict, "authentication_required")] {
        let payment = pay(&harness, owner, Some(id)).await.unwrap().aggregate_id;
        harness.until("it has failed", |s| s.ended("top_up", &payment)).await;
        assert_eq!(harness.load::<Payment>(&payment).await.status, PaymentStatus::Failed);
        let event = "SELECT payload->>'code' FROM events WHERE event_type = 'payment.failed' \
                     AND aggregate_id = $1";
        let said: String =
            sqlx::query_scalar(event).bind(&payment).fetch_one(harness.pool()).await.unwrap();
        assert_eq!(said, expected);
    }
    assert_eq!(wallet(&harness, owner).await.posted_nanos, 0);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_challenge_is_met_failed_or_left_alone(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    let card = Some("pm_card_authenticationRequiredOnSetup");
    let [met, failed] = [ask(&harness, owner, card).await, ask(&harness, owner, card).await];
    let alone = ask(&harness, owner, None).await;
    harness.run_for(20).await;
    for (id, end) in [(met, ChallengeEnd::Complete), (failed, ChallengeEnd::Fail)] {
        let waiting = method(&harness, owner, id).await;
        assert_eq!(waiting.status, MethodStatus::Pending);
        stripe.simulator.end_setup_challenge(&waiting.setup_id.unwrap(), end).unwrap();
        ended(&mut harness, id).await;
    }
    assert_eq!(method(&harness, owner, met).await.status, MethodStatus::Saved);
    assert_eq!(method(&harness, owner, failed).await.status, MethodStatus::Failed);
    assert_eq!(method(&harness, owner, alone).await.status, MethodStatus::Pending);
    ended(&mut harness, alone).await;
    let left = method(&harness, owner, alone).await;
    assert_eq!(left.failure.unwrap().0, "canceled", "nobody came for a day");
    let statuses: Vec<_> =
        stripe.simulator.book().setup_intents().iter().map(|it| it.status.clone()).collect();
    assert_eq!(statuses, ["succeeded", "requires_payment_method", "canceled"]);
    assert_eq!(stripe.simulator.book().customers().len(), 1, "one for all of them");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_done_and_not_heard_of_is_not_done_again(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    for mode in [Mode::KillBefore, Mode::KillBetween, Mode::KillAfter, Mode::Twice] {
        let owner = harness.organisation();
        // What is asked twice at once has nothing but its key; who comes later looks first, and needs none.
        let forgotten = if mode == Mode::Twice { 0.0 } else { 1.0 };
        let key_expired = Chance::probability(forgotten);
        stripe.simulator.set_faults(Faults { key_expired, ..Faults::default() });
        let before = stripe.simulator.book().payment_methods().len();
        harness.faults.clear();
        harness.faults.arm("create_setup", mode);
        harness.faults.arm("detach_method", mode);
        let id = keep(&mut harness, owner, "pm_card_visa").await;
        assert_eq!(method(&harness, owner, id).await.status, MethodStatus::Saved, "{mode:?}");
        let remove = (owner, id, MethodWish::Removed);
        change_method(&harness.commands, &harness.context(), remove).await.unwrap();
        ended(&mut harness, id).await;
        for target in ["create_setup", "detach_method"] {
            assert!(harness.faults.hits(target) > 0, "{mode:?}: {target} was never hit");
        }
        let book = stripe.simulator.book();
        let made = &book.payment_methods()[before..];
        assert_eq!((made.len(), &made[0].customer), (1, &None), "{mode:?}");
    }
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_erased_is_gone_at_the_provider_too(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    keep(&mut harness, owner, "pm_card_visa").await;
    let begin = ErasureCommand::Begin {
        subject: Subject::organisation(owner),
        key_id: "k".to_owned(),
        reason: "asked".to_owned(),
        at: harness.commands.clock.now(),
    };
    let (subject, context) = (Subject::organisation(owner), harness.context());
    let executor = harness.commands.executor.clone();
    executor.execute::<Erasure>(subject.as_str(), begin, &context, Value::Null).await.unwrap();
    let key = owner.to_string();
    harness.until("it is forgotten", |s| s.ended("forget_customer", &key)).await;
    harness.run_for(1).await;
    let book = stripe.simulator.book();
    assert!(book.customers()[0].deleted);
    assert_eq!(book.payment_methods()[0].customer, None);
    harness.kill_runner().await;
}

#[test]
fn a_customer_that_is_made_while_its_owner_is_erased_is_deleted() {
    let made = || {
        let event = MethodEvent::CustomerMade { customer_id: "cus_1".to_owned(), at: NOW };
        at(ORGANISATION, Fact::Method(event))
    };
    let erased = || -> Occurrence {
        let subject = Subject::organisation(ORGANISATION);
        let (key_id, reason) = ("k".to_owned(), "r".to_owned());
        let event = ErasureEvent::Begun { subject: subject.clone(), key_id, reason, at: NOW };
        at(subject, Fact::Erasure(event))
    };
    let delete =
        Effect::DeleteCustomer { organisation_id: ORGANISATION, customer_id: "cus_1".to_owned() };
    let delete = [Intent::effect(delete, None)];
    assert_eq!(given::<ForgetCustomer>(&[made()]).when(erased()), delete);
    assert_eq!(given::<ForgetCustomer>(&[erased()]).when(made()), delete);
    assert_eq!(given::<ForgetCustomer>(&[]).when(made()), []);
    let person = Subject::user(cairn_core::UserId::from_bits(1));
    let (key_id, reason) = ("k".to_owned(), "r".to_owned());
    let event = ErasureEvent::Begun { subject: person.clone(), key_id, reason, at: NOW };
    assert_eq!(ForgetCustomer::correlate(&at(person, Fact::Erasure(event))), None);
}

/// A payment with a method of the customer's own, who is there.
async fn pay_once(harness: &Harness, owner: OrganisationId, method: &str) -> String {
    let payment_method = Some(method.to_owned());
    let wish = RequestTopUp { organisation_id: owner, amount: usd(20), payment_method };
    let asked = request_top_up(&harness.commands, &harness.context(), wish).await;
    asked.unwrap().aggregate_id
}

async fn status(harness: &Harness, payment: &str) -> PaymentStatus {
    harness.load::<Payment>(payment).await.status
}

#[sqlx::test(migrations = "../migrations")]
async fn a_payment_that_its_bank_asks_about_is_confirmed_failed_or_never_taken(
    _: PgPoolOptions,
    db: Options,
) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    let mut payments = vec![];
    for _ in 0..3 {
        payments.push(pay_once(&harness, owner, "pm_card_threeDSecure2Required").await);
    }
    harness.run_for(30).await;
    for (payment, end) in payments.iter().zip([ChallengeEnd::Complete, ChallengeEnd::Fail]) {
        assert_eq!(status(&harness, payment).await, PaymentStatus::RequiresAction);
        let intent = harness.load::<Payment>(payment).await.provider_id.unwrap();
        stripe.simulator.end_waiting(&intent, end).unwrap();
        harness.until("it is final", |s| s.ended("top_up", payment)).await;
    }
    harness.faults.arm("cancel_payment", Mode::KillBetween);
    assert_eq!(status(&harness, &payments[2]).await, PaymentStatus::RequiresAction);
    harness.until("nobody came", |s| s.ended("top_up", &payments[2])).await;
    assert!(harness.faults.hits("cancel_payment") > 0, "the fault bit");
    let mut ended = vec![];
    for payment in &payments {
        ended.push(status(&harness, payment).await);
    }
    use PaymentStatus::{Failed, Succeeded};
    assert_eq!(ended, [Succeeded, Failed, Failed]);
    assert_eq!(wallet(&harness, owner).await.posted_nanos, usd(20).nanos);
    let intents = stripe.simulator.book();
    let last = intents.payment_intents().last().unwrap();
    assert_eq!(last.status, "canceled");
    assert!(stripe.simulator.end_waiting(&last.id, ChallengeEnd::Complete).is_err(), "too late");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_bank_that_takes_days_is_asked_seldom_and_credited_when_it_is_done(
    _: PgPoolOptions,
    db: Options,
) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let owner = harness.organisation();
    let account = keep(&mut harness, owner, "pm_usBankAccount_success").await;
    let details = method(&harness, owner, account).await.details.unwrap();
    assert_eq!((details.kind.as_str(), details.last4.as_str()), ("us_bank_account", "6789"));
    let good = pay(&harness, owner, Some(account)).await.unwrap().aggregate_id;
    let bad = pay_once(&harness, owner, "pm_usBankAccount").await;
    harness.run_for(6 * 86_400).await;
    assert!(harness.snapshot().await.stuck.is_empty(), "nobody is called");
    assert_eq!(wallet(&harness, owner).await.posted_nanos, 0, "nothing is credited before");
    for (payment, end) in [(&good, ChallengeEnd::Complete), (&bad, ChallengeEnd::Fail)] {
        assert_eq!(status(&harness, payment).await, PaymentStatus::Processing);
        let intent = harness.load::<Payment>(payment).await.provider_id.unwrap();
        stripe.simulator.end_waiting(&intent, end).unwrap();
        harness.until("it is final", |s| s.ended("top_up", payment)).await;
    }
    assert_eq!(wallet(&harness, owner).await.posted_nanos, usd(20).nanos);
    let said = "SELECT payload->>'code' FROM events WHERE event_type = 'payment.failed'";
    let said: String = sqlx::query_scalar(said).fetch_one(harness.pool()).await.unwrap();
    assert_eq!(said, "insufficient_funds");
    let asked = "SELECT count(*) FROM process_intents WHERE name = 'retrieve_payment'";
    let asked: i64 = sqlx::query_scalar(asked).fetch_one(harness.pool()).await.unwrap();
    assert!(asked < 100, "{asked} questions in six days, of two payments");
    harness.kill_runner().await;
}
