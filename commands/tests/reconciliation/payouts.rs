//! Payouts: booked from the provider's book, once, with what comes back of them and what they are made of.
use std::time::Duration;

use cairn_commands::finance::{Booked, BreakType, Period, Recorded, book_payouts};
use cairn_commands::ports::{
    NewPayment, PaymentPort, ProviderItems, ProviderPayout, ProviderTransaction,
};
use cairn_core::{Currency, Money, PaymentId, Timestamp};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{PayoutStep, Simulator, SimulatorConfig};
use sqlx::PgPool;

use crate::desk::{Desk, post};
use crate::world::{CENT, DAY, Line, UNIT, World, breaks};

const TRANSIT: &str = "clearing:payout_in_transit:USD";

async fn book(desk: &Desk, port: &dyn PaymentPort) -> Booked {
    let (executor, now) = (&desk.world.executor, desk.now());
    book_payouts(port, executor, &desk.context("reconciler"), now).await.unwrap()
}

/// A payout in the provider's book, with what it says of it.
fn pay_out(world: &World, n: u32, amount: i64, items: Option<Vec<ProviderTransaction>>) {
    let provider_id = format!("po_{n}");
    let payout = ProviderPayout {
        provider_id: provider_id.clone(),
        items: if items.is_some() { ProviderItems::Complete } else { ProviderItems::Never },
        descriptor: Some("STRIPE".to_owned()),
        trace: None,
        arrives_at: world.now.plus_secs(2 * DAY),
    };
    world.provide(world.line(&format!("txn_po{n}"), &provider_id, "payout", (-amount, 0)));
    let items = items.unwrap_or_default();
    world.provider.payouts.lock().unwrap().insert(provider_id, (payout, items));
}

