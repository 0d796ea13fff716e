//! The provider's book against ours: clean days raise no alarm, and every planted error is found and named.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
mod bank;
mod cases;
mod clearing;
#[path = "../support/clock.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod clock;
mod desk;
mod papers;
mod papers_parts;
mod payouts;
mod periods;
mod simulator;
mod world;

use cairn_commands::finance::{BreakType, FinanceError, Period, reconcile};
use cairn_core::{Currency, DisputeId, PaymentId};
use cairn_core::{RefundId, Timestamp};
use cairn_payments::{Dispute, DisputeCommand, OpenDispute, Refund, RefundCommand};
use sqlx::PgPool;
use world::{CENT, DAY, HOUR, UNIT, World, breaks};

fn one(break_type: BreakType, which: &str) -> Vec<(BreakType, String)> {
    vec![(break_type, which.to_owned())]
}

#[sqlx::test(migrations = "../migrations")]
async fn a_clean_day_raises_no_alarm_and_is_proven(pool: PgPool) {
    let world = World::new(pool).await;
    for n in 1..=12 {
        world.charge(n).await;
    }
    for n in 1..=3 {
        world.refund(n).await;
    }
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.lines, report.matched), (15, 15));
    assert_eq!((report.expected.len(), report.breaks.len(), report.proofs.len()), (0, 0, 1));
    let proof = &report.proofs[0];
    let held = 12 * (10 * UNIT - 59 * CENT) - 3 * UNIT;
    assert_eq!((proof.opening_nanos, proof.closing_nanos, proof.later_nanos), (0, held, 0));
    assert_eq!((proof.provider_balance_nanos, proof.books_closing_nanos), (held, held));
    assert_eq!(world.report().await, report, "the same books give the same report");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_day_without_anything_is_clean(pool: PgPool) {
    let world = World::new(pool).await;
    let report = world.report().await;
    assert!(report.clean && report.proofs.is_empty() && report.lines == 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_long_book_is_mirrored_in_pages_and_only_once(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    for n in 0..250 {
        world.provide(world.charge_line(n, UNIT, 0));
    }
    assert_eq!(world.report().await.breaks.len(), 250);
    assert_eq!(world.report().await.lines, 250);
    let update = "UPDATE finance_external_transactions SET amount_nanos = 0, net_nanos = 0";
    assert!(sqlx::query(update).execute(&pool).await.is_err(), "a mirrored line never changes");
    assert!(sqlx::query("DELETE FROM finance_external_transactions").execute(&pool).await.is_err());
}

#[sqlx::test(migrations = "../migrations")]
async fn money_that_our_books_do_not_know_is_missing_internal(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.provide(world.charge_line(2, UNIT, 3 * CENT));
    assert_eq!(world.breaks().await, one(BreakType::MissingInternal, "txn_2"));
    world.provide(world.line("txn_po", "po_1", "payout", (-UNIT, 0)));
    assert_eq!(world.breaks().await.len(), 2, "a payout that was not booked, too");
}

#[sqlx::test(migrations = "../migrations")]
async fn money_that_the_provider_does_not_know_is_missing_external(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.charge(2).await;
    world.provider.remove("txn_2");
    let missing = |reference: &str| (BreakType::MissingExternal, reference.to_owned());
    assert_eq!(world.breaks().await, [missing("stripe/ch_2"), missing("stripe_fee/txn_2")]);
}

#[sqlx::test(migrations = "../migrations")]
async fn one_cent_is_an_amount_break(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.charge(2).await;
    world.provider.change("txn_2", |line| line.amount_nanos += CENT);
    assert_eq!(world.breaks().await, one(BreakType::Amount, "txn_2"));
    let report = world.report().await;
    assert_eq!((report.proofs[0].breaks_nanos, report.proofs[0].difference_nanos), (CENT, CENT));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_currency_is_a_currency_break(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.provider.change("txn_1", |line| line.currency = "EUR".to_owned());
    assert_eq!(world.breaks().await, one(BreakType::Currency, "txn_1"));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_charge_twice_is_a_duplicate(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.provide(world.line("txn_again", "ch_1", "charge", (10 * UNIT, 0)));
    assert_eq!(world.breaks().await, one(BreakType::Duplicate, "txn_again"));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_or_missing_fee_is_a_fee_break(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.provider.change("txn_1", |line| line.fee_nanos += CENT);
    assert_eq!(world.breaks().await, one(BreakType::Fee, "txn_1"));
    world.provider.change("txn_1", |line| line.fee_nanos -= CENT);
    // The changed line stays in the mirror, so this run finds the change instead.
    assert_eq!(
        world.breaks().await,
        [(BreakType::Fee, "txn_1".to_owned()), (BreakType::Changed, "txn_1".to_owned()),]
    );
    world.provide(world.charge_line(2, UNIT, 3 * CENT));
    world.book_charge(2, UNIT, world.ago(2 * HOUR)).await;
    assert!(world.breaks().await.contains(&(BreakType::Fee, "txn_2".to_owned())));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_our_books_knew_too_late_is_late(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.charge_line(2, UNIT, 0);
    line.0.created_at = world.ago(4 * DAY);
    world.provide(line);
    world.book_charge(2, UNIT, world.ago(4 * DAY)).await;
    let report = reconcile(&world.provider, &world.executor, world.last_days(5)).await.unwrap();
    assert_eq!(breaks(&report), one(BreakType::Late, "txn_2"));
    assert!(report.proofs.iter().all(|proof| proof.proven), "late, but to the nano");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_line_that_the_provider_changes_afterwards_is_noticed(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    assert!(world.report().await.clean);
    world.provider.change("txn_1", |line| line.available_at = world.now.plus_secs(DAY));
    assert!(world.report().await.clean, "when money becomes available may change");
    world.provider.change("txn_1", |line| line.amount_nanos -= CENT);
    assert_eq!(world.breaks().await, one(BreakType::Changed, "txn_1"));
}

#[sqlx::test(migrations = "../migrations")]
async fn all_kinds_at_once_are_told_apart(pool: PgPool) {
    let world = World::new(pool).await;
    for n in 1..=10 {
        world.charge(n).await;
    }
    world.refund(1).await;
    world.provide(world.charge_line(20, UNIT, 0));
    world.provider.remove("txn_r1");
    world.provider.change("txn_2", |line| line.amount_nanos -= CENT);
    world.provider.change("txn_3", |line| line.currency = "CHF".to_owned());
    world.provide(world.line("txn_again", "ch_4", "charge", (10 * UNIT, 0)));
    world.provider.change("txn_5", |line| line.fee_nanos = 0);
    let mut expected = [
        (BreakType::MissingInternal, "txn_20"),
        (BreakType::MissingExternal, "stripe/re_1"),
        (BreakType::Amount, "txn_2"),
        (BreakType::Currency, "txn_3"),
        (BreakType::Duplicate, "txn_again"),
        (BreakType::Fee, "txn_5"),
    ]
    .map(|(break_type, which)| (break_type, which.to_owned()));
    expected.sort();
    assert_eq!(world.breaks().await, expected);
    assert_eq!(world.report().await.matched, 7);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_young_is_expected_and_no_break(pool: PgPool) {
    let world = World::new(pool).await;
    let mut unbooked = world.charge_line(1, UNIT, 0);
    unbooked.0.created_at = world.ago(60);
    world.provide(unbooked);
    world.book_charge(2, UNIT, world.ago(60)).await;
    let mut without_fee = world.charge_line(3, UNIT, CENT);
    without_fee.0.created_at = world.ago(60);
    world.provide(without_fee);
    world.book_charge(3, UNIT, world.ago(60)).await;
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.expected.len(), report.matched), (3, 0));
    let later = Period { now: world.now.plus_secs(2 * HOUR), ..world.last_days(1) };
    let report = reconcile(&world.provider, &world.executor, later).await.unwrap();
    assert_eq!((report.expected.len(), report.breaks.len()), (0, 3));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unfinished_refund_is_expected_however_old(pool: PgPool) {
    let mut world = World::new(pool).await;
    world.charge(1).await;
    world.provide(world.refund_line(1, UNIT));
    assert_eq!(world.breaks().await, one(BreakType::MissingInternal, "txn_r1"));
    world.provider.pending.insert("re_1".to_owned());
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.expected.len(), report.proofs[0].expected_nanos), (1, -UNIT));
    world.provider.unreachable = true;
    let failed = reconcile(&world.provider, &world.executor, world.last_days(1)).await;
    assert!(matches!(failed, Err(FinanceError::Port(_))), "nothing is guessed");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_that_finished_since_we_asked_is_expected_while_somebody_asks(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    world.charge(1).await;
    world.provide(world.refund_line(1, UNIT));
    let refund_id = RefundId::from_bits(1);
    world.provider.finished.insert("re_1".to_owned(), refund_id);
    assert_eq!(world.breaks().await, one(BreakType::MissingInternal, "txn_r1"), "nobody asks");
    let running = "INSERT INTO process_states (process, key, state, status, position)
                   VALUES ('refund_payment', $1, '{}', 'running', 1)";
    sqlx::query(running).bind(refund_id.to_string()).execute(&pool).await.unwrap();
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.expected.len(), report.proofs[0].expected_nanos), (1, -UNIT));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_that_was_pending_for_long_is_not_late_when_it_succeeds(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.refund_line(1, UNIT);
    line.0.created_at = world.ago(10 * DAY);
    world.provide(line);
    world.book_refund(1, UNIT).await;
    let report = reconcile(&world.provider, &world.executor, world.last_days(20)).await.unwrap();
    assert!(report.clean, "{report:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_line_counts_as_it_is_now_so_that_the_proof_holds(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    assert!(world.report().await.clean);
    world.provider.change("txn_1", |line| line.amount_nanos -= CENT);
    for proof in &world.report().await.proofs {
        assert!(proof.proven && proof.provider_agrees, "{proof:?}");
        assert_eq!((proof.breaks_nanos, proof.books_exceed_provider), (-CENT, true));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_currency_without_books_is_mirrored_and_is_a_currency_break(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.line("txn_yen", "ch_yen", "charge", (700 * UNIT, 0));
    line.0.currency = "JPY".to_owned();
    world.provide(line);
    assert_eq!(world.breaks().await, one(BreakType::Currency, "txn_yen"));
    let report = world.report().await;
    let proven: Vec<_> = report.proofs.iter().map(|p| (p.currency.as_str(), p.proven)).collect();
    assert_eq!(proven, [("JPY", true), ("USD", true)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_open_from_before_is_carried_into_the_report(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.charge_line(2, UNIT, 0);
    line.0.created_at = world.ago(3 * DAY);
    world.provide(line);
    let report = world.report().await;
    assert!(report.breaks.is_empty() && !report.clean);
    assert_eq!(report.carried[0].item.transaction_id.as_deref(), Some("txn_2"));
    let proof = &report.proofs[0];
    assert_eq!((proof.opening_difference_nanos, proof.carried_nanos), (UNIT, UNIT));
    assert!(proof.proven && !proof.books_exceed_provider);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_open_from_before_anybody_looks_back_is_not_passed_over(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.charge_line(2, UNIT, 0);
    line.0.created_at = world.ago(90 * DAY);
    world.provide(line);
    let report = world.report().await;
    assert!(report.carried.is_empty() && !report.clean);
    assert_eq!((report.proofs[0].older_nanos, report.proofs[0].proven), (UNIT, false));
}

#[sqlx::test(migrations = "../migrations")]
async fn books_that_have_more_than_the_provider_raise_the_alarm(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    assert!(!world.report().await.proofs[0].books_exceed_provider);
    world.book_charge(2, UNIT, world.ago(2 * HOUR)).await;
    assert!(world.report().await.proofs[0].books_exceed_provider);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_that_fails_is_matched_whether_or_not_it_was_booked(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.charge(2).await;
    world.refund(1).await;
    world.provide(world.failure_line(1, UNIT));
    let fail = RefundCommand::Fail { code: "lost".to_owned(), at: world.ago(2 * HOUR) };
    world.execute::<Refund>("refund_1", fail).await;
    world.provide(world.refund_line(2, UNIT));
    world.provide(world.failure_line(2, UNIT));
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.lines, report.matched), (6, 6));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_pair_on_both_sides_of_midnight_is_matched_and_named(pool: PgPool) {
    let world = World::new(pool).await;
    let midnight = world.ago(DAY);
    let mut line = world.charge_line(1, UNIT, 0);
    line.0.created_at = midnight.plus_secs(-1);
    world.provide(line);
    world.book_charge(1, UNIT, midnight.plus_secs(1)).await;
    let day = |from: i64| {
        Period::range(midnight.plus_secs(from), midnight.plus_secs(from + DAY), world.now).unwrap()
    };
    for (period, matched, straddling) in [(day(-DAY), 1, UNIT), (day(0), 0, -UNIT)] {
        let report = reconcile(&world.provider, &world.executor, period).await.unwrap();
        assert!(report.clean, "{report:?}");
        assert_eq!((report.matched, report.proofs[0].straddling_nanos), (matched, straddling));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_balance_is_asked_again_when_money_moved_meanwhile(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    let mut line = world.charge_line(2, UNIT, 0);
    line.0.created_at = world.ago(60);
    *world.provider.arriving.lock().unwrap() = Some(line.0);
    let report = world.report().await;
    assert!(report.clean && report.proofs[0].provider_agrees, "{report:?}");
    assert_eq!(report.expected.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_balance_that_the_book_does_not_add_up_to_is_not_proven(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    world.charge(1).await;
    assert!(world.report().await.clean);
    // The provider forgets a line that we have mirrored: no line is missing for us, but its balance is.
    world.provider.remove("txn_1");
    let report = world.report().await;
    assert!(!report.clean && !report.proofs[0].provider_agrees);
}

#[test]
fn a_period_is_a_day_or_a_range_with_something_in_it() {
    let now = Timestamp::from_secs(1_790_000_000);
    let day = Period::day("2026-01-31", now).unwrap();
    assert_eq!(day.from.to_string(), "2026-01-31T00:00:00.000000Z");
    assert_eq!(day.until.secs_since(day.from), DAY);
    assert!(Period::day("2026-02-30", now).is_err());
    assert!(Period::range(now, now, now).is_err());
    let today = Period::today(now);
    assert!(today.from <= now && now < today.until && today.until.secs_since(today.from) == DAY);
}

/// A dispute of charge `n` in both books; what the provider took is `units`, and it gave them back when it was won.
async fn dispute(world: &World, n: u32, units: i64, won: bool) {
    let (id, at) = (format!("du_{n}"), world.ago(2 * HOUR));
    let (withdrawn, back) = (format!("txn_d{n}"), format!("txn_b{n}"));
    world.provide(world.line(&withdrawn, &id, "dispute", (-units * UNIT, 15 * UNIT)));
    let open = DisputeCommand::Open(OpenDispute {
        dispute_id: DisputeId::from_bits(n.into()),
        provider_id: id.clone(),
        payment_id: PaymentId::from_bits(n.into()),
        organisation_id: world::ORGANISATION,
        currency: Currency::USD,
        amount_nanos: 10 * UNIT,
        charge_id: format!("ch_{n}"),
        reason: "fraudulent".to_owned(),
        at,
    });
    let fee_nanos = 15 * UNIT;
    let fee = DisputeCommand::RecordFee { balance_transaction_id: withdrawn, fee_nanos, at };
    let amount_nanos = 10 * UNIT;
    let mut commands = vec![open, DisputeCommand::Withdraw { amount_nanos, at }, fee];
    if won {
        world.provide(world.line(&back, &id, "dispute_reversal", (units * UNIT, 0)));
        commands.push(DisputeCommand::Reinstate { amount_nanos, at });
    }
    for command in commands {
        world.execute::<Dispute>(&id, command).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_lines_of_disputes_are_matched_fee_and_all(pool: PgPool) {
    let world = World::new(pool).await;
    for n in 1..=3 {
        world.charge(n).await;
    }
    dispute(&world, 1, 10, true).await;
    dispute(&world, 2, 10, false).await;
    let report = world.report().await;
    assert!(report.clean, "{report:?}");
    assert_eq!((report.lines, report.matched), (6, 6));
    // One that the provider has otherwise is found.
    dispute(&world, 3, 9, false).await;
    assert_eq!(world.breaks().await, one(BreakType::Amount, "txn_d3"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dispute_that_our_books_do_not_know_is_missing_internal(pool: PgPool) {
    let world = World::new(pool).await;
    world.charge(1).await;
    world.provide(world.line("txn_d1", "du_1", "dispute", (-10 * UNIT, 15 * UNIT)));
    assert_eq!(world.breaks().await, one(BreakType::MissingInternal, "txn_d1"));
}
