//! What the processes make of a payment provider that acts and is not heard, and that forgets what it was asked: Stripe's own ways, by
//! the simulator. Money moves once, and what became of it is never guessed.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#[path = "support/stripe.rs"]
mod stripe;
mod support;

use std::sync::Arc;

use cairn_commands::ports::{NewPayment, NewRefund, PaymentPort as _, ProviderOutcome};
use cairn_commands::processes::operator::{self, Decision};
use cairn_commands::{ExecuteError, payments};
use cairn_core::{OrganisationId, PaymentId, RefundId};
use cairn_payments::{Payment, PaymentStatus, Refund, RefundStatus};
use cairn_stripe_simulator::{Chance, Faults};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use stripe::Stripe;
use support::faults::Mode;
use support::harness::{Harness, usd};
use support::stories::{top_up, wallet};

type Options = PgConnectOptions;

/// Nothing is forgotten or late any more, except keys: all of them.
fn forgetful(faults: Faults) -> Faults {
    Faults { key_expired: Chance::probability(1.0), ..faults }
}

/// The same call under the same key is done anew: the key protects nobody.
async fn key_is_forgotten(stripe: &Stripe, payment_id: &str) {
    let payment_id: PaymentId = payment_id.parse().unwrap();
    let again = NewPayment {
        payment_id,
        amount: usd(20),
        payment_method: Some("pm_card_visa".to_owned()),
        customer_id: None,
        idempotency_key: format!("create_payment:{payment_id}"),
    };
    let before = stripe.made().0;
    stripe.payments.create_payment(&again).await.unwrap();
    assert_eq!(stripe.made().0, before + 1);
    assert_eq!(stripe.simulator.counts().key_expired, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_payment_in_doubt_is_looked_up_when_its_key_is_forgotten(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    stripe.simulator.set_faults(forgetful(Faults {
        timeout_after_success: Chance::next(1),
        ..Faults::default()
    }));
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let organisation_id = harness.organisation();
    let payment_id = top_up(&mut harness, organisation_id, 20).await;
    assert_eq!(stripe.simulator.counts().timeout_after_success, 1, "the fault bit");
    assert_eq!(stripe.made(), (1, 0));
    assert_eq!(harness.load::<Payment>(&payment_id).await.status, PaymentStatus::Succeeded);
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(20).nanos);
    key_is_forgotten(&stripe, &payment_id).await;
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_500_after_the_charge_stays_the_answer_of_the_key_and_is_not_believed(
    _: PgPoolOptions,
    db: Options,
) {
    let stripe = Stripe::new().await;
    let faults = Faults { server_error_after_success: Chance::next(1), ..Faults::default() };
    stripe.simulator.set_faults(faults);
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    assert_eq!(stripe.simulator.counts().server_error_after_success, 1, "the fault bit");
    assert_eq!(stripe.made(), (1, 0));
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(20).nanos);
    harness.kill_runner().await;
}

/// Asks for all of a payment back.
async fn ask_back(
    harness: &Harness,
    organisation_id: OrganisationId,
    payment_id: &str,
) -> RefundId {
    let request = payments::RequestRefund {
        organisation_id,
        payment_id: payment_id.parse().unwrap(),
        amount: None,
        reason: "asked".to_owned(),
    };
    let asked = payments::request_refund(&harness.commands, &harness.context(), request).await;
    asked.unwrap().result["refund_id"].as_str().unwrap().parse().unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_in_doubt_is_paid_once_and_never_given_back_as_well(
    _: PgPoolOptions,
    db: Options,
) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let organisation_id = harness.organisation();
    let payment_id = top_up(&mut harness, organisation_id, 20).await;
    // Nothing of the charge is left to refund, so a second try without its key is refused for good.
    stripe.simulator.set_faults(forgetful(Faults {
        timeout_after_success: Chance::next(1),
        ..Faults::default()
    }));
    let refund_id = ask_back(&harness, organisation_id, &payment_id).await;
    let key = refund_id.to_string();
    harness.until("the refund has ended", |s| s.ended("refund_payment", &key)).await;
    assert_eq!(stripe.simulator.counts().timeout_after_success, 1, "the fault bit");
    assert_eq!(stripe.made(), (1, 1));
    assert_eq!(harness.load::<Refund>(&key).await.status, RefundStatus::Succeeded);
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, 0, "the money is out");
    let again = NewRefund {
        refund_id,
        charge_id: stripe.simulator.book().charges()[0].id.clone(),
        amount: usd(20),
        idempotency_key: format!("create_refund:{refund_id}"),
    };
    let refused = stripe.payments.create_refund(&again).await.unwrap_err();
    assert_eq!(refused.code, "charge_already_refunded", "the key is forgotten");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_whose_key_was_taken_waits_for_an_operator_who_may_give_it_up(
    _: PgPoolOptions,
    db: Options,
) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let organisation_id = harness.organisation();
    let payment_id = top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("create_refund", Mode::Forever);
    let refund_id = ask_back(&harness, organisation_id, &payment_id).await;
    let key = refund_id.to_string();
    let stuck = harness.until("it is stuck", |s| !s.stuck.is_empty()).await.stuck;
    assert_eq!(stuck[0].name, "create_refund");
    assert!(harness.faults.hits("create_refund") > 1, "the fault bit");
    harness.faults.mend();
    // Somebody else took the key.
    let charge_id = stripe.simulator.book().charges()[0].id.clone();
    let refund = |refund_id, units, key| NewRefund {
        refund_id,
        charge_id: charge_id.clone(),
        amount: usd(units),
        idempotency_key: key,
    };
    let taken = refund(RefundId::from_bits(1), 1, format!("create_refund:{refund_id}"));
    stripe.payments.create_refund(&taken).await.unwrap();
    harness.retry(&stuck[0].id).await.unwrap();
    let stuck = harness.until("it is stuck again", |s| !s.stuck.is_empty()).await.stuck;
    assert_eq!(stuck[0].name, "create_refund");
    assert!(harness.dump().await.contains("provider_key_reused"));
    assert_eq!(harness.load::<Refund>(&key).await.status, RefundStatus::Requested);
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, 0, "nothing was given back");
    // The operator sees to it that it is not made, and says so.
    let intent_id = stuck[0].id.clone();
    let decision = Decision { intent_id, reason: "paid by bank".to_owned() };
    operator::skip(&harness.commands, &harness.context(), decision).await.unwrap();
    harness.until("it is unwound", |s| s.status("refund_payment", &key) == Some("unwound")).await;
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(20).nanos);
    // It is made after all: nobody passes over that.
    let late = refund(refund_id, 19, "another key".to_owned());
    let made = stripe.payments.create_refund(&late).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Succeeded);
    let made = cairn_commands::ports::ProviderRefund { amount: usd(20), ..made };
    let context = harness.context();
    match payments::apply_provider_refund(&harness.commands, &context, &made).await {
        Err(ExecuteError::Refused { code, .. }) => assert_eq!(code, payments::PAID_AFTER_FAILURE),
        other => panic!("{other:?}"),
    }
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stuck_refund_that_the_provider_has_is_not_given_up(_: PgPoolOptions, db: Options) {
    let stripe = Stripe::new().await;
    let mut harness = Harness::start(db, Arc::clone(&stripe) as _).await;
    let organisation_id = harness.organisation();
    let payment_id = top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("create_refund", Mode::Forever);
    let refund_id = ask_back(&harness, organisation_id, &payment_id).await;
    let key = refund_id.to_string();
    let stuck = harness.until("it is stuck", |s| !s.stuck.is_empty()).await.stuck;
    assert!(harness.faults.hits("create_refund") > 1, "the fault bit");
    harness.faults.mend();
    let made = NewRefund {
        refund_id,
        charge_id: stripe.simulator.book().charges()[0].id.clone(),
        amount: usd(20),
        idempotency_key: "of another copy of the log".to_owned(),
    };
    stripe.payments.create_refund(&made).await.unwrap();
    let decision = Decision { intent_id: stuck[0].id.clone(), reason: "enough".to_owned() };
    operator::skip(&harness.commands, &harness.context(), decision).await.unwrap();
    harness.until("it is paid", |s| s.status("refund_payment", &key) == Some("done")).await;
    assert_eq!(stripe.made(), (1, 1));
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, 0);
    harness.kill_runner().await;
}