fn comes_back(world: &World, n: u32, amount: i64, category: &str) {
    world.provide(world.line(&format!("txn_pf{n}"), &format!("po_{n}"), category, (amount, 0)));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_payout_is_booked_once_and_what_comes_back_by_its_own_entry(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.charge(1).await;
    let Line(charge) = desk.world.charge_line(1, 10 * UNIT, 59 * CENT);
    pay_out(&desk.world, 1, 5 * UNIT, None);
    let whole = 941 * CENT - 5 * UNIT;
    pay_out(&desk.world, 2, whole, Some(vec![ProviderTransaction { net_nanos: whole, ..charge }]));
    comes_back(&desk.world, 1, 5 * UNIT, "payout_failure");
    assert_eq!(
        book(&desk, &desk.world.provider).await,
        Booked { paid_out: 2, returned: 1, ..Booked::default() }
    );
    let (report, recorded) = desk.run().await;
    assert!(report.clean && recorded.found.is_empty(), "{report:?}");
    assert_eq!((report.lines, report.matched), (4, 4));
    assert_eq!(desk.balance(TRANSIT).await, whole, "what failed is not on its way any more");
    assert_eq!(desk.balance("stripe:pending:USD").await, report.proofs[0].closing_nanos);
    let before = desk.world.executor.log().head().await.unwrap();
    assert_eq!(book(&desk, &desk.world.provider).await, Booked::default());
    assert_eq!(desk.world.executor.log().head().await.unwrap(), before, "a repeat books nothing");
    let verified = cairn_commands::replay::verify(desk.world.executor.log()).await.unwrap();
    assert!(verified.identical, "{verified:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_payout_that_somebody_has_corrected_by_hand_is_not_booked_again(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.charge(1).await;
    pay_out(&desk.world, 1, UNIT, None);
    let (report, _) = desk.run().await;
    let by = post("bank:main:USD", "stripe:pending:USD", UNIT);
    desk.resolve("ada", (report.breaks[0].break_id, by), i64::MAX).await.unwrap();
    assert_eq!(book(&desk, &desk.world.provider).await, Booked::default());
    let (report, recorded) = desk.run().await;
    assert!(report.clean && recorded == Recorded::default(), "{report:?}");
    assert_eq!((desk.balance("bank:main:USD").await, desk.balance(TRANSIT).await), (UNIT, 0));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_fee_of_a_payout_is_booked_with_it_and_in_whatever_run_comes_to_it(pool: PgPool) {
    let desk = Desk::of(World::new(pool.clone()).await);
    desk.world.charge(1).await;
    desk.world.provide(desk.world.line("txn_po1", "po_1", "payout", (-UNIT, 3 * CENT)));
    // The first run ends between the two: only the payout is booked.
    sqlx::query("UPDATE ledger_kinds SET kind = 'gone' WHERE kind = 'stripe_fee'")
        .execute(&pool)
        .await
        .unwrap();
    let (executor, now) = (&desk.world.executor, desk.now());
    let context = desk.context("reconciler");
    let failed = book_payouts(&desk.world.provider, executor, &context, now).await.unwrap_err();
    assert!(failed.to_string().contains("ledger_postings_kind"), "{failed}");
    assert_eq!(breaks(&desk.run().await.0), [(BreakType::Fee, "txn_po1".to_owned())]);
    sqlx::query("UPDATE ledger_kinds SET kind = 'stripe_fee' WHERE kind = 'gone'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(book(&desk, &desk.world.provider).await, Booked::default());
    let (report, recorded) = desk.run().await;
    assert!(report.clean, "{report:?}");
    assert_eq!(recorded.cleared.len(), 1, "the fee's case goes by itself");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_does_not_fit_a_payout_is_a_break_and_books_nothing(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    for n in 1..=4 {
        desk.world.charge(n).await;
    }
    let item = |net_nanos| {
        let Line(line) = desk.world.charge_line(9, net_nanos, 0);
        line
    };
    // Its items are a cent short; they are in two currencies; the next comes back with a cent less, and is there twice.
    pay_out(&desk.world, 1, UNIT, Some(vec![item(60 * CENT), item(39 * CENT)]));
    let euros = ProviderTransaction { currency: "EUR".to_owned(), ..item(UNIT) };
    pay_out(&desk.world, 2, UNIT, Some(vec![euros]));
    pay_out(&desk.world, 3, UNIT, None);
    comes_back(&desk.world, 3, UNIT - CENT, "payout_cancel");
    desk.world.provide(desk.world.line("txn_po3_again", "po_3", "payout", (-UNIT, 0)));
    // Taken from the bank; a fee of its own; held back; in a currency without books.
    desk.world.provide(desk.world.line("txn_q", "po_4", "payout", (UNIT, 0)));
    desk.world.provide(desk.world.line("txn_r", "x", "fee", (-UNIT, 0)));
    let held = desk.world.line("txn_s", "y", "payout_minimum_balance_hold", (-UNIT, 0));
    desk.world.provide(held);
    let Line(yen) = desk.world.line("txn_t", "po_5", "payout", (-UNIT, 0));
    desk.world.provider.add(ProviderTransaction { currency: "JPY".to_owned(), ..yen });
    assert_eq!(
        book(&desk, &desk.world.provider).await,
        Booked { paid_out: 3, returned: 0, ..Booked::default() }
    );
    let (report, _) = desk.run().await;
    use BreakType::{Currency, Duplicate, MissingInternal, PayoutItems};
    let expected = [
        (MissingInternal, "txn_pf3"),
        (MissingInternal, "txn_q"),
        (MissingInternal, "txn_r"),
        (MissingInternal, "txn_s"),
        (Currency, "txn_t"),
        (Duplicate, "txn_po3_again"),
        (PayoutItems, "txn_po1"),
        (PayoutItems, "txn_po2"),
    ]
    .map(|(kind, line)| (kind, line.to_owned()));
    assert_eq!(breaks(&report), expected);
    let told = |line: &str| {
        let is_it = |found: &&cairn_commands::finance::Break| {
            found.item.transaction_id.as_deref() == Some(line)
        };
        report.breaks.iter().find(is_it).unwrap().item.message.clone()
    };
    assert!(told("txn_q").contains("takes money from the bank"), "{}", told("txn_q"));
    assert!(told("txn_r").contains("stripe_fees"), "{}", told("txn_r"));
    assert!(told("txn_s").contains("clearing:minimum_balance"), "{}", told("txn_s"));
    assert!(report.proofs.iter().all(|proof| proof.unexplained_nanos == 0), "{report:?}");
    assert_eq!(desk.balance(TRANSIT).await, 3 * UNIT);
}

async fn stripe() -> (Simulator, StripePayments) {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let config = StripeConfig {
        secret_key: "sk_test_payouts".to_owned(),
        api_base: Some(simulator.base_url.clone()),
        webhook_secrets: vec![],
    };
    let payments = StripePayments::with_timeout(config, Duration::from_secs(5)).unwrap();
    (simulator, payments)
}

/// A customer pays at Stripe, and our books know of it.
async fn paid(desk: &Desk, stripe: &StripePayments, (n, currency): (u32, Currency)) {
    let new = NewPayment {
        payment_id: PaymentId::from_bits(n.into()),
        amount: Money::new(20 * UNIT, currency),
        payment_method: Some("pm_card_visa".to_owned()),
        customer_id: None,
        idempotency_key: format!("payouts-{n}"),
    };
    let made = stripe.create_payment(&new).await.unwrap();
    let lines = stripe.transactions(Timestamp::from_secs(0), None, 100).await.unwrap();
    let line = lines.iter().find(|line| line.source_id == made.charge_id).unwrap();
    desk.world.settle(line, n).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn payouts_of_the_simulator_agree_to_the_last_cent_in_two_currencies(pool: PgPool) {
    let (simulator, stripe) = stripe().await;
    let desk = Desk::of(World::new(pool).await);
    for n in 1..=3 {
        paid(&desk, &stripe, (n, Currency::USD)).await;
    }
    paid(&desk, &stripe, (4, Currency::EUR)).await;
    let first = simulator.pay_out("usd").unwrap();
    let euros = simulator.pay_out("eur").unwrap();
    simulator.step_payout(&euros, PayoutStep::Pay).unwrap();
    simulator.step_payout(&first, PayoutStep::Fail).unwrap();
    let second = simulator.pay_out("usd").unwrap();
    assert_eq!(
        book(&desk, &stripe).await,
        Booked { paid_out: 3, returned: 1, ..Booked::default() }
    );
    let now = desk.now();
    let period = Period::range(now.plus_secs(-2 * DAY), now.plus_secs(DAY), now).unwrap();
    let (report, recorded) = desk.run_with(&stripe, period).await;
    assert!(report.clean && recorded.found.is_empty(), "{report:?}");
    assert_eq!((report.lines, report.matched, report.proofs.len()), (8, 8, 2));
    for proof in &report.proofs {
        assert_eq!((proof.closing_nanos, proof.books_closing_nanos), (0, 0), "all is paid out");
    }
    let fee = 88 * CENT;
    assert_eq!(desk.balance(TRANSIT).await, 3 * (20 * UNIT - fee));
    assert_eq!(desk.balance("clearing:payout_in_transit:EUR").await, 20 * UNIT - fee);
    let items = "SELECT count(*) FROM finance_payout_items WHERE payout_id = $1";
    for (payout, count) in [(first, 3_i64), (euros, 1), (second, 1)] {
        let kept: i64 =
            sqlx::query_scalar(items).bind(payout).fetch_one(&desk.world.pool).await.unwrap();
        assert_eq!(kept, count, "the second pays out what the first sent back");
    }
    assert_eq!(book(&desk, &stripe).await, Booked::default());
}
