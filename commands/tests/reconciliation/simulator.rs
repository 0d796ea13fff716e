//! The life of breaks with Stripe's own ways, by the simulator: planted, found, settled, cleared.
use std::time::Duration;

use cairn_commands::finance::{self, BreakType, Period, Recorded};
use cairn_commands::ports::{NewPayment, PaymentPort as _, ProviderTransaction};
use cairn_core::{Currency, Money, PaymentId, Timestamp};
use cairn_finance::Status;
use cairn_finance::break_case::Means;
use cairn_ledger::{TopUp, Wallet, WalletCommand, wallet_id};
use cairn_payments::{Payment, PaymentCommand};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{DisputeStep, Simulator, SimulatorConfig};
use sqlx::PgPool;

use crate::desk::{Desk, post, refused};
use crate::world::{DAY, ORGANISATION, UNIT, World};

/// Above it two people are needed.
const LIMIT: i64 = 50 * UNIT;

async fn stripe() -> (Simulator, StripePayments) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let config = StripeConfig {
        secret_key: "sk_test_breaks".to_owned(),
        api_base: Some(simulator.base_url.clone()),
        webhook_secrets: vec![],
    };
    let payments = StripePayments::with_timeout(config, Duration::from_secs(5)).unwrap();
    (simulator, payments)
}

/// Customers pay at Stripe; our books hear of nothing. Answers the lines of Stripe's book, in this order.
async fn paid(stripe: &StripePayments, amounts: &[i64]) -> Vec<ProviderTransaction> {
    let mut charges = Vec::new();
    for (units, n) in amounts.iter().zip(1_u128..) {
        let new = NewPayment {
            payment_id: PaymentId::from_bits(n),
            amount: Money::new(units * UNIT, Currency::USD),
            payment_method: Some("pm_card_visa".to_owned()),
            customer_id: None,
            idempotency_key: format!("breaks-{n}"),
        };
        let made = stripe.create_payment(&new).await.unwrap();
        charges.push(made.charge_id.unwrap());
    }
    let lines = stripe.transactions(Timestamp::from_secs(0), None, 100).await.unwrap();
    let of = |charge: &String| lines.iter().find(|line| line.source_id.as_ref() == Some(charge));
    charges.iter().map(|charge| of(charge).unwrap().clone()).collect()
}

