//! Months are closed when their checklist holds, and what comes late goes into the open one.
use cairn_commands::finance::close::{self, Close};
use cairn_commands::{ExecuteError, Executed, finance::FinanceError, replay};
use cairn_compute::{
    Allocation, AllocationCommand, PinnedPrice, Placement, Step, SuspensionReason,
};
use cairn_core::{AllocationId, Currency, HoldId, Month, NodeId, Resources, Timestamp};
use cairn_finance::Period;
use cairn_finance::break_case::Means;
use cairn_ledger::{CaptureHold, PlaceHold, Wallet, WalletCommand, wallet_id};
use sqlx::{Executor as _, PgPool};

use crate::desk::{Desk, refused};
use crate::world::{CENT, DAY, HOUR, ORGANISATION, UNIT, World};

/// Above it an open break stands against a close.
const LIMIT: i64 = UNIT;

/// The month before the one that is running.
pub fn last(desk: &Desk) -> Month {
    let first = Month::of(desk.world.now).unwrap().starts_at();
    Month::of(first.plus_secs(-1)).unwrap()
}

pub async fn close(desk: &Desk, month: Month) -> Result<Executed, FinanceError> {
    let input = Close { month, limit_nanos: LIMIT, clearing_days: 14 };
    let context = desk.context("operator:ada");
    let done = close::close(&desk.commands, &context, &desk.world.provider, input).await;
    desk.clock.advance_secs(1);
    done
}

pub async fn reopen(desk: &Desk, month: Month) -> Result<Executed, FinanceError> {
    let input = (month, "a bank line was forgotten".to_owned());
    close::reopen(&desk.commands, &desk.context("operator:grace"), input).await
}

/// The code of a refusal, and its words.
pub fn why(answer: Result<Executed, FinanceError>) -> (String, String) {
    match answer {
        Err(FinanceError::Case(ExecuteError::Refused { code, message, .. })) => (code, message),
        other => panic!("{other:?}"),
    }
}

/// A charge of that instant, in both books.
pub async fn charge(world: &World, n: u32, at: Timestamp) {
    let mut line = world.charge_line(n, 100 * UNIT, 0);
    line.0.created_at = at;
    world.provide(line);
    world.book_charge(n, 100 * UNIT, at).await;
}

