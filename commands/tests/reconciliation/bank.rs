//! Statements of banks: kept once, whole or not at all; a gap between two is told, and payouts are held against them.
use cairn_commands::finance::bank::{self, ImportError};
use cairn_commands::finance::{
    Booked, BreakType, Period, ReconciliationReport, Recorded, book_payouts,
};
use cairn_core::Timestamp;
use cairn_finance::break_case::Means;
use cairn_finance::{Balances, Statement, StatementLine};
use sqlx::PgPool;

use crate::desk::{Desk, post, refused};
use crate::world::{DAY, UNIT, World};

const FIRST: i64 = 1_793_404_800;

fn on(day: i64) -> Timestamp {
    Timestamp::from_secs(FIRST + day * DAY)
}

fn line(day: i64, reference: &str, units: i64) -> StatementLine {
    StatementLine {
        reference: Some(reference.to_owned()),
        booked_on: on(day),
        valued_on: on(day),
        amount_nanos: units * UNIT,
        end_to_end: Some(format!("e2e {reference}")),
        text: "STRIPE".to_owned(),
    }
}

/// A statement that proves itself.
fn statement(days: (i64, i64), opening: i64, lines: Vec<StatementLine>) -> Statement {
    let opening_nanos = opening * UNIT;
    let moved: i64 = lines.iter().map(|line| line.amount_nanos).sum();
    let statement = Statement {
        statement_id: Some(format!("{days:?}")),
        bank_account: Some("CH93".to_owned()),
        currency: "USD".to_owned(),
        balances: Some(Balances { opening_nanos, closing_nanos: opening_nanos + moved }),
        days: (on(days.0), on(days.1)),
        lines,
    };
    statement.check().unwrap();
    statement
}

async fn import(
    world: &World,
    statements: &[Statement],
    account: Option<&str>,
) -> Result<u64, ImportError> {
    let imported = bank::import(&world.pool, statements, account, world.now).await?;
    Ok(imported.iter().map(|statement| statement.added).sum())
}

