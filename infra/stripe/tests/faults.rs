//! What the port makes of a provider that misbehaves. Every test asserts that the fault struck.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use std::time::Duration;

use cairn_commands::ports::{FailureKind, PaymentPort, PortError, ProviderOutcome};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Chance, FaultCounts, Faults, SimulatorConfig};
use common::{Provider, dollars, impatient, now, payment, refund, until};

async fn with(faults: Faults) -> Provider {
    common::simulator_with(SimulatorConfig { faults, seed: 7, ..SimulatorConfig::default() }).await
}

fn counts(provider: &Provider) -> FaultCounts {
    provider.simulator.as_ref().unwrap().counts()
}

fn transient<T: std::fmt::Debug>(result: Result<T, PortError>, code: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (FailureKind::Transient, code), "{error}");
}

#[tokio::test]
async fn a_500_is_transient_and_the_same_key_then_pays_once() {
    let provider = with(Faults { server_error: Chance::next(2), ..Faults::default() }).await;
    let new = payment(Some("pm_card_visa"));
    for _ in 0..2 {
        transient(provider.payments.create_payment(&new).await, "provider_unavailable");
    }
    let made = provider.payments.create_payment(&new).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Succeeded);
    assert_eq!(counts(&provider).server_error, 2);
    assert_eq!(provider.simulator.as_ref().unwrap().book().charges().len(), 1);
}

#[tokio::test]
async fn a_500_after_success_stays_the_answer_of_its_key_and_the_payment_is_found() {
    let faults = Faults { server_error_after_success: Chance::next(1), ..Faults::default() };
    let provider = with(faults).await;
    let new = payment(Some("pm_card_visa"));
    for _ in 0..2 {
        transient(provider.payments.create_payment(&new).await, "provider_unavailable");
    }
    assert_eq!(counts(&provider).server_error_after_success, 1);
    assert_eq!(provider.simulator.as_ref().unwrap().book().charges().len(), 1);
    let found = provider.payments.find_payment(new.payment_id, now().plus_secs(-60)).await.unwrap();
    assert_eq!(found.unwrap().outcome, ProviderOutcome::Succeeded);
}

#[tokio::test]
async fn a_forgotten_key_pays_again() {
    let faults = Faults { key_expired: Chance::next(1), ..Faults::default() };
    let provider = with(faults).await;
    let new = payment(Some("pm_card_visa"));
    for _ in 0..2 {
        provider.payments.create_payment(&new).await.unwrap();
    }
    assert_eq!(counts(&provider).key_expired, 1);
    assert_eq!(provider.simulator.as_ref().unwrap().book().charges().len(), 2);
}

#[tokio::test]
async fn a_timeout_after_success_is_in_doubt_and_the_same_key_finds_the_payment() {
    let faults = Faults { timeout_after_success: Chance::next(1), ..Faults::default() };
    let provider = with(faults).await;
    let new = payment(Some("pm_card_visa"));
    transient(impatient(&provider).create_payment(&new).await, "provider_timeout");
    assert_eq!(counts(&provider).timeout_after_success, 1);
    assert_eq!(provider.simulator.as_ref().unwrap().book().charges().len(), 1, "it was done");
    let made = provider.payments.create_payment(&new).await.unwrap();
    assert_eq!((made.outcome, made.payment_id), (ProviderOutcome::Succeeded, Some(new.payment_id)));
    assert_eq!(provider.simulator.as_ref().unwrap().book().charges().len(), 1, "and only once");
}