/// When the transaction with this source takes effect, and when it happened.
async fn days(desk: &Desk, kind: &str) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT effective_on::text, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM')
         FROM ledger_journal_transactions WHERE kind = $1 ORDER BY position",
    )
    .bind(kind)
    .fetch_all(&desk.world.pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_month_is_closed_once_and_its_seal_stands_while_the_books_do(pool: PgPool) {
    let desk = Desk::of(World::new(pool.clone()).await);
    let month = last(&desk);
    charge(&desk.world, 1, month.ends_at().plus_secs(-DAY)).await;
    let done = close(&desk, month).await.unwrap();
    assert_eq!(close(&desk, month).await.unwrap().position, done.position, "nothing new");
    let (period, events) = desk.world.executor.load::<Period>(&month.to_string()).await.unwrap();
    assert_eq!((period.closed, events), (true, 1));
    let books = period.books.unwrap();
    assert_eq!((books.accounts, books.seal(month)), (2, period.seal));
    assert_eq!(close::is_intact(&desk.commands, month).await.unwrap(), Some(true));
    // What comes later does not touch it, and what is forged does.
    desk.world.book_charge(2, UNIT, month.ends_at().plus_secs(-DAY)).await;
    assert_eq!(close::is_intact(&desk.commands, month).await.unwrap(), Some(true));
    assert!(replay::verify(desk.world.executor.log()).await.unwrap().identical);
    pool.execute("ALTER TABLE ledger_postings DISABLE TRIGGER ALL").await.unwrap();
    let forge = "UPDATE ledger_postings SET amount_nanos = 2 * amount_nanos WHERE position = 1";
    assert_eq!(pool.execute(forge).await.unwrap().rows_affected(), 2);
    assert_eq!(close::is_intact(&desk.commands, month).await.unwrap(), Some(false));
    assert_eq!(close::is_intact(&desk.commands, month.next()).await.unwrap(), None);
}

#[sqlx::test(migrations = "../migrations")]
async fn periods_that_are_not_what_the_log_says_are_noticed(pool: PgPool) {
    let desk = Desk::of(World::new(pool.clone()).await);
    let month = last(&desk);
    charge(&desk.world, 1, month.ends_at().plus_secs(-DAY)).await;
    close(&desk, month).await.unwrap();
    let verify = async || replay::verify(desk.world.executor.log()).await.unwrap();
    assert!(verify().await.identical);
    let forge = "UPDATE ledger_periods SET status = 'open' WHERE status = 'closed'";
    assert_eq!(pool.execute(forge).await.unwrap().rows_affected(), 1);
    let found = verify().await;
    assert!(!found.identical && format!("{found:?}").contains("period"), "{found:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn late_usage_of_a_closed_month_lands_in_the_open_one_and_says_when_it_happened(
    pool: PgPool,
) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let in_it = month.ends_at().plus_secs(-HOUR);
    charge(&desk.world, 1, in_it).await;
    hold(&desk.world, in_it).await;
    capture(&desk.world, (UNIT, 100), in_it).await;
    close(&desk, month).await.unwrap();
    let text = month.to_string();
    let on_last_day = month.ends_at().plus_secs(-DAY).to_string()[..10].to_owned();
    assert_eq!(days(&desk, "usage").await, [(on_last_day.clone(), text.clone())]);
    // A node reports late what it did then.
    capture(&desk.world, (3 * UNIT, 300), in_it.plus_secs(60)).await;
    let late = (month.next().first_day(), text);
    assert_eq!(days(&desk, "usage").await, [(on_last_day, late.1.clone()), late]);
    assert_eq!(desk.balance("usage:compute:USD").await, -3 * UNIT, "nothing is dropped");
    assert_eq!(close::is_intact(&desk.commands, month).await.unwrap(), Some(true));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_month_is_closed_after_the_one_before_it_and_reopened_before_that(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let before = Month::of(month.starts_at().plus_secs(-1)).unwrap();
    charge(&desk.world, 1, before.ends_at().plus_secs(-1)).await;
    charge(&desk.world, 2, month.ends_at().plus_secs(-1)).await;
    let mut forgotten = desk.world.charge_line(3, CENT, 0);
    forgotten.0.created_at = before.ends_at().plus_secs(-2);
    desk.world.provide(forgotten);
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_earlier_open");
    assert!(words.contains(&before.to_string()), "{words}");
    let (code, _) = why(close(&desk, Month::of(desk.now()).unwrap()).await);
    assert_eq!(code, "period_not_over");
    close(&desk, before).await.unwrap();
    close(&desk, month).await.unwrap();
    let (code, words) = why(reopen(&desk, before).await);
    assert_eq!((code.as_str(), words.contains(&month.to_string())), ("period_later_closed", true));
    reopen(&desk, month).await.unwrap();
    assert_eq!(why(reopen(&desk, month).await).0, "period_not_closed");
    reopen(&desk, before).await.unwrap();
    // Open again, it takes what belongs to it; and it closes again with that.
    desk.world.book_charge(3, CENT, before.ends_at().plus_secs(-2)).await;
    let last_day = before.ends_at().plus_secs(-1).to_string()[..10].to_owned();
    assert_eq!(days(&desk, "top_up").await[2].0, last_day);
    close(&desk, before).await.unwrap();
    close(&desk, month).await.unwrap();
    let (period, events) = desk.world.executor.load::<Period>(&before.to_string()).await.unwrap();
    assert_eq!((period.times, events), (2, 3));
    assert!(replay::verify(desk.world.executor.log()).await.unwrap().identical);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_open_break_above_the_limit_stands_against_it_and_a_small_one_does_not(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let at = month.ends_at().plus_secs(-DAY);
    charge(&desk.world, 1, at).await;
    for (n, amount) in [(2, 2 * UNIT), (3, CENT)] {
        let mut line = desk.world.charge_line(n, amount, 0);
        line.0.created_at = at;
        desk.world.provide(line);
    }
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_breaks_open");
    assert!(words.contains("2.00 USD") && !words.contains("0.01"), "{words}");
    // The close has found it, so it can be settled.
    let id = words.split([':', ' ']).find_map(|word| word.parse().ok()).unwrap();
    desk.resolve("ada", (id, Means::WriteOff), 0).await.unwrap();
    assert_eq!(
        why(close(&desk, month).await).0,
        "period_breaks_open",
        "a proposal settles nothing"
    );
    desk.approve("grace", id).await.unwrap();
    close(&desk, month).await.unwrap();
    assert_eq!(refused(desk.approve("grace", id).await), "break_nothing_proposed");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_book_that_does_not_add_up_stands_against_it(pool: PgPool) {
    let desk = Desk::of(World::new(pool.clone()).await);
    let month = last(&desk);
    let at = month.ends_at().plus_secs(-DAY);
    charge(&desk.world, 1, at).await;
    charge(&desk.world, 2, at).await;
    assert!(desk.run().await.0.proofs[0].provider_agrees);
    // The provider forgets a line that we have mirrored.
    desk.world.provider.remove("txn_2");
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_not_reconciled");
    assert!(words.contains("USD"), "{words}");
    let mut line = desk.world.charge_line(2, 100 * UNIT, 0);
    line.0.created_at = at;
    desk.world.provide(line);
    // And a posting that nothing balances.
    for table in ["ledger_postings", "ledger_journal_transactions"] {
        pool.execute(&*format!("ALTER TABLE {table} DISABLE TRIGGER ALL")).await.unwrap();
    }
    let forge = "INSERT INTO ledger_postings (position, leg, account, currency, amount_nanos)
                 VALUES (1, 3, 'usage:compute:USD', 'USD', 7)";
    pool.execute(forge).await.unwrap();
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(
        (code.as_str(), words.contains("USD: 7 nanos")),
        ("period_unbalanced", true),
        "{words}"
    );
    pool.execute("DELETE FROM ledger_postings WHERE leg = 3").await.unwrap();
    close(&desk, month).await.unwrap();
}

const HOLD: HoldId = HoldId::from_bits(7);
const RENTAL: AllocationId = AllocationId::from_bits(7);

async fn hold(world: &World, at: Timestamp) {
    let place = PlaceHold {
        hold_id: HOLD,
        purpose: RENTAL.to_string(),
        project_id: None,
        amount_nanos: 50 * UNIT,
        expires_at: at.plus_secs(90 * DAY),
        at,
    };
    let wallet = wallet_id(ORGANISATION, Currency::USD);
    world.execute::<Wallet>(&wallet, WalletCommand::PlaceHold(place)).await;
}

async fn capture(world: &World, (total_nanos, seconds): (i64, i64), at: Timestamp) {
    let capture = CaptureHold {
        hold_id: HOLD,
        total_nanos,
        seconds,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at.plus_secs(90 * DAY),
        at,
    };
    let wallet = wallet_id(ORGANISATION, Currency::USD);
    world.execute::<Wallet>(&wallet, WalletCommand::CaptureHold(capture)).await;
}

/// The rental is not paid for any more: its meter stands still from an instant on.
async fn suspend(world: &World, at: Timestamp) {
    let reason = SuspensionReason::FundsExhausted;
    let asks = [
        AllocationCommand::RequestSuspension { reason, at },
        AllocationCommand::ConfirmSuspended { evidence: "0 processes".to_owned(), at },
    ];
    for ask in asks {
        world.execute::<Allocation>(&RENTAL.to_string(), ask).await;
    }
}

/// A rental that is active from an instant on, at 0.36 an hour.
async fn rent(world: &World, at: Timestamp) {
    let request = AllocationCommand::Request {
        allocation_id: RENTAL,
        organisation_id: ORGANISATION,
        sku_id: "small".to_owned(),
        resources: Resources { cpu_millis: 1, memory_bytes: 1, disk_bytes: 1, pids_max: 1 },
        price: PinnedPrice::flat(1, Currency::USD, 36 * CENT),
        tax: None,
        project_id: None,
        ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
        node_id: None,
        at,
    };
    let placement = Placement { node_id: NodeId::from_bits(1), uid: 20_000, hold_id: HOLD };
    let mut commands = vec![
        request,
        AllocationCommand::ConfirmReserved { placement, at },
        AllocationCommand::StartProvisioning { login: "t20000".to_owned(), at },
    ];
    let observed = || "as wanted".to_owned();
    commands.extend(Step::ALL.map(|step| AllocationCommand::CompleteStep {
        step,
        observed: observed(),
        at,
    }));
    commands.push(AllocationCommand::Activate { proof: "uid=20000".to_owned(), at });
    for command in commands {
        world.execute::<Allocation>(&RENTAL.to_string(), command).await;
    }
}

async fn meter(world: &World, through: Timestamp) {
    let meter =
        AllocationCommand::Meter { through, unproven_seconds: 0, late_seconds: 0, at: through };
    world.execute::<Allocation>(&RENTAL.to_string(), meter).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn usage_that_is_not_rated_up_to_the_end_stands_against_it(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let since = month.ends_at().plus_secs(-10 * HOUR);
    charge(&desk.world, 1, since).await;
    hold(&desk.world, since).await;
    rent(&desk.world, since).await;
    let against = async |word: &str| {
        let (code, words) = why(close(&desk, month).await);
        assert_eq!(code, "period_usage_unrated");
        assert!(words.contains(&RENTAL.to_string()) && words.contains(word), "{words}");
    };
    against("is metered up to").await;
    meter(&desk.world, since.plus_secs(9 * HOUR)).await;
    against("is metered up to").await;
    meter(&desk.world, since.plus_secs(11 * HOUR)).await;
    against("is charged 0.00 of 3.96").await;
    capture(&desk.world, (396 * CENT, 11 * HOUR), month.ends_at().plus_secs(HOUR)).await;
    close(&desk, month).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_that_is_suspended_is_rated_up_to_where_its_meter_stands(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let since = month.ends_at().plus_secs(-10 * HOUR);
    let stopped_at = since.plus_secs(5 * HOUR);
    charge(&desk.world, 1, since).await;
    hold(&desk.world, since).await;
    rent(&desk.world, since).await;
    suspend(&desk.world, stopped_at).await;
    let (code, words) = why(close(&desk, month).await);
    assert_eq!((code.as_str(), words.contains("is metered up to")), ("period_usage_unrated", true));
    meter(&desk.world, stopped_at).await;
    capture(&desk.world, (180 * CENT, 5 * HOUR), stopped_at).await;
    close(&desk, month).await.unwrap();
}
