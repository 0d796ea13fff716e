//! Months of the books as the views have them, and the two times that a trial balance is asked by.
use cairn_core::{Month, Timestamp};
use cairn_finance::period::{Books, Check, Item};
use cairn_finance::{Period, PeriodCommand};
use cairn_ledger::{TopUp, Wallet, WalletCommand, wallet_id};
use cairn_projections::all;
use cairn_projections::finance::periods;
use cairn_projections::ledger::changes::changes;
use cairn_projections::ledger::trial_balance::{AsOf, trial_balance_by};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::story::{CURRENCY, UNIT, payment};
use crate::world::{World, organisation};

fn month() -> Month {
    "2025-03".parse().unwrap()
}

impl World {
    async fn paid(&self, n: u128, occurred_at: &str) -> i64 {
        let top_up = TopUp {
            organisation_id: organisation(1),
            currency: CURRENCY,
            payment_id: payment(n),
            amount_nanos: i64::try_from(n).unwrap() * UNIT,
            charge_id: format!("ch_{n}"),
            at: occurred_at.parse().unwrap(),
        };
        let wallet = wallet_id(organisation(1), CURRENCY);
        self.run::<Wallet>(&wallet, WalletCommand::TopUp(top_up)).await
    }

    /// Closes March of 2025, whatever is in it.
    pub async fn close_month(&self) -> i64 {
        let says = || "looked at".to_owned();
        let checks = Item::ALL.map(|item| Check { item, says: says(), against: vec![] }).to_vec();
        let balances_sha256 = "ab".repeat(32);
        let books = Books { position: i64::MAX, block: None, accounts: 2, balances_sha256 };
        let (actor, at) = ("operator:ada".to_owned(), self.now());
        let close = PeriodCommand::Close { month: month(), checks, books, actor, at };
        self.run::<Period>(&month().to_string(), close).await
    }

    async fn reopen_month(&self) -> i64 {
        let (later, reason, actor) = (vec![], "forgotten".to_owned(), "operator:grace".to_owned());
        let reopen = PeriodCommand::Reopen { month: month(), later, reason, actor, at: self.now() };
        self.run::<Period>(&month().to_string(), reopen).await
    }

    /// What the provider's account has by a day, as it was known.
    async fn held(&self, effective_by: Option<&str>, known: AsOf) -> i128 {
        let found = trial_balance_by(&self.pool, effective_by, known).await.unwrap();
        assert!(found.balanced, "{found:?}");
        let stripe = found.accounts.iter().find(|row| row.account == "stripe:pending:USD");
        stripe.map_or(0, |row| row.balance.0 / i128::from(UNIT))
    }

    async fn moment(&self) -> Timestamp {
        let now: OffsetDateTime =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await.unwrap();
        Timestamp::from_micros(i64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap())
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_late_posting_is_seen_by_the_one_time_and_not_by_the_other(pool: PgPool) {
    let world = World::new(pool).await;
    world.paid(1, "2025-03-10T12:00:00Z").await;
    let closed = world.close_month().await;
    let then = AsOf::Time(world.moment().await);
    let late = world.paid(2, "2025-03-20T12:00:00Z").await;
    let (march, april) = (Some("2025-03-31"), Some("2025-04-30"));
    // By effect: March is as it was closed. By knowledge: nobody knew of it then.
    assert_eq!([world.held(march, AsOf::Now).await, world.held(march, then).await], [1, 1]);
    assert_eq!([world.held(april, AsOf::Now).await, world.held(april, then).await], [3, 1]);
    assert_eq!([world.held(None, AsOf::Now).await, world.held(None, then).await], [3, 1]);
    assert_eq!(world.held(Some("2025-03-09"), AsOf::Now).await, 0, "nothing had happened");
    assert_eq!(world.held(april, AsOf::Position(late)).await, 3);

    let found = changes(&world.pool, month(), closed).await.unwrap();
    let [change] = &found[..] else { panic!("{found:?}") };
    assert_eq!((change.position, change.effective_on.as_str()), (late, "2025-04-01"));
    assert_eq!(change.occurred_at.to_string(), "2025-03-20T12:00:00.000000Z");
    assert_eq!(
        (change.debit[0].as_str(), change.amount.to_string()),
        ("stripe:pending:USD", "2.00".into())
    );
    // What was known when it was closed is no change, and what has nothing to do with it is none either.
    world.paid(3, "2025-05-02T12:00:00Z").await;
    assert_eq!(changes(&world.pool, month(), closed).await.unwrap().len(), 1);
    assert!(changes(&world.pool, month(), late).await.unwrap().is_empty());
    // Open again, March takes what belongs to it.
    world.reopen_month().await;
    world.paid(4, "2025-03-21T12:00:00Z").await;
    assert_eq!([world.held(march, AsOf::Now).await, world.held(march, then).await], [5, 1]);
    let days: Vec<_> = changes(&world.pool, month(), closed).await.unwrap();
    let days: Vec<_> = days.iter().map(|change| change.effective_on.as_str()).collect();
    assert_eq!(days, ["2025-04-01", "2025-03-21"]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_month_shows_by_whom_it_was_closed_and_why_it_was_opened(pool: PgPool) {
    let world = World::new(pool).await;
    let closed = world.close_month().await;
    world.caught_up(all()).await;
    let row = periods::list(&world.pool, None).await.unwrap().pop().unwrap();
    assert_eq!((row.month.as_str(), row.status.as_str(), row.times), ("2025-03", "closed", 1));
    assert_eq!((row.closed_by.as_str(), row.closed_position), ("operator:ada", closed));
    assert_eq!((row.seal.len(), row.reason), (64, None));
    world.reopen_month().await;
    world.caught_up(all()).await;
    let row = periods::list(&world.pool, Some("2025-03")).await.unwrap().pop().unwrap();
    assert_eq!((row.status.as_str(), row.reason.as_deref()), ("reopened", Some("forgotten")));
    world.close_month().await;
    world.caught_up(all()).await;
    let row = periods::list(&world.pool, None).await.unwrap().pop().unwrap();
    assert_eq!((row.status.as_str(), row.times, row.reason), ("closed", 2, None));
    assert!(periods::list(&world.pool, Some("2025-04")).await.unwrap().is_empty());
    world.close().await;
}
