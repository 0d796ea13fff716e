//! Promotional credit in the views of a wallet: apart from paid money, and gone when its time is over, swept or not.
use cairn_core::{CreditId, HoldId, OrganisationId, Timestamp};
use cairn_ledger::{CaptureHold, GrantCredit, WalletCommand};
use cairn_projections::all;
use cairn_projections::ledger::balances::{self, Balance};
use cairn_projections::ledger::statement;
use sqlx::PgPool;

use crate::story::{CURRENCY, UNIT};
use crate::world::{World, organisation};

const FOR_EVER: Timestamp = Timestamp::from_secs(4_000_000_000);

impl World {
    async fn grant(&self, owner: OrganisationId, number: u128, units: i64, expires_at: Timestamp) {
        let grant = GrantCredit {
            organisation_id: owner,
            currency: CURRENCY,
            credit_id: CreditId::from_bits(number),
            amount_nanos: units * UNIT,
            expires_at,
            reason: "welcome".to_owned(),
            at: self.now(),
        };
        self.wallet(owner, WalletCommand::GrantCredit(grant)).await;
    }

    async fn charge(&self, owner: OrganisationId, hold: u128, units: i64) {
        let charge = CaptureHold {
            hold_id: HoldId::from_bits(hold),
            total_nanos: units * UNIT,
            seconds: 60,
            product: "compute".to_owned(),
            tax: None,
            keep_nanos: 0,
            expires_at: FOR_EVER,
            at: self.now(),
        };
        self.wallet(owner, WalletCommand::CaptureHold(charge)).await;
    }

    async fn balance(&self, owner: OrganisationId) -> Balance {
        balances::get(&self.pool, owner, CURRENCY).await.unwrap().unwrap()
    }
}

/// Posted, paid, promotional, held and available, in units.
fn sums(balance: &Balance) -> [i64; 5] {
    [
        balance.posted_nanos,
        balance.paid_nanos,
        balance.promotional_nanos,
        balance.held_nanos,
        balance.available_nanos,
    ]
    .map(|nanos| nanos / UNIT)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_balance_and_its_statement_show_credit_apart(pool: PgPool) {
    let (world, owner) = (World::new(pool).await, organisation(2));
    world.grant(owner, 1, 5, FOR_EVER).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [5, 0, 5, 0, 5], "credit opens the wallet");
    world.top_up(owner, 1, 10).await;
    world.hold(owner, 7, 6).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [15, 10, 5, 6, 9]);
    let holds = balances::open_holds(&world.pool, owner, CURRENCY).await.unwrap();
    assert_eq!((holds[0].remaining_nanos, holds[0].promotional_nanos), (6 * UNIT, 5 * UNIT));
    world.charge(owner, 7, 6).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [9, 9, 0, 0, 9]);
    let lines = statement::list(&world.pool, owner, Some(CURRENCY), None, 10).await.unwrap().items;
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            let units = |nanos| nanos / UNIT;
            let amounts = (units(line.amount_nanos), units(line.promotional_nanos));
            (&*line.kind, amounts, units(line.balance_nanos))
        })
        .collect();
    assert_eq!(
        lines,
        [("usage", (-6, -5), 9), ("top_up", (10, 0), 15), ("credit_granted", (5, 5), 5)]
    );
    agrees_with_the_books(&world, 2).await;
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn credit_whose_time_is_over_does_not_count_swept_or_not(pool: PgPool) {
    let (world, owner) = (World::new(pool).await, organisation(2));
    let soon = world.now().plus_secs(1_000);
    world.top_up(owner, 1, 10).await;
    world.grant(owner, 1, 5, soon).await;
    world.grant(owner, 2, 3, FOR_EVER).await;
    world.caught_up(all()).await;
    let posted: i64 = sqlx::query_scalar("SELECT sum(posted_nanos)::bigint FROM ledger_balances")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(posted, 18 * UNIT, "nobody has swept it");
    assert_eq!(sums(&world.balance(owner).await), [13, 10, 3, 0, 13]);
    // What a hold keeps of it stays.
    world.hold(owner, 7, 2).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [15, 10, 5, 2, 13]);
    world.wallet(owner, WalletCommand::SweepExpired { at: soon }).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [15, 10, 5, 2, 13], "swept it is the same");
    let hold_id = HoldId::from_bits(7);
    world.wallet(owner, WalletCommand::ReleaseHold { hold_id, at: soon }).await;
    world.caught_up(all()).await;
    assert_eq!(sums(&world.balance(owner).await), [13, 10, 3, 0, 13]);
    let credits = balances::credits(&world.pool, owner, None, 10).await.unwrap().items;
    let credits: Vec<_> = credits
        .iter()
        .map(|one| (&*one.status, one.remaining_nanos / UNIT, one.expired_nanos / UNIT))
        .collect();
    assert_eq!(credits, [("open", 3, 0), ("expired", 0, 5)]);
    agrees_with_the_books(&world, 2).await;
    world.close().await;
}

/// Paid money and credit of a wallet are what the guarded accounts have.
async fn agrees_with_the_books(world: &World, accounts: usize) {
    let folded: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT 'wallet:paid:' || organisation_id || ':' || currency,
                posted_nanos - promotional_nanos, held_nanos - promotional_held_nanos FROM ledger_wallets
         UNION ALL SELECT 'wallet:promo:' || organisation_id || ':' || currency,
                promotional_nanos, promotional_held_nanos FROM ledger_wallets ORDER BY 1",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let guarded: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT account, posted_nanos, held_nanos FROM ledger_balances ORDER BY 1")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!((&folded, folded.len()), (&guarded, accounts));
}
