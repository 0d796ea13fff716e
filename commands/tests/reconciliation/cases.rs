//! What a reconciliation finds becomes cases, and what settles them settles the reconciliation.
use cairn_commands::finance::{BreakType, Period, Recorded};
use cairn_finance::break_case::Means;
use cairn_finance::{BreakCase, BreakCommand, CORRECTION_ACCOUNTS, Disagreement, Status};
use serde_json::Value;
use sqlx::PgPool;

use crate::desk::{Desk, post, refused};
use crate::world::{CENT, DAY, UNIT, World};

const STRIPE: &str = "stripe:pending:USD";
const ANY: i64 = i64::MAX;

#[sqlx::test(migrations = "../migrations")]
async fn the_same_run_twice_makes_one_case_and_then_no_event(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.charge(1).await;
    desk.world.provide(desk.world.charge_line(2, UNIT, 3 * CENT));
    let period = desk.period();
    let (report, first) = desk.run_with(&desk.world.provider, period).await;
    let found = &report.breaks[0];
    assert_eq!((found.break_type, found.difference_nanos), (BreakType::MissingInternal, 97 * CENT));
    assert_eq!(first, Recorded { found: vec![found.break_id], ..Recorded::default() });
    let (again, second) = desk.run_with(&desk.world.provider, period).await;
    assert_eq!((again, second), (report.clone(), Recorded::default()));
    // Nor does a later run, and none of them is kept as a command.
    let commands = "SELECT count(*) FROM commands WHERE aggregate_type = 'break'";
    assert_eq!(desk.run().await.1, Recorded::default());
    assert_eq!(desk.events().await, 1);
    let kept: i64 = sqlx::query_scalar(commands).fetch_one(&desk.world.pool).await.unwrap();
    assert_eq!(kept, 0, "only what changes nothing would be there");
    assert_eq!(desk.case(found.break_id).await.item, Some(found.disagreement()));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_case_clears_when_it_is_not_found_any_more_and_comes_back(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.provide(desk.world.charge_line(1, UNIT, 0));
    let (report, _) = desk.run().await;
    let id = report.breaks[0].break_id;
    desk.world.book_charge(1, UNIT, desk.world.ago(7_200)).await;
    let (report, recorded) = desk.run().await;
    assert!(report.clean, "{report:?}");
    assert_eq!(recorded, Recorded { cleared: vec![id], ..Recorded::default() });
    assert_eq!(desk.case(id).await.status, Status::Cleared);
    assert_eq!(desk.run().await.1, Recorded::default());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_run_clears_only_what_it_has_looked_at(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let mut line = desk.world.charge_line(1, UNIT, 0);
    line.0.created_at = desk.world.ago(90 * DAY);
    desk.world.provide(line);
    let (report, _) = desk.run_with(&desk.world.provider, Period::all(desk.now())).await;
    let id = report.breaks[0].break_id;
    desk.clock.advance_secs(1);
    let (report, recorded) = desk.run().await;
    assert!(report.breaks.is_empty(), "the last day has nothing to do with it");
    assert_eq!((recorded, desk.case(id).await.status), (Recorded::default(), Status::Open));
}

/// One of every kind that money can be wrong by.
async fn planted(world: &World) {
    for n in 1..=6 {
        world.charge(n).await;
    }
    world.provide(world.charge_line(20, UNIT, 0));
    world.provide(world.line("txn_po", "po_1", "payout", (-3 * UNIT, 0)));
    world.provider.change("txn_2", |line| line.amount_nanos -= CENT);
    world.provide(world.line("txn_again", "ch_4", "charge", (10 * UNIT, 0)));
    world.provider.change("txn_5", |line| line.fee_nanos = 0);
    world.provider.remove("txn_6");
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_kind_it_is_of_its_correction_makes_the_next_reconciliation_clean(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    planted(&desk.world).await;
    let (report, recorded) = desk.run().await;
    let kinds: std::collections::BTreeSet<_> =
        report.breaks.iter().map(|found| found.break_type).collect();
    assert_eq!((kinds.len(), recorded.found.len()), (5, 7), "{report:?}");
    for (found, n) in report.breaks.iter().zip(0..) {
        let by = match (n % 2, found.difference_nanos) {
            (0, _) => Means::WriteOff,
            (_, more @ 0..) => post(STRIPE, "suspense:USD", more),
            (_, less) => post("suspense:USD", STRIPE, -less),
        };
        desk.resolve("ada", (found.break_id, by), ANY).await.unwrap();
    }
    let (report, recorded) = desk.run().await;
    assert!(report.clean, "{report:?}");
    let proof = &report.proofs[0];
    assert!(proof.proven && !proof.books_exceed_provider, "{proof:?}");
    assert_eq!((proof.breaks_nanos, proof.unexplained_nanos), (0, 0));
    assert_eq!(
        proof.books_closing_nanos, proof.closing_nanos,
        "the books have what the provider has"
    );
    assert_eq!(recorded, Recorded::default(), "what was settled stays settled");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_of_something_older_leaves_both_periods_proven(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let mut line = desk.world.charge_line(1, UNIT, 0);
    line.0.created_at = desk.world.ago(3 * DAY);
    desk.world.provide(line);
    let (report, _) = desk.run().await;
    let found = &report.carried[0];
    let by = post(STRIPE, "suspense:USD", UNIT);
    desk.resolve("ada", (found.break_id, by), ANY).await.unwrap();
    let (report, recorded) = desk.run().await;
    assert!(report.clean && recorded == Recorded::default(), "{report:?}");
    assert_eq!((report.proofs[0].straddling_nanos, report.proofs[0].older_nanos), (-UNIT, 0));
    let whole = Period::all(desk.now());
    assert!(desk.run_with(&desk.world.provider, whole).await.0.clean);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_that_is_too_small_reopens_the_case_with_what_is_left(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.provide(desk.world.charge_line(1, UNIT, 0));
    let (report, _) = desk.run().await;
    let id = report.breaks[0].break_id;
    desk.resolve("ada", (id, post(STRIPE, "suspense:USD", 60 * CENT)), ANY).await.unwrap();
    let (report, recorded) = desk.run().await;
    assert_eq!((report.breaks[0].break_id, report.breaks[0].difference_nanos), (id, 40 * CENT));
    assert_eq!(recorded.reopened, [id]);
    desk.resolve("ada", (id, Means::WriteOff), ANY).await.unwrap();
    let (report, recorded) = desk.run().await;
    assert!(report.clean && recorded == Recorded::default(), "{report:?}");
    assert_eq!(desk.balance("write_offs:USD").await, -40 * CENT, "a gain");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_that_is_not_needed_any_more_is_found(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.provide(desk.world.charge_line(1, UNIT, 0));
    let (report, _) = desk.run().await;
    let by = post(STRIPE, "suspense:USD", UNIT);
    desk.resolve("ada", (report.breaks[0].break_id, by), ANY).await.unwrap();
    // The top-up is booked after all: now the money is in the books twice.
    desk.world.book_charge(1, UNIT, desk.world.ago(7_200)).await;
    desk.clock.advance_secs(7_200);
    let (report, recorded) = desk.run().await;
    let found = &report.breaks[0];
    assert_eq!((found.break_type, found.difference_nanos), (BreakType::MissingExternal, -UNIT));
    assert!(found.item.reference.as_ref().unwrap().starts_with("break/break_"));
    assert!(report.proofs[0].books_exceed_provider);
    let back = post("suspense:USD", STRIPE, UNIT);
    desk.resolve("ada", (recorded.found[0], back), ANY).await.unwrap();
    let (report, _) = desk.run().await;
    assert!(report.clean && desk.balance("suspense:USD").await == 0, "{report:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_explained_is_no_break_until_it_says_something_else(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.provide(desk.world.line("txn_po", "po_1", "payout", (-UNIT, 0)));
    let (report, _) = desk.run().await;
    let id = report.breaks[0].break_id;
    desk.resolve("ada", (id, Means::Explain), ANY).await.unwrap();
    let (report, recorded) = desk.run().await;
    assert!(report.clean && report.explained.len() == 1, "{report:?}");
    assert_eq!(recorded, Recorded::default());
    assert_eq!(report.proofs[0].breaks_nanos, -UNIT, "the difference is still there, and is said");
    desk.world.provider.change("txn_po", |line| line.amount_nanos -= CENT);
    let (report, recorded) = desk.run().await;
    assert_eq!((report.explained.len(), report.breaks[0].break_type), (1, BreakType::Changed));
    assert_eq!((recorded.found.len(), recorded.reopened.len()), (1, 0), "another case");
}

#[sqlx::test(migrations = "../migrations")]
async fn two_currencies_that_disagree_are_corrected_one_after_the_other(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.charge(1).await;
    desk.world.provider.change("txn_1", |line| line.currency = "EUR".to_owned());
    let (report, _) = desk.run().await;
    let (id, euros) = (report.breaks[0].break_id, report.breaks[0].difference_nanos);
    desk.resolve("ada", (id, Means::WriteOff), ANY).await.unwrap();
    let (_, recorded) = desk.run().await;
    assert_eq!(recorded.reopened, [id], "the dollars are still wrong");
    let dollars = 10 * UNIT - 59 * CENT;
    desk.resolve("ada", (id, post("suspense:USD", STRIPE, dollars)), ANY).await.unwrap();
    let (report, _) = desk.run().await;
    assert!(report.clean, "{report:?}");
    assert_eq!(desk.balance("stripe:pending:EUR").await, euros);
    assert_eq!(desk.balance(STRIPE).await, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_books_take_what_the_rules_allow_and_nothing_is_moved_by_a_refusal(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    for (group, n) in CORRECTION_ACCOUNTS.iter().zip(1..) {
        desk.world.provide(desk.world.charge_line(n, UNIT, 0));
        let (report, _) = desk.run().await;
        let id = report.breaks[0].break_id;
        let account = format!("{group}:USD");
        desk.resolve("ada", (id, post(STRIPE, &account, 2 * UNIT)), ANY).await.unwrap();
        desk.run().await;
        desk.resolve("ada", (id, post(&account, STRIPE, UNIT)), ANY).await.unwrap();
        assert!(desk.run().await.0.clean, "{group}");
    }
    let wallet = "wallet:paid:org_00000000000000000000000001:USD";
    desk.world.provide(desk.world.charge_line(30, UNIT, 0));
    let id = desk.run().await.0.breaks[0].break_id;
    let before = desk.events().await;
    let code = refused(desk.resolve("ada", (id, post(STRIPE, wallet, UNIT)), ANY).await);
    assert_eq!((code.as_str(), desk.events().await), ("break_accounts_not_allowed", before));
    // And with the rule gone, the database has its own.
    let journal = "SELECT count(*) FROM ledger_kinds WHERE kind LIKE 'break%' AND 'wallet:paid' IN (debit, credit)";
    let pairs: i64 = sqlx::query_scalar(journal).fetch_one(&desk.world.pool).await.unwrap();
    assert_eq!(pairs, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_resolution_and_its_posting_come_together_or_not_at_all(pool: PgPool) {
    let desk = Desk::of(World::new(pool.clone()).await);
    desk.world.provide(desk.world.charge_line(1, UNIT, 0));
    let id = desk.run().await.0.breaks[0].break_id;
    // The database refuses the kind: the case must not be resolved either.
    sqlx::query("DELETE FROM ledger_kinds WHERE kind = 'break_correction'")
        .execute(&pool)
        .await
        .unwrap();
    let by = post(STRIPE, "suspense:USD", UNIT);
    let failed = desk.resolve("ada", (id, by), ANY).await.unwrap_err();
    assert!(failed.to_string().contains("ledger_postings_kind"), "{failed}");
    assert_eq!((desk.case(id).await.status, desk.balance(STRIPE).await), (Status::Open, 0));
    desk.resolve("ada", (id, Means::WriteOff), ANY).await.unwrap();
    let case = desk.case(id).await;
    assert_eq!((case.status, desk.balance(STRIPE).await), (Status::WrittenOff, UNIT));
}

#[sqlx::test(migrations = "../migrations")]
async fn late_usage_is_no_line_of_a_book_and_no_run_clears_it(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    desk.world.charge(1).await;
    let (item, at) = (late_usage(&desk), desk.now());
    let id = item.id();
    let (context, find) = (desk.context("process"), BreakCommand::Find { item, at });
    let executor = &desk.world.executor;
    executor.execute::<BreakCase>(&id.to_string(), find, &context, Value::Null).await.unwrap();
    desk.clock.advance_secs(1);

    let (report, recorded) = desk.run().await;
    assert!(report.clean && report.proofs[0].proven, "{report:?}");
    assert_eq!((recorded, desk.case(id).await.status), (Recorded::default(), Status::Open));
    let written_off = desk.resolve("ada", (id, Means::WriteOff), ANY).await;
    assert_eq!(refused(written_off), "break_of_usage");
    desk.resolve("ada", (id, Means::Explain), UNIT - 1).await.unwrap();
    assert_eq!(desk.case(id).await.status, Status::Proposed);
    desk.approve("grace", id).await.unwrap();
    assert_eq!(desk.run().await.1, Recorded::default());
    assert_eq!(desk.case(id).await.status, Status::Explained);
}

/// An hour ago somebody used something for one unit, and it was proven too late.
fn late_usage(desk: &Desk) -> Disagreement {
    Disagreement {
        break_type: BreakType::UsageLate,
        transaction_id: None,
        source_id: None,
        reference: Some("usage/alloc_1:1".to_owned()),
        currency: "USD".to_owned(),
        provider_nanos: None,
        books_nanos: None,
        difference_nanos: UNIT,
        occurred_at: desk.now().plus_secs(-3_600),
        message: "an outage was proven too late".to_owned(),
    }
}
