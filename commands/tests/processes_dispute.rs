//! Disputes are settled in whatever order they are heard of: what that wants, as data, and on a real database in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_commands::ExecuteError;
use cairn_commands::payments::{
    RequestRefund, RequestTopUp, apply_provider_dispute, dispute_id, request_refund, request_top_up,
};
use cairn_commands::ports::{ProviderDispute, ProviderDisputeLine, ProviderDisputeStanding};
use cairn_commands::processes::settle_dispute::SettleDispute;
use cairn_commands::processes::{Awoken, Command, Effect, Fact, Intent, Occurrence, Status, Timer};
use cairn_commands::replay::verify;
use cairn_core::{Currency, DisputeId, HoldId, Money, OrganisationId, PaymentId};
use cairn_ledger::{PlaceHold, Wallet, WalletCommand, WalletEvent};
use cairn_payments::{Dispute, DisputeCommand, DisputeEvent, DisputeOutcome, OpenDispute};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Memory, usd};
use support::react::{
    NOW, ORGANISATION, PAYMENT, at, command, given, journal, timer, wallet, wallet_id,
};
use support::stories;

const DISPUTE: DisputeId = DisputeId::from_bits(9);

fn dispute(event: DisputeEvent) -> Occurrence {
    at(DISPUTE, Fact::Dispute(event))
}

fn opened() -> Occurrence {
    dispute(DisputeEvent::Opened {
        dispute_id: DISPUTE,
        provider_id: "du_1".to_owned(),
        payment_id: PAYMENT,
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        amount_nanos: 10,
        charge_id: "ch_1".to_owned(),
        reason: "fraudulent".to_owned(),
        at: NOW,
    })
}

fn withdrawn() -> Occurrence {
    dispute(DisputeEvent::FundsWithdrawn { amount_nanos: 10, journal: journal() })
}

fn reinstated() -> Occurrence {
    dispute(DisputeEvent::FundsReinstated { amount_nanos: 10, journal: journal() })
}

fn closed(outcome: DisputeOutcome) -> Occurrence {
    dispute(DisputeEvent::Closed { outcome, at: NOW })
}

fn released() -> Occurrence {
    wallet(WalletEvent::DisputeReleased { dispute_id: DISPUTE, amount_nanos: 10 })
}

fn hold() -> Intent {
    command(Command::HoldDisputed {
        wallet_id: wallet_id(),
        dispute_id: DISPUTE,
        payment_id: PAYMENT,
        amount_nanos: 10,
    })
}

fn release() -> Intent {
    command(Command::ReleaseDisputed { wallet_id: wallet_id(), dispute_id: DISPUTE })
}

fn lose() -> Intent {
    command(Command::LoseDisputed {
        wallet_id: wallet_id(),
        dispute_id: DISPUTE,
        payment_id: PAYMENT,
        amount_nanos: 10,
    })
}

#[test]
fn money_is_set_aside_when_it_is_withdrawn_and_leaves_or_comes_back_when_it_is_decided() {
    use DisputeOutcome::{Lost, Won};
    assert_eq!(given::<SettleDispute>(&[]).when(opened()), [timer(Timer::Poll, 2)]);
    assert_eq!(given::<SettleDispute>(&[opened()]).when(withdrawn()), [hold()]);
    let open = [opened(), withdrawn()];
    assert_eq!(given::<SettleDispute>(&open).when(closed(Lost)), [lose()]);
    assert_eq!(given::<SettleDispute>(&open).when(closed(Won)), [release()]);
    assert_eq!(given::<SettleDispute>(&open).when(reinstated()), [release()]);
}

#[test]
fn what_is_heard_of_late_or_first_leads_to_the_same() {
    use DisputeOutcome::{Lost, Won};
    let early = [opened(), closed(Lost)];
    assert_eq!(given::<SettleDispute>(&[opened()]).when(closed(Lost)), [], "nothing was taken yet");
    assert_eq!(given::<SettleDispute>(&early).when(withdrawn()), [lose()]);
    for won in [closed(Won), reinstated()] {
        assert_eq!(given::<SettleDispute>(&[opened()]).when(won.clone()), [release()]);
        assert_eq!(given::<SettleDispute>(&[opened(), won]).when(withdrawn()), []);
    }
}

#[test]
fn the_provider_is_asked_until_it_is_decided_and_its_money_is_where_it_belongs() {
    use DisputeOutcome::{Lost, Won};
    let asked = |last, again| {
        let retrieve = Effect::RetrieveDispute { dispute_id: DISPUTE, last };
        Awoken { intents: vec![Intent::effect(retrieve, None)], again_at: again }
    };
    let after = |secs| Some(NOW.plus_secs(secs));
    assert_eq!(given::<SettleDispute>(&[opened()]).due(Timer::Poll, 2), asked(false, after(6)));
    let day = 86_400;
    let later = given::<SettleDispute>(&[opened()]).due(Timer::Poll, 2 * day);
    assert_eq!(later, asked(false, after(3 * day)));
    let never = given::<SettleDispute>(&[opened()]).due(Timer::Poll, 181 * day);
    assert_eq!(never, asked(true, None));
    for over in [vec![withdrawn(), closed(Lost)], vec![withdrawn(), closed(Won), reinstated()]] {
        let history = [&[opened()][..], &over].concat();
        assert_eq!(given::<SettleDispute>(&history).due(Timer::Poll, 2), Awoken::default());
        given::<SettleDispute>(&history).is(Status::Running);
        given::<SettleDispute>(&[&history[..], &[released()]].concat()).is(Status::Done);
    }
    let waiting = [opened(), withdrawn(), closed(Won), released()];
    assert_eq!(given::<SettleDispute>(&waiting).due(Timer::Poll, 2), asked(false, after(6)));
}

