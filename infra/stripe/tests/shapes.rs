//! The simulator's answers have Stripe's shapes: async-stripe's own strict types read them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use cairn_commands::ports::PaymentPort;
use cairn_stripe_simulator::{DisputeStep, PayoutStep};
use common::{SECRET_KEY, payment, refund, setup};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_core::balance_transaction::{ListBalanceTransaction, RetrieveBalanceTransaction};
use stripe_core::charge::RetrieveCharge;
use stripe_core::customer::{CreateCustomer, ListPaymentMethodsCustomer};
use stripe_core::dispute::RetrieveDispute;
use stripe_core::payment_intent::{ListPaymentIntent, RetrievePaymentIntent};
use stripe_core::payout::{CancelPayout, CreatePayout, ListPayout, RetrievePayout};
use stripe_core::refund::{ListRefund, RetrieveRefund};
use stripe_core::setup_intent::{ListSetupIntent, RetrieveSetupIntent};

#[tokio::test]
async fn async_stripe_reads_every_object_of_the_simulator() {
    let provider = common::simulator().await.unwrap();
    let client = stripe::ClientBuilder::new(SECRET_KEY).url(&*provider.base_url).build().unwrap();
    let made = provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let charge_id = made.charge_id.clone().unwrap();
    let back = provider.payments.create_refund(&refund(&charge_id, 500)).await.unwrap();
    provider.payments.create_payment(&payment(Some("pm_card_chargeDeclined"))).await.unwrap_err();
    provider
        .payments
        .create_payment(&payment(Some("pm_card_authenticationRequired")))
        .await
        .unwrap();

    let intent = RetrievePaymentIntent::new(made.provider_id.as_str())
        .expand(["latest_charge.balance_transaction".to_owned()])
        .send(&client)
        .await
        .unwrap();
    let charge = intent.latest_charge.unwrap().into_object().unwrap();
    assert_eq!(charge.balance_transaction.unwrap().into_object().unwrap().fee, 66);
    assert_eq!(ListPaymentIntent::new().send(&client).await.unwrap().data.len(), 3);

    let charge = RetrieveCharge::new(charge_id.as_str()).send(&client).await.unwrap();
    assert_eq!((charge.amount_refunded, charge.refunded), (500, false));
    let refund = RetrieveRefund::new(back.provider_id.as_str()).send(&client).await.unwrap();
    assert_eq!(refund.status.as_deref(), Some("succeeded"));
    assert_eq!(ListRefund::new().charge(charge_id).send(&client).await.unwrap().data.len(), 1);

    let page = ListBalanceTransaction::new().limit(1).send(&client).await.unwrap();
    assert!(page.has_more);
    let line =
        RetrieveBalanceTransaction::new(page.data[0].id.clone()).send(&client).await.unwrap();
    assert_eq!((line.amount, line.net), (-500, -500));
    let balance = RetrieveForMyAccountBalance::new().send(&client).await.unwrap();
    assert_eq!((balance.pending[0].amount, balance.available[0].amount), (1_250 - 66, -500));
}

#[tokio::test]
async fn async_stripe_reads_a_dispute_of_the_simulator() {
    let provider = common::simulator().await.unwrap();
    let client = stripe::ClientBuilder::new(SECRET_KEY).url(&*provider.base_url).build().unwrap();
    let made = provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let simulator = provider.simulator.as_ref().unwrap();
    let id = simulator.open_dispute(&made.charge_id.unwrap()).unwrap();
    simulator.step_dispute(&id, DisputeStep::Withdraw).unwrap();
    simulator.step_dispute(&id, DisputeStep::Lose).unwrap();
    let dispute = RetrieveDispute::new(&*id).send(&client).await.unwrap();
    assert_eq!((dispute.amount, dispute.status.as_str()), (1_250, "lost"));
    let lines: Vec<_> =
        dispute.balance_transactions.iter().map(|line| (line.amount, line.fee, line.net)).collect();
    assert_eq!(lines, [(-1_250, 1_500, -2_750)]);
}

#[tokio::test]
async fn async_stripe_makes_and_reads_payouts_of_the_simulator() {
    let provider = common::simulator().await.unwrap();
    let client = stripe::ClientBuilder::new(SECRET_KEY).url(&*provider.base_url).build().unwrap();
    provider.payments.create_payment(&payment(Some("pm_card_visa"))).await.unwrap();
    let usd = stripe_types::Currency::USD;
    let made = CreatePayout::new(200, usd.clone())
        .statement_descriptor("CAIRN")
        .send(&client)
        .await
        .unwrap();
    assert_eq!((made.status.as_str(), made.automatic), ("pending", false));
    let cancelled = CancelPayout::new(made.id).send(&client).await.unwrap();
    assert_eq!(cancelled.status, "canceled");
    CreatePayout::new(9_999, usd).send(&client).await.unwrap_err();
    let simulator = provider.simulator.as_ref().unwrap();
    let id = simulator.pay_out("usd").unwrap();
    simulator.step_payout(&id, PayoutStep::Pay).unwrap();
    simulator.step_payout(&id, PayoutStep::Fail).unwrap();
    let failed = RetrievePayout::new(&*id).send(&client).await.unwrap();
    assert_eq!((failed.amount, failed.status.as_str()), (1_250 - 66, "failed"));
    let listed = ListPayout::new().status("failed").send(&client).await.unwrap();
    assert_eq!(listed.data.len(), 1);
    let of_it = ListBalanceTransaction::new().payout(&*id).send(&client).await.unwrap();
    let lines: Vec<_> = of_it.data.iter().map(|line| line.amount).collect();
    assert_eq!(lines, [-1_184, 200, -200, 1_250], "its own line, and all that it pays out");
}

#[tokio::test]
async fn async_stripe_reads_what_the_simulator_keeps_for_a_customer() {
    let provider = common::simulator().await.unwrap();
    let client = stripe::ClientBuilder::new(SECRET_KEY).url(&*provider.base_url).build().unwrap();
    let customer = CreateCustomer::new().send(&client).await.unwrap();
    let id = customer.id.to_string();
    for card in [Some("pm_card_visa"), Some("pm_card_authenticationRequired"), None] {
        provider.payments.create_setup(&setup(&id, card)).await.unwrap();
    }
    let refused = setup(&id, Some("pm_card_chargeDeclined"));
    provider.payments.create_setup(&refused).await.unwrap_err();
    let intents = ListSetupIntent::new().customer(&*id).send(&client).await.unwrap().data;
    let statuses: Vec<_> = intents.iter().rev().map(|intent| intent.status.as_str()).collect();
    let waiting = "requires_payment_method";
    assert_eq!(statuses, ["succeeded", "requires_action", waiting, waiting]);
    let read = RetrieveSetupIntent::new(&intents[3].id).expand(["payment_method".to_owned()]);
    let kept = read.send(&client).await.unwrap().payment_method.unwrap().into_object().unwrap();
    assert_eq!(kept.card.as_ref().unwrap().last4, "4242");
    let listed = ListPaymentMethodsCustomer::new(&*id).send(&client).await.unwrap();
    let listed: Vec<_> = listed.data.into_iter().map(|method| method.id).collect();
    assert_eq!(listed, [kept.id]);
}