fn period(desk: &Desk) -> Period {
    let now = desk.now();
    desk.clock.advance_secs(1);
    Period::range(now.plus_secs(-2 * DAY), now.plus_secs(DAY), now).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn planted_disagreements_become_cases_and_each_ends_its_own_way(pool: PgPool) {
    let (_simulator, stripe) = stripe().await;
    let desk = Desk::of(World::new(pool).await);
    let lines = paid(&stripe, &[10, 20, 80]).await;
    // Our books have a charge that Stripe has never heard of.
    desk.world.book_charge(900, 5 * UNIT, desk.world.ago(7_200)).await;
    let first = period(&desk);
    let (report, recorded) = desk.run_with(&stripe, first).await;
    assert_eq!((report.breaks.len(), recorded.found.len()), (4, 4), "{report:?}");
    let id_of = |line: &ProviderTransaction| {
        let is_it = |transaction_id: &Option<String>| transaction_id.as_ref() == Some(&line.id);
        let found = report.breaks.iter().find(|found| is_it(&found.item.transaction_id)).unwrap();
        assert_eq!(found.break_type, BreakType::MissingInternal);
        assert_eq!(found.difference_nanos, line.net_nanos);
        found.break_id
    };
    let [late, lost, large] = [&lines[0], &lines[1], &lines[2]].map(id_of);
    let unknown = report.breaks.iter().find(|found| found.item.transaction_id.is_none()).unwrap();
    assert_eq!(desk.run_with(&stripe, first).await.1, Recorded::default());
    assert_eq!(desk.events().await, 4, "the same run twice makes no event");

    // One is posted, and the trial balance shows it.
    let stripe_before = desk.balance("stripe:pending:USD").await;
    let net = lines[1].net_nanos;
    desk.resolve("ada", (lost, post("stripe:pending:USD", "suspense:USD", net)), LIMIT)
        .await
        .unwrap();
    assert_eq!(desk.balance("stripe:pending:USD").await, stripe_before + net);
    assert_eq!(desk.balance("suspense:USD").await, -net);
    // One is above the limit: ada proposes, and only another one may approve.
    desk.resolve("ada", (large, Means::WriteOff), LIMIT).await.unwrap();
    assert_eq!(desk.case(large).await.status, Status::Proposed);
    assert_eq!(desk.balance("write_offs:USD").await, 0, "nothing moves before it is approved");
    assert_eq!(refused(desk.approve("ada", large).await), "break_approver_is_proposer");
    desk.approve("grace", large).await.unwrap();
    assert_eq!(desk.balance("write_offs:USD").await, -lines[2].net_nanos);
    // One is written off at once: it is small.
    desk.resolve("ada", (unknown.break_id, Means::WriteOff), LIMIT).await.unwrap();
    // One goes by itself: the top-up comes after all, fee and all.
    desk.world.settle(&lines[0], 901).await;

    let (report, recorded) = desk.run_with(&stripe, period(&desk)).await;
    assert!(report.clean, "{report:?}");
    assert_eq!(recorded, Recorded { cleared: vec![late], ..Recorded::default() });
    assert_eq!(desk.case(late).await.status, Status::Cleared);
    assert_eq!(report.proofs[0].books_closing_nanos, report.proofs[0].closing_nanos);
    let sum: i64 = sqlx::query_scalar("SELECT sum(amount_nanos)::bigint FROM ledger_postings")
        .fetch_one(&desk.world.pool)
        .await
        .unwrap();
    assert_eq!(sum, 0, "the trial balance is zero");
    let verified = cairn_commands::replay::verify(desk.world.executor.log()).await.unwrap();
    assert!(verified.identical, "{verified:?}");
}

/// A payment of ours, on its own stream and in its wallet.
async fn book(desk: &Desk, line: &ProviderTransaction, payment_id: PaymentId) {
    let (organisation_id, currency, amount_nanos) =
        (ORGANISATION, Currency::USD, line.amount_nanos);
    let (charge_id, at) = (line.source_id.clone().unwrap(), line.created_at);
    let stream = payment_id.to_string();
    let request = PaymentCommand::Request {
        payment_id,
        organisation_id,
        currency,
        amount_nanos,
        payment_method: None,
        at,
    };
    let (provider_id, charge) = ("pi_1".to_owned(), charge_id.clone());
    let succeed = PaymentCommand::Succeed { provider_id, charge_id: charge, amount_nanos, at };
    let (balance_transaction_id, fee_nanos) = (line.id.clone(), line.fee_nanos);
    let fee = PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at };
    for command in [request, succeed, fee] {
        desk.world.execute::<Payment>(&stream, command).await;
    }
    let paid = TopUp { organisation_id, currency, payment_id, amount_nanos, charge_id, at };
    let wallet = wallet_id(organisation_id, currency);
    desk.world.execute::<Wallet>(&wallet, WalletCommand::TopUp(paid)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dispute_that_no_webhook_told_of_is_recorded_from_the_book(pool: PgPool) {
    let (simulator, stripe) = stripe().await;
    let desk = Desk::of(World::new(pool).await);
    let line = paid(&stripe, &[20]).await.remove(0);
    book(&desk, &line, PaymentId::from_bits(1)).await;
    let disputed = simulator.open_dispute(line.source_id.as_ref().unwrap()).unwrap();
    let run = async || {
        let (context, executor) = (desk.context("reconciler"), &desk.world.executor);
        finance::run(&stripe, executor, &context, period(&desk)).await.unwrap()
    };
    assert_eq!(run().await.disputes, 0, "no money has moved");
    simulator.step_dispute(&disputed, DisputeStep::Withdraw).unwrap();
    let first = run().await;
    assert_eq!((first.disputes, first.report.breaks), (1, vec![]));
    assert_eq!(desk.balance("receivable:dispute:USD").await, 20 * UNIT);
    let again = run().await;
    assert_eq!((again.disputes, again.report.clean), (0, true), "once");
    simulator.step_dispute(&disputed, DisputeStep::Reinstate).unwrap();
    let back = run().await;
    assert_eq!((back.disputes, back.report.clean), (1, true), "{:?}", back.report);
    assert_eq!(desk.balance("receivable:dispute:USD").await, 0);
}