async fn count(world: &World) -> usize {
    bank::lines(&world.pool, false).await.unwrap().len()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_line_is_kept_once_whichever_statements_have_it(pool: PgPool) {
    let world = World::new(pool).await;
    let first = statement((0, 1), 0, vec![line(0, "a", 5), line(1, "a#", -2), line(1, "b", 1)]);
    let both = [
        first.clone(),
        statement((1, 2), 5, vec![line(1, "a#", -2), line(1, "b", 1), line(2, "c", 7)]),
    ];
    assert_eq!(import(&world, std::slice::from_ref(&first), Some("main")).await.unwrap(), 3);
    assert_eq!(
        import(&world, std::slice::from_ref(&first), None).await.unwrap(),
        0,
        "the same again"
    );
    assert_eq!(import(&world, &both, None).await.unwrap(), 1, "the number is known by now");
    let lines = bank::lines(&world.pool, true).await.unwrap();
    let told: Vec<_> =
        lines.iter().map(|line| (line.reference.as_str(), line.amount_nanos)).collect();
    assert_eq!(told, [("a", 5 * UNIT), ("a#", -2 * UNIT), ("b", UNIT), ("c", 7 * UNIT)]);
    assert_eq!(
        (lines[0].end_to_end.as_deref(), lines[0].account.as_str()),
        (Some("e2e a"), "main")
    );
    for change in
        ["UPDATE finance_bank_lines SET amount_nanos = 0", "DELETE FROM finance_bank_statements"]
    {
        assert!(sqlx::query(change).execute(&world.pool).await.is_err(), "{change}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_file_with_one_line_that_says_something_else_is_not_kept_at_all(pool: PgPool) {
    let world = World::new(pool).await;
    import(&world, &[statement((0, 0), 0, vec![line(0, "a", 5)])], Some("main")).await.unwrap();
    let other = StatementLine { amount_nanos: 6 * UNIT, ..line(0, "a", 5) };
    let statements =
        [statement((0, 0), 1, vec![line(0, "b", 4)]), statement((0, 0), 0, vec![other])];
    let refused = import(&world, &statements, None).await.unwrap_err();
    assert_eq!(refused.code(), Some("bank_line_changed"));
    let told = refused.to_string();
    assert!(
        told.contains("line a of 'main'") && told.contains("5.00") && told.contains("6.00"),
        "{told}"
    );
    assert_eq!(count(&world).await, 1, "nothing of the file, the good statement included");
    // One reference on two days of one file is two contents of one line as well.
    let twice = [statement((4, 5), 0, vec![line(4, "d", 1), line(5, "d", 1)])];
    assert_eq!(import(&world, &twice, None).await.unwrap_err().code(), Some("bank_line_changed"));
    assert_eq!(count(&world).await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_is_that_of_one_account_and_gaps_between_its_statements_are_told(pool: PgPool) {
    let world = World::new(pool).await;
    let first = statement((0, 1), 0, vec![line(0, "a", 5)]);
    for (said, code) in [(None, "bank_account_missing"), (Some("Main!"), "bank_account_invalid")] {
        let refused = import(&world, std::slice::from_ref(&first), said).await.unwrap_err();
        assert_eq!(refused.code(), Some(code), "{refused}");
    }
    import(&world, &[first], Some("main")).await.unwrap();
    let other = Statement { bank_account: Some("CH94".to_owned()), ..statement((2, 2), 5, vec![]) };
    for (statement, said) in [(other, "main"), (statement((2, 2), 5, vec![]), "second")] {
        let refused = import(&world, &[statement], Some(said)).await.unwrap_err();
        assert_eq!(refused.code(), Some("bank_account_differs"), "{refused}");
    }
    let nameless = Statement { bank_account: None, ..statement((2, 2), 5, vec![line(2, "b", 1)]) };
    assert_eq!(
        import(&world, std::slice::from_ref(&nameless), None).await.unwrap_err().code(),
        Some("bank_account_missing")
    );
    import(&world, &[nameless, statement((5, 5), 9, vec![])], Some("main")).await.unwrap();
    let gaps = bank::gaps(&world.pool).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].missing_nanos), (1, 3 * UNIT));
    import(&world, &[statement((3, 4), 6, vec![line(4, "c", 3)])], None).await.unwrap();
    assert_eq!(bank::gaps(&world.pool).await.unwrap(), [], "what was missing is there");
}

/// What the provider says of a payout beside its line: due at the bank some days after the first.
async fn expect(world: &World, id: &str, (units, day): (i64, i64), trace: Option<&str>) {
    let line = world.line(&format!("txn_{id}"), id, "payout", (-units * UNIT, 0));
    world.provide(line);
    let says = "INSERT INTO finance_external_payouts (payout_id, content, items, descriptor, trace, arrives_at, mirrored_at)
                VALUES ($1, $1, 'never', 'STRIPE', $2, $3::timestamptz, now())";
    sqlx::query(says)
        .bind(id)
        .bind(trace)
        .bind(on(day).to_string())
        .execute(&world.pool)
        .await
        .unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_bank_does_not_have_is_a_case_and_goes_when_it_has(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let world = &desk.world;
    desk.clock.advance_to(on(30));
    for (id, payout, trace) in
        [("po_1", (5, 2), None), ("po_2", (6, 3), Some("tr2")), ("po_3", (7, 4), None)]
    {
        expect(world, id, payout, trace).await;
    }
    let now = desk.now();
    let period = move |now| Period { from: on(0), until: on(20), now };
    let (report, _) = desk.run_with(&world.provider, period(now)).await;
    assert_eq!(report.bank, None, "without a statement nothing is judged");
    let lines = vec![
        line(3, "a", 5),
        StatementLine { text: "TR2".to_owned(), ..line(4, "b", 9) },
        line(5, "c", 1),
    ];
    import(world, &[statement((0, 12), 0, lines)], Some("main")).await.unwrap();
    let of_bank = |report: &ReconciliationReport| {
        let bank = report.bank.clone().unwrap();
        let told =
            bank.breaks.iter().map(|found| (found.break_type, found.difference_nanos / UNIT));
        (bank.matched, told.collect::<Vec<_>>())
    };
    let (report, recorded) = desk.run_with(&world.provider, period(now.plus_secs(1))).await;
    let (unexpected, amount, missing) =
        ((BreakType::BankUnexpected, -1), (BreakType::BankAmount, -3), (BreakType::BankMissing, 7));
    assert_eq!(of_bank(&report), (1, vec![amount, missing, unexpected]), "{report:?}");
    assert_eq!(recorded.found.len(), 3);
    let (again, recorded) = desk.run_with(&world.provider, period(now.plus_secs(2))).await;
    assert_eq!(serde_json::to_vec(&again).unwrap(), serde_json::to_vec(&report).unwrap());
    assert_eq!(recorded, Recorded::default(), "found once");
    let open = bank::lines(&world.pool, true).await.unwrap();
    let open: Vec<_> = open.iter().map(|line| line.reference.as_str()).collect();
    assert_eq!(open, ["b", "c"], "what is no payout");

    desk.clock.advance_to(now.plus_secs(3));
    let id_of =
        |kind| report.disagreements().find(|found| found.break_type == kind).unwrap().break_id;
    let missing = id_of(BreakType::BankMissing);
    for by in [Means::WriteOff, post("bank:main:USD", "stripe:pending:USD", UNIT)] {
        assert_eq!(refused(desk.resolve("ada", (missing, by), i64::MAX).await), "break_of_bank");
    }
    let unexpected = id_of(BreakType::BankUnexpected);
    desk.resolve("ada", (unexpected, Means::Explain), i64::MAX).await.unwrap();
    import(world, &[statement((13, 14), 15, vec![line(14, "d", 7)])], None).await.unwrap();
    let (report, recorded) = desk.run_with(&world.provider, period(now.plus_secs(60))).await;
    assert_eq!(
        of_bank(&report),
        (1, vec![amount, (BreakType::BankMissing, 7), (BreakType::BankUnexpected, -7)]),
        "too late to be it"
    );
    assert_eq!(report.bank.unwrap().explained.len(), 1);
    assert_eq!((recorded.found.len(), recorded.cleared.len()), (1, 0));
    import(world, &[statement((9, 9), 3, vec![line(9, "e", 7)])], None).await.unwrap();
    let (report, recorded) = desk.run_with(&world.provider, period(now.plus_secs(120))).await;
    assert_eq!((of_bank(&report).0, recorded.cleared), (2, vec![missing]), "it came after all");
}

async fn booked(desk: &Desk) -> Booked {
    let (executor, now) = (&desk.world.executor, desk.now());
    let context = desk.context("reconciler");
    book_payouts(&desk.world.provider, executor, &context, now).await.unwrap()
}

/// What is in the account of the bank, and what is on its way there, in units.
async fn there_and_on_its_way(desk: &Desk) -> (i64, i64) {
    let accounts = ["bank:main:USD", "clearing:payout_in_transit:USD"];
    let [there, on_its_way] = accounts.map(|code| desk.balance(code));
    (there.await / UNIT, on_its_way.await / UNIT)
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_bank_has_is_booked_once_and_what_it_sends_back_comes_off(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let world = &desk.world;
    desk.clock.advance_to(on(30));
    expect(world, "po_1", (5, 2), None).await;
    expect(world, "po_2", (5, 3), None).await;
    let paid_out = Booked { paid_out: 2, ..Booked::default() };
    assert_eq!(booked(&desk).await, paid_out);
    assert_eq!(there_and_on_its_way(&desk).await, (0, 10));
    let of_its_own = Some("main");
    import(world, &[statement((4, 12), 5, vec![line(4, "b", 5)])], of_its_own).await.unwrap();
    let arrived = Booked { arrived: 1, ..Booked::default() };
    assert_eq!(booked(&desk).await, arrived);
    assert_eq!(there_and_on_its_way(&desk).await, (5, 5));
    assert_eq!(booked(&desk).await, Booked::default(), "once");

    // The line that came first in time is read later: what is booked stays as it is.
    import(world, &[statement((0, 3), 0, vec![line(2, "a", 5)])], of_its_own).await.unwrap();
    assert_eq!(booked(&desk).await, arrived);
    assert_eq!(there_and_on_its_way(&desk).await, (10, 0));
    let lines = bank::lines(&world.pool, false).await.unwrap();
    let told = lines.iter().map(|it| (it.reference.as_str(), it.payout_id.as_deref().unwrap()));
    assert_eq!(told.collect::<Vec<_>>(), [("a", "po_2"), ("b", "po_1")]);

    world.provide(world.line("txn_back", "po_1", "payout_failure", (5 * UNIT, 0)));
    assert_eq!(booked(&desk).await, Booked { returned: 1, ..Booked::default() });
    assert_eq!(there_and_on_its_way(&desk).await, (10, -5), "the bank has it still");
    let returned_on = (desk.now().as_micros() / 1_000_000 - FIRST) / DAY;
    let until = returned_on + 6;
    desk.clock.advance_to(on(until + 5));
    let empty = statement((13, until), 10, vec![]);
    import(world, &[empty], of_its_own).await.unwrap();
    let period = Period { from: on(0), until: on(until + 4), now: desk.now() };
    let (report, _) = desk.run_with(&world.provider, period).await;
    let found = &report.bank.unwrap().breaks;
    let told: Vec<_> = found.iter().map(|it| (it.break_type, it.difference_nanos)).collect();
    assert_eq!(told, [(BreakType::BankMissing, -5 * UNIT)], "{found:?}");

    let off = statement((until + 1, until + 1), 10, vec![line(until + 1, "late", -5)]);
    import(world, &[off], of_its_own).await.unwrap();
    assert_eq!(booked(&desk).await, Booked::default(), "too late to be it");
    let off = statement((returned_on, returned_on), 10, vec![line(returned_on, "off", -5)]);
    import(world, &[off], of_its_own).await.unwrap();
    assert_eq!(booked(&desk).await, Booked { taken_back: 1, ..Booked::default() });
    assert_eq!(there_and_on_its_way(&desk).await, (5, 0));
    let period = Period { now: desk.now().plus_secs(1), ..period };
    let (report, recorded) = desk.run_with(&world.provider, period).await;
    assert_eq!((report.bank.unwrap().breaks, recorded.cleared.len()), (vec![], 1));
    let verified = cairn_commands::replay::verify(world.executor.log()).await.unwrap();
    assert!(verified.identical, "{verified:?}");
}