/// A wallet with a payment of 20, of which a rental has set 15 aside.
async fn disputable(harness: &mut Harness) -> (OrganisationId, PaymentId) {
    let organisation_id = harness.organisation();
    let payment = stories::top_up(harness, organisation_id, 20).await;
    let now = harness.commands.clock.now();
    let hold = WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(harness.commands.ids.next()),
        purpose: "a test".to_owned(),
        project_id: None,
        amount_nanos: usd(15).nanos,
        expires_at: now.plus_secs(864_000),
        at: now,
    });
    let wallet_id = cairn_ledger::wallet_id(organisation_id, Currency::USD);
    let (executor, context) = (harness.commands.executor.clone(), harness.context());
    executor.execute::<Wallet>(&wallet_id, hold, &context, Value::Null).await.unwrap();
    (organisation_id, payment.parse().unwrap())
}

fn open(
    harness: &Harness,
    provider_id: &str,
    (organisation_id, payment_id): (OrganisationId, PaymentId),
) -> OpenDispute {
    OpenDispute {
        dispute_id: dispute_id(provider_id),
        provider_id: provider_id.to_owned(),
        payment_id,
        organisation_id,
        currency: Currency::USD,
        amount_nanos: usd(20).nanos,
        charge_id: "ch_1".to_owned(),
        reason: "fraudulent".to_owned(),
        at: harness.commands.clock.now(),
    }
}

/// Every account's balance in units; those of organisations by their kind.
async fn accounts(harness: &Harness) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT split_part(account, ':', 1) || ':' || split_part(account, ':', 2),
                (sum(amount_nanos) / 1000000000)::bigint
         FROM ledger_postings GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(harness.pool())
    .await
    .unwrap();
    rows.into_iter().collect()
}

fn orders<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = of.split_first() else { return vec![vec![]] };
    let insert = |order: Vec<T>| {
        (0..=order.len()).map(move |place| {
            let mut order = order.clone();
            order.insert(place, first.clone());
            order
        })
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn every_order_of_reports_leads_to_the_same_books(_: PgPoolOptions, db: PgConnectOptions) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let (amount_nanos, at) = (usd(20).nanos, harness.commands.clock.now());
    let withdraw = DisputeCommand::Withdraw { amount_nanos, at };
    let reinstate = DisputeCommand::Reinstate { amount_nanos, at };
    let close = |outcome| DisputeCommand::Close { outcome, at };
    let lost = orders(&[withdraw.clone(), close(DisputeOutcome::Lost)]);
    let won = orders(&[withdraw, reinstate, close(DisputeOutcome::Won)]);
    assert_eq!((lost.len(), won.len()), (2, 6));
    let mut settled = vec![];
    for (number, order) in lost.iter().chain(&won).enumerate() {
        let whose = disputable(&mut harness).await;
        let id = format!("du_{number}");
        let stream = dispute_id(&id).to_string();
        // Whoever asks the provider hears nothing new.
        let standing = ProviderDisputeStanding::Open;
        memory.provider.dispute_stands(told(&harness, &id, (whose.1, standing), &[]));
        let opening = DisputeCommand::Open(open(&harness, &id, whose));
        for command in [&[opening][..], order].concat() {
            // Each report comes twice, and the process has its turn in between.
            for _ in 0..2 {
                let (executor, context) = (harness.commands.executor.clone(), harness.context());
                let told =
                    executor.execute::<Dispute>(&stream, command.clone(), &context, Value::Null);
                told.await.unwrap();
            }
            harness.run_for(1).await;
        }
        let done = |s: &support::harness::Snapshot| s.ended("settle_dispute", &stream);
        harness.until("the dispute is settled", done).await;
        let wallet = stories::wallet(&harness, whose.0).await;
        settled.push((wallet.posted_nanos / usd(1).nanos, wallet.held_nanos / usd(1).nanos));
    }
    // Of 20 that were lost, 5 were free; 15 are still set aside for the rental, and owed.
    assert_eq!(settled[..2], [(15, 15), (15, 15)]);
    assert_eq!(settled[2..], [(20, 15); 6]);
    let books = accounts(&harness).await;
    assert_eq!(books["receivable:dispute"], 0, "{books:?}");
    assert_eq!(books["receivable:customer"], 2 * 15, "{books:?}");
    let report = verify(harness.commands.executor.log()).await.unwrap();
    assert!(report.identical, "{report:?}");
}