#[tokio::test]
async fn a_refund_that_timed_out_after_success_is_not_made_twice() {
    let provider = with(Faults::default()).await;
    let card = payment(Some("pm_card_visa"));
    let charge = provider.payments.create_payment(&card).await.unwrap().charge_id.unwrap();
    let simulator = provider.simulator.as_ref().unwrap();
    simulator.set_faults(Faults { timeout_after_success: Chance::next(1), ..Faults::default() });
    let back = refund(&charge, 500);
    transient(impatient(&provider).create_refund(&back).await, "provider_timeout");
    provider.payments.create_refund(&back).await.unwrap();
    assert_eq!(simulator.counts().timeout_after_success, 1);
    assert_eq!(simulator.book().refunds().len(), 1);
    assert_eq!(simulator.book().balances()["usd"], 1_250 - 66 - 500);
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_within_the_limit() {
    let faults = Faults { slow: Chance::next(1), slow_millis: 300, ..Faults::default() };
    let provider = with(faults).await;
    provider.payments.create_payment(&payment(None)).await.unwrap();
    assert_eq!(counts(&provider).slow, 1);
}

#[tokio::test]
async fn a_pending_refund_succeeds_later() {
    let faults = Faults { refund_settles_after_millis: 100, ..Faults::default() };
    let provider = with(faults).await;
    let card = payment(Some("pm_card_pendingRefund"));
    let charge = provider.payments.create_payment(&card).await.unwrap().charge_id.unwrap();
    let made = provider.payments.create_refund(&refund(&charge, 500)).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Pending);
    until("the refund succeeds", || async {
        let found = provider.payments.refund(&made.provider_id).await.unwrap();
        (found.outcome == ProviderOutcome::Succeeded).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refund_may_fail_later_and_the_book_takes_the_money_back() {
    let faults = Faults {
        refund_fails_later: Chance::next(1),
        refund_settles_after_millis: 100,
        ..Faults::default()
    };
    let provider = with(faults).await;
    let from = now();
    let card = payment(Some("pm_card_visa"));
    let charge = provider.payments.create_payment(&card).await.unwrap().charge_id.unwrap();
    let made = provider.payments.create_refund(&refund(&charge, 500)).await.unwrap();
    assert_eq!(made.outcome, ProviderOutcome::Succeeded);
    until("the refund fails", || async {
        let found = provider.payments.refund(&made.provider_id).await.unwrap();
        matches!(found.outcome, ProviderOutcome::Failed { .. }).then_some(())
    })
    .await;
    assert_eq!(counts(&provider).refund_fails_later, 1);
    let lines = provider.payments.transactions(from, None, 100).await.unwrap();
    let categories: Vec<&str> = lines.iter().map(|line| line.category.as_str()).collect();
    assert_eq!(categories, ["charge", "refund", "refund_failure"]);
    assert_eq!(lines[2].amount_nanos, dollars(500).nanos);
    assert_eq!(lines[2].source_id.as_deref(), Some(made.provider_id.as_str()));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_transient() {
    let provider = with(Faults::default()).await;
    let payments = provider.payments.clone();
    provider.simulator.unwrap().shutdown().await;
    transient(payments.create_payment(&payment(None)).await, "provider_unreachable");
}

#[tokio::test]
async fn a_wrong_key_is_reported_without_showing_it() {
    let provider = with(Faults::default()).await;
    let config = StripeConfig {
        secret_key: "sk_live_hush".to_owned(),
        ..common::config(&provider.base_url)
    };
    let payments = StripePayments::with_timeout(config, Duration::from_secs(2)).unwrap();
    assert!(!format!("{payments:?}").contains("hush"));
    let error = payments.create_payment(&payment(None)).await.unwrap_err();
    assert_eq!(error.code, "provider_unauthorised");
    assert!(!error.to_string().contains("hush"));
}

#[tokio::test]
async fn amounts_that_are_not_whole_cents_never_leave() {
    let provider = with(Faults::default()).await;
    let mut new = payment(Some("pm_card_visa"));
    new.amount.nanos += 1;
    let error = provider.payments.create_payment(&new).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (FailureKind::Permanent, "not_whole_minor_units")
    );
    assert!(provider.simulator.unwrap().book().payment_intents().is_empty());
}

#[tokio::test]
async fn the_same_seed_brings_the_same_faults() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let faults = Faults { server_error: Chance::probability(0.4), ..Faults::default() };
        let provider = with(faults).await;
        let mut failed = Vec::new();
        for _ in 0..30 {
            failed.push(provider.payments.create_payment(&payment(None)).await.is_err());
        }
        let struck = u64::try_from(failed.iter().filter(|&&failed| failed).count()).unwrap();
        assert!(struck > 0 && struck == counts(&provider).server_error);
        runs.push(failed);
    }
    assert_eq!(runs[0], runs[1]);
}