fn told(
    harness: &Harness,
    provider_id: &str,
    (payment_id, standing): (PaymentId, ProviderDisputeStanding),
    amounts: &[(i64, i64)],
) -> ProviderDispute {
    let at = harness.commands.clock.now();
    let line = |(number, (units, fee)): (usize, &(i64, i64))| ProviderDisputeLine {
        balance_transaction_id: format!("txn_{provider_id}_{number}"),
        amount: usd(*units),
        fee_nanos: usd(*fee).nanos,
        at,
    };
    ProviderDispute {
        provider_id: provider_id.to_owned(),
        payment_id: Some(payment_id),
        charge_id: "ch_1".to_owned(),
        amount: usd(20),
        reason: "fraudulent".to_owned(),
        opened_at: at,
        standing,
        lines: amounts.iter().enumerate().map(line).collect(),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dispute_is_polled_to_its_end_and_its_payment_is_not_refunded_meanwhile(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    use ProviderDisputeStanding::{Open, Won};
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let (organisation_id, payment_id) = disputable(&mut harness).await;
    let stream = dispute_id("du_1").to_string();
    let first = told(&harness, "du_1", (payment_id, Open), &[]);
    apply_provider_dispute(&harness.commands, &harness.context(), &first).await.unwrap();
    // Nobody says that the money is gone; the provider is asked.
    memory.provider.dispute_stands(told(&harness, "du_1", (payment_id, Open), &[(-20, 15)]));
    harness.run_for(30).await;
    let wallet = stories::wallet(&harness, organisation_id).await;
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (usd(20).nanos, 0));
    let refund = RequestRefund {
        organisation_id,
        payment_id,
        amount: Some(usd(1)),
        reason: "asked".to_owned(),
    };
    let refused = request_refund(&harness.commands, &harness.context(), refund.clone()).await;
    let ExecuteError::Refused { code, .. } = refused.unwrap_err() else { panic!("not refused") };
    assert_eq!(code, "payment_disputed");
    let books = accounts(&harness).await;
    assert_eq!((books["receivable:dispute"], books["dispute_fees:USD"]), (20, 15), "{books:?}");
    memory.provider.dispute_stands(told(
        &harness,
        "du_1",
        (payment_id, Won),
        &[(-20, 15), (20, 0)],
    ));
    harness.until("it is settled", |s| s.ended("settle_dispute", &stream)).await;
    let wallet = stories::wallet(&harness, organisation_id).await;
    assert_eq!((wallet.held_nanos, wallet.posted_nanos), (usd(15).nanos, usd(20).nanos));
    request_refund(&harness.commands, &harness.context(), refund).await.unwrap();
    let books = accounts(&harness).await;
    assert_eq!((books["receivable:dispute"], books["dispute_fees:USD"]), (0, 15), "{books:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_heard_of_before_its_payment_is_settled_when_the_payment_is_there(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    use ProviderDisputeStanding::{Lost, Open};
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    for (number, standing, left, held) in [(1, Open, 20, 20), (2, Lost, 0, 0)] {
        let organisation_id = harness.organisation();
        let top_up = RequestTopUp { organisation_id, amount: usd(20), payment_method: None };
        let asked = request_top_up(&harness.commands, &harness.context(), top_up).await.unwrap();
        let payment_id = asked.result["payment_id"].as_str().unwrap().parse().unwrap();
        let id = format!("du_{number}");
        let report = told(&harness, &id, (payment_id, standing), &[(-20, 15)]);
        memory.provider.dispute_stands(report.clone());
        apply_provider_dispute(&harness.commands, &harness.context(), &report).await.unwrap();
        // Time stands still until the wallet has refused it: its payment is only asked about in two seconds.
        harness.run_for(0).await;
        let early = stories::wallet(&harness, organisation_id).await;
        assert_eq!((early.posted_nanos, early.disputes.len()), (0, 0));
        let seen = harness.run_for(60).await;
        assert!(seen.stuck.is_empty(), "nobody is called: {:?}", seen.stuck);
        let wallet = stories::wallet(&harness, organisation_id).await;
        let found = (wallet.posted_nanos, wallet.held_nanos);
        assert_eq!(found, (usd(left).nanos, usd(held).nanos), "{id}: {}", harness.dump().await);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dispute_about_nothing_of_ours_is_refused(_: PgPoolOptions, db: PgConnectOptions) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let (_, payment_id) = disputable(&mut harness).await;
    let ours = told(&harness, "du_1", (payment_id, ProviderDisputeStanding::Open), &[(-20, 0)]);
    let foreign = ProviderDispute { payment_id: None, ..ours.clone() };
    let unknown = ProviderDispute { payment_id: Some(PaymentId::from_bits(7)), ..ours.clone() };
    let in_euros = ProviderDispute { amount: Money::new(1, Currency::EUR), ..ours };
    for (report, expected) in [
        (foreign, "unknown_payment"),
        (unknown, "unknown_payment"),
        (in_euros, "provider_amount_mismatch"),
    ] {
        let told = apply_provider_dispute(&harness.commands, &harness.context(), &report).await;
        let ExecuteError::Refused { code, .. } = told.unwrap_err() else { panic!("not refused") };
        assert_eq!(code, expected);
    }
}
